"""Measures the error of every pointwise op and gated unit, of their slopes and of softmax, and the native ones'.

`python -m benchmarks.accuracy` takes all inputs of bfloat16 and float16, every 101st of float32 and some thousand
points of float64, and writes docs/accuracy.json and, from that, docs/accuracy.md. `--full` measures act_ext's errors on
all 2^32 inputs of float32 and 10^6 points of float64, for the ops at their default parameters or those named, and
replaces their figures: about an hour on two cores, and an interrupted run goes on. `--check` only compares act_ext's
errors with those published: none may be larger.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.accuracy import page, plot
from benchmarks.accuracy.measure import ORDER, Inputs, compiler, core, run, special_values
from benchmarks.cases import DEFAULTS, UNITS
from benchmarks.compare import machine


def main(argv: list[str] | None = None) -> int | str:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="all float32 inputs, 10^6 points of float64")
    parser.add_argument("--check", action="store_true", help="against the published errors")
    parser.add_argument("--ops", nargs="+", choices=ORDER, metavar="OP", help="these only, as the page names them")
    parser.add_argument("--dtypes", nargs="+", choices=page.DTYPES, help="these only")
    parser.add_argument("--step", type=int, default=101, help="the distance of the float32 inputs (default 101)")
    parser.add_argument("--points", type=int, default=5000, help="how many of float64 (default 5000)")
    parser.add_argument("--log", type=Path, default=Path("benchmarks/out/accuracy.jsonl"), help="what to go on from")
    options = parser.parse_args(argv)
    if options.check:
        worse = page.worse_than_published(run(page.checked_inputs(), options.ops or ORDER, False, None))
        return "\n".join(worse) if worse else 0
    names = options.ops or ([str(case) for case in DEFAULTS] if options.full else ORDER)
    inputs = Inputs(1, 10**6) if options.full else Inputs(options.step, options.points)
    results = run(inputs, names, not options.full, options.log, options.dtypes)
    facts = machine(argparse.Namespace(device="cpu"))
    head = {
        "bounds": core().BOUNDS,
        **{key: facts[key] for key in ("capability", "torch", "device")},
        "compiler": compiler(),
        "special": {str(case): special_values(case) for case in [*DEFAULTS, *UNITS]},
    }
    page.publish(head, results, replace_all=names == ORDER and options.dtypes is None)
    plot.draw(page.PLOT)
    print(f"Results: {page.PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
