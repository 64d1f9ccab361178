"""The worst case over all bit patterns of the small dtypes and every 997th of float32, against float64."""

import pytest
import torch

from tests.table import CASES, DEFAULTS, Case, each_default, error_in_ulp

# Slopes are measured in units of the last place of the largest slope where that is said to be the unit: near their
# zero, and everywhere for sigmoid and tanh, whose slope comes from the rounded result.
ULP = 4.0
LOW_PRECISION_ULP = 0.51


def float32_inputs() -> torch.Tensor:
    bits = torch.arange(0, 2**32, 997, dtype=torch.int64)
    return (bits - 2**31).to(torch.int32).view(torch.float32)


def all_inputs(dtype: torch.dtype) -> torch.Tensor:
    return torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(dtype)


def slope_of(case: Case, x: torch.Tensor) -> torch.Tensor:
    saved = case.function(x) if case.spec["saves"] == "result" else x
    return case.backward_op(torch.ones_like(x), saved, **case.kwargs)


def check(result: torch.Tensor, exact: torch.Tensor, x: torch.Tensor, bound: float, at_least=0.0) -> None:
    finite = x.isfinite()
    overflow = exact.abs() > torch.finfo(result.dtype).max
    bad = finite & ~overflow & ~result.isfinite()
    assert not bad.any(), f"not finite at {x[bad][:5].tolist()}"
    error = torch.where(finite, error_in_ulp(result, exact, at_least), 0.0)
    worst = error.argmax()
    assert error[worst] <= bound, f"{error[worst]:.3f} ULP at {x[worst].item()!r} ({result[worst]} for {exact[worst]})"


def check_slope(case: Case, x: torch.Tensor, bound: float) -> None:
    if case.spec["saves"] == "nothing":
        return
    value, slope = case.reference(x)
    kink = torch.zeros_like(x, dtype=torch.bool)
    for point in case.kinks:
        kink |= x == torch.tensor(point, dtype=x.dtype)
    result = slope_of(case, x)
    largest = slope[x.isfinite()].abs().max().item()
    near_zero = torch.zeros_like(kink)
    if case.name in ("silu", "swish", "quick_gelu", "mish", "gelu", "gelu_tanh", "hardswish"):
        near_zero = (x > -3.0 / max(0.1, abs(case.values.get("beta", 1.0)))) & (x.abs() < 30) & (slope.abs() < 0.1)
    relative = x.isfinite() & ~kink & ~near_zero
    absolute = torch.full_like(relative, case.name in ("sigmoid", "tanh")) | near_zero
    if case.name in ("sigmoid", "tanh"):
        if x.dtype in (torch.bfloat16, torch.float16):
            # The saved result is rounded to sixteen bits: the slope of that is what is right.
            exact = {"sigmoid": lambda y: y * (1 - y), "tanh": lambda y: 1 - y * y}[case.name](case.function(x).double())
            check(result, exact, x, bound, at_least=largest)
            return
        check(result, slope, x, bound, at_least=largest)
        return
    check(torch.where(relative, result, 0.0), torch.where(relative, slope, 0.0), x, bound)
    check(torch.where(absolute, result, 0.0), torch.where(absolute, slope, 0.0), x, bound, at_least=largest)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_float32_forward(case):
    x = float32_inputs()
    check(case.function(x), case.reference(x)[0], x, ULP)


@pytest.mark.parametrize("case", DEFAULTS, ids=str)
def test_float32_slope(case):
    check_slope(case, float32_inputs(), ULP)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bfloat16", "float16"])
@each_default
def test_low_precision_on_every_input(case, dtype):
    x = all_inputs(dtype)
    check(case.function(x), case.reference(x)[0], x, LOW_PRECISION_ULP)
    check_slope(case, x, LOW_PRECISION_ULP)
