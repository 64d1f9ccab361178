"""Piecewise linear activations and their quadratic relatives."""

from torch import Tensor
from torch.compiler import is_dynamo_compiling

from act_ext._register import entry
from act_ext.functional._common import documented, ops

_identity = entry("identity")


@documented()
def identity(input: Tensor) -> Tensor:
    """Returns a copy of input: the op that leaves values and gradients as they are.

    Args:
        input: the tensor to apply the function to.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.identity(torch.tensor([-1.0, 2.0]))
        tensor([-1.,  2.])
    """
    return ops.identity(input) if is_dynamo_compiling() else _identity(input)


_binary_step = entry("binary_step")


@documented()
def binary_step(input: Tensor) -> Tensor:
    """One where input is not negative, zero elsewhere. Its gradient is zero everywhere.

    Args:
        input: the tensor to apply the function to.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.binary_step(torch.tensor([-1.0, 0.0, 2.0]))
        tensor([0., 1., 1.])
    """
    return ops.binary_step(input) if is_dynamo_compiling() else _binary_step(input)


_relu = entry("relu")


@documented()
def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """Rectified linear unit. Backward needs only the result.

    Args:
        input: the tensor to apply the function to.
        inplace: overwrite input with the result.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.relu(torch.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """
    if not inplace and not is_dynamo_compiling():
        return _relu(input)
    return ops.relu_(input) if inplace else ops.relu(input)


_relu6 = entry("relu6")


@documented()
def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """ReLU with an upper bound of 6.

    Args:
        input: the tensor to apply the function to.
        inplace: overwrite input with the result.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.relu6(torch.tensor([-1.0, 2.0, 8.0]))
        tensor([0., 2., 6.])
    """
    if not inplace and not is_dynamo_compiling():
        return _relu6(input)
    return ops.relu6_(input) if inplace else ops.relu6(input)


_leaky_relu = entry("leaky_relu")


@documented()
def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """ReLU with a small slope below 0.

    Args:
        input: the tensor to apply the function to.
        negative_slope: the slope below 0.
        inplace: overwrite input with the result.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.leaky_relu(torch.tensor([-1.0, 2.0]))
        tensor([-0.0100,  2.0000])
    """
    if not inplace and not is_dynamo_compiling():
        return _leaky_relu(input, negative_slope)
    return ops.leaky_relu_(input, negative_slope) if inplace else ops.leaky_relu(input, negative_slope)


_threshold = entry("threshold")


@documented()
def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """Keeps what exceeds the threshold and replaces the rest by value.

    Args:
        input: the tensor to apply the function to.
        threshold: the bound that input must exceed.
        value: what replaces the rest.
        inplace: overwrite input with the result.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.threshold(torch.tensor([-1.0, 2.0]), 0.5, 0.0)
        tensor([0., 2.])
    """
    if not inplace and not is_dynamo_compiling():
        return _threshold(input, threshold, value)
    return ops.threshold_(input, threshold, value) if inplace else ops.threshold(input, threshold, value)


_hardtanh = entry("hardtanh")


@documented("ValueError: if min_val is greater than max_val.")
def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """Clamps input between two bounds.

    Args:
        input: the tensor to apply the function to.
        min_val: lower bound of the linear region.
        max_val: upper bound of the linear region.
        inplace: overwrite input with the result.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.hardtanh(torch.tensor([-3.0, 0.5, 3.0]))
        tensor([-1.0000,  0.5000,  1.0000])
    """
    if not inplace and not is_dynamo_compiling():
        return _hardtanh(input, min_val, max_val)
    return ops.hardtanh_(input, min_val, max_val) if inplace else ops.hardtanh(input, min_val, max_val)


_softshrink = entry("softshrink")


@documented("ValueError: if lambd is negative.")
def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """Soft shrinkage: moves input towards 0 by lambd, and to 0 what is nearer.

    Args:
        input: the tensor to apply the function to.
        lambd: how far values move towards 0; not negative.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.softshrink(torch.tensor([-2.0, 0.25, 2.0]))
        tensor([-1.5000,  0.0000,  1.5000])
    """
    return ops.softshrink(input, lambd) if is_dynamo_compiling() else _softshrink(input, lambd)


_hardshrink = entry("hardshrink")


@documented()
def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """Hard shrinkage: sets values of small magnitude to 0.

    Args:
        input: the tensor to apply the function to.
        lambd: values no larger than this in magnitude become 0.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.hardshrink(torch.tensor([-2.0, 0.25, 2.0]))
        tensor([-2.,  0.,  2.])
    """
    return ops.hardshrink(input, lambd) if is_dynamo_compiling() else _hardshrink(input, lambd)


_hardsigmoid = entry("hardsigmoid")


@documented()
def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """Piecewise linear approximation of the sigmoid.

    Args:
        input: the tensor to apply the function to.
        inplace: overwrite input with the result.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.hardsigmoid(torch.tensor([-4.0, 0.0, 4.0]))
        tensor([0.0000, 0.5000, 1.0000])
    """
    if not inplace and not is_dynamo_compiling():
        return _hardsigmoid(input)
    return ops.hardsigmoid_(input) if inplace else ops.hardsigmoid(input)


_hardswish = entry("hardswish")


@documented()
def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """Swish with the piecewise linear sigmoid.

    Args:
        input: the tensor to apply the function to.
        inplace: overwrite input with the result.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.hardswish(torch.tensor([-4.0, 0.0, 4.0]))
        tensor([-0., 0., 4.])
    """
    if not inplace and not is_dynamo_compiling():
        return _hardswish(input)
    return ops.hardswish_(input) if inplace else ops.hardswish(input)


_relu_squared = entry("relu_squared")


@documented()
def relu_squared(input: Tensor, inplace: bool = False) -> Tensor:
    """The square of ReLU.

    Args:
        input: the tensor to apply the function to.
        inplace: overwrite input with the result.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.relu_squared(torch.tensor([-1.0, 3.0]))
        tensor([0., 9.])
    """
    if not inplace and not is_dynamo_compiling():
        return _relu_squared(input)
    return ops.relu_squared_(input) if inplace else ops.relu_squared(input)
