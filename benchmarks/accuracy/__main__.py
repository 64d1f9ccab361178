"""Measures the error of every pointwise op and of its slope, act_ext's and the native one's.

`python -m benchmarks.accuracy` takes all inputs of bfloat16 and float16 and every 997th of float32; `--full` all 2^32
of these, in some hours, from which an interrupted run goes on. Writes the table into docs/accuracy.md.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

import act_ext
from benchmarks.accuracy.measure import core, run
from benchmarks.compare import machine

PAGE = Path(__file__).resolve().parent.parent.parent / "docs/accuracy.md"


def hexadecimal(x: float) -> str:
    """The bits of a float32."""
    return f"0x{torch.tensor(x, dtype=torch.float32).view(torch.int32).item() & 0xFFFFFFFF:08x}"


def cell(stats: dict[str, Any]) -> str:
    if stats["count"] == 0:
        return ""
    wrong = f", {stats['wrong']} not finite or NaN" if stats["wrong"] else ""
    error = f"{stats['worst']:.3g}" if stats["worst"] < 1e6 else f"{stats['worst']:.0e}"
    return f"{error}{wrong}"


def table(measured: dict[tuple[str, str], dict[str, Any]], what: str) -> list[str]:
    lines = [
        "| op | float32 | at | bfloat16 | float16 | native float32 | at | native bfloat16 | native float16 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for case in dict.fromkeys(case for case, _ in measured):
        by_dtype = {dtype: measured[case, dtype] for dtype in ("float32", "bfloat16", "float16")}
        cells = [f"`{case}`"]
        for who in ("act_ext", "native"):
            single = by_dtype["float32"][f"{who} {what}"]
            cells += [cell(single), hexadecimal(single["input"]) if single["count"] else ""]
            cells += [cell(by_dtype[dtype][f"{who} {what}"]) for dtype in ("bfloat16", "float16")]
        if any(cells[1:]):
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def page(measured: dict[tuple[str, str], dict[str, Any]], step: int) -> str:
    facts = machine(argparse.Namespace(device="cpu"))
    inputs = "all 2^32 bit patterns" if step == 1 else f"every {step}th of the 2^32 bit patterns"
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
            f"Measured on {inputs} of float32 and all of bfloat16 and float16,",
            "against the spec's formula and derivative in float64, which share no code with the kernels",
            "(`benchmarks/accuracy/`). `python -m benchmarks.accuracy` measures again, with `--full` on all inputs.",
            "",
            f"act_ext {facts['capability']}, torch {facts['torch']}, {facts['device']}.",
            "",
            "## Values",
            "",
            *table(measured, "value"),
            "",
            "## Slopes",
            "",
            *table(measured, "slope"),
            "",
        ]
    )


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="all float32 inputs")
    parser.add_argument("--step", type=int, default=997, help="the distance of the float32 inputs (default 997)")
    parser.add_argument("--ops", nargs="+", choices=act_ext.list_activations(), metavar="OP")
    parser.add_argument("--log", type=Path, default=Path("benchmarks/out/accuracy.jsonl"), help="what to go on from")
    parser.add_argument("--page", type=Path, help=f"where to write the table (default {PAGE.name}, for all ops)")
    options = parser.parse_args(argv)
    step = 1 if options.full else options.step
    core()
    text = page(run(step, options.ops, options.log), step)
    target = options.page or (PAGE if options.ops is None else None)
    if target is None:
        Console().print(text, markup=False)
        return
    target.parent.mkdir(exist_ok=True)
    target.write_text(text)
    print(f"Results: {target}")


if __name__ == "__main__":
    sys.exit(main())
