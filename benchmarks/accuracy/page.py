"""The published errors: the page, and what they limit."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.accuracy.measure import LOW, SPECIAL, Inputs
from benchmarks.cases import CASES, ROWS, UNITS, Case, RowCase

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
PAGE, PUBLISHED, PLOT = DOCS / "accuracy.md", DOCS / "accuracy.json", DOCS / "accuracy.png"
DTYPES = ("float32", "float64", "bfloat16", "float16")
CHECKED = 997, 1000  # what a check takes, about


def hexadecimal(x: float) -> str:
    """The bits of a float32."""
    return f"0x{torch.tensor(x, dtype=torch.float32).view(torch.int32).item() & 0xFFFFFFFF:08x}"


def number(ulp: float) -> str:
    return f"{ulp:.3g}" if ulp < 1e6 else f"{ulp:.0e}".replace("e+", "e")


def cell(stats: dict[str, Any], counted: bool = False) -> str:
    """The worst error, how many results are misrounded, if they are to be counted, and how many are NaN or infinite
    where they are not to be, or the reverse."""
    if stats["count"] == 0:
        return ""
    notes = [f"{stats['misrounded']}"] if counted and stats["misrounded"] else []
    notes += [f"{stats['wrong']} not finite"] if stats["wrong"] else []
    return number(stats["worst"]) + (f" ({', '.join(notes)})" if notes else "")


def table(measured: dict[str, Any], cases: Sequence[Case], what: str) -> list[str]:
    lines = [
        "| op | inputs | float32 | at | misrounded | float64 | bfloat16 | float16 "
        "| native float32 | at | native f64 | native bf16 | native f16 |",
        f"|{'---|' * 13}",
    ]
    for case in cases:
        by_dtype = {dtype: measured[f"{case} {dtype}"] for dtype in DTYPES}
        taken = by_dtype["float32"][f"act_ext {what}"]["taken"]
        inputs = "rows" if isinstance(case, RowCase) else "all" if taken == 1 else f"1/{taken}"
        cells = [f"`{case}`", inputs]
        for who in ("act_ext", "native"):
            single = by_dtype["float32"][f"{who} {what}"]
            cells += [cell(single), hexadecimal(single["input"]) if single["count"] else ""]
            if who == "act_ext":
                cells.append(f"{single['misrounded'] / single['count']:.2%}" if single["count"] else "")
            cells += [cell(by_dtype[dtype][f"{who} {what}"], dtype in LOW) for dtype in DTYPES[1:]]
        if any(cells[2:]):
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def special(values: dict[str, dict[str, list[str]]]) -> list[str]:
    """A table of values and slopes, of gated units by gate and by up, at -inf, -0, 0, inf and NaN."""
    lines = [
        f"| op | {' | '.join(f'value at {x}' for x in SPECIAL)} | slopes there |",
        f"|{'---|' * (len(SPECIAL) + 2)}",
    ]
    for name, found in values.items():
        value, *slopes = found.values()
        lines.append(f"| `{name}` | {' | '.join(value)} | {'; '.join(', '.join(slope) for slope in slopes)} |")
    return lines


def text(measured: dict[str, Any]) -> str:
    return "\n".join(
        [
            "# Accuracy",
            "",
            "The largest error of every pointwise op and gated unit, of their slopes (backward for a `grad_output` of",
            "1) and of softmax, in units in the last place (ULP) of the result's dtype: the distance from the exact",
            "value over the distance between neighbouring numbers there. 0.5 is the least that rounding leaves. Within",
            "1 of the point where a slope changes its sign, and for sigmoid and tanh, whose slope comes from the saved",
            "result, the unit is that of the largest slope. Inputs that are no finite numbers, and slopes where they",
            "jump, are not judged here.",
            "",
            "Measured on all bit patterns of bfloat16 and float16, against the spec's formula and derivative in",
            "float64, which share no code with the kernels: in brackets stands how many are misrounded, farther than",
            "0.5 from the exact value as float64 has it. Of float32 likewise on all 2^32 or on one in so many, as",
            "the column *inputs* says (the native ops on one in 101); and of float64 on a million or some thousand",
            "points for each op (of all exponents, around 0, in the tails and next to where formulas or signs change),",
            "against the same in interval arithmetic of 200 bits and more (`benchmarks/accuracy/`).",
            "",
            "| | |",
            "|---|---|",
            "| `python -m benchmarks.accuracy` | measures everything again, on one in 101 of float32's inputs |",
            "| `python -m benchmarks.accuracy --full` | then all of them, for the ops at their default parameters |",
            "| `python -m benchmarks.accuracy --check` | compares a library with this page, as its tests do |",
            "",
            f"act_ext with {measured['capability']}, {measured['compiler']}, torch {measured['torch']},",
            f"{measured['device']}. Kernels for AVX2, AVX-512 and NEON give the same bits: [bits.json](bits.json) has",
            "their hashes on a million inputs. With histograms: [accuracy.json](accuracy.json).",
            "",
            "![Error against input](accuracy.png)",
            "",
            "In each of 540 intervals the largest error of 2000 random inputs. The native gelu takes from 1 what is",
            "tiny beside it; the native silu and slopes are 0 where their exponential overflows.",
            "",
            "## Values",
            "",
            *table(measured["results"], CASES, "value"),
            "",
            "## Slopes",
            "",
            *table(measured["results"], CASES, "slope"),
            "",
            "## Gated units",
            "",
            "As functions of the gate, with an up between 1 and 2 that looks random, another one for each gate. Values",
            "and slopes are rounded once more than those of the activation.",
            *(
                line
                for what in UNITS[0].expressions
                for line in ["", f"### {what.capitalize()}", "", *table(measured["results"], UNITS, what)]
            ),
            "",
            "## Rows",
            "",
            f"Values, of rows of {RowCase.LENGTHS[0]} to {RowCase.LENGTHS[-1]} normal random numbers times "
            f"{RowCase.SCALES[0]} to {RowCase.SCALES[-1]}.",
            "",
            *table(measured["results"], ROWS, "value"),
            "",
            "## Special values",
            "",
            *special(measured["special"]),
            "",
        ]
    )


def data(measured: dict[str, Any]) -> str:
    """As JSON, a line for each op and dtype."""
    head = {key: value for key, value in measured.items() if key != "results"}
    results = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in measured["results"].items())
    return f'{json.dumps(head)[:-1]},\n"results": {{\n{results}\n}}}}\n'


def publish(head: dict[str, Any], results: dict[str, dict[str, Any]], replace_all: bool) -> None:
    """Writes data and page. Unless all is replaced, the results take the place of those of the same case, dtype and
    kernel."""
    measured = head | {"results": {}} if replace_all else json.loads(PUBLISHED.read_text()) | head
    for key, found in results.items():
        measured["results"].setdefault(key, {}).update(found)
    PUBLISHED.write_text(data(measured))
    PAGE.write_text(text(measured))


def checked_inputs() -> Inputs:
    """Inputs that all were measured for the page, near CHECKED."""
    published = json.loads(PUBLISHED.read_text())["results"]
    taken = {
        dtype: {published[f"{case} {dtype}"]["act_ext value"]["taken"] for case in [*CASES, *UNITS]}
        for dtype in ("float32", "float64")
    }
    step, points = CHECKED
    multiple = math.lcm(*taken["float32"])
    return Inputs(multiple * -(-step // multiple), min(points, *taken["float64"]))


# In units in the last place: by so much the errors may differ between processors, because torch's functions in float64,
# of which the smaller dtypes' references are made, do: tanh is MKL's on Intel's, SLEEF's elsewhere.
REFERENCE_ROUNDING = 1e-6


def worse_than_published(results: dict[str, dict[str, Any]]) -> list[str]:
    """What is less accurate in act_ext's results than was published."""
    published = json.loads(PUBLISHED.read_text())["results"]
    of_all_inputs = {f"{case} {dtype}" for case in CASES for dtype in LOW}
    worse = []
    for key, found in results.items():
        if key not in published:
            worse.append(f"{key}: nothing is published yet: python -m benchmarks.accuracy --ops {key.split()[0]}")
            continue
        allowed = 0.0 if key.endswith(" float64") else REFERENCE_ROUNDING
        for what, stats in found.items():
            limit = published[key][what]
            more_misrounded = key in of_all_inputs and stats["misrounded"] > limit["misrounded"]
            if stats["worst"] > limit["worst"] + allowed or stats["wrong"] > limit["wrong"] or more_misrounded:
                worse.append(
                    f"{key} {what}: {stats['worst']:.3f} ULP at {hexadecimal(stats['input'])}, {stats['misrounded']}"
                    f" misrounded, {stats['wrong']} wrong;"
                    f" published: {limit['worst']:.3f}, {limit['misrounded']}, {limit['wrong']}"
                )
    return worse
