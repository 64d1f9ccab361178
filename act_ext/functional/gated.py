"""The self-gated activations: x times a smooth step of x."""

from torch import Tensor
from torch.compiler import is_dynamo_compiling

from act_ext._register import entry
from act_ext.functional._common import documented, ops
from act_ext.functional.learned import learned_swish

_silu = entry("silu")


@documented()
def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """Sigmoid linear unit, swish with beta 1.

    Args:
        input: the tensor to apply the function to.
        inplace: overwrite input with the result.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.silu(torch.tensor([-1.0, 2.0]))
        tensor([-0.2689,  1.7616])
    """
    if not inplace and not is_dynamo_compiling():
        return _silu(input)
    return ops.silu_(input) if inplace else ops.silu(input)


_swish = entry("swish")


@documented("ValueError: if inplace is set and beta is a tensor.")
def swish(input: Tensor, beta: float | Tensor = 1.0, inplace: bool = False) -> Tensor:
    """SiLU with a chosen beta.

    Args:
        input: the tensor to apply the function to.
        beta: scales input inside the sigmoid: 0 gives half of input, infinity ReLU. A tensor is learned, as by
            :func:`learned_swish` with the channels in dimension 1.
        inplace: overwrite input with the result.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.swish(torch.tensor([-1.0, 2.0]))
        tensor([-0.2689,  1.7616])
    """
    if isinstance(beta, Tensor):
        if inplace:
            raise ValueError("swish: inplace is for a beta that is a number, got a tensor")
        return learned_swish(input, beta)
    if not inplace and not is_dynamo_compiling():
        return _swish(input, beta)
    return ops.swish_(input, beta) if inplace else ops.swish(input, beta)


_quick_gelu = entry("quick_gelu")


@documented()
def quick_gelu(input: Tensor, inplace: bool = False) -> Tensor:
    """GELU approximated by a sigmoid of 1.702 input.

    Args:
        input: the tensor to apply the function to.
        inplace: overwrite input with the result.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.quick_gelu(torch.tensor([-1.0, 2.0]))
        tensor([-0.1542,  1.9357])
    """
    if not inplace and not is_dynamo_compiling():
        return _quick_gelu(input)
    return ops.quick_gelu_(input) if inplace else ops.quick_gelu(input)


_gelu = entry("gelu")


@documented('RuntimeError: if approximate is neither "none" nor "tanh".')
def gelu(input: Tensor, *, approximate: str = "none") -> Tensor:
    """Gaussian error linear unit.

    Args:
        input: the tensor to apply the function to.
        approximate: "none" for the exact function, "tanh" for the approximation of :func:`gelu_tanh`.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.gelu(torch.tensor([-1.0, 2.0]))
        tensor([-0.1587,  1.9545])
    """
    return ops.gelu(input, approximate=approximate) if is_dynamo_compiling() else _gelu(input, approximate)


_gelu_tanh = entry("gelu_tanh")


@documented()
def gelu_tanh(input: Tensor) -> Tensor:
    """The tanh approximation of GELU.

    Args:
        input: the tensor to apply the function to.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.gelu_tanh(torch.tensor([-1.0, 2.0]))
        tensor([-0.1588,  1.9546])
    """
    return ops.gelu_tanh(input) if is_dynamo_compiling() else _gelu_tanh(input)


_mish = entry("mish")


@documented()
def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """Mish, a smooth function like swish.

    Args:
        input: the tensor to apply the function to.
        inplace: overwrite input with the result.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.mish(torch.tensor([-1.0, 2.0]))
        tensor([-0.3034,  1.9440])
    """
    if not inplace and not is_dynamo_compiling():
        return _mish(input)
    return ops.mish_(input) if inplace else ops.mish(input)
