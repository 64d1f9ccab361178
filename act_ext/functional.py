"""The activations as functions, with the names, arguments and defaults of ``torch.nn.functional`` where it has them.

Every function takes a tensor of any shape and layout on the CPU or a CUDA device, is differentiable twice, and works
under ``torch.compile``, ``torch.func`` and ``torch.export``.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.compiler import is_dynamo_compiling
from torch.overrides import is_tensor_like

from act_ext._register import SPECS, entry

_ops = torch.ops.act_ext
_specs = {spec["name"]: spec for spec in SPECS}

_NOTES = """
    Formula, in torch's terms with x for input:
        {formula}

    Shape:
        Any. The result has input's shape, dtype, device and memory format.

    Raises:
        NotImplementedError: if input is not of dtype float32, float64, bfloat16 or float16.
{raises}{paper}"""


def _documented(raises: str = "") -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Completes a docstring with what the op's spec tells, above its example."""

    def complete(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        spec = _specs[function.__name__]
        paper = f"\n    Paper:\n        {spec['paper']}\n" if spec["paper"] else ""
        notes = _NOTES.format(formula=spec["formula"], raises=f"        {raises}\n" if raises else "", paper=paper)
        text, example, code = (function.__doc__ or "").partition("\n    Example:\n")
        function.__doc__ = text + notes + example + code
        return function

    return complete


_identity = entry("identity")


@_documented()
def identity(input: Tensor) -> Tensor:
    """Returns a copy of input: the op that leaves values and gradients as they are.

    Args:
        input: the tensor to apply the function to.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.identity(torch.tensor([-1.0, 2.0]))
        tensor([-1.,  2.])
    """
    return _ops.identity(input) if is_dynamo_compiling() else _identity(input)


_binary_step = entry("binary_step")


@_documented()
def binary_step(input: Tensor) -> Tensor:
    """One where input is not negative, zero elsewhere. Its gradient is zero everywhere.

    Args:
        input: the tensor to apply the function to.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.binary_step(torch.tensor([-1.0, 0.0, 2.0]))
        tensor([0., 1., 1.])
    """
    return _ops.binary_step(input) if is_dynamo_compiling() else _binary_step(input)


_relu = entry("relu")


@_documented()
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
    return _ops.relu_(input) if inplace else _ops.relu(input)


_relu6 = entry("relu6")


@_documented()
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
    return _ops.relu6_(input) if inplace else _ops.relu6(input)


_leaky_relu = entry("leaky_relu")


@_documented()
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
    return _ops.leaky_relu_(input, negative_slope) if inplace else _ops.leaky_relu(input, negative_slope)


_threshold = entry("threshold")


@_documented()
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
    return _ops.threshold_(input, threshold, value) if inplace else _ops.threshold(input, threshold, value)


_hardtanh = entry("hardtanh")


@_documented("ValueError: if min_val is greater than max_val.")
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
    return _ops.hardtanh_(input, min_val, max_val) if inplace else _ops.hardtanh(input, min_val, max_val)


_softshrink = entry("softshrink")


@_documented("ValueError: if lambd is negative.")
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
    return _ops.softshrink(input, lambd) if is_dynamo_compiling() else _softshrink(input, lambd)


_hardshrink = entry("hardshrink")


@_documented()
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
    return _ops.hardshrink(input, lambd) if is_dynamo_compiling() else _hardshrink(input, lambd)


_hardsigmoid = entry("hardsigmoid")


@_documented()
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
    return _ops.hardsigmoid_(input) if inplace else _ops.hardsigmoid(input)


_hardswish = entry("hardswish")


@_documented()
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
    return _ops.hardswish_(input) if inplace else _ops.hardswish(input)


_relu_squared = entry("relu_squared")


@_documented()
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
    return _ops.relu_squared_(input) if inplace else _ops.relu_squared(input)


_elu = entry("elu")


@_documented()
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
    return _ops.elu_(input, alpha) if inplace else _ops.elu(input, alpha)


_selu = entry("selu")


@_documented()
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
    return _ops.selu_(input) if inplace else _ops.selu(input)


_celu = entry("celu")


@_documented("ValueError: if alpha is 0.")
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
    return _ops.celu_(input, alpha) if inplace else _ops.celu(input, alpha)


_sigmoid = entry("sigmoid")


@_documented()
def sigmoid(input: Tensor) -> Tensor:
    """Logistic sigmoid. Backward needs only the result.

    Args:
        input: the tensor to apply the function to.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.sigmoid(torch.tensor([0.0, 2.0]))
        tensor([0.5000, 0.8808])
    """
    return _ops.sigmoid(input) if is_dynamo_compiling() else _sigmoid(input)


_logsigmoid = entry("logsigmoid")


@_documented()
def logsigmoid(input: Tensor) -> Tensor:
    """Logarithm of the sigmoid, accurate where the sigmoid itself rounds to 0 or 1.

    Args:
        input: the tensor to apply the function to.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.logsigmoid(torch.tensor([-2.0, 2.0]))
        tensor([-2.1269, -0.1269])
    """
    return _ops.logsigmoid(input) if is_dynamo_compiling() else _logsigmoid(input)


_tanh = entry("tanh")


@_documented()
def tanh(input: Tensor) -> Tensor:
    """Hyperbolic tangent. Backward needs only the result.

    Args:
        input: the tensor to apply the function to.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.tanh(torch.tensor([-1.0, 2.0]))
        tensor([-0.7616,  0.9640])
    """
    return _ops.tanh(input) if is_dynamo_compiling() else _tanh(input)


_tanhshrink = entry("tanhshrink")


@_documented()
def tanhshrink(input: Tensor) -> Tensor:
    """input minus its hyperbolic tangent, accurate near 0 where the two cancel.

    Args:
        input: the tensor to apply the function to.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.tanhshrink(torch.tensor([-1.0, 2.0]))
        tensor([-0.2384,  1.0360])
    """
    return _ops.tanhshrink(input) if is_dynamo_compiling() else _tanhshrink(input)


_softsign = entry("softsign")


@_documented()
def softsign(input: Tensor) -> Tensor:
    """input divided by one plus its magnitude.

    Args:
        input: the tensor to apply the function to.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.softsign(torch.tensor([-1.0, 3.0]))
        tensor([-0.5000,  0.7500])
    """
    return _ops.softsign(input) if is_dynamo_compiling() else _softsign(input)


_softplus = entry("softplus")


@_documented()
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
    return _ops.softplus(input, beta, threshold) if is_dynamo_compiling() else _softplus(input, beta, threshold)


_silu = entry("silu")


@_documented()
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
    return _ops.silu_(input) if inplace else _ops.silu(input)


_swish = entry("swish")


@_documented()
def swish(input: Tensor, beta: float = 1.0, inplace: bool = False) -> Tensor:
    """SiLU with a chosen beta.

    Args:
        input: the tensor to apply the function to.
        beta: scales input inside the sigmoid: 0 gives half of input, infinity ReLU.
        inplace: overwrite input with the result.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.swish(torch.tensor([-1.0, 2.0]))
        tensor([-0.2689,  1.7616])
    """
    if not inplace and not is_dynamo_compiling():
        return _swish(input, beta)
    return _ops.swish_(input, beta) if inplace else _ops.swish(input, beta)


_quick_gelu = entry("quick_gelu")


@_documented()
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
    return _ops.quick_gelu_(input) if inplace else _ops.quick_gelu(input)


_gelu = entry("gelu")


@_documented('RuntimeError: if approximate is neither "none" nor "tanh".')
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
    return _ops.gelu(input, approximate=approximate) if is_dynamo_compiling() else _gelu(input, approximate)


_gelu_tanh = entry("gelu_tanh")


@_documented()
def gelu_tanh(input: Tensor) -> Tensor:
    """The tanh approximation of GELU.

    Args:
        input: the tensor to apply the function to.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.gelu_tanh(torch.tensor([-1.0, 2.0]))
        tensor([-0.1588,  1.9546])
    """
    return _ops.gelu_tanh(input) if is_dynamo_compiling() else _gelu_tanh(input)


_mish = entry("mish")


@_documented()
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
    return _ops.mish_(input) if inplace else _ops.mish(input)


_hard_mish = entry("hard_mish")


@_documented()
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
    return _ops.hard_mish_(input) if inplace else _ops.hard_mish(input)


_squareplus = entry("squareplus")


@_documented(raises="ValueError: if b is not positive.")
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
    return _ops.squareplus_(input, b) if inplace else _ops.squareplus(input, b)


_isru = entry("isru")


@_documented(raises="ValueError: if alpha is not positive.")
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
    return _ops.isru_(input, alpha) if inplace else _ops.isru(input, alpha)


_isrlu = entry("isrlu")


@_documented(raises="ValueError: if alpha is not positive.")
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
    return _ops.isrlu_(input, alpha) if inplace else _ops.isrlu(input, alpha)


_lisht = entry("lisht")


@_documented()
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
    return _ops.lisht_(input) if inplace else _ops.lisht(input)


_tanhexp = entry("tanhexp")


@_documented()
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
    return _ops.tanhexp_(input) if inplace else _ops.tanhexp(input)


_smish = entry("smish")


@_documented()
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
    return _ops.smish_(input) if inplace else _ops.smish(input)


_logish = entry("logish")


@_documented()
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
    return _ops.logish_(input) if inplace else _ops.logish(input)


_gish = entry("gish")


@_documented()
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
    return _ops.gish_(input) if inplace else _ops.gish(input)


# The gated units.

_UNIT_NOTES = """
    Formula, in torch's terms:
        {formula}

    Shape:
        gate and up: any, the same. Packed in one tensor: the size of dimension ``dim`` is even, the result's is half.
        The result has up's dtype, device and memory format. Only the inputs are saved for backward.

    Raises:
        NotImplementedError: if up is not of dtype float32, float64, bfloat16 or float16.
        RuntimeError: if gate and up differ in shape, dtype or device, or the packed size is odd.

    Paper:
        {paper}
"""


def _documented_unit(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """As _documented, for a gated unit."""
    spec = _specs[function.__name__]
    text, example, code = (function.__doc__ or "").partition("\n    Example:\n")
    arguments = """
        gate: the tensor that the activation is applied to; without up, a tensor of both halves.
        up: the other half, of the same shape.
        dim: where gate holds both halves, the dimension that they share.
        gate_first: whether the gate is the first of the two.
        interleaved: whether the halves alternate, element by element, and do not follow each other."""
    text = text.replace("\n        ...", arguments)
    function.__doc__ = text + _UNIT_NOTES.format(formula=spec["formula"], paper=spec["paper"]) + example + code
    return function


def _require_tensor(name: str, argument: str, given: object) -> None:
    if not is_tensor_like(given):
        raise TypeError(f"act_ext.{name}(): argument '{argument}' must be Tensor, not {type(given).__name__}")


_units = {name: entry(name) for name, spec in _specs.items() if spec["arity"] == 2}


def _unit(
    name: str, gate: Tensor, up: Tensor | None, dim: int, gate_first: bool, interleaved: bool, *params: float
) -> Tensor:
    if up is None:
        _require_tensor(name, "gate", gate)
        return getattr(_ops, name + "_packed")(gate, dim, gate_first, interleaved, *params)
    return getattr(_ops, name)(gate, up, *params) if is_dynamo_compiling() else _units[name](gate, up, *params)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """Gated linear unit as in torch: the first half of input times the sigmoid of the second, ``a * sigmoid(b)``.

    Args:
        input: a tensor whose size in dimension ``dim`` is even.
        dim: the dimension to halve.

    Shape:
        As input's, with half the size in dimension ``dim``.

    Raises:
        NotImplementedError: if input is not of dtype float32, float64, bfloat16 or float16.
        RuntimeError: if the size of dimension ``dim`` is odd.

    Paper:
        arXiv:1612.08083

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.glu(torch.tensor([1.0, 2.0, -1.0, 0.0]))
        tensor([0.2689, 1.0000])
    """
    _require_tensor("glu", "input", input)
    return _ops.siglu_packed(input, dim, False)


@_documented_unit
def siglu(
    gate: Tensor,
    up: Tensor | None = None,
    *,
    dim: int = -1,
    gate_first: bool = True,
    interleaved: bool = False,
) -> Tensor:
    """The gated linear unit of Dauphin et al. with the gate first: a sigmoid of the gate, times the other half.

    Args:
        ...

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.siglu(torch.tensor([-1.0, 2.0]), torch.tensor([3.0, 0.5]))
        tensor([0.8068, 0.4404])
    """
    return _unit("siglu", gate, up, dim, gate_first, interleaved)


@_documented_unit
def swiglu(
    gate: Tensor,
    up: Tensor | None = None,
    *,
    dim: int = -1,
    gate_first: bool = True,
    interleaved: bool = False,
) -> Tensor:
    """SiLU of the gate, times the other half: the feed-forward layer of Llama and most language models since.

    Args:
        ...

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.swiglu(torch.tensor([-1.0, 2.0]), torch.tensor([3.0, 0.5]))
        tensor([-0.8068,  0.8808])
    """
    return _unit("swiglu", gate, up, dim, gate_first, interleaved)


@_documented_unit
def geglu(
    gate: Tensor,
    up: Tensor | None = None,
    approximate: str = "none",
    *,
    dim: int = -1,
    gate_first: bool = True,
    interleaved: bool = False,
) -> Tensor:
    """GELU of the gate, times the other half.

    Args:
        ...
        approximate: ``"none"`` or ``"tanh"``, as in :func:`gelu`.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.geglu(torch.tensor([-1.0, 2.0]), torch.tensor([3.0, 0.5]))
        tensor([-0.4760,  0.9772])
    """
    if approximate not in ("none", "tanh"):
        raise RuntimeError(f"geglu: approximate must be 'none' or 'tanh', got {approximate!r}")
    return _unit("geglu" if approximate == "none" else "geglu_tanh", gate, up, dim, gate_first, interleaved)


@_documented_unit
def quick_geglu(
    gate: Tensor,
    up: Tensor | None = None,
    *,
    dim: int = -1,
    gate_first: bool = True,
    interleaved: bool = False,
) -> Tensor:
    """The sigmoid approximation of GELU of the gate, times the other half.

    Args:
        ...

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.quick_geglu(torch.tensor([-1.0, 2.0]), torch.tensor([3.0, 0.5]))
        tensor([-0.4626,  0.9678])
    """
    return _unit("quick_geglu", gate, up, dim, gate_first, interleaved)


@_documented_unit
def reglu(
    gate: Tensor,
    up: Tensor | None = None,
    *,
    dim: int = -1,
    gate_first: bool = True,
    interleaved: bool = False,
) -> Tensor:
    """ReLU of the gate, times the other half.

    Args:
        ...

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.reglu(torch.tensor([-1.0, 2.0]), torch.tensor([3.0, 0.5]))
        tensor([0., 1.])
    """
    return _unit("reglu", gate, up, dim, gate_first, interleaved)


@_documented_unit
def seglu(
    gate: Tensor,
    up: Tensor | None = None,
    *,
    dim: int = -1,
    gate_first: bool = True,
    interleaved: bool = False,
) -> Tensor:
    """SELU of the gate, times the other half.

    Args:
        ...

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.seglu(torch.tensor([-1.0, 2.0]), torch.tensor([3.0, 0.5]))
        tensor([-3.3340,  1.0507])
    """
    return _unit("seglu", gate, up, dim, gate_first, interleaved)


@_documented_unit
def bilinear_glu(
    gate: Tensor,
    up: Tensor | None = None,
    *,
    dim: int = -1,
    gate_first: bool = True,
    interleaved: bool = False,
) -> Tensor:
    """The gate times the other half, without an activation.

    Args:
        ...

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.bilinear_glu(torch.tensor([-1.0, 2.0]), torch.tensor([3.0, 0.5]))
        tensor([-3.,  1.])
    """
    return _unit("bilinear_glu", gate, up, dim, gate_first, interleaved)


@_documented_unit
def swiglu_clamped(
    gate: Tensor,
    up: Tensor | None = None,
    alpha: float = 1.702,
    limit: float = 7.0,
    *,
    dim: int = -1,
    gate_first: bool = True,
    interleaved: bool = False,
) -> Tensor:
    """SwiGLU with bounds, as gpt-oss uses it: the gate at most limit, the other half within limit and plus 1.

    Args:
        ...
        alpha: the factor in the sigmoid of the gate.
        limit: the bound of the gate from above, and of the other half on both sides.

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.swiglu_clamped(torch.tensor([-1.0, 2.0]), torch.tensor([3.0, 0.5]))
        tensor([-0.6168,  2.9035])
    """
    return _unit("swiglu_clamped", gate, up, dim, gate_first, interleaved, alpha, limit)


@_documented_unit
def geglu_tanh(
    gate: Tensor, up: Tensor | None = None, *, dim: int = -1, gate_first: bool = True, interleaved: bool = False
) -> Tensor:
    """The tanh approximation of GELU of the gate, times the other half.

    Args:
        ...

    Example:
        >>> import act_ext, torch
        >>> act_ext.functional.geglu_tanh(torch.tensor([-1.0, 2.0]), torch.tensor([3.0, 0.5]))
        tensor([-0.4764,  0.9773])
    """
    return _unit("geglu_tanh", gate, up, dim, gate_first, interleaved)
