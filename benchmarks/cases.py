"""The pointwise ops, the gated units as functions of their gate and the functions of rows as data: parameters to try,
points where slopes jump, and exact values in float64."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

import act_ext
from act_ext._register import SPECS
from benchmarks.natives import NATIVE

SPEC = {spec["name"]: spec for spec in SPECS if spec["kind"] == "pointwise"}
NAMES = list(SPEC)
UNIT_SPEC = {spec["name"]: spec for spec in SPECS if spec["kind"] == "gated_unit"}
ROW_SPEC = {spec["name"]: spec for spec in SPECS if spec["kind"] == "row_function"}
# What the specs' formulas are written in.
TORCH = {name: getattr(torch, name) for name in dir(torch) if not name.startswith("_")}

# Parameter sets beside the defaults.
PARAMETERS: dict[str, list[dict[str, float]]] = {
    "leaky_relu": [{"negative_slope": 0.3}, {"negative_slope": -0.5}, {"negative_slope": 0.0}],
    "threshold": [{"threshold": 0.5, "value": -2.0}, {"threshold": -1.0, "value": 0.0}],
    "hardtanh": [{"min_val": -0.5, "max_val": 2.0}, {"min_val": 1.0, "max_val": 1.0}],
    "softshrink": [{"lambd": 0.0}, {"lambd": 1.25}],
    "hardshrink": [{"lambd": 0.0}, {"lambd": 1.25}],
    "elu": [{"alpha": 0.3}, {"alpha": 2.0}, {"alpha": -1.0}],
    "celu": [{"alpha": 0.3}, {"alpha": 2.0}, {"alpha": -1.5}],
    "softplus": [{"beta": 0.5, "threshold": 20.0}, {"beta": 3.0, "threshold": 2.0}],
    "swish": [{"beta": 1.702}, {"beta": 0.25}, {"beta": -1.0}, {"beta": 0.0}],
    "squareplus": [{"b": 0.3}, {"b": 100.0}],
    "isru": [{"alpha": 0.1}, {"alpha": 30.0}],
    "isrlu": [{"alpha": 0.1}, {"alpha": 30.0}],
    "nlrelu": [{"beta": 0.3}, {"beta": 30.0}],
    "softexponential": [{"alpha": 0.0}, {"alpha": 2.0}],  # the rest in test_accuracy.py
    "sine": [{"omega": 0.5}, {"omega": -2.0}],  # products that float64 does not round; the rest in test_accuracy.py
}

# Where slopes change their sign: swish's at beta 1. Errors there count in units of the last place of the largest slope.
SLOPE_ZERO = {
    "silu": -1.2784645,
    "swish": -1.2784645,
    "quick_gelu": -1.2784645 / 1.702,
    "gelu": -0.7517916,
    "gelu_tanh": -0.7524614,
    "mish": -1.1924327,
    "hardswish": -1.5,
    "hard_mish": -1.0,
    "tanhexp": -1.0788601,
    "smish": -1.3945193,
    "logish": -1.3724541,
    "gish": -1.282051,
    "phish": -1.1954312,
    "serf": -1.19306,
}


@dataclass
class Case:
    name: str
    kwargs: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        return "-".join([self.name, *(f"{value:g}" for value in self.kwargs.values())])

    @property
    def spec(self) -> dict[str, Any]:
        return SPEC[self.name]

    @property
    def op(self) -> Any:
        return getattr(torch.ops.act_ext, self.name)

    @property
    def backward_op(self) -> Any:
        return getattr(torch.ops.act_ext, f"{self.name}_backward")

    def function(self, x: Tensor, **more: Any) -> Tensor:
        return getattr(act_ext.functional, self.name)(x, **self.kwargs, **more)

    def native(self, x: Tensor) -> Tensor:
        return NATIVE[self.name](x, **self.kwargs)

    @property
    def values(self) -> dict[str, float]:
        """The parameters by name, defaults included."""
        defaults = {}
        for declared in filter(None, self.spec["params"].split(", ")):
            name, _, default = declared.removeprefix("float ").partition("=")
            if declared.startswith("float ") and default:
                defaults[name] = float(default)
        return defaults | self.kwargs

    @property
    def kinks(self) -> list[float]:
        """Where the slope jumps, so that which side it takes is a convention."""
        if self.name == "softplus":
            return [self.values["threshold"] / self.values["beta"]]
        if self.name in ("softshrink", "hardshrink"):
            return [self.values["lambd"], -self.values["lambd"]]
        if self.name == "threshold":
            return [self.values["threshold"]]
        if self.name == "hardtanh":
            return [self.values["min_val"], self.values["max_val"]]
        if self.name == "relu6":
            return [0.0, 6.0]
        if self.name == "hard_mish":
            return [-2.0]
        if self.name in ("hardsigmoid", "hardswish"):
            return [-3.0, 3.0]
        at_zero = ("binary_step", "relu", "leaky_relu", "relu_squared", "elu", "selu", "celu", "nlrelu")
        return [0.0] if self.name in at_zero else []

    @property
    def jumps(self) -> list[float]:
        """Those where the value jumps, and beside which the rounding of a product tells its side: beta x of softplus is
        rounded before it is compared with the threshold, as torch does."""
        return self.kinks if self.name == "softplus" else []

    def away_from_kinks(self, x: Tensor, distance: float) -> Tensor:
        for kink in self.kinks:
            near = (x - kink).abs() < distance
            x = torch.where(near, x + 2 * distance * torch.where(x >= kink, 1, -1).to(x.dtype), x)
        return x

    def constants(self, dtype: torch.dtype) -> dict[str, float]:
        """The parameters as the kernels for `dtype` take them."""
        compute = torch.float64 if dtype == torch.float64 else torch.float32
        return {name: torch.tensor(value, dtype=compute).item() for name, value in self.values.items()}

    @property
    def expressions(self) -> dict[str, str]:
        """What is measured: the value and its derivatives by the inputs, as the spec writes them."""
        return {"value": self.spec["formula"], "slope": self.spec["derivative"]}

    def inputs(self, x: Tensor) -> dict[str, Tensor]:
        """The op's inputs at x, by the names that the expressions have for them."""
        return {"x": x}

    def formula(self, x: Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
        """The spec's formula on x, with parameters as the kernels for `dtype` take them."""
        return self._evaluate(self.spec["formula"], {"x": x}, dtype)

    def derivative(self, x: Tensor) -> Tensor:
        """The spec's derivative on x."""
        return self._evaluate(self.spec["derivative"], {"x": x}, x.dtype)

    def _evaluate(self, expression: str, inputs: dict[str, Tensor], dtype: torch.dtype) -> Tensor:
        x, rounded = next(iter(inputs.values())), self.constants(dtype)
        scope = TORCH | {"sqrt": lambda v: v**0.5, "pi": torch.pi} | rounded | inputs

        def where(condition: Tensor, a: Any, b: Any) -> Tensor:
            return torch.where(condition, torch.as_tensor(a, dtype=x.dtype), torch.as_tensor(b, dtype=x.dtype))

        # torch imports parts of itself at the first use.
        result = eval(expression, {"__builtins__": {"__import__": __import__}, **scope, "where": where})
        return torch.as_tensor(result, dtype=x.dtype).expand_as(x)

    @property
    def slope_zero(self) -> tuple[float, float]:
        """Where the largest slope's unit counts: around a point, within a distance. It does within 1 of the point
        where the slope changes its sign (for swish, of beta x), and everywhere for sigmoid and tanh, whose slope comes
        from the rounded result as in torch."""
        if self.name in ("sigmoid", "tanh"):
            return 0.0, math.inf
        scale = self.values["beta"] if self.name == "swish" else 1.0
        return (SLOPE_ZERO[self.name] / scale, 1 / abs(scale)) if self.name in SLOPE_ZERO and scale else (0.0, 0.0)

    @property
    def largest_slope(self) -> float:
        return self.reference(torch.linspace(-20, 20, 40001))[1].abs().max().item()

    def reference(self, x: Tensor) -> tuple[Tensor, ...]:
        """The expressions in float64 at x, but for what cancels there."""
        wide = x.detach().double()
        value, slope = (self._evaluate(each, {"x": wide}, x.dtype) for each in self.expressions.values())
        if self.name == "tanhshrink":
            # (x cosh x - sinh x) / cosh x, the numerator by its series of positive terms.
            small = wide.clamp(-1, 1)
            square, series = small * small, torch.zeros_like(small)
            for k in range(11, 0, -1):
                series = series * square + 2 * k / math.factorial(2 * k + 1)
            value = torch.where(wide.abs() < 1, series * square * small / torch.cosh(small), value)
        elif self.name == "squareplus":
            root = (wide * wide + self.constants(x.dtype)["b"]) ** 0.5
            below = 0.5 * self.constants(x.dtype)["b"] / (root + wide.abs())
            value = torch.where(wide < 0, below, value)
            slope = torch.where(wide < 0, below / root, slope)
        return value, slope


# A bit pattern as a whole number, how many bits the mantissa has, and the pattern of 1.
PATTERNS = {
    torch.float32: (torch.int32, 23, 0x3F800000),
    torch.float64: (torch.int64, 52, 0x3FF0000000000000),
    torch.bfloat16: (torch.int16, 7, 0x3F80),
    torch.float16: (torch.int16, 10, 0x3C00),
}


# The activations of gates whose slopes change their sign.
GATES = {"swiglu": "silu", "geglu": "gelu", "geglu_tanh": "gelu_tanh", "quick_geglu": "quick_gelu"}


class UnitCase(Case):
    """A gated unit as a function of its gate. The up comes from the gate's bits, looks random and lies between 1 and 2.
    A power of 2 as a factor of it changes no relative error, unless gate or result are subnormal."""

    @property
    def spec(self) -> dict[str, Any]:
        return UNIT_SPEC[self.name]

    def native(self, gate: Tensor, up: Tensor) -> Tensor:
        return NATIVE[self.name](gate, up, **self.kwargs)

    def function(self, gate: Tensor, up: Tensor) -> Tensor:
        return getattr(act_ext.functional, self.name)(gate, up, **self.kwargs)

    @property
    def kinks(self) -> list[float]:
        if self.name == "swiglu_clamped":
            return [self.values["limit"]]
        return [0.0] if self.name in ("reglu", "seglu") else []

    @property
    def slope_zero(self) -> tuple[float, float]:
        if self.name == "swiglu_clamped":
            return SLOPE_ZERO["silu"] / self.values["alpha"], 1 / abs(self.values["alpha"])
        return (SLOPE_ZERO[GATES[self.name]], 1.0) if self.name in GATES else (0.0, 0.0)

    @property
    def expressions(self) -> dict[str, str]:
        by_gate, by_up = self.spec["derivative"].split("; ")
        return {"value": self.spec["formula"], "slope by gate": by_gate, "slope by up": by_up}

    def inputs(self, x: Tensor) -> dict[str, Tensor]:
        pattern, digits, one = PATTERNS[x.dtype]
        mixed = x.detach().view(pattern).long() * -0x61C8864680B583EB >> (63 - digits)
        up = (mixed & ((1 << digits) - 1) | one).to(pattern).view(x.dtype)
        return {"gate": x, "up": up}

    @property
    def largest_slope(self) -> float:
        """For an up of 1."""
        x = torch.linspace(-20, 20, 40001)
        return (self.reference(x)[1] / self.inputs(x)["up"]).abs().max().item()

    def reference(self, x: Tensor) -> tuple[Tensor, ...]:
        wide = {name: each.double() for name, each in self.inputs(x.detach()).items()}
        return tuple(self._evaluate(each, wide, x.dtype) for each in self.expressions.values())


class RowCase(Case):
    """A function of the rows of a matrix."""

    LENGTHS = (2, 7, 33, 128, 1000, 4097, 100_000)
    SCALES = (0.01, 1, 3, 10, 30, 70, 200)

    @property
    def spec(self) -> dict[str, Any]:
        return ROW_SPEC[self.name]

    @property
    def expressions(self) -> dict[str, str]:
        return {"value": self.spec["formula"]}

    def function(self, x: Tensor, **more: Any) -> Tensor:
        return getattr(act_ext.functional, self.name)(x, -1, **more)

    def native(self, x: Tensor) -> Tensor:
        return NATIVE[self.name](x, -1)

    def rows(self, dtype: torch.dtype, elements: int) -> Iterator[Tensor]:
        """Matrices of rows of all lengths and scales, together of about so many elements each."""
        generator = torch.Generator().manual_seed(0)
        for length in self.LENGTHS:
            for scale in self.SCALES:
                shape = max(1, elements // length), length
                yield (torch.randn(shape, dtype=torch.float64, generator=generator) * scale).to(dtype)

    def reference(self, x: Tensor) -> tuple[Tensor, ...]:
        wide = x.detach().double()
        if self.name != "log_softmax":
            return (self.native(wide),)
        # A sum of numbers that are not positive: near 0, where one element outweighs the others, nothing cancels.
        largest, where = wide.max(-1, keepdim=True)
        others = (wide - largest).exp().scatter(-1, where, 0.0).sum(-1, keepdim=True)
        return ((wide - largest) - others.log1p(),)


DEFAULTS = [Case(name, {"threshold": 0.1, "value": 0.0} if name == "threshold" else {}) for name in NAMES]
CASES = DEFAULTS + [Case(name, kwargs) for name, sets in PARAMETERS.items() for kwargs in sets]
UNITS = [UnitCase(name) for name in UNIT_SPEC]
UNITS += [UnitCase("swiglu_clamped", {"alpha": alpha, "limit": limit}) for alpha, limit in [(1.0, 100.0), (-0.5, 2.0)]]
ROWS = [RowCase(name) for name in ROW_SPEC]
