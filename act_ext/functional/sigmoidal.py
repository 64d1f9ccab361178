"""The S-shaped activations and the integrals and complements that share their arithmetic."""

from torch import Tensor
from torch.compiler import is_dynamo_compiling

from act_ext._register import entry
from act_ext.functional._common import documented, ops

_sigmoid = entry("sigmoid")


@documented()
def sigmoid(input: Tensor) -> Tensor:
    """Logistic sigmoid. Backward needs only the result.

    Args:
        input: the tensor to apply the function to.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.sigmoid(torch.tensor([0.0, 2.0]))
        tensor([0.5000, 0.8808])
    """
    return ops.sigmoid(input) if is_dynamo_compiling() else _sigmoid(input)


_logsigmoid = entry("logsigmoid")


@documented()
def logsigmoid(input: Tensor) -> Tensor:
    """Logarithm of the sigmoid, accurate where the sigmoid itself rounds to 0 or 1.

    Args:
        input: the tensor to apply the function to.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.logsigmoid(torch.tensor([-2.0, 2.0]))
        tensor([-2.1269, -0.1269])
    """
    return ops.logsigmoid(input) if is_dynamo_compiling() else _logsigmoid(input)


_tanh = entry("tanh")


@documented()
def tanh(input: Tensor) -> Tensor:
    """Hyperbolic tangent. Backward needs only the result.

    Args:
        input: the tensor to apply the function to.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.tanh(torch.tensor([-1.0, 2.0]))
        tensor([-0.7616,  0.9640])
    """
    return ops.tanh(input) if is_dynamo_compiling() else _tanh(input)


_tanhshrink = entry("tanhshrink")


@documented()
def tanhshrink(input: Tensor) -> Tensor:
    """input minus its hyperbolic tangent, accurate near 0 where the two cancel.

    Args:
        input: the tensor to apply the function to.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.tanhshrink(torch.tensor([-1.0, 2.0]))
        tensor([-0.2384,  1.0360])
    """
    return ops.tanhshrink(input) if is_dynamo_compiling() else _tanhshrink(input)


_softsign = entry("softsign")


@documented()
def softsign(input: Tensor) -> Tensor:
    """input divided by one plus its magnitude.

    Args:
        input: the tensor to apply the function to.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.softsign(torch.tensor([-1.0, 3.0]))
        tensor([-0.5000,  0.7500])
    """
    return ops.softsign(input) if is_dynamo_compiling() else _softsign(input)


_softplus = entry("softplus")


@documented()
def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """A smooth ReLU.

    Args:
        input: the tensor to apply the function to.
        beta: the larger, the closer to ReLU.
        threshold: where beta * input exceeds this the result is input.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.softplus(torch.tensor([-1.0, 2.0]))
        tensor([0.3133, 2.1269])
    """
    return ops.softplus(input, beta, threshold) if is_dynamo_compiling() else _softplus(input, beta, threshold)
