"""The ops on nested (jagged) tensors: on the values of all components at once.

Imported when torch's nested tensors are (act_ext/_register.py).
"""

from typing import Any

import torch
from torch.nested._internal.nested_tensor import NestedTensor
from torch.nested._internal.ops import extract_kwargs

from act_ext._register import OPS, bound, overload, wrapped


def _dim_of_values(op: str, dim: int, nested: NestedTensor) -> int:
    """Values have no batch dimension, and the ragged one runs through all components."""
    ragged = nested._ragged_idx
    whole = wrapped(dim, nested.dim())
    if whole in (0, ragged):
        raise NotImplementedError(
            f"{op}: dim must not be the batch dimension (0) nor the ragged one ({ragged}) of a nested tensor, got {dim}"
        )
    return whole - 1


def _raggedness(nested: NestedTensor) -> tuple[Any, ...]:
    return nested._ragged_idx, nested.shape[0], nested.shape[nested._ragged_idx]


def _rule(op: Any, spec: dict[str, Any]) -> Any:
    name = op._schema.name
    # The gradients of learned parameters, which are the last results, are not nested.
    plain = spec["arity"] - 1 if spec["kind"] == "learned" and name != f"act_ext::{spec['name']}" else 0
    count = len(op._schema.returns)

    def run(cls: Any, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        given = bound(op, args, kwargs or {})
        nested = [value for value in given.values() if isinstance(value, NestedTensor)]
        if any(_raggedness(other) != _raggedness(nested[0]) for other in nested):
            shapes = ", ".join(str(tuple(other.shape)) for other in nested)
            raise RuntimeError(f"{name}: nested tensors must share their offsets, got the shapes {shapes}")
        tensors = [value for value in given.values() if isinstance(value, torch.Tensor)]
        parameters = [tensor for tensor in tensors if not isinstance(tensor, NestedTensor)]
        if "dim" in given:
            shared = spec["kind"] == "learned" and all(parameter.numel() == 1 for parameter in parameters)
            given["dim"] = 0 if shared else _dim_of_values(name, given["dim"], nested[0])
        results = op(
            **{key: value._values if isinstance(value, NestedTensor) else value for key, value in given.items()}
        )
        if op._schema.is_mutable:
            return nested[-1]
        each = [
            NestedTensor(result, **extract_kwargs(nested[0])) if i < count - plain else result
            for i, result in enumerate(results if count > 1 else [results])
        ]
        return tuple(each) if count > 1 else each[0]

    return run


for _name, _spec in OPS.items():
    _op = overload(_name)
    torch.library.register_torch_dispatch(f"act_ext::{_name}", NestedTensor, _rule(_op, _spec))
