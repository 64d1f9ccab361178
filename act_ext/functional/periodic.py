"""Periodic activations."""

from torch import Tensor
from torch.compiler import is_dynamo_compiling

from act_ext._register import entry
from act_ext.functional._common import documented, ops

_sine = entry("sine")


@documented()
def sine(input: Tensor, omega: float = 1.0, inplace: bool = False) -> Tensor:
    """Sine of omega times input, the activation of SIREN, whose first layer has an omega of 30.

    Args:
        input: the tensor to apply the function to.
        omega: scales input inside the sine. The product is not rounded: omega in the precision that is computed in,
            float32 but for float64, is the frequency, however large input is.
        inplace: overwrite input with the result.

    Note:
        The result is NaN where input is infinite.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.sine(torch.tensor([-0.5, 0.1]), omega=30.0)
        tensor([-0.6503,  0.1411])
    """
    if not inplace and not is_dynamo_compiling():
        return _sine(input, omega)
    return ops.sine_(input, omega) if inplace else ops.sine(input, omega)
