"""What the specs tell of an activation, as text."""

from collections.abc import Iterator
from difflib import get_close_matches
from math import inf
from typing import Any

from act_ext._register import SPECS


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _smoothness(order: float) -> str:
    return {-1: "discontinuous", inf: "infinitely differentiable"}.get(order, f"C{order:g}")


def _facts(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "range", f"{facts['infimum']:.7g} to {facts['supremum']:.7g}"
    if facts["minimum_at"] is not None:
        yield "minimum", f"{facts['infimum']:.7g} at x = {facts['minimum_at']:.7g}"
    yield "monotonic", _yes(facts["monotonic"])
    yield "zero-centred", _yes(facts["zero_centred"])
    yield "saturates", facts["saturates"]
    yield "smoothness", _smoothness(facts["smoothness"])


def _derivatives(spec: dict[str, Any]) -> Iterator[tuple[str, str]]:
    parts = spec["derivative"].split("; ")
    names = {"gated_unit": ["gate", "up"], "learned": ["x", *spec["learned"].split(", ")]}.get(spec["kind"])
    if names is None:
        yield "derivative", spec["derivative"]
    else:
        yield from ((f"by {name}", part) for name, part in zip(names, parts, strict=True))


def lines_of(spec: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What `describe` prints, by name."""
    for part in ("formula", "derivative", "learned", "params", "paper"):
        if part == "derivative" and spec.get(part):
            yield from _derivatives(spec)
        elif spec.get(part):
            yield {"params": "parameters"}.get(part, part), spec[part]
    facts = spec.get("facts")
    if facts:
        if facts["at"] or spec["params"]:
            yield "at", facts["at"] or "the default parameters"
        yield from _facts(facts)


def spec_of(name: str) -> dict[str, Any]:
    """The spec of an activation; a ValueError that proposes a name where there is none."""
    specs = {spec["name"]: spec for spec in SPECS}
    if name not in specs:
        # torch's glu is siglu with the gate last.
        close = ["siglu"] if name == "glu" else get_close_matches(name, specs, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ValueError(f"no activation is named {name!r}: {hint}act_ext.list_activations() lists the names")
    return specs[name]


def describe(name: str) -> None:
    """Prints what is known of an activation: formula, derivative, parameters, range, minimum and more.

    Formula and derivative are torch's Python over x and the parameters; of several tensors there is a derivative by
    each, and that of a function of rows is the gradient of x, with g the gradient of the result y. A function is
    zero-centred where it is 0 at 0 and has values of both signs; it saturates below, above or both where it has a
    finite limit at minus infinity, infinity or both; it is Cn where its first n derivatives are continuous, and the
    next is not.

    Args:
        name: one of :func:`list_activations`.

    Raises:
        ValueError: if no activation has that name.

    Example:
        >>> import act_ext
        >>> act_ext.describe("mish")
        mish
          formula       x * tanh(logaddexp(zeros_like(x), x))
          derivative    tanh(s := logaddexp(zeros_like(x), x)) + x * sigmoid(x) / cosh(s)**2
          paper         arXiv:1908.08681
          range         -0.3088434 to inf
          minimum       -0.3088434 at x = -1.192431
          monotonic     no
          zero-centred  yes
          saturates     below
          smoothness    infinitely differentiable
    """
    print(name, *(f"  {what:<12}  {text}" for what, text in lines_of(spec_of(name))), sep="\n")
