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
    """A function of tensors: `count` inputs of one shape, and learned parameters, of one element for each of the
    CHANNELS in dimension 1. Where it goes along a dimension, that is 1 as well, and another can be given as dim."""

    name: str
    kind: str
    function: Callable[..., Tensor]
    count: int = 1
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
    def has_dim(self) -> bool:
        return isinstance(self.function, partial) and "dim" in self.function.keywords

    @property
    def has_gradient(self) -> bool:
        return self.name != "binary_step"


CHANNELS = 4


def _calls() -> list[Call]:
    calls = [Call(str(case), "pointwise", case.function) for case in DEFAULTS]
    for spec in SPECS:
        name, kind = spec["name"], spec["kind"]
        function = getattr(F, name)
        if kind == "gated_unit":
            calls.append(Call(name, kind, function, count=2))
            calls.append(Call(f"{name}_packed", "packed", partial(function, dim=1)))
            calls.append(Call(f"{name}_interleaved", "packed", partial(function, dim=1, interleaved=True)))
        elif kind == "row_function":
            calls.append(Call(name, kind, partial(function, dim=1)))
        elif kind == "learned":
            how = {} if name == "prelu" else {"dim": 1}
            calls.append(Call(name, kind, partial(function, **how), parameters=spec["arity"] - 1))
        elif kind == "maxout":
            calls.append(Call(name, kind, partial(function, num_pieces=2, dim=1)))
        elif kind == "rrelu":
            calls.append(Call(name, kind, function))
    return calls


CALLS = _calls()
each_call = pytest.mark.parametrize("call", CALLS, ids=str)
DIFFERENTIABLE = [call for call in CALLS if call.has_gradient]
each_differentiable = pytest.mark.parametrize("call", DIFFERENTIABLE, ids=str)


class Everything(torch.nn.Module):
    """All activations, side by side."""

    def __init__(self, calls):
        super().__init__()
        self.calls = calls
        for i, call in enumerate(calls):
            for j, tensor in enumerate(call.tensors(2, CHANNELS, 6)[call.count :]):
                self.register_parameter(f"p{i}_{j}", torch.nn.Parameter(tensor))

    def forward(self, x):
        def parameters(i, call):
            return [getattr(self, f"p{i}_{j}") for j in range(call.parameters)]

        # As a neighbour's work: the compiler may not fuse what it would have to look into.
        return [call.function(*[x + 1] * call.count, *parameters(i, call)) * 2 for i, call in enumerate(self.calls)]
