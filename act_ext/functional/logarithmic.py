"""Activations from papers that take a logarithm of any argument."""

from torch import Tensor
from torch.compiler import is_dynamo_compiling

from act_ext._register import entry
from act_ext.functional._common import documented, ops

_nlrelu = entry("nlrelu")


@documented(raises="ValueError: if beta is not positive.")
def nlrelu(input: Tensor, beta: float = 1.0, inplace: bool = False) -> Tensor:
    """Natural logarithm rectified linear unit: 0 below 0, a logarithm above.

    Args:
        input: the tensor to apply the function to.
        beta: the slope just above 0; positive.
        inplace: overwrite input with the result.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.nlrelu(torch.tensor([-1.0, 2.0]))
        tensor([0.0000, 1.0986])
    """
    if not inplace and not is_dynamo_compiling():
        return _nlrelu(input, beta)
    return ops.nlrelu_(input, beta) if inplace else ops.nlrelu(input, beta)


_softexponential = entry("softexponential")


@documented()
def softexponential(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """From a logarithm (alpha = -1) by way of the identity (alpha = 0) to the exponential (alpha = 1).

    Args:
        input: the tensor to apply the function to.
        alpha: what lies between. Where it is negative, the function is defined for input > 1 / alpha - alpha, and NaN
            below.
        inplace: overwrite input with the result.

    Note:
        For 0 < alpha < 1 the value crosses 0 at log(1 - alpha**2) / alpha, where two terms as large as alpha cancel:
        around it, the rounding error is relative to alpha. The slope keeps its accuracy.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.softexponential(torch.tensor([0.5, 2.0]), alpha=-1.0)
        tensor([-0.6931,  0.6931])
    """
    if not inplace and not is_dynamo_compiling():
        return _softexponential(input, alpha)
    return ops.softexponential_(input, alpha) if inplace else ops.softexponential(input, alpha)


_serf = entry("serf")


@documented()
def serf(input: Tensor, inplace: bool = False) -> Tensor:
    """x times the error function of its softplus, a smooth function like mish.

    Args:
        input: the tensor to apply the function to.
        inplace: overwrite input with the result.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.serf(torch.tensor([-1.0, 2.0]))
        tensor([-0.3422,  1.9947])
    """
    if not inplace and not is_dynamo_compiling():
        return _serf(input)
    return ops.serf_(input) if inplace else ops.serf(input)
