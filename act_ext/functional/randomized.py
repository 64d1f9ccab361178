"""Randomized leaky ReLU, the activation that draws random numbers."""

from torch import Tensor

from act_ext.functional._common import ops, require_tensor, specs


def rrelu(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """Leaky ReLU whose slope is drawn for each element while training, and is the mean of the bounds otherwise.

    The slopes are uniform from lower to upper, and a function of the generator's state and of the element's number
    alone: on the CPU neither threads nor strides nor the instruction set change them. ``torch.ops.act_ext.rrelu`` also
    takes a ``generator``, and ``torch.ops.act_ext.rrelu_with_noise`` returns the slopes with the result.

    Args:
        input: the tensor to apply the function to.
        lower: the least slope below 0.
        upper: the largest slope below 0.
        training: draw the slopes, anew with each call.
        inplace: overwrite input with the result.

    Formula, in torch's terms with x for input:
        FORMULA

    Derivative:
        1 where x > 0 or NaN, elsewhere the slope. While training the slopes are all that is saved for backward, in one
        tensor of input's size; otherwise this is leaky_relu.

    Shape:
        Any. The result has input's shape, dtype, device and memory format.

    Raises:
        NotImplementedError: if input is not of dtype float32, float64, bfloat16 or float16.
        RuntimeError: if lower is greater than upper, or one of them is not finite.

    Paper:
        arXiv:1505.00853

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.rrelu(torch.tensor([-1.0, 2.0]), 0.1, 0.3)
        tensor([-0.2000,  2.0000])
        >>> act_ext.functional.rrelu(torch.tensor([-1.0, 2.0]), 0.1, 0.1, training=True)
        tensor([-0.1000,  2.0000])
    """
    require_tensor("rrelu", "input", input)
    return (ops.rrelu_ if inplace else ops.rrelu)(input, lower, upper, training)


rrelu.__doc__ = (rrelu.__doc__ or "").replace("FORMULA", specs["rrelu"]["formula"])
