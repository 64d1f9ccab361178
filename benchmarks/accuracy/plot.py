"""The error of some ops and their slopes against the input, act_ext's and the native one's."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from benchmarks.accuracy.measure import WHO, core, results, rules, wide
from benchmarks.cases import CASES

SHOWN = ("mish", "gelu", "silu")
WHAT = ("value", "slope")
LOW, HIGH, BINS, PER_BIN = -110.0, 25.0, 540, 2000
COLOURS = {"act_ext": "tab:blue", "native": "tab:orange"}


def worst(result: Tensor, truth: Tensor, x: Tensor, rule: Any) -> float:
    stats = core().Stats()
    stats.add(result, truth, x, rule)
    return stats.as_dict()["worst"]


def draw(path: Path) -> None:
    figure, axes = plt.subplots(len(WHAT), len(SHOWN), figsize=(12, 6), sharex=True, sharey=True, layout="constrained")
    generator = torch.Generator().manual_seed(0)
    edges = torch.linspace(LOW, HIGH, BINS + 1)
    x = edges[:-1, None] + (HIGH - LOW) / BINS * torch.rand(BINS, PER_BIN, generator=generator)
    for column, name in enumerate(SHOWN):
        index = next(i for i, case in enumerate(CASES) if str(case) == name)
        flat = x.flatten()
        found = {who: results(CASES[index], who, flat) for who in WHO}
        truth = wide(CASES[index], flat, found["act_ext"]["value"])
        for row, what in enumerate(WHAT):
            axis, rule = axes[row, column], rules(index, torch.float32)[what]
            for who in reversed(WHO):
                bins = zip(found[who][what].view_as(x), truth[what].view_as(x), x, strict=True)
                errors = torch.tensor([worst(*each, rule) for each in bins])
                axis.semilogy(edges[:-1], errors.clamp(min=0.1), label=who, color=COLOURS[who], linewidth=1)
            axis.axhline(0.5, color="grey", linewidth=0.5, linestyle=":")
            axis.set_title(name if what == "value" else f"slope of {name}")
        axes[-1, column].set_xlabel("input")
    for axis in axes[:, 0]:
        axis.set_ylabel("largest error (ULP)")
    axes[0, 0].legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)
