"""Maxout: units that take the largest of their pieces."""

from torch import Tensor

from act_ext.functional._common import ops, require_tensor, specs


def maxout(input: Tensor, num_pieces: int, dim: int = 1) -> Tensor:
    """The largest of each num_pieces neighbouring channels: a learned convex function after a linear layer.

    Args:
        input: the tensor of all pieces; those of a unit follow each other along ``dim``.
        num_pieces: how many pieces a unit has.
        dim: the dimension of the channels.

    Formula, in torch's terms with x for input:
        FORMULA

    Derivative:
        1 for the first of a unit's largest pieces, 0 for the others. NaN counts as the largest, as in torch.max.

    Shape:
        input: any with a multiple of num_pieces channels. The result has that part of them, contiguous, and input's
        dtype and device. For backward the winners' numbers are saved, in one byte each up to 256 pieces.

    Raises:
        NotImplementedError: if input is not of dtype float32, float64, bfloat16 or float16.
        RuntimeError: if the size of dimension dim is no multiple of num_pieces.
        ValueError: if num_pieces is not positive.
        IndexError: if input has no dimension dim.

    Paper:
        arXiv:1302.4389

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.maxout(torch.tensor([[1.0, -2.0, 3.0, 0.5]]), 2)
        tensor([[1., 3.]])
    """
    require_tensor("maxout", "input", input)
    return ops.maxout(input, num_pieces, dim)


maxout.__doc__ = (maxout.__doc__ or "").replace("FORMULA", specs["maxout"]["formula"])
