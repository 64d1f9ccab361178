"""Curves of activations, drawn with matplotlib."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from act_ext import functional
from act_ext._describe import spec_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS = 2001


def parameters_of(spec: dict[str, Any]) -> dict[str, float]:
    """The parameters that the facts in the spec hold for, where the op has no defaults for them."""
    facts = spec["facts"]
    return eval(f"dict({facts['at']})", {"inf": float("inf")}) if facts and facts["at"] else {}


def curve_of(name: str) -> Callable[[Tensor], Tensor]:
    """The activation as a function of one variable: a gated unit's up is 1, learned parameters are as in its facts.

    Raises:
        ValueError: if there is no activation of that name, or it is not a function of each element alone.
    """
    spec = spec_of(name)
    function, given = getattr(functional, name), parameters_of(spec)
    if spec["kind"] in ("pointwise", "rrelu"):
        return lambda x: function(x, **given)
    if spec["kind"] == "gated_unit":
        return lambda x: function(x, torch.ones_like(x))
    if spec["kind"] == "learned":
        learned = [torch.tensor([given.pop(p)], dtype=torch.float64) for p in spec["learned"].split(", ")]
        return lambda x: function(x, *learned, **given)
    raise ValueError(f"act_ext.plot: {name} is a function of several elements, which has no curve")


def _points(curve: Callable[[Tensor], Tensor], low: float, high: float) -> tuple[Any, Any, Any]:
    """Along the curve, with its slope: also where the caller has turned gradients off."""
    with torch.inference_mode(False), torch.enable_grad():
        x = torch.linspace(low, high, POINTS, dtype=torch.float64, requires_grad=True)
        y = curve(x)
        slope = torch.autograd.grad(y.sum(), x)[0] if y.requires_grad else torch.zeros_like(x)
    return x.detach().numpy(), _without_jumps(y.detach()).numpy(), _without_jumps(slope).numpy()


def _without_jumps(y: Tensor) -> Tensor:
    """NaN beside a jump, so that no line is drawn across it: where a step is far above its neighbours'."""
    steps = y.diff().abs()
    around = torch.maximum(steps.roll(1), steps.roll(-1))
    jump = (steps > 20 * around) & (steps > 1e-3 * (y.max() - y.min()))
    y = y.clone()
    y[1:][jump] = torch.nan
    return y


def plot(
    *names: str, derivative: bool = False, limits: tuple[float, float] = (-5.0, 5.0), ax: "Axes | None" = None
) -> "Axes":
    """Draws the curves of activations, all in one chart.

    Args:
        names: of :func:`list_activations`. Gated units are drawn with 1 for up, activations with learned parameters at
            those that their facts hold for (:func:`describe`).
        derivative: whether to draw each one's derivative too, dashed, in its colour.
        limits: the interval of x.
        ax: the axes to draw into; new ones if None.

    Returns:
        The axes: ``.figure.savefig("curves.png")`` writes them to a file.

    Raises:
        ImportError: if matplotlib is not installed.
        ValueError: if there is no name, one is unknown or has no curve, or the limits are not in order.

    Example:
        >>> import act_ext
        >>> ax = act_ext.plot("mish", "relu", derivative=True)
        >>> [line.get_label() for line in ax.lines]
        ['mish', "mish'", 'relu', "relu'"]
    """
    if not names:
        raise ValueError("act_ext.plot: at least one name must be given, as act_ext.plot('mish')")
    low, high = limits
    if not low < high:
        raise ValueError(f"act_ext.plot: limits must be two numbers in order, got {limits}")
    curves = [curve_of(name) for name in names]
    if ax is None:
        try:
            from matplotlib import pyplot
        except ImportError as error:
            raise ImportError("act_ext.plot needs matplotlib: run `pip install matplotlib`") from error
        ax = pyplot.subplots(figsize=(6.4, 4.8), layout="constrained")[1]
    for name, curve in zip(names, curves, strict=True):
        x, y, slope = _points(curve, low, high)
        (line,) = ax.plot(x, y, label=name)
        if derivative:
            ax.plot(x, slope, "--", color=line.get_color(), linewidth=1, label=f"{name}'")
    ax.axhline(0, color="black", linewidth=0.5, label="_zero")
    ax.axvline(0, color="black", linewidth=0.5, label="_zero")
    ax.grid(alpha=0.3)
    ax.set_xlabel("x")
    ax.set_xlim(low, high)
    ax.legend()
    return ax
