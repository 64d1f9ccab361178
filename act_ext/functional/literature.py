"""Activations from papers that neither torch nor the other families have."""

from torch import Tensor
from torch.compiler import is_dynamo_compiling

from act_ext._register import entry
from act_ext.functional._common import documented, ops

_hard_mish = entry("hard_mish")


@documented()
def hard_mish(input: Tensor, inplace: bool = False) -> Tensor:
    """Mish from straight lines and a parabola.

    Args:
        input: the tensor to apply the function to.
        inplace: overwrite input with the result.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.hard_mish(torch.tensor([-1.0, 2.0]))
        tensor([-0.5000,  2.0000])
    """
    if not inplace and not is_dynamo_compiling():
        return _hard_mish(input)
    return ops.hard_mish_(input) if inplace else ops.hard_mish(input)


_squareplus = entry("squareplus")


@documented(raises="ValueError: if b is not positive.")
def squareplus(input: Tensor, b: float = 4.0, inplace: bool = False) -> Tensor:
    """A smooth ReLU by a square root alone.

    Args:
        input: the tensor to apply the function to.
        b: how wide the bend at 0 is; positive.
        inplace: overwrite input with the result.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.squareplus(torch.tensor([-1.0, 2.0]))
        tensor([0.6180, 2.4142])
    """
    if not inplace and not is_dynamo_compiling():
        return _squareplus(input, b)
    return ops.squareplus_(input, b) if inplace else ops.squareplus(input, b)


_isru = entry("isru")


@documented(raises="ValueError: if alpha is not positive.")
def isru(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """Inverse square root unit, an S-shaped function without an exponential.

    Args:
        input: the tensor to apply the function to.
        alpha: the result lies between -1 / sqrt(alpha) and 1 / sqrt(alpha); positive.
        inplace: overwrite input with the result.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.isru(torch.tensor([-1.0, 2.0]))
        tensor([-0.7071,  0.8944])
    """
    if not inplace and not is_dynamo_compiling():
        return _isru(input, alpha)
    return ops.isru_(input, alpha) if inplace else ops.isru(input, alpha)


_isrlu = entry("isrlu")


@documented(raises="ValueError: if alpha is not positive.")
def isrlu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """Inverse square root linear unit: x above 0, :func:`isru` below.

    Args:
        input: the tensor to apply the function to.
        alpha: the result stays above -1 / sqrt(alpha); positive.
        inplace: overwrite input with the result.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.isrlu(torch.tensor([-1.0, 2.0]))
        tensor([-0.7071,  2.0000])
    """
    if not inplace and not is_dynamo_compiling():
        return _isrlu(input, alpha)
    return ops.isrlu_(input, alpha) if inplace else ops.isrlu(input, alpha)


_lisht = entry("lisht")


@documented()
def lisht(input: Tensor, inplace: bool = False) -> Tensor:
    """Linearly scaled tanh, an even function.

    Args:
        input: the tensor to apply the function to.
        inplace: overwrite input with the result.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.lisht(torch.tensor([-1.0, 2.0]))
        tensor([0.7616, 1.9281])
    """
    if not inplace and not is_dynamo_compiling():
        return _lisht(input)
    return ops.lisht_(input) if inplace else ops.lisht(input)


_tanhexp = entry("tanhexp")


@documented()
def tanhexp(input: Tensor, inplace: bool = False) -> Tensor:
    """x times the tanh of its exponential, a smooth function like mish.

    Args:
        input: the tensor to apply the function to.
        inplace: overwrite input with the result.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.tanhexp(torch.tensor([-1.0, 2.0]))
        tensor([-0.3521,  2.0000])
    """
    if not inplace and not is_dynamo_compiling():
        return _tanhexp(input)
    return ops.tanhexp_(input) if inplace else ops.tanhexp(input)


_smish = entry("smish")


@documented()
def smish(input: Tensor, inplace: bool = False) -> Tensor:
    """x times the tanh of the logarithm of 1 plus its sigmoid.

    Args:
        input: the tensor to apply the function to.
        inplace: overwrite input with the result.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.smish(torch.tensor([-1.0, 2.0]))
        tensor([-0.2338,  1.1184])
    """
    if not inplace and not is_dynamo_compiling():
        return _smish(input)
    return ops.smish_(input) if inplace else ops.smish(input)


_logish = entry("logish")


@documented()
def logish(input: Tensor, inplace: bool = False) -> Tensor:
    """x times the logarithm of 1 plus its sigmoid.

    Args:
        input: the tensor to apply the function to.
        inplace: overwrite input with the result.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.logish(torch.tensor([-1.0, 2.0]))
        tensor([-0.2382,  1.2634])
    """
    if not inplace and not is_dynamo_compiling():
        return _logish(input)
    return ops.logish_(input) if inplace else ops.logish(input)


_gish = entry("gish")


@documented()
def gish(input: Tensor, inplace: bool = False) -> Tensor:
    """x times log(2 - exp(-exp(x))), a smooth function like swish.

    Args:
        input: the tensor to apply the function to.
        inplace: overwrite input with the result.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.gish(torch.tensor([-1.0, 2.0]))
        tensor([-0.2683,  1.3857])
    """
    if not inplace and not is_dynamo_compiling():
        return _gish(input)
    return ops.gish_(input) if inplace else ops.gish(input)


_phish = entry("phish")


@documented()
def phish(input: Tensor, inplace: bool = False) -> Tensor:
    """x times the tanh of :func:`gelu`, which is not negative anywhere.

    Args:
        input: the tensor to apply the function to.
        inplace: overwrite input with the result.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.phish(torch.tensor([-1.0, 2.0]))
        tensor([0.1573, 1.9213])
    """
    if not inplace and not is_dynamo_compiling():
        return _phish(input)
    return ops.phish_(input) if inplace else ops.phish(input)
