"""One call of every activation of every kind, for tests of what PyTorch does around an op."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest
import torch
from torch import Tensor

import act_ext
from act_ext._register import SPECS
from tests.table import DEFAULTS

F = act_ext.functional


@dataclass
class Call:
    """A function of tensors, the first of which is an input of shape (batch, ...); the rest are of its shape or, of
    learned parameters, of one element for each of the CHANNELS in dimension 1."""

    name: str
    kind: str
    function: Callable[..., Tensor]
    count: int = 1  # tensors of the input's shape
    parameters: int = 0

    def __str__(self) -> str:
        return self.name

    def tensors(self, *shape: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
        """Random ones, the same at each call, away from where a slope jumps."""
        generator = torch.Generator().manual_seed(zlib.crc32(self.name.encode()))
        inputs = [torch.randn(shape, generator=generator, dtype=torch.float64) * 2 for _ in range(self.count)]
        inputs = [torch.where((x - x.round()).abs() < 0.05, x + 0.1, x) for x in inputs]
        inputs = [torch.where((x.abs() - 0.5).abs() < 0.05, x + 0.1, x) for x in inputs]
        parameters = [
            torch.rand(CHANNELS, generator=generator, dtype=torch.float64) + 0.5 for _ in range(self.parameters)
        ]
        return [tensor.to(dtype) for tensor in (*inputs, *parameters)]

    @property
    def has_gradient(self) -> bool:
        return self.name != "binary_step"


CHANNELS = 4


def _packed(name: str, **packing: bool) -> Callable[[Tensor], Tensor]:
    return lambda x: getattr(F, name)(x, dim=1, **packing)


def _calls() -> list[Call]:
    calls = [Call(str(case), "pointwise", case.function) for case in DEFAULTS]
    for spec in SPECS:
        name, kind = spec["name"], spec["kind"]
        function = getattr(F, name)
        if kind == "gated_unit":
            calls.append(Call(name, kind, function, count=2))
            calls.append(Call(f"{name}_packed", "packed", _packed(name)))
            calls.append(Call(f"{name}_interleaved", "packed", _packed(name, interleaved=True)))
        elif kind == "row_function":
            calls.append(Call(name, kind, lambda x, function=function: function(x, dim=1)))
        elif kind == "learned":
            how = {} if name == "prelu" else {"dim": 1}
            calls.append(Call(name, kind, partial(function, **how), parameters=spec["arity"] - 1))
        elif kind == "maxout":
            calls.append(Call(name, kind, lambda x: F.maxout(x, 2, dim=1)))
        elif kind == "rrelu":
            calls.append(Call(name, kind, F.rrelu))
    return calls


CALLS = _calls()
each_call = pytest.mark.parametrize("call", CALLS, ids=str)
DIFFERENTIABLE = [call for call in CALLS if call.has_gradient]
each_differentiable = pytest.mark.parametrize("call", DIFFERENTIABLE, ids=str)
