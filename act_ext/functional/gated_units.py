"""The gated units: of a gate and the other half, or of one tensor that holds both."""

from torch import Tensor
from torch.compiler import is_dynamo_compiling

from act_ext._register import entry
from act_ext.functional._common import Function, derivatives_of, ops, require_tensor, specs

_UNIT_NOTES = """
    Formula, in torch's terms:
        {formula}

    Derivatives:
        by gate: {by_gate}
        by up: {by_up}

    Shape:
        gate and up: any, the same. Packed in one tensor: the size of dimension ``dim`` is even, the result's is half.
        The result has up's dtype, device and memory format. Only the inputs are saved for backward.

    Raises:
        NotImplementedError: if up is not of dtype float32, float64, bfloat16 or float16.
        RuntimeError: if gate and up differ in shape, dtype or device, or the packed size is odd.

    Paper:
        {paper}
"""


def documented_unit(function: Function) -> Function:
    """As ``documented``, for a gated unit."""
    spec = specs[function.__name__]
    text, example, code = (function.__doc__ or "").partition("\n    Example:\n")
    arguments = """
        gate: the tensor that the activation is applied to; without up, a tensor of both halves.
        up: the other half, of the same shape.
        dim: where gate holds both halves, the dimension that they share.
        gate_first: whether the gate is the first of the two.
        interleaved: whether the halves alternate, element by element, and do not follow each other."""
    text = text.replace("\n        ...", arguments)
    by_gate, by_up = derivatives_of(spec)
    notes = _UNIT_NOTES.format(formula=spec["formula"], by_gate=by_gate, by_up=by_up, paper=spec["paper"])
    function.__doc__ = text + notes + example + code
    return function


_units = {name: entry(name) for name, spec in specs.items() if spec["kind"] == "gated_unit"}


def _unit(
    name: str, gate: Tensor, up: Tensor | None, dim: int, gate_first: bool, interleaved: bool, *params: float
) -> Tensor:
    if up is None:
        require_tensor(name, "gate", gate)
        return getattr(ops, name + "_packed")(gate, dim, gate_first, interleaved, *params)
    return getattr(ops, name)(gate, up, *params) if is_dynamo_compiling() else _units[name](gate, up, *params)


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
    require_tensor("glu", "input", input)
    return ops.siglu_packed(input, dim, False)


@documented_unit
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


@documented_unit
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


@documented_unit
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


@documented_unit
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


@documented_unit
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


@documented_unit
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


@documented_unit
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


@documented_unit
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


@documented_unit
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
