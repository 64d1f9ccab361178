"""Activations with learned parameters: tensors of one element, or of one for each channel."""

from torch import Tensor
from torch.compiler import is_dynamo_compiling

from act_ext._register import entry
from act_ext.functional._common import Function, derivatives_of, ops, specs

_LEARNED_NOTES = """
    Formula, in torch's terms with x for input:
        {formula}

    Derivatives; a parameter's is summed over the elements that share it:
        {derivatives}

    Shape:
        input: any. {parameters}: one element, or one for each channel; in dimension 1 an input of fewer than two
        dimensions has none. The result has input's shape, dtype, device and memory format. Only input and parameters
        are saved for backward.

    Raises:
        NotImplementedError: if input is not of dtype float32, float64, bfloat16 or float16.
        RuntimeError: if a parameter differs from input in dtype or device, or in its number of channels.{index_error}

    Paper:
        {paper}
"""
_INDEX_ERROR = """
        IndexError: if input has no dimension ``dim``."""

_ARGUMENTS = {
    name: ("input", *spec["learned"].split(", ")) for name, spec in specs.items() if spec["kind"] == "learned"
}


def documented_learned(function: Function) -> Function:
    """As ``documented``, for an activation with learned parameters."""
    name = function.__name__
    spec = specs[name]
    lines = [f"by {argument}: {text}" for argument, text in zip(_ARGUMENTS[name], derivatives_of(spec), strict=True)]
    notes = _LEARNED_NOTES.format(
        formula=spec["formula"],
        derivatives="\n        ".join(lines),
        parameters=spec["learned"],
        index_error=_INDEX_ERROR if "dim" in function.__annotations__ else "",
        paper=spec["paper"],
    )
    text, example, code = (function.__doc__ or "").partition("\n    Example:\n")
    dim = "dim: the dimension of the channels, of which each may have parameters of its own."
    function.__doc__ = text.replace("dim: ...", dim) + notes + example + code
    return function


_entries = {name: entry(name) for name in _ARGUMENTS}


def _learned(name: str, *arguments: Tensor | float) -> Tensor:
    return getattr(ops, name)(*arguments) if is_dynamo_compiling() else _entries[name](*arguments)


@documented_learned
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """Parametric ReLU: leaky ReLU with a learned slope below 0. The channels are in dimension 1, as in torch.

    Args:
        input: the tensor to apply the function to.
        weight: the slope below 0.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.prelu(torch.tensor([[-1.0, -1.0], [2.0, -3.0]]), torch.tensor([0.25, 0.5]))
        tensor([[-0.2500, -0.5000],
                [ 2.0000, -1.5000]])
    """
    return _learned("prelu", input, weight, 1)


@documented_learned
def learned_swish(input: Tensor, beta: Tensor, dim: int = 1) -> Tensor:
    """Swish whose beta is learned.

    Args:
        input: the tensor to apply the function to.
        beta: scales input inside the sigmoid: 0 gives half of input, infinity ReLU.
        dim: ...

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.learned_swish(torch.tensor([[-1.0, -1.0]]), torch.tensor([0.0, 1.0]))
        tensor([[-0.5000, -0.2689]])
    """
    return _learned("learned_swish", input, beta, dim)


@documented_learned
def pelu(input: Tensor, a: Tensor, b: Tensor, dim: int = 1) -> Tensor:
    """Parametric ELU: its scale and how fast it saturates are learned, with a slope that is continuous at 0.

    Args:
        input: the tensor to apply the function to.
        a: the function falls to -a; positive.
        b: the scale of input; positive.
        dim: ...

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.pelu(torch.tensor([-1.0, 2.0]), torch.tensor(1.0), torch.tensor(2.0))
        tensor([-0.3935,  1.0000])
    """
    return _learned("pelu", input, a, b, dim)


@documented_learned
def acon_c(input: Tensor, p1: Tensor, p2: Tensor, beta: Tensor, dim: int = 1) -> Tensor:
    """ACON-C, the smooth maximum of two lines through 0: swish where p1 is 1 and p2 is 0.

    Args:
        input: the tensor to apply the function to.
        p1: the slope of one line.
        p2: the slope of the other.
        beta: how sharp the maximum is: 0 gives the lines' mean, infinity their maximum.
        dim: ...

    Example:
        >>> import act_ext, torch
        >>> p1, p2, beta = torch.tensor([1.0, 1.0]), torch.tensor([0.0, 0.5]), torch.tensor(1.0)
        >>> act_ext.functional.acon_c(torch.tensor([[-1.0, -1.0]]), p1, p2, beta)
        tensor([[-0.2689, -0.6888]])
    """
    return _learned("acon_c", input, p1, p2, beta, dim)


@documented_learned
def xielu(
    input: Tensor, alpha_p: Tensor, alpha_n: Tensor, beta: float = 0.5, eps: float = -1e-6, dim: int = 1
) -> Tensor:
    """xIELU, the integral of an ELU: quadratic above 0, and below it falls to a minimum and rises.

    Args:
        input: the tensor to apply the function to.
        alpha_p: the curvature above 0, the value itself and not what a softplus makes it.
        alpha_n: that below 0.
        beta: the slope at 0.
        eps: where the exponential begins; nearer to 0 it is a constant.
        dim: ...

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.xielu(torch.tensor([-1.0, 2.0]), torch.tensor(0.8), torch.tensor(0.8))
        tensor([-0.2057,  4.2000])
    """
    return _learned("xielu", input, alpha_p, alpha_n, dim, beta, eps)


@documented_learned
def star_relu(input: Tensor, scale: Tensor, bias: Tensor, dim: int = 1) -> Tensor:
    """StarReLU: the square of ReLU, scaled and shifted.

    Args:
        input: the tensor to apply the function to.
        scale: times the square.
        bias: plus this.
        dim: ...

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.star_relu(torch.tensor([-1.0, 2.0]), torch.tensor(0.5), torch.tensor(-0.25))
        tensor([-0.2500,  1.7500])
    """
    return _learned("star_relu", input, scale, bias, dim)


@documented_learned
def dyt(input: Tensor, alpha: Tensor, weight: Tensor, bias: Tensor, dim: int = -1) -> Tensor:
    """Dynamic tanh, in the place of a layer's normalization: the channels are the last dimension unless told otherwise.

    Args:
        input: the tensor to apply the function to.
        alpha: scales input inside the tanh.
        weight: times the tanh.
        bias: plus this.
        dim: ...

    Example:
        >>> import act_ext, torch
        >>> weight, bias = torch.tensor([1.0, 2.0]), torch.tensor([0.0, 0.5])
        >>> act_ext.functional.dyt(torch.tensor([[-1.0, 2.0]]), torch.tensor(0.5), weight, bias)
        tensor([[-0.4621,  2.0232]])
    """
    return _learned("dyt", input, alpha, weight, bias, dim)


@documented_learned
def snake(input: Tensor, alpha: Tensor, dim: int = 1) -> Tensor:
    """Snake: the identity and a ripple, for what is periodic and grows. It never falls.

    Args:
        input: the tensor to apply the function to.
        alpha: the ripple's frequency, 2 * alpha, and the inverse of its height: 0 gives the identity.
        dim: ...

    Note:
        At infinity the value is infinite and its derivatives NaN.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.snake(torch.tensor([[-1.0, -1.0, 2.0]]), torch.tensor([0.0, 1.0, 5.0]))
        tensor([[-1.0000, -0.2919,  2.0592]])
    """
    return _learned("snake", input, alpha, dim)


@documented_learned
def snakebeta(input: Tensor, alpha: Tensor, beta: Tensor, dim: int = 1) -> Tensor:
    """Snake whose ripple has a height of its own, as in BigVGAN, but for the 1e-9 that its code adds to beta.

    Args:
        input: the tensor to apply the function to.
        alpha: the ripple's frequency, 2 * alpha.
        beta: the inverse of its height; not 0.
        dim: ...

    Note:
        At infinity the value is infinite and its derivatives NaN.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.snakebeta(torch.tensor([-1.0, 2.0]), torch.tensor(1.0), torch.tensor(2.0))
        tensor([-0.6460,  2.4134])
    """
    return _learned("snakebeta", input, alpha, beta, dim)
