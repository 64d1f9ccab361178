"""act_ext: activation functions for PyTorch from hand-written CPU and CUDA kernels.

``torch.ops.act_ext.mish(x)``, ``act_ext.functional.mish(x)`` and ``act_ext.nn.Mish()`` are one op in three dresses,
with the names, arguments and defaults of ``torch.nn.functional`` and ``torch.nn`` where those have it.

>>> import act_ext, torch
>>> act_ext.functional.relu(torch.tensor([-1.0, 2.0]))
tensor([0., 2.])
"""

from importlib.metadata import PackageNotFoundError, version

from act_ext import (
    _register,  # loads the op library and completes its registration, before anything else
    functional,
    nn,
)
from act_ext._convert import convert
from act_ext._describe import describe
from act_ext._override import override_native, set_override_native
from act_ext._plot import plot

try:
    __version__ = version("act_ext")
except PackageNotFoundError:  # run from a source tree that was built in place
    __version__ = "0+unknown"


def list_activations() -> list[str]:
    """The names of all activations, each an op in ``torch.ops.act_ext`` and a function in ``act_ext.functional``.

    >>> import act_ext
    >>> "mish" in act_ext.list_activations()
    True
    """
    return [spec["name"] for spec in _register.SPECS]


def cpu_capability() -> str:
    """The instruction set that the CPU kernels use: ``"avx512"``, ``"avx2"`` or ``"default"``.

    The best that the processor has, or what the environment variable ``ACT_EXT_CPU_CAPABILITY`` names. The choice is
    made once, at the first call of any op.

    Raises:
        ValueError: if ``ACT_EXT_CPU_CAPABILITY`` names a set that the processor does not have.
    """
    return _register.C.cpu_capability()


def built_with_cuda() -> bool:
    """Whether this build has CUDA kernels."""
    return _register.C.built_with_cuda()


__all__ = [
    "built_with_cuda",
    "convert",
    "cpu_capability",
    "describe",
    "functional",
    "list_activations",
    "nn",
    "override_native",
    "plot",
    "set_override_native",
]
