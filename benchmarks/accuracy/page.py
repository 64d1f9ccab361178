"""The published errors: the page, and what they limit."""

import json
from pathlib import Path
from typing import Any

import torch

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
PAGE, PUBLISHED, PLOT = DOCS / "accuracy.md", DOCS / "accuracy.json", DOCS / "accuracy.png"
DTYPES = ("float32", "bfloat16", "float16")


def hexadecimal(x: float) -> str:
    """The bits of a float32."""
    return f"0x{torch.tensor(x, dtype=torch.float32).view(torch.int32).item() & 0xFFFFFFFF:08x}"


def number(ulp: float) -> str:
    return f"{ulp:.3g}" if ulp < 1e6 else f"{ulp:.0e}".replace("e+", "e")


def cell(stats: dict[str, Any]) -> str:
    """The worst error, and how many results are NaN or infinite where they are not to be, or the reverse."""
    if stats["count"] == 0:
        return ""
    return number(stats["worst"]) + (f" ({stats['wrong']} not finite)" if stats["wrong"] else "")


def table(measured: dict[str, Any], what: str) -> list[str]:
    lines = [
        "| op | float32 | at | misrounded | bfloat16 | float16 | native float32 | at | native bf16 | native f16 |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for case in dict.fromkeys(key.rpartition(" ")[0] for key in measured):
        by_dtype = {dtype: measured[f"{case} {dtype}"] for dtype in DTYPES}
        cells = [f"`{case}`"]
        for who in ("act_ext", "native"):
            single = by_dtype["float32"][f"{who} {what}"]
            cells += [cell(single), hexadecimal(single["input"]) if single["count"] else ""]
            if who == "act_ext":
                cells.append(f"{single['misrounded'] / single['count']:.2%}" if single["count"] else "")
            cells += [cell(by_dtype[dtype][f"{who} {what}"]) for dtype in DTYPES[1:]]
        if any(cells[1:]):
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def text(measured: dict[str, Any]) -> str:
    step = measured["step"]
    inputs = "all 2^32 bit patterns" if step == 1 else f"one in {step} of the 2^32 bit patterns"
    return "\n".join(
        [
            "# Accuracy",
            "",
            "The largest error of every pointwise op and of its slope (backward for a `grad_output` of 1), in units in",
            "the last place (ULP) of the result's dtype: the distance from the exact value over the distance between",
            "neighbouring numbers there. 0.5 is the least that rounding leaves. Within 1 of the point where a slope",
            "changes its sign, and for sigmoid and tanh, whose slope comes from the saved result, the unit is that of",
            "the largest slope. Inputs that are no finite numbers, and slopes where they jump, are not judged here.",
            "",
            f"Measured on {inputs} of float32 and all of bfloat16 and float16, against the spec's formula and",
            "derivative in float64, which share no code with the kernels (`benchmarks/accuracy/`).",
            "",
            "| | |",
            "|---|---|",
            "| `python -m benchmarks.accuracy` | measures again, `--full` on all inputs |",
            "| `python -m benchmarks.accuracy --check` | compares a library with this page, as its tests do |",
            "",
            f"act_ext with {measured['capability']}, torch {measured['torch']}, {measured['device']}. Kernels for AVX2",
            "and AVX-512 give the same bits. Errors of all inputs, with histograms: [accuracy.json](accuracy.json).",
            "",
            "![Error against input](accuracy.png)",
            "",
            "In each of 540 intervals the largest error of 2000 random inputs. The native gelu takes from 1 what is",
            "tiny beside it; the native silu and slopes are 0 where their exponential overflows.",
            "",
            "## Values",
            "",
            *table(measured["results"], "value"),
            "",
            "## Slopes",
            "",
            *table(measured["results"], "slope"),
            "",
        ]
    )


def data(measured: dict[str, Any]) -> str:
    """As JSON, a line for each op and dtype."""
    head = {key: value for key, value in measured.items() if key != "results"}
    results = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in measured["results"].items())
    return f'{json.dumps(head)[:-1]},\n"results": {{\n{results}\n}}}}\n'


def checked_step() -> int:
    """A distance of inputs that all were measured for the page, near 997."""
    step = int(json.loads(PUBLISHED.read_text())["step"])
    return step * -(-997 // step)


def worse_than_published(results: dict[str, dict[str, Any]]) -> list[str]:
    """What is less accurate in act_ext's results than was published."""
    published = json.loads(PUBLISHED.read_text())["results"]
    worse = []
    for key, found in results.items():
        for what, stats in found.items():
            limit = published[key][what]
            if stats["worst"] > limit["worst"] or stats["wrong"] > limit["wrong"]:
                worse.append(
                    f"{key} {what}: {stats['worst']:.3f} ULP at {hexadecimal(stats['input'])}, {stats['wrong']} wrong;"
                    f" published: {limit['worst']:.3f}, {limit['wrong']}"
                )
    return worse
