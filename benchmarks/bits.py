"""Hashes of what every op gives for a million inputs, forward, backward and second derivative.

The bits are the same for AVX2, AVX-512 and NEON, with any number of threads and on any processor that has these:
docs/bits.json holds them for others to compare with. `python -m benchmarks.bits` writes it; `--check` compares.
"""

import argparse
import hashlib
import json
import sys
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from act_ext._register import SPECS
from benchmarks.cases import CASES, Case

PUBLISHED = Path(__file__).resolve().parent.parent / "docs" / "bits.json"
COUNT = 2**20
DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
INTEGER = {2: torch.int16, 4: torch.int32, 8: torch.int64}
# By name, how many learned parameters.
LEARNED = {spec["name"]: spec["arity"] - 1 for spec in SPECS if spec["kind"] == "learned"}
UNITS = [spec["name"] for spec in SPECS if spec["kind"] == "gated_unit"]
ROW_FUNCTIONS = [spec["name"] for spec in SPECS if spec["kind"] == "row_function"]


def fixed_inputs(dtype: torch.dtype, count: int = COUNT) -> Tensor:
    """By turns any bit pattern and a number between -16 and 16, from whole numbers alone: the same on every machine."""
    mixed = torch.arange(count, dtype=torch.int64) * 0x9E3779B97F4A7C15 % 2**63  # wraps
    bits = (mixed >> (63 - 8 * dtype.itemsize)) - 2 ** (8 * dtype.itemsize - 1) if dtype.itemsize < 8 else mixed * 2 + 1
    patterns = bits.to(INTEGER[dtype.itemsize]).view(dtype)
    # By way of float32 to 16 bits: some processors round once from float64, others twice.
    moderate = ((mixed >> 39).double() / 2**19 - 16).to(torch.promote_types(dtype, torch.float32)).to(dtype)
    return torch.where(torch.arange(count) % 2 == 0, patterns, moderate)


def passes(case: Case, x: Tensor, g: Tensor) -> list[Tensor]:
    """Forward, backward and second derivative of a pointwise op."""
    results = [case.op(x, **case.kwargs)]
    if case.spec["saves"] != "nothing":
        results.append(case.backward_op(g, x, **case.kwargs))
        results.append(getattr(torch.ops.act_ext, f"{case.name}_double_backward")(g, g, x, **case.kwargs))
    return results


def _ops(name: str) -> list[torch._ops.OpOverloadPacket]:
    return [getattr(torch.ops.act_ext, name + suffix) for suffix in ("", "_backward", "_double_backward")]


def learned_passes(name: str, x: Tensor, g: Tensor) -> list[Tensor]:
    """What an activation with learned parameters gives for each element: value, gradient and the second ones."""
    op, backward, second = _ops(name)
    parameters = [torch.full((1,), value, dtype=x.dtype) for value in (1.375, 0.7, 0.3)[: LEARNED[name]]]
    return [op(x, *parameters), backward(g, x, *parameters)[0], *second(g, *parameters, g, x, *parameters)[:2]]


def unit_passes(name: str, gate: Tensor, up: Tensor, g: Tensor) -> list[Tensor]:
    """Those of a gated unit."""
    op, backward, second = _ops(name)
    return [op(gate, up), *backward(g, gate, up), *second(up, gate, g, gate, up)]


def row_passes(name: str, x: Tensor, g: Tensor, dim: int) -> list[Tensor]:
    """Those of a function of rows."""
    op, backward, second = _ops(name)
    y = op(x, dim)
    return [y, backward(g, y, dim), *second(x, g, y, dim)]


def digest(result: Tensor) -> str:
    # One bit pattern for NaN, whose sign and payload nothing specifies.
    bits = torch.where(result.isnan(), torch.nan, result).contiguous().view(torch.uint8)
    return hashlib.sha256(bits.numpy()).hexdigest()[:16]


def digests() -> dict[str, list[str]]:
    """By op and dtype, a hash for each pass."""
    table = {}
    for dtype in DTYPES:
        x = fixed_inputs(dtype)
        g, numbers = x.flip(0), x[1::2].contiguous()
        results = {str(case): partial(passes, case, x, g) for case in CASES}
        results |= {name: partial(learned_passes, name, x, g) for name in LEARNED}
        results |= {name: partial(unit_passes, name, x, x.roll(9), g) for name in UNITS}
        for length in (1, 5, 100, 1025, 40_000):
            rows = numbers[: len(numbers) // length * length].view(-1, length)  # finite, as an infinity leaves nothing
            for name in ROW_FUNCTIONS:
                results[f"{name} of {length}"] = partial(row_passes, name, rows, rows.flip(0), 1)
        for name, compute in results.items():
            table[f"{name} {str(dtype).removeprefix('torch.')}"] = [digest(result) for result in compute()]
    return table


def different() -> list[str]:
    """What does not have the published bits."""
    published, found = json.loads(PUBLISHED.read_text()), digests()
    return sorted(key for key in published.keys() | found.keys() if published.get(key) != found.get(key))


def main() -> int | str:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="against docs/bits.json")
    if parser.parse_args().check:
        return "\n".join(different()) or 0
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(hashes)}" for key, hashes in digests().items())
    PUBLISHED.write_text(f"{{\n{lines}\n}}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
