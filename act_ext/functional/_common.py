"""What the families share: the ops, their specs, and docstrings completed from those.

Each function has the same body, which costs one Python frame where no one traces: the fast entry, unless the call is in
place or in a graph, whose nodes are ``torch.ops``.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.overrides import is_tensor_like

from act_ext._register import SPECS

ops = torch.ops.act_ext
specs = {spec["name"]: spec for spec in SPECS}
Function = TypeVar("Function", bound=Callable[..., Tensor])

_NOTES = """
    Formula, in torch's terms with x for input:
        {formula}

    Derivative:
        {derivative}

    Shape:
        Any. The result has input's shape, dtype, device and memory format.

    Raises:
        NotImplementedError: if input is not of dtype float32, float64, bfloat16 or float16.
{raises}{paper}"""


def documented(raises: str = "") -> Callable[[Function], Function]:
    """Completes a docstring with what the op's spec tells, above its example."""

    def complete(function: Function) -> Function:
        spec = specs[function.__name__]
        paper = f"\n    Paper:\n        {spec['paper']}\n" if spec["paper"] else ""
        notes = _NOTES.format(
            formula=spec["formula"],
            derivative=spec["derivative"],
            raises=f"        {raises}\n" if raises else "",
            paper=paper,
        )
        text, example, code = (function.__doc__ or "").partition("\n    Example:\n")
        function.__doc__ = text + notes + example + code
        return function

    return complete


def derivatives_of(spec: dict[str, Any]) -> list[str]:
    """By each of the op's tensors."""
    return spec["derivative"].split("; ")


def require_tensor(name: str, argument: str, given: object) -> None:
    if not is_tensor_like(given):
        raise TypeError(f"act_ext.{name}(): argument '{argument}' must be Tensor, not {type(given).__name__}")
