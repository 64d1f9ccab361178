"""Accuracy of what benchmarks/accuracy, whose results test_accuracy_runs.py compares, does not measure: parameters for
which the formula cancels in float64."""

import math

import mpmath
import pytest
import torch

from tests.table import Case, error_in_ulp

ULP = 4.0
SINE_ULP = 2.4


def float32_inputs() -> torch.Tensor:
    bits = torch.arange(0, 2**32, 997, dtype=torch.int64)
    return (bits - 2**31).to(torch.int32).view(torch.float32)


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


def softexponential(x: torch.Tensor, alpha: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Value and slope in float64, for the parameters for which the formula cancels or is not defined everywhere."""
    if alpha < 0:
        return torch.log1p(-alpha * (x + alpha)) / -alpha, 1 / (1 - alpha * (x + alpha))
    tail = torch.exp(alpha * x) / alpha + (alpha * alpha - 1) / alpha
    return torch.where(alpha * x < -1, tail, torch.expm1(alpha * x) / alpha + alpha), torch.exp(alpha * x)


@pytest.mark.parametrize("alpha", [-3.0, -1.0, -0.3, -1e-6, -1e-20, 1e-20, 1e-6, 0.3, 0.99])
def test_softexponential_on_both_sides_of_0(alpha):
    case = Case("softexponential", {"alpha": alpha})
    x = float32_inputs()
    if alpha == -1.0:
        x = x[(x.abs() > 1e-6) | (x == 0)]  # where float64 does not hold 1 + (x - 1)
    alpha = torch.tensor(alpha).item()
    value, slope = softexponential(x.double(), alpha)
    outside = value.isnan()
    assert outside.any() == (alpha < -1e-10 or x.isnan().any().item())
    assert torch.equal(case.function(x).isnan(), outside)
    # Between 0 and 1, values below alpha have its unit: two terms of its size cancel.
    check(torch.where(outside, 0.0, case.function(x)), torch.where(outside, 0.0, value), x, ULP, max(alpha, 0.0))
    check(slope_of(case, x), slope, x, ULP)


@pytest.mark.parametrize("alpha", [-0.7, 0.4])
def test_softexponential_derivatives(alpha):
    x = torch.linspace(-0.5, 3, 50, dtype=torch.float64, requires_grad=True)
    case = Case("softexponential", {"alpha": alpha})
    assert torch.autograd.gradcheck(case.function, x)
    assert torch.autograd.gradgradcheck(case.function, x)


def every_angle(scale: float) -> list[float]:
    """Of all magnitudes, more where vectors give up, next to multiples of pi / 2, and the one nearest to such."""
    generator = torch.Generator().manual_seed(0)
    powers = torch.rand(3000, dtype=torch.float64, generator=generator) * torch.tensor([8.0, 60, 2000]).repeat(1000)
    points = (2 ** (powers - torch.tensor([4.0, 10, 1000]).repeat(1000))).tolist()
    points += [k * math.pi / 2 * 2**e / scale for k in range(1, 100) for e in (0, 10, 30, 40, 200)]
    points += [6381956970095103 * 2.0**797 / scale, torch.finfo(torch.float64).max, 5e-324]
    return [sign * point for point in points for sign in (1, -1)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("omega", [1.0, 30.0, -0.1, 1e-3, 1e30])
def test_sine_of_every_angle(omega, dtype):
    """The product is not rounded, and may overflow."""
    case = Case("sine", {"omega": omega})
    x = torch.tensor(every_angle(omega), dtype=dtype)
    x = x[x.isfinite()]
    factor = torch.tensor(omega, dtype=dtype).item()
    with mpmath.workprec(2400):
        angles = [mpmath.mpf(point) * factor for point in x.tolist()]
        waves = [mpmath.cos_sin(angle) for angle in angles]
        for result, exact in [
            (case.function(x), [sine for _, sine in waves]),
            (slope_of(case, x), [factor * cosine for cosine, _ in waves]),
        ]:
            value = torch.tensor([float(number) for number in exact], dtype=torch.float64)
            rest = [float(number - float(number)) for number in exact]
            error = error_in_ulp(result, value, rest=torch.tensor(rest, dtype=torch.float64))
            worst = error.argmax()
            assert error[worst] <= SINE_ULP, f"{error[worst]:.3f} ULP at {x[worst].item()!r}"


@pytest.mark.parametrize("omega", [30.0, -0.1])
def test_sine_of_a_product_in_float32(omega):
    case, x = Case("sine", {"omega": omega}), float32_inputs()
    value, slope = case.reference(x)  # in float64 the products are exact
    check(case.function(x), value, x, SINE_ULP)
    check(slope_of(case, x), slope, x, SINE_ULP)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bfloat16", "float16"])
@pytest.mark.parametrize(
    ("name", "values"),
    [
        *(("swish", {"beta": beta}) for beta in (3.58545e-5, -0.1, 100.0, 1e30)),
        *(("softplus", {"beta": beta, "threshold": 20.0}) for beta in (1e-42, 2.5e-39, 1e-3, -0.7, 1e30)),
        *(("squareplus", {"b": b}) for b in (1e-30, 1e-10, 1e5, 1e35)),
        *(("nlrelu", {"beta": beta}) for beta in (1e-38, 1e-3, 1e30)),
        *(("softexponential", {"alpha": alpha}) for alpha in (-0.5, 1e-6, 0.3, 0.475561, 0.99, 1.5, 1e30)),
        *(("sine", {"omega": omega}) for omega in (1e-30, 30.0, 1e30)),
    ],
    ids=lambda of: of if isinstance(of, str) else str(next(iter(of.values()))),
)
def test_16_bits_follow_float32(name, values, dtype):
    """Their kernels are others, settled at the default parameters: at all, no result is a unit from float32's."""
    case = Case(name, values)
    x = torch.arange(-(2**15), 2**15).to(torch.int16).view(dtype)
    least = 2.0**-133 if dtype == torch.bfloat16 else 2.0**-24
    for compute in (case.function, lambda x: slope_of(case, x)):
        result, want = compute(x).float(), compute(x.float())
        assert torch.equal(result.isnan(), want.isnan())
        _, exponent = torch.frexp(want.double())
        unit = (torch.exp2(exponent.double()) * torch.finfo(dtype).eps / 2).clamp(min=least)
        finite = want.abs() < 0.99 * torch.finfo(dtype).max
        error = torch.where(finite, (result.double() - want.double()).abs() / unit, 0.0)
        worst = error.argmax()
        assert error[worst] < 1, f"{error[worst]:.3f} units at {x[worst].item()!r}: {result[worst]} for {want[worst]}"
        assert torch.equal(result[want.isinf()], want[want.isinf()])
