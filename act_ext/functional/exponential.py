"""The exponential linear units."""

from torch import Tensor
from torch.compiler import is_dynamo_compiling

from act_ext._register import entry
from act_ext.functional._common import documented, ops

_elu = entry("elu")


@documented()
def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """Exponential linear unit.

    Args:
        input: the tensor to apply the function to.
        alpha: minus the limit at minus infinity.
        inplace: overwrite input with the result.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.elu(torch.tensor([-1.0, 2.0]))
        tensor([-0.6321,  2.0000])
    """
    if not inplace and not is_dynamo_compiling():
        return _elu(input, alpha)
    return ops.elu_(input, alpha) if inplace else ops.elu(input, alpha)


_selu = entry("selu")


@documented()
def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """Scaled ELU, whose constants make activations normalise themselves.

    Args:
        input: the tensor to apply the function to.
        inplace: overwrite input with the result.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.selu(torch.tensor([-1.0, 2.0]))
        tensor([-1.1113,  2.1014])
    """
    if not inplace and not is_dynamo_compiling():
        return _selu(input)
    return ops.selu_(input) if inplace else ops.selu(input)


_celu = entry("celu")


@documented("ValueError: if alpha is 0.")
def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """Continuously differentiable ELU.

    Args:
        input: the tensor to apply the function to.
        alpha: minus the limit at minus infinity; not 0.
        inplace: overwrite input with the result.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.celu(torch.tensor([-1.0, 2.0]))
        tensor([-0.6321,  2.0000])
    """
    if not inplace and not is_dynamo_compiling():
        return _celu(input, alpha)
    return ops.celu_(input, alpha) if inplace else ops.celu(input, alpha)
