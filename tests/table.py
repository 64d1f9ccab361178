"""The ops as parameters of the tests, and errors in units of the last place."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks.cases import CASES, DEFAULTS, NAMES, SPEC, Case

__all__ = ["CASES", "DEFAULTS", "NAMES", "SPEC", "Case"]

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
each_default = pytest.mark.parametrize("case", DEFAULTS, ids=str)
each_case = pytest.mark.parametrize("case", CASES, ids=str)
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: str(d).removeprefix("torch."))
differentiable = pytest.mark.parametrize("case", [c for c in CASES if c.name != "binary_step"], ids=str)


def units_in_last_place(values: Tensor, dtype: torch.dtype) -> Tensor:
    """The spacing of dtype's numbers at the magnitude of each float64 value."""
    info = torch.finfo(dtype)
    exponent = torch.frexp(values.abs().clamp(min=info.smallest_normal, max=info.max))[1]
    return torch.ldexp(torch.full_like(values, info.eps), exponent - 1)


def error_in_ulp(result: Tensor, exact: Tensor, at_least: float | Tensor = 0.0, rest: float | Tensor = 0.0) -> Tensor:
    """|result - (exact + rest)| in result's units at the exact value, or at `at_least` where that is smaller. 0 where
    both overflow alike. rest: what float64 cannot hold of the exact value."""
    limit = torch.finfo(result.dtype).max
    unit = units_in_last_place(exact.abs().clamp(min=at_least), result.dtype)
    error = (result.double() - exact - rest).abs() / unit
    # A true value that rounds to infinity.
    overflow = (exact.abs() > limit) & (result.isinf() | (result.abs() == limit)) & (result.sign() == exact.sign())
    return torch.where(overflow | (exact.isinf() & (result.double() == exact)), 0.0, error)


def pass_tests_with(capability: str, wanted: str, *names: str) -> None:
    """Asserts that the wanted tests (an expression as for pytest's -k) of tests/test_NAME.py pass in a process that
    computes with this instruction set."""
    files = [f"tests/test_{name}.py" for name in names]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *files, "-k", wanted],
        cwd=Path(__file__).resolve().parent.parent,
        env=os.environ | {"ACT_EXT_CPU_CAPABILITY": capability},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-3000:]
