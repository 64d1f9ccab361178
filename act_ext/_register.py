"""Loads the op library and registers what belongs to each op around its kernels: autograd, fake kernels, vmap.

One loop over the specs that the compiled List gives; no op is named here.
"""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch._C import _functorch as functorch
from torch._functorch.pyfunctorch import retrieve_current_functorch_interpreter

REBUILD = "pip install --no-build-isolation --force-reinstall --no-deps ."


def _load() -> ModuleType:
    """The compiled module, after a check that it was built for this torch: a mismatch would crash, not raise."""
    try:
        build = import_module("act_ext._build_info")
    except ImportError as error:
        raise ImportError(
            f"act_ext is not built in {Path(__file__).parent}: leave the source folder if it is installed, "
            "or run `pip install --no-build-isolation --editable .` in it"
        ) from error
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


def build_info() -> str:
    """What the op library was compiled against."""
    build = import_module("act_ext._build_info")
    return f"torch {build.TORCH}, CUDA {build.CUDA}" if build.WITH_CUDA else f"torch {build.TORCH}"


def _like(model: torch.Tensor) -> torch.Tensor:
    return torch.neg(model)  # any pointwise op: its own fake kernel knows the strides that TensorIterator gives


def _check_alike(*tensors: torch.Tensor) -> None:
    *others, model = tensors
    if model.dtype not in DTYPES:
        raise NotImplementedError(f"act_ext: input must be of one of the dtypes {DTYPES}, got {model.dtype}")
    for other in others:
        for what in ("dtype", "device", "shape"):
            given, expected = getattr(other, what), getattr(model, what)
            if given != expected:
                raise RuntimeError(f"act_ext: all tensors must have the {what} of the last ({expected}), got {given}")


def _fake_like_last(*args: Any, **kwargs: Any) -> torch.Tensor:
    """Outputs are laid out as the last tensor argument: the input, or what backward saved."""
    tensors = [arg for arg in (*args, *kwargs.values()) if isinstance(arg, torch.Tensor)]
    _check_alike(*tensors)
    return _like(tensors[-1])


def _fake_in_place(*args: Any, **kwargs: Any) -> torch.Tensor:
    return args[0] if args else kwargs["input"]


def _fake_out(*args: Any, out: torch.Tensor, **kwargs: Any) -> torch.Tensor:
    result = _fake_like_last(*args, **kwargs)
    if not torch.can_cast(result.dtype, out.dtype):
        raise RuntimeError(f"act_ext: result type {result.dtype} can't be cast to the output type {out.dtype} of out")
    if out.shape != result.shape:
        out.resize_(result.shape)
    return out


def _halves(input: torch.Tensor, dim: int = -1, gate_first: bool = True, interleaved: bool = False) -> Any:
    """The gate and the other half of a gated unit's packed input, as views."""
    if input.dim() == 0:
        raise RuntimeError("act_ext: input must have at least one dimension, got a 0-dim tensor")
    size = input.size(dim)
    if size % 2 != 0:
        raise RuntimeError(f"act_ext: input must have an even size in dimension {dim}, got {size}")
    if interleaved:
        first, second = (torch.ops.aten.slice.Tensor(input, dim, start, size, 2) for start in (0, 1))
    else:
        first, second = input.narrow(dim, 0, size // 2), input.narrow(dim, size // 2, size // 2)
    return (first, second) if gate_first else (second, first)


def wrapped(dim: int, rank: int) -> int:
    """The dimension counted from the front; a 0-dim tensor is taken to have one."""
    rank = max(rank, 1)
    if not -rank <= dim < rank:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-rank}, {rank - 1}], but got {dim})")
    return dim % rank


def _batch_first(info: Any, arg: Any, dim: int | None) -> Any:
    """A tensor argument with its batch dimension in front; anything else as it is."""
    if not isinstance(arg, torch.Tensor):
        return arg
    return arg.unsqueeze(0).expand(info.batch_size, *arg.shape) if dim is None else arg.movedim(dim, 0)


def _batched(op: Any) -> Any:
    """The vmap rule of an elementwise op: the batch dimension of every tensor goes first, and the op runs once."""

    def rule(info: Any, in_dims: tuple[int | None, ...], *args: Any, **kwargs: Any) -> tuple[torch.Tensor, int | None]:
        batched = {dim for arg, dim in zip(args, in_dims, strict=True) if isinstance(arg, torch.Tensor)}
        if len(batched) == 1:  # all tensors agree, so nothing has to move
            return op(*args, **kwargs), batched.pop()
        return op(*(_batch_first(info, arg, dim) for arg, dim in zip(args, in_dims, strict=True)), **kwargs), 0

    return rule


def _batched_in_place(op: Any) -> Any:
    def rule(info: Any, in_dims: tuple[int | None, ...], *args: Any, **kwargs: Any) -> tuple[torch.Tensor, int | None]:
        return op(*args, **kwargs), in_dims[0]

    return rule


def overload(name: str) -> Any:
    """The dispatcher's op of that name: "mish_backward", "elu_backward.from_result"."""
    base, _, variant = name.partition(".")
    return getattr(getattr(torch.ops.act_ext, base), variant or "default")


def bound(op: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """A call's arguments by name, with the schema's defaults."""
    arguments = op._schema.arguments
    given = {argument.name: value for argument, value in zip(arguments, args, strict=False)}
    return {argument.name: argument.default_value for argument in arguments} | kwargs | given


# One for all registrations: each that is made anew costs more than what it registers.
_LIBRARY = torch.library.Library("act_ext", "FRAGMENT")
# Every op with the spec of its activation.
OPS: dict[str, dict[str, Any]] = {}


def _register(spec: dict[str, Any], op: str, fake: Any, vmap: Any = None) -> None:
    """vmap: of the op, the rule for a batch."""
    OPS[op] = spec
    torch.library.register_fake(f"act_ext::{op}", fake, lib=_LIBRARY)
    if vmap is not None:
        torch.library.register_vmap(f"act_ext::{op}", vmap(overload(op)), lib=_LIBRARY)


def _register_pointwise(spec: dict[str, Any]) -> None:
    name = spec["name"]
    for op in (name, *spec["backward_ops"]):
        _register(spec, op, _fake_like_last, _batched)
    _register(spec, f"{name}_", _fake_in_place, _batched_in_place)
    _register(spec, f"{name}.out", _fake_out)


def _register_slope_derivative() -> None:
    """What the third derivative and those after it are computed by: one op for all pointwise activations."""
    spec = next(spec for spec in SPECS if spec["kind"] == "pointwise")
    _register(spec, "slope_derivative", _fake_like_last, _batched)


# The gated units. `g` and `h` are the gradients of the forward pass's output and of the backward pass's.


def _fake_unit_backward(g: torch.Tensor, gate: torch.Tensor, up: torch.Tensor, *params: float) -> Any:
    _check_alike(g, gate, up)
    return _like(gate), _like(up)


def _fake_unit_double_backward(
    h_gate: torch.Tensor, h_up: torch.Tensor, g: torch.Tensor, gate: torch.Tensor, up: torch.Tensor, *params: float
) -> Any:
    _check_alike(h_gate, h_up, g, gate, up)
    return _like(g), _like(gate), _like(up)


def _fake_packed(
    input: torch.Tensor, dim: int = -1, gate_first: bool = True, interleaved: bool = False, *_: Any
) -> Any:
    return _fake_like_last(*_halves(input, dim, gate_first, interleaved))


def _fake_packed_backward(g: torch.Tensor, input: torch.Tensor, *how: Any) -> Any:
    _check_alike(g, *_halves(input, *how[:3]))
    return torch.empty_like(input)


def _fake_packed_double_backward(h: torch.Tensor, g: torch.Tensor, input: torch.Tensor, *how: Any) -> Any:
    _check_alike(h, input)
    return _like(g), _fake_packed_backward(g, input, *how)


def _batched_unit(dim_index: int | None, op: Any) -> Any:
    """The vmap rule of a gated unit; dim_index: where in the arguments the packing dimension stands."""

    def rule(info: Any, in_dims: tuple[int | None, ...], *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        aligned = [_batch_first(info, arg, dim) for arg, dim in zip(args, in_dims, strict=True)]
        if dim_index is not None:
            if len(aligned) == dim_index:
                aligned.append(kwargs.pop("dim", -1))
            rank, dim = aligned[dim_index - 1].dim() - 1, aligned[dim_index]
            if rank == 0:
                raise RuntimeError("act_ext: input must have at least one dimension, got a 0-dim tensor")
            aligned[dim_index] = wrapped(dim, rank) + 1
        result = op(*aligned, **kwargs)
        return result, (0,) * len(result) if isinstance(result, tuple) else 0

    return rule


def _register_unit(spec: dict[str, Any]) -> None:
    passes: dict[str, tuple[Any, int | None]] = {
        "": (_fake_like_last, None),
        "_backward": (_fake_unit_backward, None),
        "_double_backward": (_fake_unit_double_backward, None),
        "_packed": (_fake_packed, 1),
        "_packed_backward": (_fake_packed_backward, 2),
        "_packed_double_backward": (_fake_packed_double_backward, 3),
    }
    for suffix, (fake, dim_index) in passes.items():
        _register(spec, spec["name"] + suffix, fake, partial(_batched_unit, dim_index))


# The functions of rows.


def _fake_row_function(*args: Any) -> torch.Tensor:
    *tensors, dim = args
    _check_alike(*tensors)
    wrapped(dim, tensors[-1].dim())
    return torch.empty_like(tensors[-1], memory_format=torch.contiguous_format)


def _fake_row_function_double_backward(h: torch.Tensor, g: torch.Tensor, result: torch.Tensor, dim: int) -> Any:
    return torch.empty_like(g, memory_format=torch.contiguous_format), _fake_row_function(h, g, result, dim)


def _batched_row_function(op: Any) -> Any:
    """The vmap rule of a row function, whose last argument is the dimension."""

    def rule(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Any, Any]:
        tensors = [_batch_first(info, arg, dim) for arg, dim in zip(args[:-1], in_dims, strict=False)]
        rank = tensors[0].dim() - 1
        dim = wrapped(args[-1], rank)
        if rank == 0:  # a row of one element each
            result = op(*(tensor.unsqueeze(1) for tensor in tensors), 1)
            result = tuple(r.squeeze(1) for r in result) if isinstance(result, tuple) else result.squeeze(1)
        else:
            result = op(*tensors, dim + 1)
        return result, (0,) * len(result) if isinstance(result, tuple) else 0

    return rule


def _register_row_function(spec: dict[str, Any]) -> None:
    name = spec["name"]
    for op in (name, *spec["backward_ops"]):
        fake = _fake_row_function_double_backward if op.endswith("_double_backward") else _fake_row_function
        _register(spec, op, fake, _batched_row_function)


# The activations with learned parameters: tensors of one element, or of one for each channel.


def channel_dim(dim: int, rank: int) -> int | None:
    """The dimension of the channels, counted from the front. None without: torch takes the second, if there is one."""
    return None if rank == 0 or (rank == 1 and dim == 1) else wrapped(dim, rank)


def _fake_learned(spec: dict[str, Any], op: str) -> Any:
    arity = spec["arity"]

    def fake(*args: Any) -> Any:
        tensors = [arg for arg in args if isinstance(arg, torch.Tensor)]
        saved = tensors[-arity:]
        *before, input = tensors[: -arity + 1]
        _check_alike(*(t for t in before if t.shape == input.shape), input)
        dim = channel_dim(args[len(tensors)] if len(args) > len(tensors) else 1, input.dim())
        channels = 1 if dim is None else input.size(dim)
        for parameter in saved[1:]:
            if parameter.dtype != input.dtype or parameter.device != input.device:
                raise RuntimeError("act_ext: learned parameters must have the dtype and device of input")
            if parameter.dim() > 1 or parameter.numel() not in (1, channels):
                raise RuntimeError(
                    f"act_ext: learned parameters must have one element or one for each of the {channels} channels, "
                    f"got shape {tuple(parameter.shape)}"
                )
        if op == spec["name"]:
            return _like(input)
        gradients = tuple(torch.empty_like(parameter) for parameter in saved[1:])
        return (*([_like(input)] if op.endswith("_double_backward") else []), _like(input), *gradients)

    return fake


def _batched_learned(spec: dict[str, Any], op: Any) -> Any:
    """The vmap rule: the batch joins the channels, since each of its members has gradients of its own."""
    arity = spec["arity"]

    def rule(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Any, Any]:
        count = sum(isinstance(arg, torch.Tensor) for arg in args)
        tensors = [_batch_first(info, arg, dim) for arg, dim in zip(args[:count], in_dims, strict=False)]
        input = tensors[count - arity]
        rank = input.dim() - 1
        dim = channel_dim(args[count] if len(args) > count else 1, rank)

        def is_parameter(k: int) -> bool:
            return k > count - arity or (count > 1 + arity and 0 < k < arity)

        def joined(k: int, tensor: torch.Tensor) -> torch.Tensor:
            if is_parameter(k):
                channels = 1 if dim is None else input.size(dim + 1)
                return tensor.reshape(info.batch_size, -1).expand(info.batch_size, channels).flatten()
            if dim is None:
                return tensor.flatten(1).unsqueeze(0) if rank else tensor.reshape(1, -1, 1)
            return tensor.movedim(0, dim).flatten(dim, dim + 1)

        def separated(result: torch.Tensor, like: torch.Tensor, parameter: bool) -> torch.Tensor:
            if parameter:
                result = result.reshape(info.batch_size, -1)
                return result.sum(1, keepdim=True).reshape(like.shape) if like[0].numel() == 1 else result
            if dim is None:
                return result.reshape(like.shape)
            return result.unflatten(dim, (info.batch_size, -1)).movedim(dim, 0)

        channel = 1 if dim is None else dim
        result = op(*(joined(k, t) for k, t in enumerate(tensors)), channel, *args[count + 1 :])
        if count == arity:
            return separated(result, input, False), 0
        likes = ([tensors[count - arity - 1]] if count > 1 + arity else []) + tensors[count - arity :]
        first = len(likes) - arity + 1
        return tuple(separated(r, like, k >= first) for k, (r, like) in enumerate(zip(result, likes, strict=True))), (
            (0,) * len(likes)
        )

    return rule


def _register_learned(spec: dict[str, Any]) -> None:
    for op in (spec["name"], *spec["backward_ops"]):
        _register(spec, op, _fake_learned(spec, op), partial(_batched_learned, spec))


# Maxout.


def _index_dtype(num_pieces: int) -> torch.dtype:
    return torch.uint8 if num_pieces <= 256 else torch.int16 if num_pieces <= 32768 else torch.int32


def _units_shape(all_pieces: torch.Tensor, num_pieces: int, dim: int) -> list[int]:
    if all_pieces.dim() == 0:
        raise RuntimeError("act_ext: input must have at least one dimension, got a 0-dim tensor")
    if num_pieces <= 0:
        raise ValueError(f"act_ext: num_pieces must be positive, got {num_pieces}")
    shape, dim = list(all_pieces.shape), wrapped(dim, all_pieces.dim())
    if shape[dim] % num_pieces != 0:
        raise RuntimeError(f"act_ext: the size of dimension {dim} must be a multiple of {num_pieces}, got {shape[dim]}")
    shape[dim] //= num_pieces
    return shape


def _fake_maxout_with_indices(input: torch.Tensor, num_pieces: int, dim: int = 1) -> Any:
    _check_alike(input)
    shape = _units_shape(input, num_pieces, dim)
    return input.new_empty(shape), input.new_empty(shape, dtype=_index_dtype(num_pieces))


def _fake_maxout_backward(grad_output: torch.Tensor, indices: torch.Tensor, num_pieces: int, dim: int) -> torch.Tensor:
    _check_alike(grad_output)
    shape = list(grad_output.shape)
    shape[wrapped(dim, len(shape))] *= num_pieces
    return grad_output.new_empty(shape)


def _fake_maxout_pick(input: torch.Tensor, indices: torch.Tensor, num_pieces: int, dim: int) -> torch.Tensor:
    _check_alike(input)
    return input.new_empty(_units_shape(input, num_pieces, dim))


def _batched_maxout(op: Any) -> Any:
    def rule(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Any, Any]:
        aligned = [_batch_first(info, arg, dim) for arg, dim in zip(args, in_dims, strict=True)]
        tensors = [arg for arg in aligned if isinstance(arg, torch.Tensor)]
        num_pieces, dim = (*aligned[len(tensors) :], 1)[:2]
        result = op(*tensors, num_pieces, wrapped(dim, tensors[0].dim() - 1) + 1)
        return result, (0, 0) if isinstance(result, tuple) else 0

    return rule


def _register_maxout(spec: dict[str, Any]) -> None:
    fakes = {
        "maxout_with_indices": _fake_maxout_with_indices,
        "maxout_backward": _fake_maxout_backward,
        "maxout_pick": _fake_maxout_pick,
    }
    for op, fake in fakes.items():
        _register(spec, op, fake, _batched_maxout)
    torch.library.register_vmap("act_ext::maxout", _batched_maxout(overload("maxout")))


# Randomized leaky ReLU. Its op and its in-place op are composed of the two that draw.

_VMAP_MODE = torch._C.DispatchKeySet(torch._C.DispatchKey.FuncTorchVmapMode)


def _fake_rrelu_with_noise(input: torch.Tensor, lower: float, upper: float, generator: Any = None) -> Any:
    return _fake_like_last(input), _like(input)


def _batched_noise(info: Any, input: torch.Tensor, *how: Any) -> torch.Tensor:
    """The noise of a batch, whose dimension is the first. how: the bounds and the generator."""
    if info.randomness == "error":
        raise RuntimeError(
            "vmap: called random operation while in randomness error mode. Please either use the 'same' or "
            "'different' randomness flags on vmap or perform the randomness operation out of vmap"
        )
    draw = torch.ops.act_ext.rrelu_noise
    if info.randomness == "different":
        return draw(input, *how)
    slopes = draw(torch.zeros_like(input[0]), *how)  # at 0 every element has one
    return torch.where(input <= 0, slopes, 1)


def _batched_rrelu(op: Any) -> Any:
    with_values = len(op._schema.returns) == 2

    def rule(info: Any, in_dims: tuple[int | None, ...], input: torch.Tensor, *how: Any) -> Any:
        input = _batch_first(info, input, in_dims[0])
        noise = _batched_noise(info, input, *how)
        return ((input * noise, noise), (0, 0)) if with_values else (noise, 0)

    return rule


def _for_each_member(op: Any) -> Any:
    """A vmap that wants other numbers for each member of its batch, or none, wants that of an unbatched input too."""

    def kernel(input: torch.Tensor, *how: Any) -> Any:
        vmap = retrieve_current_functorch_interpreter()
        with torch._C._ExcludeDispatchKeyGuard(_VMAP_MODE):
            if vmap.randomness() != "same" and functorch.maybe_get_level(input) != vmap.level():
                input = functorch._add_batch_dim(input.expand(vmap.batch_size(), *input.shape), 0, vmap.level())
            return op(input, *how)

    return kernel


def _register_rrelu(spec: dict[str, Any]) -> None:
    for op, fake in (("rrelu_with_noise", _fake_rrelu_with_noise), ("rrelu_noise", _fake_like_last)):
        _register(spec, op, fake, _batched_rrelu)
        _LIBRARY.impl(op, _for_each_member(overload(op)), "FuncTorchVmapMode")


_REGISTER = {
    "rrelu": _register_rrelu,
    "maxout": _register_maxout,
    "learned": _register_learned,
    "pointwise": _register_pointwise,
    "gated_unit": _register_unit,
    "row_function": _register_row_function,
}


@contextmanager
def _without_collections() -> Iterator[None]:
    """What is registered stays: looking through all of torch's objects for garbage meanwhile takes as long again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _with_import_of(name: str, follower: str) -> None:
    """Imports a module of this package when a module of torch is imported, so that its rules cost nobody else time."""
    if name in sys.modules:
        import_module(follower)
        return

    class Finder(MetaPathFinder):
        looking = False

        def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
            if fullname != name or self.looking:
                return None
            self.looking = True  # for the others to find it
            try:
                spec = find_spec(name)
            finally:
                self.looking = False
            if spec is None or spec.loader is None:
                return spec
            execute = spec.loader.exec_module

            def execute_both(module: ModuleType) -> None:
                execute(module)
                sys.meta_path.remove(self)
                import_module(follower)

            spec.loader.exec_module = execute_both  # type: ignore[method-assign]
            return spec

    sys.meta_path.insert(0, Finder())


with _without_collections():
    for _spec in SPECS:
        C.register_autograd(_spec["name"])
        _REGISTER[_spec["kind"]](_spec)
    _register_slope_derivative()
    _with_import_of("torch.distributed.tensor", "act_ext._sharding")
    _with_import_of("torch.nested._internal.nested_tensor", "act_ext._nested")


def entry(name: str) -> Any:
    """The op's fast entry from Python: positional arguments only, the tensor first."""
    return C.entry(name, getattr(torch.ops.act_ext, name))
