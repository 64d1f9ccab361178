"""How DTensor may place each op's tensors, so that every device computes its part alone.

A rule gives, for the tensors of one call, the placements on one dimension of the mesh that need no communication:
those of the results, then those of the tensors among the arguments. Everything replicated is always one. DTensor picks
the one that costs least to reach, for every dimension of the mesh.

Imported when ``torch.distributed.tensor`` is (act_ext/_register.py), so that nobody else pays for it.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.distributed.tensor import Partial, Replicate, Shard
from torch.distributed.tensor.experimental import register_sharding
from torch.distributed.tensor.placement_types import Placement

from act_ext._register import SPECS, bound, channel_dim, overload, wrapped

Placements = list[Placement]
Given = dict[str, Any]
# (of the results, of the tensors)
Acceptable = Iterator[tuple[Placements, Placements]]
Rule = Callable[[Given, list[Any], int], Acceptable]

REPLICATED: Placement = Replicate()
SUMMED: Placement = Partial()


def _evenly(size: int, pieces: int, mesh: Any) -> bool:
    """Whether every device gets whole groups of so many elements."""
    return size % (pieces * mesh.size()) == 0


def _linear_in(tensors: list[Any], results: int, *indices: int) -> tuple[Placements, Placements]:
    """A sum over the devices of these tensors, each, gives the sum of the results."""
    return [SUMMED] * results, [SUMMED if i in indices else REPLICATED for i in range(len(tensors))]


def _pointwise(*linear: tuple[int, ...]) -> Rule:
    """All tensors and results of one shape. linear: groups of tensors in which, together, the results are linear."""

    def rule(given: Given, tensors: list[Any], results: int) -> Acceptable:
        for dim in range(tensors[-1].ndim):
            yield [Shard(dim)] * results, [Shard(dim)] * len(tensors)
        for group in linear:
            yield _linear_in(tensors, results, *group)

    return rule


def _packed(*linear: tuple[int, ...]) -> Rule:
    """A gated unit on one tensor. Its halves must stay together, as they do when they alternate in whole pairs."""

    def rule(given: Given, tensors: list[Any], results: int) -> Acceptable:
        input = tensors[-1]
        packed = wrapped(given["dim"], input.ndim)
        for dim in range(input.ndim):
            if dim != packed or (given["interleaved"] and _evenly(input.shape[dim], 2, input.mesh)):
                yield [Shard(dim)] * results, [Shard(dim)] * len(tensors)
        for group in linear:
            yield _linear_in(tensors, results, *group)

    return rule


def _row_function(*linear: tuple[int, ...]) -> Rule:
    """Rows must not be divided."""

    def rule(given: Given, tensors: list[Any], results: int) -> Acceptable:
        rank = tensors[-1].ndim
        for dim in range(rank):
            if dim != wrapped(given["dim"], rank):
                yield [Shard(dim)] * results, [Shard(dim)] * len(tensors)
        for group in linear:
            yield _linear_in(tensors, results, *group)

    return rule


def _learned(arity: int, order: int) -> Rule:
    """order: 0 for the op, 1 for backward, 2 for double backward. A parameter of one element for each channel is
    divided with the channels; the gradient of one that is not is a sum over the devices."""

    def rule(given: Given, tensors: list[Any], results: int) -> Acceptable:
        input, *parameters = tensors[-arity:]
        channels = channel_dim(given["dim"], input.ndim)
        for dim in range(input.ndim):
            divided = [dim == channels and p.ndim == 1 and p.shape[0] == input.shape[dim] > 1 for p in parameters]
            of_parameters: Placements = [Shard(0) if d else REPLICATED for d in divided]
            gradients: Placements = [Shard(0) if d else SUMMED for d in divided]
            inputs: Placements = [Shard(dim), *of_parameters]
            if order == 0:
                yield [Shard(dim)], inputs
            elif order == 1:
                yield [Shard(dim), *gradients], [Shard(dim), *inputs]
            else:
                yield [Shard(dim), Shard(dim), *gradients], [*inputs, Shard(dim), *inputs]
        if order == 1:
            yield _linear_in(tensors, results, 0)

    return rule


def _maxout(given_units: bool = False, linear: bool = False) -> Rule:
    """Groups of pieces must not be divided. given_units: whether the first tensor has one element for each group."""

    def rule(given: Given, tensors: list[Any], results: int) -> Acceptable:
        first = tensors[0]
        grouped, group = wrapped(given["dim"], first.ndim), 1 if given_units else given["num_pieces"]
        for dim in range(first.ndim):
            if dim != grouped or _evenly(first.shape[dim], group, first.mesh):
                yield [Shard(dim)] * results, [Shard(dim)] * len(tensors)
        if linear:
            yield _linear_in(tensors, results, 0)

    return rule


def _rules(spec: dict[str, Any]) -> dict[str, Rule]:
    """Each op of an activation with its rule. Gradients are linear in those that come in, each or together."""
    name, kind = spec["name"], spec["kind"]
    if kind == "pointwise":
        itself = _pointwise((0,)) if spec["formula"] == "x" else _pointwise()
        rules = {name: itself, f"{name}_": itself}
        for op in spec["backward_ops"]:
            gradients = 2 if "_double_backward" in op else 1
            rules[op] = _pointwise(*((i,) for i in range(gradients)))
        return rules
    if kind == "gated_unit":
        linear = [(1,)] if spec["formula"].endswith(" * up") else []
        linear += [(0,)] if spec["formula"].startswith("gate * up") else []
        return {
            name: _pointwise(*linear),
            f"{name}_backward": _pointwise((0,)),
            f"{name}_double_backward": _pointwise((0, 1)),
            f"{name}_packed": _packed(),
            f"{name}_packed_backward": _packed((0,)),
            f"{name}_packed_double_backward": _packed((0,)),
        }
    if kind == "row_function":
        return {
            name: _row_function(),
            f"{name}_backward": _row_function((0,)),
            f"{name}_double_backward": _row_function((0,)),
        }
    if kind == "learned":
        ops = (name, f"{name}_backward", f"{name}_double_backward")
        return {op: _learned(spec["arity"], order) for order, op in enumerate(ops)}
    if kind == "maxout":
        return {
            "maxout_with_indices": _maxout(),
            "maxout_backward": _maxout(given_units=True, linear=True),
            "maxout_pick": _maxout(linear=True),
        }
    return {}  # rrelu draws, for which DTensor has no way for ops other than torch's


def _register(op: torch._ops.OpOverload, rule: Rule) -> None:
    schema = op._schema
    results = len(schema.returns)

    def placements(*args: Any, **kwargs: Any) -> list[tuple[Placements, Placements]]:
        given = bound(op, args, kwargs)
        tensors = [given[a.name] for a in schema.arguments if isinstance(a.type, torch.TensorType)]
        everywhere = [REPLICATED] * results, [REPLICATED] * len(tensors)
        return [everywhere, *rule(given, tensors, results)]

    register_sharding(op)(placements)


for _spec in SPECS:
    for _name, _rule in _rules(_spec).items():
        _register(overload(_name), _rule)
