"""The error of some ops and their slopes against the input, act_ext's and the native one's."""

from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from benchmarks.accuracy.measure import WHAT, WHO, exact, results, rules
from benchmarks.cases import CASES

SHOWN = ("mish", "gelu", "silu")
LOW, HIGH, BINS, PER_BIN = -110.0, 25.0, 540, 2000
COLOURS = {"act_ext": "tab:blue", "native": "tab:orange"}


def errors(result: Tensor, truth: Tensor, magnitude: Tensor) -> Tensor:
    """In units in the last place of the exact value, or of a magnitude where that is larger."""
    info = torch.finfo(torch.float32)
    exponent = torch.frexp(torch.maximum(truth.abs(), magnitude).clamp(min=info.smallest_normal))[1]
    return (result.double() - truth).abs() / torch.ldexp(torch.full_like(truth, info.eps), exponent - 1)


def draw(path: Path) -> None:
    figure, axes = plt.subplots(len(WHAT), len(SHOWN), figsize=(12, 6), sharex=True, sharey=True, layout="constrained")
    generator = torch.Generator().manual_seed(0)
    edges = torch.linspace(LOW, HIGH, BINS + 1)
    x = edges[:-1, None] + (HIGH - LOW) / BINS * torch.rand(BINS, PER_BIN, generator=generator)
    for column, name in enumerate(SHOWN):
        index = next(i for i, case in enumerate(CASES) if str(case) == name)
        case = CASES[index]
        flat = x.flatten()
        ours = results(case, "act_ext", flat)
        truth = exact(case, flat, ours["value"])
        for row, what in enumerate(WHAT):
            axis = axes[row, column]
            magnitude = rules(index, torch.float32)[what].magnitude_at(flat)
            for who in reversed(WHO):
                found = ours if who == "act_ext" else results(case, who, flat)
                worst = errors(found[what], truth[what], magnitude).view_as(x).amax(1)
                axis.semilogy(edges[:-1], worst.clamp(min=0.1), label=who, color=COLOURS[who], linewidth=1)
            axis.axhline(0.5, color="grey", linewidth=0.5, linestyle=":")
            axis.set_title(name if what == "value" else f"slope of {name}")
        axes[-1, column].set_xlabel("input")
    for axis in axes[:, 0]:
        axis.set_ylabel("largest error (ULP)")
    axes[0, 0].legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)
