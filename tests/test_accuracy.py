"""Accuracy of what benchmarks/accuracy, whose results test_accuracy_runs.py compares, does not measure: parameters for
which the formula cancels in float64, and float64 itself."""

import math

import mpmath
import pytest
import torch

from benchmarks.cases import SLOPE_ZERO
from tests.table import Case, differentiable, error_in_ulp

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


# float64 against 60 digits and more.

FLOAT64_POINTS = [0.0, *(sign * 10.0**k for k in (-300, -100, -20, -9, -5, -3, -2, -1) for sign in (1, -1))]
FLOAT64_POINTS += [k / 7 for k in range(-60, 61) if k] + [
    -700.3,
    -350.7,
    -120.9,
    -37.6,
    -21.2,
    19.3,
    36.8,
    120.4,
    800.5,
]
FLOAT64_ULP = 8.0


def mp_formula(case):
    """The spec's formula as a function of mpmath numbers."""

    def where(condition, a, b):
        return a if condition else b

    def clamp(x, low=-mpmath.inf, high=mpmath.inf, max=mpmath.inf):
        return min(x, high, max) if x > low else mpmath.mpf(low)

    scope = {name: getattr(mpmath, name) for name in ("exp", "expm1", "log1p", "erf", "erfc", "tanh", "sqrt", "sin")}
    scope |= {"where": where, "clamp": clamp, "abs": abs, "zeros_like": lambda x: mpmath.mpf(0), "pi": mpmath.pi}
    scope |= {"logaddexp": lambda a, b: mpmath.log1p(mpmath.exp(-abs(a - b))) + max(a, b)}
    scope |= {"sigmoid": lambda x: 1 / (1 + mpmath.exp(-x))}
    constants = {name: mpmath.mpf(value) for name, value in case.values.items()}
    code = compile(case.spec["formula"], case.name, "eval")
    # Numerals of the formula are doubles, and taken as such by the kernels: 1.702, 0.044715.
    return lambda x: mpmath.mpf(eval(code, {"__builtins__": {}}, scope | constants | {"x": x}))


@differentiable
def test_float64_against_mpmath(case):
    f = mp_formula(case)
    points = [p for p in FLOAT64_POINTS if all(abs(p - kink) > 1e-3 for kink in case.kinks)]
    steep = [p for p in points if abs(p) >= 1e-3]
    x = torch.tensor(points, dtype=torch.float64)
    # softexponential adds a constant, beside which its exponential must not vanish.
    with mpmath.workdps(700 if case.name == "softexponential" else 60):
        values = [f(mpmath.mpf(p)) for p in points]
        slopes = [mpmath.diff(f, mpmath.mpf(p), h=mpmath.mpf(10) ** -25 * max(abs(mpmath.mpf(p)), mpmath.mpf("1e-6")))
                  for p in steep]  # fmt: skip

    def worst(points, result, exact, at_least=0.0):
        errors = []
        for got, want in zip(result.tolist(), exact, strict=True):
            if abs(want) > torch.finfo(torch.float64).max:
                assert got == math.copysign(math.inf, want)
                errors.append(0.0)
                continue
            unit = (
                mpmath.ldexp(1, max(mpmath.frexp(max(abs(want), at_least))[1], -1021) - 53) if want or at_least else 1
            )
            errors.append(float(abs(mpmath.mpf(got) - want) / unit))
        index = max(range(len(errors)), key=errors.__getitem__)
        return errors[index], f"{errors[index]:.2f} ULP at {points[index]!r}"

    error, message = worst(points, case.function(x), values)
    assert error <= FLOAT64_ULP, message
    if case.spec["saves"] != "nothing":
        largest = max(map(abs, slopes)) if case.name in SLOPE_ZERO or case.name in ("sigmoid", "tanh") else 0
        error, message = worst(steep, slope_of(case, torch.tensor(steep, dtype=torch.float64)), slopes, largest)
        assert error <= FLOAT64_ULP, message
