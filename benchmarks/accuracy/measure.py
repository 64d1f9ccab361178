"""Runs the ops over all inputs of a dtype, or every so manieth, or some points of float64, and collects their errors.

The work is cut in pieces, each an op's values and slopes over a range of inputs, which processes share. What a piece
gives is a line of a file: an interrupted run goes on where it stopped, as long as the library is the same.
"""

import hashlib
import json
import math
import multiprocessing
import os
import re
import sys
from collections.abc import Collection, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.utils import cpp_extension

import act_ext
from benchmarks.accuracy import exact
from benchmarks.cases import CASES, ROWS, UNITS, Case, RowCase

PARTS = 32  # of the 2^32 inputs of float32
CHUNK = 1 << 14  # elements: their intermediate results stay in a cache, and are not returned to the system
LOW = {"bfloat16": torch.bfloat16, "float16": torch.float16}
WHO = ("act_ext", "native")
MEASURED = [*CASES, *UNITS, *ROWS]
ORDER = [str(case) for case in MEASURED]
SPECIAL = (-math.inf, -0.0, 0.0, math.inf, math.nan)


@cache
def core() -> Any:
    """The C++ part, compiled at the first use."""
    # In a virtual environment that is not active, ninja stands beside the interpreter.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    source = Path(__file__).with_name("core.cpp")
    flags = ["-O3", "-march=native", "-ffp-contract=off", "-std=c++20", "-fno-math-errno", "-fno-trapping-math"]
    return cpp_extension.load("act_ext_accuracy", [str(source)], extra_cflags=flags, verbose=False)


@dataclass(frozen=True)
class Piece:
    case: int
    dtype: str
    part: int = 0
    step: int = 1  # the distance of float32's inputs, the number of float64's
    native: bool = False  # also the native op

    @property
    def key(self) -> str:
        whose = " and native" if self.native else ""
        return f"{MEASURED[self.case]}{whose} {self.dtype} {self.part} of {PARTS} by {self.step}"


@dataclass(frozen=True)
class Inputs:
    """Which inputs a run takes: every step-th of float32 and so many points of float64."""

    step: int
    points: int


def parts_of(step: int) -> int:
    """Into how many parts a run is cut: short ones are not worth dividing."""
    return PARTS if step < 64 else 1


def pieces(inputs: Inputs, names: list[str], native: bool) -> Iterator[Piece]:
    """names: of the cases, in this order."""
    for index in map(ORDER.index, names):
        if isinstance(MEASURED[index], RowCase):
            for dtype in (*LOW, "float64", "float32"):
                yield Piece(index, dtype, native=native)
            continue
        for dtype in LOW:
            yield Piece(index, dtype, native=native)
        yield Piece(index, "float64", 0, inputs.points, native)
        for part in range(parts_of(inputs.step)):
            yield Piece(index, "float32", part, inputs.step, native)


def chunks(piece: Piece) -> Iterator[Tensor]:
    if piece.dtype != "float32":
        yield torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(LOW[piece.dtype])
        return
    size = 2**32 // parts_of(piece.step)
    begin, end = piece.part * size, piece.part * size + size
    first = -(-begin // piece.step) * piece.step  # the steps go on over the parts' edges
    for start in range(first, end, CHUNK * piece.step):
        yield core().float32_inputs(start, min(start + CHUNK * piece.step, end), piece.step)


def results(case: Case, who: str, x: Tensor) -> dict[str, Tensor]:
    """Value and, where there are some, slopes: the gradients for a grad_output of 1."""
    inputs = [each.detach().requires_grad_() for each in case.inputs(x).values()]
    value = case.function(*inputs) if who == "act_ext" else case.native(*inputs)
    found = [value.detach()]
    if value.requires_grad:
        found += torch.autograd.grad(value, inputs, torch.ones_like(value))
    return {what: each.contiguous() for what, each in zip(case.expressions, found, strict=False)}


@cache
def rules(index: int, dtype: torch.dtype) -> dict[str, Any]:
    """Where the value and the slopes are judged, and by which unit."""
    case = MEASURED[index]
    largest = torch.tensor(case.largest_slope).item()  # rounded: it may lie next to a power of 2
    jumps, kinks = (torch.tensor(each, dtype=dtype).tolist() for each in (case.jumps, case.kinks))
    value, slope, *others = case.expressions
    plain = dict.fromkeys(others, core().Rule())
    return {value: core().Rule(jumps), slope: core().Rule(kinks, *case.slope_zero, largest), **plain}


def add_rows(stats: dict[tuple[str, str], Any], case: RowCase, dtype: torch.dtype) -> None:
    for x in case.rows(dtype, 2000 if dtype == torch.float64 else 200_000):
        truth = exact.of_rows(case, x) if dtype == torch.float64 else case.reference(x)
        for (who, _), of in stats.items():
            result = case.function(x) if who == "act_ext" else case.native(x)
            add = of.add_float64 if dtype == torch.float64 else of.add
            add(result, *truth, x, core().Rule())


def wide(case: Case, x: Tensor, value: Tensor) -> dict[str, Tensor]:
    """Value and slopes in float64. value: act_ext's result, from whose own sixteen bits sigmoid's and tanh's slopes are
    asked for."""
    exact = dict(zip(case.expressions, case.reference(x), strict=True))
    if case.name in ("sigmoid", "tanh") and x.dtype != torch.float32:
        y = value.double()
        exact["slope"] = y * (1 - y) if case.name == "sigmoid" else 1 - y * y
    return {what: each.contiguous() for what, each in exact.items()}


def add_points(stats: dict[tuple[str, str], Any], case: Case, rule: dict[str, Any], count: int) -> None:
    """Of float64, against exact arithmetic."""
    x = exact.points(case, count)
    found = {who: results(case, who, x) for who, _ in stats}
    for what in found["act_ext"]:
        truth = exact.references(case, x, what)
        for who in found:
            if what in found[who]:
                stats[who, what].add_float64(found[who][what], *truth, x, rule[what])


def add_inputs(stats: dict[tuple[str, str], Any], case: Case, rule: dict[str, Any], inputs: Iterator[Tensor]) -> None:
    """Of the smaller dtypes, against float64."""
    whose = {who for who, _ in stats}
    for x in inputs:
        found = {who: results(case, who, x) for who in whose}
        truth = wide(case, x, found["act_ext"]["value"])
        for (who, what), of in stats.items():
            if what in found[who]:
                of.add(found[who][what], truth[what], x, rule[what])


def measure(piece: Piece) -> dict[str, Any]:
    """The statistics of a piece, by whose kernel and of what."""
    torch.set_num_threads(1)
    case, dtype = MEASURED[piece.case], getattr(torch, piece.dtype)
    stats = {(who, what): core().Stats() for who in (WHO if piece.native else WHO[:1]) for what in case.expressions}
    if isinstance(case, RowCase):
        add_rows(stats, case, dtype)
    elif piece.dtype == "float64":
        add_points(stats, case, rules(piece.case, dtype), piece.step)
    else:
        add_inputs(stats, case, rules(piece.case, dtype), chunks(piece))
    return {f"{who} {what}": of.as_dict() for (who, what), of in stats.items()}


def merged(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """The statistics of several pieces as one."""
    worst = max(parts, key=lambda part: part["worst"])
    total = {key: sum(part[key] for part in parts) for key in ("count", "misrounded", "wrong")}
    first = next((part["first_wrong"] for part in parts if part["wrong"]), None)
    bins = [sum(column) for column in zip(*(part["histogram"] for part in parts), strict=True)]
    return worst | total | {"first_wrong": first, "histogram": bins}


def library() -> bytes:
    """What is measured."""
    return Path(act_ext.__file__).with_name("libact_ext.so").read_bytes()


def fingerprint() -> str:
    return hashlib.sha256(library() + act_ext.cpu_capability().encode()).hexdigest()[:16]


def compiler() -> str:
    found = re.search(rb"GCC: \([^)]*\) [\d.]+|clang version [\d.]+", library())
    return found.group().decode() if found else "unknown"


def special_values(case: Case) -> dict[str, list[str]]:
    """Values and slopes at SPECIAL."""
    found = results(case, "act_ext", torch.tensor(SPECIAL))
    return {what: [f"{number:.9g}" for number in result.tolist()] for what, result in found.items()}


def run(
    inputs: Inputs, names: list[str], native: bool, log: Path | None, dtypes: Collection[str] | None = None
) -> dict[str, dict[str, Any]]:
    """The statistics by case and dtype, all or those given. log: what to go on from, and to write into."""
    core()  # compiled once, before the processes ask for it
    todo = [piece for piece in pieces(inputs, names, native) if dtypes is None or piece.dtype in dtypes]
    mark = fingerprint()
    done: dict[str, Any] = {}
    if log is None:
        log = Path(os.devnull)
    elif log.exists():
        lines = map(json.loads, log.read_text().splitlines())
        done = {line["key"]: line["stats"] for line in lines if line["library"] == mark}
    log.parent.mkdir(parents=True, exist_ok=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    pool = ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn"))
    with Progress(*columns) as progress, pool, log.open("a") as file:
        task = progress.add_task("accuracy", total=len(todo), completed=sum(piece.key in done for piece in todo))
        futures = {pool.submit(measure, piece): piece for piece in todo if piece.key not in done}
        for future in as_completed(futures):
            piece = futures[future]
            done[piece.key] = future.result()
            line = {"key": piece.key, "library": mark, **asdict(piece), "stats": done[piece.key]}
            file.write(json.dumps(line) + "\n")
            file.flush()
            progress.update(task, description=str(MEASURED[piece.case]), advance=1)
    groups: dict[str, list[Any]] = {}
    for piece in todo:
        groups.setdefault(f"{MEASURED[piece.case]} {piece.dtype}", []).append(done[piece.key])

    def statistics(key: str, group: list[Any]) -> dict[str, Any]:
        case, dtype = key.split(" ")
        taken = {"float64": inputs.points, "float32": inputs.step}.get(dtype, 1)
        taken = 1 if isinstance(MEASURED[ORDER.index(case)], RowCase) else taken
        return {name: merged([part[name] for part in group]) | {"taken": taken} for name in group[0]}

    return {key: statistics(key, group) for key, group in groups.items()}
