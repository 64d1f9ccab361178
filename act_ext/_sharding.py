"""How DTensor may place each op's tensors, so that every device computes its part alone.

A rule gives, for the tensors of one call, the placements on one dimension of the mesh that need no communication:
those of the results, then those of the tensors among the arguments. Everything replicated is always one. DTensor picks
the one that costs least to reach, for every dimension of the mesh.

Imported when ``torch.distributed.tensor`` is (act_ext/_register.py), so that nobody else pays for it.
"""

from collections.abc import Callable, Iterator
from functools import partial
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


def _linear_in(tensors: list[Any], results: int, *indices: int) -> tuple[Placements, Placements]:
    """A sum over the devices of these tensors, each, gives the sum of the results."""
    return [SUMMED] * results, [SUMMED if i in indices else REPLICATED for i in range(len(tensors))]


def _alike(*linear: tuple[int, ...], together: Callable[[Given], int | None] | None = None) -> Rule:
    """All tensors and results divided alike.

    Args:
        linear: groups of tensors in which, together, the results are linear.
        together: where the argument `dim` names a dimension that must not be cut anywhere, how many of the last
            tensor's elements must stay together there; None for all.
    """

    def rule(given: Given, tensors: list[Any], results: int) -> Acceptable:
        model = tensors[-1]
        kept = None if together is None else wrapped(given["dim"], model.ndim)
        group = None if together is None else together(given)
        for dim in range(model.ndim):
            if dim != kept or (group is not None and model.shape[dim] % (group * model.mesh.size()) == 0):
                yield [Shard(dim)] * results, [Shard(dim)] * len(tensors)
        for indices in linear:
            yield _linear_in(tensors, results, *indices)

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


def _rules(spec: dict[str, Any]) -> dict[str, Rule]:
    """Each op of an activation with its rule. Gradients are linear in those that come in, each or together."""
    name, kind = spec["name"], spec["kind"]
    if kind == "pointwise":
        itself = _alike((0,)) if spec["formula"] == "x" else _alike()
        rules = {name: itself, f"{name}_": itself}
        for op in spec["backward_ops"]:
            gradients = 2 if "_double_backward" in op else 1
            rules[op] = _alike(*((i,) for i in range(gradients)))
        return rules
    if kind == "gated_unit":
        linear = [(1,)] if spec["formula"].endswith(" * up") else []
        linear += [(0,)] if spec["formula"].startswith("gate * up") else []
        # The halves of a packed tensor stay together, as pairs where they alternate.
        packed = partial(_alike, together=lambda given: 2 if given["interleaved"] else None)
        return {
            name: _alike(*linear),
            f"{name}_backward": _alike((0,)),
            f"{name}_double_backward": _alike((0, 1)),
            f"{name}_packed": packed(),
            f"{name}_packed_backward": packed((0,)),
            f"{name}_packed_double_backward": packed((0,)),
        }
    if kind == "row_function":
        rows = partial(_alike, together=lambda given: None)
        return {name: rows(), f"{name}_backward": rows((0,)), f"{name}_double_backward": rows((0,))}
    if kind == "learned":
        ops = (name, f"{name}_backward", f"{name}_double_backward")
        return {op: _learned(spec["arity"], order) for order, op in enumerate(ops)}
    if kind == "maxout":
        return {
            "maxout_with_indices": _alike(together=lambda given: given["num_pieces"]),
            # Their last tensor, the indices, has one element for each group of pieces.
            "maxout_backward": _alike((0,), together=lambda given: 1),
            "maxout_pick": _alike((0,), together=lambda given: 1),
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
_register(overload("slope_derivative"), _alike())
