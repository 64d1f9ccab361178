"""Compares act_ext's speed with the native ops of torch: the main job, `make bench`.

For each op, dtype, size and direction the two are timed in turn in one run; a ratio above 1 means that act_ext is
faster. Writes compare.csv, compare.json and compare.png into the output folder.
"""

import argparse
import csv
import json
import math
import os
import platform
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

import act_ext
from act_ext._register import SPECS
from benchmarks.natives import NATIVE, ON_REQUEST, REQUIRED, TRANSCENDENTAL
from benchmarks.timing import interleaved

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}
SIZES = {"1": 1, "32Ki": 1 << 15, "1Mi": 1 << 20, "16Mi": 1 << 24}
QUICK = {"dtypes": ["float32", "bfloat16"], "sizes": ["32Ki", "1Mi"], "rounds": 9, "round_seconds": 0.008}
FULL = {"dtypes": list(DTYPES), "sizes": list(SIZES), "rounds": 15, "round_seconds": 0.01}
KIND = {spec["name"]: spec["kind"] for spec in SPECS}
LEARNED = {spec["name"]: spec["arity"] - 1 for spec in SPECS if spec["kind"] == "learned"}
# What a function of rows is measured on, from 2^20 elements on: the shape and the dimension along which the rows lie.
ROWS = {
    "128": ((-1, 128), 1),
    "1024": ((-1, 1024), 1),
    "1024 masked": ((-1, 1024), 1),  # half of each is -inf
    "32768": ((-1, 32768), 1),
    "1024 strided": ((1024, -1), 0),
    "64 strided": ((-1, 64, 1024), 1),
    "16 narrow": ((-1, 16, 8), 1),  # eight rows side by side, then eight others
}


@dataclass
class Row:
    op: str
    dtype: str
    size: str
    rows: str  # the length of a row function's rows
    direction: str
    device: str
    threads: int
    native_ns: float  # per element
    act_ext_ns: float
    ratio: float
    gb_per_s: float
    of_copy: float  # act_ext's bandwidth as a fraction of the machine's own copy of such a tensor
    compiled_ratio: float | None = None  # torch.compile of the native op against act_ext

    @property
    def title(self):
        return f"{self.op} {self.rows}".rstrip()


def rows_of(name, size):
    """The rows that the op is measured on, none unless it is a function of rows. Less than 2^20 elements are one."""
    if KIND[name] != "row_function":
        return [""]
    return list(ROWS) if SIZES[size] >= 1 << 20 else [str(SIZES[size])]


def arguments_of(name, x, rows):
    """The op's tensors, x and for a gated unit another one like it, and its other arguments."""
    kwargs = REQUIRED.get(name, {})
    if name in LEARNED:  # a parameter for each channel: of 64 in dimension 1, or the last one's for dyt
        shape = (-1, 1024) if name == "dyt" else (16, 64, -1)
        x = x.view(shape if x.numel() >= 1024 else (1, 1, -1))
        channels = x.size(-1 if name == "dyt" else 1)
        return (x, *(torch.rand(channels, device=x.device).to(x.dtype) + 0.5 for _ in range(LEARNED[name]))), kwargs
    if rows:
        shape, dim = ROWS.get(rows, ((-1,), 0))
        x, kwargs = x.view(shape), {"dim": dim}
        if rows.endswith("masked"):
            x = x.masked_fill(torch.rand_like(x) < 0.5, math.inf if name == "softmin" else -math.inf)
    if KIND[name] == "maxout":
        channels = min(x.numel(), 1024)
        x, kwargs = x.view(-1, channels), {"num_pieces": min(channels, 4)}
    return ((x, torch.randn_like(x)) if KIND[name] == "gated_unit" else (x,)), kwargs


def forward_calls(name, inputs, kwargs, compiled):
    native, ours = NATIVE[name], getattr(act_ext.functional, name)
    calls = [lambda: native(*inputs, **kwargs), lambda: ours(*inputs, **kwargs)]
    if compiled is not None:
        calls.append(lambda: compiled(*inputs, **kwargs))
    return calls


def backward_calls(name, inputs, kwargs, compiled):
    """Backward through autograd's engine, as training runs it; None where the native op has no gradient.

    The engine is called as torch.autograd.grad calls it, without the twenty microseconds of Python before that.
    """
    inputs = tuple(x.detach().requires_grad_() for x in inputs)
    results = [call() for call in forward_calls(name, inputs, kwargs, compiled)]
    if not results[0].requires_grad:
        return None
    grad = torch.randn_like(results[0])
    run = torch.autograd.Variable._execution_engine.run_backward
    options = {"allow_unreachable": True, "accumulate_grad": False}
    return [lambda y=y: run((y,), (grad,), True, False, inputs, **options) for y in results]


def copy_bandwidth(x, settings, cuda):
    out = torch.empty_like(x)
    timing = interleaved([lambda: out.copy_(x)], cuda=cuda, **settings)
    return 2 * x.nbytes / timing.seconds[0]


def cases(options):
    for size in options.sizes:
        for dtype in options.dtypes:
            for name in options.ops:
                for rows in rows_of(name, size):
                    for direction in options.directions:
                        yield size, dtype, name, rows, direction


def measure(options, console):
    cuda = options.device.startswith("cuda")
    settings = {"rounds": options.rounds, "round_seconds": options.round_seconds}
    todo = list(cases(options))
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    table, prepared = [], {}
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=len(todo))
        for size, dtype, name, rows, direction in todo:
            progress.update(task, description=f"{name} {rows} {direction} {dtype} {size}")
            if (size, dtype) not in prepared:
                torch.manual_seed(0)
                x = torch.randn(SIZES[size], device=options.device).to(DTYPES[dtype])
                prepared = {(size, dtype): (x, copy_bandwidth(x, settings, cuda))}
            x, copy = prepared[size, dtype]
            compiled = torch.compile(NATIVE[name], dynamic=False) if options.compile else None
            inputs, kwargs = arguments_of(name, x, rows)
            calls = (forward_calls if direction == "forward" else backward_calls)(name, inputs, kwargs, compiled)
            if calls is not None:
                timing = interleaved(calls, cuda=cuda, **settings)
                large = sum(tensor.numel() == x.numel() for tensor in inputs)
                operands = 1 + large if direction == "forward" else 1 + 2 * large
                moved = operands * x.nbytes / timing.seconds[1]
                table.append(
                    Row(
                        *(name, dtype, size, rows, direction, options.device, torch.get_num_threads()),
                        native_ns=timing.seconds[0] / x.numel() * 1e9,
                        act_ext_ns=timing.seconds[1] / x.numel() * 1e9,
                        ratio=timing.ratios[1],
                        gb_per_s=moved / 1e9,
                        of_copy=moved / copy,
                        compiled_ratio=timing.ratios[1] / timing.ratios[2] if options.compile else None,
                    )
                )
            progress.advance(task)
    return table


def geometric_mean(values):
    values = list(values)
    return math.exp(sum(map(math.log, values)) / len(values)) if values else math.nan


def show(rows, console):
    table = Table(title="act_ext against the native op (ratio above 1: act_ext is faster)")
    for column in ("op", "dtype", "size", "direction", "native ns/el", "act_ext ns/el", "ratio", "GB/s", "of copy"):
        table.add_column(column, justify="left" if column in ("op", "dtype", "direction") else "right")
    compiled = any(row.compiled_ratio is not None for row in rows)
    if compiled:
        table.add_column("vs compile", justify="right")
    for row in rows:
        colour = "red" if row.ratio < 0.95 else "green" if row.ratio > 1.2 else "white"
        cells = [row.title, row.dtype, row.size, row.direction, f"{row.native_ns:.3f}", f"{row.act_ext_ns:.3f}"]
        cells += [f"[{colour}]{row.ratio:.2f}[/]", f"{row.gb_per_s:.1f}", f"{row.of_copy:.2f}"]
        table.add_row(*cells, *([f"{row.compiled_ratio:.2f}"] if compiled else []))
    console.print(table)
    for size in dict.fromkeys(row.size for row in rows):
        here = [row for row in rows if row.size == size]
        heavy = [row.ratio for row in here if row.op in TRANSCENDENTAL]
        worst = min(here, key=lambda row: row.ratio)
        console.print(
            f"{size}: geometric mean {geometric_mean(r.ratio for r in here):.2f} over all ops, "
            f"{geometric_mean(heavy):.2f} over the transcendental ones; "
            f"worst {worst.ratio:.2f} ({worst.title} {worst.direction} {worst.dtype})"
        )


def plot(rows, path, title):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    size = max({row.size for row in rows}, key=lambda s: SIZES[s] if SIZES[s] <= 1 << 20 else 0)
    here = [row for row in rows if row.size == size]
    names = list(dict.fromkeys(row.title for row in here))
    series = list(dict.fromkeys((row.dtype, row.direction) for row in here))
    figure, axes = pyplot.subplots(figsize=(max(12, 0.32 * len(names)), 5.2), layout="constrained")
    width = 0.8 / len(series)
    for k, (dtype, direction) in enumerate(series):
        ratio = {row.title: row.ratio for row in here if (row.dtype, row.direction) == (dtype, direction)}
        places = [i + (k - len(series) / 2 + 0.5) * width for i, name in enumerate(names) if name in ratio]
        axes.bar(places, [ratio[name] for name in names if name in ratio], width, label=f"{dtype} {direction}")
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}×")
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_ylabel("times as fast as the native op")
    axes.grid(axis="y", alpha=0.3)
    axes.margins(x=0.01)
    figure.suptitle(title)
    figure.legend(loc="outside lower center", ncols=len(series), fontsize="small")
    figure.savefig(path, dpi=110)


def machine(options):
    """What the figures were measured on."""
    name = platform.processor() or platform.machine()
    if options.device.startswith("cuda"):
        name = torch.cuda.get_device_name()
    elif Path("/proc/cpuinfo").exists():
        models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        name = models[0].partition(":")[2].strip() if models else name
    return {
        "device": name,
        "threads": torch.get_num_threads(),
        "capability": act_ext.cpu_capability(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="all dtypes and sizes, longer rounds (quick by default)")
    parser.add_argument("--ops", nargs="+", choices=list(NATIVE), metavar="OP")
    parser.add_argument("--dtypes", nargs="+", choices=list(DTYPES))
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES))
    parser.add_argument("--directions", nargs="+", choices=["forward", "backward"], default=["forward", "backward"])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default 1)")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--round-seconds", type=float, help="seconds a function and round")
    parser.add_argument("--compile", action="store_true", help="compare with torch.compile of the native op too")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out"), help="folder for the results")
    parser.set_defaults(ops=[name for name in NATIVE if name not in ON_REQUEST])
    options = parser.parse_args(argv)
    for key, value in (FULL if options.full else QUICK).items():
        if getattr(options, key) is None:
            setattr(options, key, value)
    return options


def main(argv=None):
    options = parse(argv)
    torch.set_num_threads(options.threads)
    console = Console(width=None if sys.stdout.isatty() else int(os.environ.get("COLUMNS", 120)))
    facts = machine(options)
    console.print(", ".join(f"{key}: {value}" for key, value in facts.items()))
    rows = measure(options, console)
    if not rows:
        sys.exit("nothing to compare: the native ops chosen have no gradient")
    show(rows, console)
    options.out.mkdir(parents=True, exist_ok=True)
    with (options.out / "compare.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(asdict(rows[0])))
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    (options.out / "compare.json").write_text(
        json.dumps({"machine": facts, "rows": [asdict(row) for row in rows]}, indent=1)
    )
    plot(rows, options.out / "compare.png", f"{facts['device']}, torch {facts['torch']}, {facts['capability']}")
    console.print(f"Results: {options.out}/compare.csv, compare.json, compare.png")


if __name__ == "__main__":
    main()
