"""torch's own functions, run by act_ext's kernels: for code that calls them and cannot be changed."""

import inspect
from collections.abc import Callable
from contextlib import ContextDecorator
from threading import Lock
from types import TracebackType
from typing import Any, TypeVar

from act_ext._register import C

_Function = TypeVar("_Function", bound=Callable[..., Any])
_lock = Lock()
_holders: dict[str, int] = dict.fromkeys(C.overridable(), 0)


def _hold(names: tuple[str, ...], step: int) -> None:
    with _lock:
        for name in names:
            before, _holders[name] = _holders[name], _holders[name] + step
            if bool(before) != bool(_holders[name]):
                C.override_native(name, bool(_holders[name]))


class override_native(ContextDecorator):
    """Makes torch's own activations run act_ext's kernels, forward and backward, wherever they are called from.

    ``torch.nn.functional.mish``, ``torch.sigmoid``, ``Tensor.tanh_``, ``torch.nn.GELU``, code in C++: within the block
    (or the decorated function) act_ext's kernels stand in the dispatcher before the native ones. Autograd and what it
    saves stay torch's. A call that act_ext has no kernel for (integers, shapes that do not fit, a parameter that is not
    finite) goes to the native kernel as before, with its result or its error, and no other op notices. Blocks may be
    nested; a backward pass runs the kernels that are there when it runs.

    :func:`set_override_native` is the form that lasts.

    Args:
        names: the activations, of those that ``act_ext.override_native.names`` lists; all of them if none is given.
            elu includes selu and celu, hardtanh includes relu6. Functions that torch composes of others (tanhshrink,
            softmin, relu6...) follow what they are composed of.

    Raises:
        ValueError: if a name is not one of those.

    What differs from torch, beside the last bits: a NaN has a NaN gradient, where relu's and threshold's native one is
    1; and a gradient has the layout of the input, where that of grad_output is another.

    .. note::
        The dispatcher is the whole process's: enter and leave while no other thread runs these ops. Code that
        torch.compile has generated calls no kernel, and is not affected.

    Example:
        >>> import act_ext, torch
        >>> with act_ext.override_native():
        ...     torch.nn.functional.relu(torch.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """

    names = tuple(_holders)

    def __init__(self, *names: str) -> None:
        for name in names:
            if name not in _holders:
                raise ValueError(f"act_ext.override_native: name must be one of {', '.join(self.names)}, got {name!r}")
        self._held = names or self.names

    def __enter__(self) -> "override_native":
        _hold(self._held, 1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _hold(self._held, -1)

    def __call__(self, function: _Function) -> _Function:
        if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
            raise TypeError(
                f"act_ext.override_native: {function.__qualname__} runs on after its call: use a block inside"
            )
        return super().__call__(function)


_lasting: list[override_native] = []


def set_override_native(enabled: bool, *names: str) -> None:
    """:class:`override_native` from now on, for the whole process, or no longer.

    Args:
        enabled: whether torch's own activations are to run act_ext's kernels. False ends what earlier calls of this
            function began, all of it; blocks of :class:`override_native` are not affected.
        names: as for :class:`override_native`.

    Raises:
        ValueError: if a name is not one of ``act_ext.override_native.names``, or names are given with False.

    Example:
        >>> import act_ext
        >>> act_ext.set_override_native(True, "mish", "gelu")
        >>> act_ext.set_override_native(False)
    """
    if enabled:
        _lasting.append(override_native(*names).__enter__())
        return
    if names:
        raise ValueError("act_ext.set_override_native: names must not be given with False, which ends all overrides")
    while _lasting:
        _lasting.pop().__exit__(None, None, None)
