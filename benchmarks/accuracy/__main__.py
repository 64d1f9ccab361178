"""Measures the error of every pointwise op and of its slope, act_ext's and the native one's.

`python -m benchmarks.accuracy` takes all inputs of bfloat16 and float16 and every 997th of float32; `--full` all 2^32
of these, in some hours, from which an interrupted run goes on. It writes docs/accuracy.json and, from that,
docs/accuracy.md. `--check` only compares act_ext's errors with those published there: none may be larger.
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console

import act_ext
from benchmarks.accuracy import page, plot
from benchmarks.accuracy.measure import core, run
from benchmarks.compare import machine


def main(argv: list[str] | None = None) -> int | str:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="all float32 inputs")
    parser.add_argument("--step", type=int, default=997, help="the distance of the float32 inputs (default 997)")
    parser.add_argument("--ops", nargs="+", choices=act_ext.list_activations(), metavar="OP", help="show these only")
    parser.add_argument("--log", type=Path, default=Path("benchmarks/out/accuracy.jsonl"), help="what to go on from")
    parser.add_argument("--check", action="store_true", help="against the published errors")
    options = parser.parse_args(argv)
    step = 1 if options.full else options.step
    if options.check:
        worse = page.worse_than_published(run(page.checked_step(), options.ops, False, None))
        return "\n".join(worse) if worse else 0
    facts = machine(argparse.Namespace(device="cpu"))
    results = run(step, options.ops, True, options.log)
    measured = {
        "step": step,
        "bounds": core().BOUNDS,
        **{key: facts[key] for key in ("capability", "torch", "device")},
        "results": results,
    }
    if options.ops is not None:
        Console().print(page.text(measured), markup=False)
        return 0
    page.PUBLISHED.write_text(page.data(measured))
    page.PAGE.write_text(page.text(measured))
    plot.draw(page.PLOT)
    print(f"Results: {page.PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
