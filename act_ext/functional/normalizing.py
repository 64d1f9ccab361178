"""The softmax family: each row, which is the elements along one dimension, becomes a distribution or its logarithm."""

import torch
from torch import Tensor
from torch.compiler import is_dynamo_compiling
from torch.nn.functional import _get_softmax_dim

from act_ext._register import entry
from act_ext.functional._common import Function, ops, require_tensor, specs

_ARGUMENTS = """
        input: the tensor to apply the function to.
        dim: the dimension along which the rows lie. Without it, as in torch, the first of a tensor of 0, 1 or 3
            dimensions and the second of any other, with a warning that this choice is deprecated.
        dtype: what input is converted to first."""

_NOTES = """
    Formula, in torch's terms with x for input:
        {formula}

    Derivative, with g for the gradient of the result y:
        {derivative}

    Shape:
        Any. The result has input's shape and device, and dtype where that is given; it is contiguous, as torch's. Only
        the result is saved for backward.

    Raises:
        NotImplementedError: if input, or dtype, is not float32, float64, bfloat16 or float16.
        IndexError: if input has no dimension dim.

    Paper:
        {paper}
"""


def _documented(function: Function) -> Function:
    """As ``documented``, for a function of rows, whose derivative takes the whole row's gradient."""
    spec = specs[function.__name__]
    text, example, code = (function.__doc__ or "").partition("\n    Example:\n")
    notes = _NOTES.format(formula=spec["formula"], derivative=spec["derivative"], paper=spec["paper"])
    function.__doc__ = text.replace("\n        ...", _ARGUMENTS) + notes + example + code
    return function


_row_functions = {name: entry(name) for name, spec in specs.items() if spec["kind"] == "row_function"}


def _implicit_dim(name: str, rank: int, stacklevel: int) -> int:
    """torch's choice, with its warning, which a compiler could not trace."""
    if is_dynamo_compiling():
        return 0 if rank in (0, 1, 3) else 1
    return _get_softmax_dim(name, rank, stacklevel + 1)


def _row_function(name: str, input: Tensor, dim: int | None, stacklevel: int, dtype: torch.dtype | None) -> Tensor:
    if dim is None or dtype is not None:  # otherwise the op requires it
        require_tensor(name, "input", input)
    if dim is None:
        dim = _implicit_dim(name, input.dim(), stacklevel + 1)
    if dtype is not None:
        input = input.to(dtype)
        if torch.is_autocast_enabled(input.device.type):
            with torch.autocast(input.device.type, enabled=False):  # what is asked for goes before its rules
                return _row_function(name, input, dim, stacklevel, None)
    return getattr(ops, name)(input, dim) if is_dynamo_compiling() else _row_functions[name](input, dim)


@_documented
def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: torch.dtype | None = None) -> Tensor:
    """The exponentials of each row's elements over their sum: positive numbers that add up to 1.

    Args:
        ...

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.softmax(torch.tensor([0.0, 1.0, 2.0]), dim=-1)
        tensor([0.0900, 0.2447, 0.6652])
    """
    return _row_function("softmax", input, dim, _stacklevel, dtype)


@_documented
def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: torch.dtype | None = None) -> Tensor:
    """The softmax of the negative input: the smallest element of a row gets the largest share.

    Args:
        ...

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.softmin(torch.tensor([0.0, 1.0, 2.0]), dim=-1)
        tensor([0.6652, 0.2447, 0.0900])
    """
    return _row_function("softmin", input, dim, _stacklevel, dtype)


@_documented
def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: torch.dtype | None = None
) -> Tensor:
    """The logarithm of the softmax, accurate where the softmax itself rounds to 0 or 1.

    Args:
        ...

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.log_softmax(torch.tensor([0.0, 1.0, 2.0]), dim=-1)
        tensor([-2.4076, -1.4076, -0.4076])
    """
    return _row_function("log_softmax", input, dim, _stacklevel, dtype)
