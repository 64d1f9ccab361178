"""The specs' formulas in exact arithmetic, for float64: balls of 200 bits and more that hold the true value."""

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import flint
import torch
from flint import arb
from torch import Tensor

from benchmarks.cases import Case, RowCase

BITS = 200
TINY = arb(2) ** -1080  # 0 after any rounding
BLOCK = 1000  # points


def _clamp(x: arb, min: Any = None, max: Any = None) -> arb:
    if min is not None and x < min:
        return arb(min)
    return arb(max) if max is not None and x > max else x


def _logaddexp(a: arb, b: arb) -> arb:
    return (-abs(a - b)).exp().log1p() + (a if a > b else b)


def _function(name: str) -> Callable[[Any], arb]:
    return lambda x: getattr(arb(x), name)()


@cache
def _scope() -> dict[str, Any]:
    """What the formulas are written in."""
    names = ("exp", "expm1", "log1p", "erf", "erfc", "tanh", "cosh", "sqrt", "sin", "cos", "log")
    return {name: _function(name) for name in names} | {
        "__builtins__": {},
        "where": lambda condition, a, b: a if condition else b,
        "clamp": _clamp,
        "abs": abs,
        "zeros_like": lambda x: arb(0),
        "ones_like": lambda x: arb(1),
        "logaddexp": _logaddexp,
        "sigmoid": lambda x: 1 / (1 + (-x).exp()),
    }


@cache
def _code(formula: str) -> Any:
    return compile(formula, formula, "eval")


def _ball(formula: str, numbers: dict[str, Any]) -> arb:
    # Numerals of the formula are doubles, and taken as such by the kernels: 1.702, 0.044715.
    scope = _scope() | {name: arb(number) for name, number in numbers.items()} | {"pi": arb.pi()}
    return arb(eval(_code(formula), scope))


def _sharp(compute: Callable[[], arb]) -> arb:
    """What is computed, with so many bits that it is known to 120."""
    for bits in (BITS << doubled for doubled in range(8)):
        flint.ctx.prec = bits
        result = compute()
        if abs(result) < TINY or result.rel_accuracy_bits() > 120:
            return result
    raise ArithmeticError(f"it cancels: {result}")


def _parts(number: arb) -> tuple[float, float]:
    """The double nearest to a ball that is narrow enough, and what it lacks."""
    if abs(number) < TINY:
        return 0.0, 0.0
    middle = number.mid()
    nearest = float(middle)
    return nearest, 0.0 if math.isinf(nearest) else float((middle - nearest).mid())


def value(formula: str, numbers: dict[str, float]) -> tuple[float, float]:
    """The double nearest to the formula's value for these parameters and inputs, and what it lacks."""
    return _parts(_sharp(partial(_ball, formula, numbers)))


def slope_derivative(case: Case, x: Tensor, order: int) -> Tensor:
    """By central differences of the spec's derivative so small that they do not count."""
    formula, constants = case.spec["derivative"], case.constants(x.dtype)
    step = arb(2) ** -100

    def difference(point: float) -> arb:
        at = [arb(point) + (arb(order) / 2 - k) * step for k in range(order + 1)]
        terms = [(-1) ** k * math.comb(order, k) * _ball(formula, constants | {"x": x}) for k, x in enumerate(at)]
        return sum(terms, arb(0)) / step**order

    exact = [_sharp(partial(difference, point)) for point in x.tolist()]
    return torch.tensor([float(number.mid()) for number in exact], dtype=torch.float64)


def points(case: Case, count: int) -> Tensor:
    """Of all exponents, around 0, in the tails, and next to where the case changes its formula or its slope's sign.
    The first of many are the same as those of few."""
    blocks = []
    for block in range(-(-count // BLOCK)):
        generator = torch.Generator().manual_seed(block)

        def uniform(low: float, high: float, size: int, generator: torch.Generator = generator) -> Tensor:
            return low + (high - low) * torch.rand(size, dtype=torch.float64, generator=generator)

        quarter = BLOCK // 4
        sign = torch.randint(2, (2 * quarter,), generator=generator) * 2.0 - 1
        magnitudes = torch.cat([uniform(-1074, 1024, quarter), uniform(-30, 10, quarter)])
        near, tails = uniform(-10, 10, quarter), uniform(-760, 760, quarter // 2)
        special = torch.tensor([*case.kinks, case.slope_zero[0], 0.0, 1.0, -1.0], dtype=torch.float64)
        chosen = special[torch.randint(len(special), (BLOCK - 3 * quarter - quarter // 2,), generator=generator)]
        beside = chosen + 2.0 ** uniform(-50, -2, len(chosen)) * torch.randn(
            len(chosen), dtype=torch.float64, generator=generator
        )
        order = torch.randperm(BLOCK, generator=generator)
        blocks.append(torch.cat([sign * 2.0**magnitudes, near, tails, beside])[order])
    x = torch.cat(blocks)[:count]
    for kink in case.kinks:  # itself a rounded number
        x = x[(x - kink).abs() > 1e-15 * abs(kink)]
    return x[x.isfinite()]


def of_rows(case: RowCase, x: Tensor) -> tuple[Tensor, Tensor]:
    """Of a matrix's rows, the nearest doubles and what they lack."""
    flint.ctx.prec = BITS
    pairs = []
    for row in (-x if case.name == "softmin" else x).tolist():
        largest = max(range(len(row)), key=row.__getitem__)
        less = [arb(element) - row[largest] for element in row]
        powers = [difference.exp() for difference in less]
        others = sum(powers[:largest] + powers[largest + 1 :], arb(0))
        if case.name == "log_softmax":
            pairs += [_parts(difference - others.log1p()) for difference in less]
        else:
            pairs += [_parts(power / (1 + others)) for power in powers]
    nearest, rest = (torch.tensor(column, dtype=torch.float64).view_as(x) for column in zip(*pairs, strict=True))
    return nearest, rest


def references(case: Case, x: Tensor, what: str) -> tuple[Tensor, Tensor]:
    """Of the value or a slope, the nearest doubles and what they lack."""
    formula, constants, inputs = case.expressions[what], case.constants(x.dtype), case.inputs(x)
    columns = zip(*(each.tolist() for each in inputs.values()), strict=True)
    pairs = [value(formula, constants | dict(zip(inputs, point, strict=True))) for point in columns]
    return tuple(torch.tensor(column, dtype=torch.float64) for column in zip(*pairs, strict=True))
