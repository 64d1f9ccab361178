"""Loads the op library and registers what belongs to each op around its kernels: autograd, fake kernels, vmap.

One loop over the specs that the compiled List gives; no op is named here.
"""

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

REBUILD = "pip install --no-build-isolation --force-reinstall --no-deps ."


def _load() -> ModuleType:
    """The compiled module, after a check that it was built for this torch: a mismatch would crash, not raise."""
    try:
        build = import_module("act_ext._build_info")
    except ImportError as error:
        raise ImportError(f"act_ext is not built: run `{REBUILD}` in its source folder") from error
    facts = [
        ("torch", build.TORCH, torch.__version__, lambda v: v.split(".")[:2]),
        ("CUDA", build.CUDA, torch.version.cuda, lambda v: v if v is None else v.split(".")[0]),
        ("the C++ ABI", build.CXX11_ABI, torch.compiled_with_cxx11_abi(), lambda v: v),
    ]
    for what, built, found, essence in facts:
        if essence(built) != essence(found) and (what != "CUDA" or build.WITH_CUDA):
            raise ImportError(
                f"act_ext was built for {what} {built}, but this is {what} {found}: "
                f"run `{REBUILD}` in its source folder"
            )
    torch.ops.load_library(str(Path(__file__).with_name("libact_ext.so")))
    return import_module("act_ext._C")


C = _load()
DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
SPECS: list[dict[str, Any]] = C.specs()


def _fake_like_last(*args: Any, **kwargs: Any) -> torch.Tensor:
    """Outputs are laid out as the last tensor argument: the input, or what backward saved."""
    *others, model = [arg for arg in (*args, *kwargs.values()) if isinstance(arg, torch.Tensor)]
    if model.dtype not in DTYPES:
        raise NotImplementedError(f"act_ext: input must be of one of the dtypes {DTYPES}, got {model.dtype}")
    for other in others:
        for what in ("dtype", "device", "shape"):
            given, expected = getattr(other, what), getattr(model, what)
            if given != expected:
                raise RuntimeError(f"act_ext: all tensors must have the {what} of the last ({expected}), got {given}")
    return torch.neg(model)  # any pointwise op: its own fake kernel knows the strides that TensorIterator gives


def _fake_in_place(*args: Any, **kwargs: Any) -> torch.Tensor:
    return args[0] if args else kwargs["input"]


def _fake_out(*args: Any, out: torch.Tensor, **kwargs: Any) -> torch.Tensor:
    result = _fake_like_last(*args, **kwargs)
    if not torch.can_cast(result.dtype, out.dtype):
        raise RuntimeError(f"act_ext: result type {result.dtype} can't be cast to the output type {out.dtype} of out")
    if out.shape != result.shape:
        out.resize_(result.shape)
    return out


def _batched(op: Any) -> Any:
    """The vmap rule of an elementwise op: the batch dimension of every tensor goes first, and the op runs once."""

    def rule(info: Any, in_dims: tuple[int | None, ...], *args: Any, **kwargs: Any) -> tuple[torch.Tensor, int | None]:
        def align(arg: Any, dim: int | None) -> Any:
            if not isinstance(arg, torch.Tensor):
                return arg
            if dim is None:
                return arg.unsqueeze(0).expand(info.batch_size, *arg.shape)
            return arg.movedim(dim, 0)

        batched = {dim for arg, dim in zip(args, in_dims, strict=True) if isinstance(arg, torch.Tensor)}
        if len(batched) == 1:  # all tensors agree, so nothing has to move
            return op(*args, **kwargs), batched.pop()
        return op(*(align(arg, dim) for arg, dim in zip(args, in_dims, strict=True)), **kwargs), 0

    return rule


def _batched_in_place(op: Any) -> Any:
    def rule(info: Any, in_dims: tuple[int | None, ...], *args: Any, **kwargs: Any) -> tuple[torch.Tensor, int | None]:
        return op(*args, **kwargs), in_dims[0]

    return rule


def _overload(name: str) -> Any:
    base, _, overload = name.partition(".")
    return getattr(getattr(torch.ops.act_ext, base), overload or "default")


def _register(spec: dict[str, Any]) -> None:
    name = spec["name"]
    C.register_autograd(name)
    for op in (name, *spec["backward_ops"]):
        torch.library.register_fake(f"act_ext::{op}", _fake_like_last)
        torch.library.register_vmap(f"act_ext::{op}", _batched(_overload(op)))
    torch.library.register_fake(f"act_ext::{name}_", _fake_in_place)
    torch.library.register_vmap(f"act_ext::{name}_", _batched_in_place(_overload(f"{name}_")))
    torch.library.register_fake(f"act_ext::{name}.out", _fake_out)


for _spec in SPECS:
    _register(_spec)


def entry(name: str) -> Any:
    """The op's fast entry from Python: positional arguments only, the tensor first."""
    return C.entry(name, getattr(torch.ops.act_ext, name))
