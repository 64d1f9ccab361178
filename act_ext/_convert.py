"""A model's activations, replaced by act_ext's."""

import ast
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import torch
from torch.nn import Module

from act_ext import functional, nn

# What an activation's module has beside what torch.nn.Module gives it.
Attributes = dict[str, Any]

# Of packages that need not be installed, by the name that a class has there: what becomes of it, and with what.
_ELSEWHERE: dict[str, tuple[type[Module], Attributes]] = {
    "transformers.activations.GELUActivation": (nn.GELU, {"approximate": "none"}),
    "transformers.activations.GELUTanh": (nn.GELU, {"approximate": "tanh"}),
    "transformers.activations.PytorchGELUTanh": (nn.GELU, {"approximate": "tanh"}),
    "transformers.activations.NewGELUActivation": (nn.GELU, {"approximate": "tanh"}),
    "transformers.activations.FastGELUActivation": (nn.GELU, {"approximate": "tanh"}),
    "transformers.activations.AccurateGELUActivation": (nn.GELU, {"approximate": "tanh"}),
    "transformers.activations.QuickGELUActivation": (nn.QuickGELU, {"inplace": False}),
    "transformers.activations.SiLUActivation": (nn.SiLU, {"inplace": False}),
    "transformers.activations.MishActivation": (nn.Mish, {"inplace": False}),
    "transformers.activations.ReLUSquaredActivation": (nn.ReLUSquared, {"inplace": False}),
    "timm.layers.activations.Mish": (nn.Mish, {"inplace": False}),
    "timm.layers.activations.Swish": (nn.SiLU, {}),
    "timm.layers.activations.Sigmoid": (nn.Sigmoid, {}),
    "timm.layers.activations.Tanh": (nn.Tanh, {}),
    "timm.layers.activations.HardSwish": (nn.Hardswish, {}),
    "timm.layers.activations.HardSigmoid": (nn.Hardsigmoid, {}),
    "timm.layers.activations.HardMish": (nn.HardMish, {}),
    "timm.layers.activations.PReLU": (nn.PReLU, {}),
    "timm.layers.activations.GELU": (nn.GELU, {"approximate": "none"}),
    "timm.layers.activations.GELUTanh": (nn.GELU, {"approximate": "tanh"}),
    "timm.layers.activations.QuickGELU": (nn.QuickGELU, {"inplace": False}),
    "timm.layers.activations_me.SwishMe": (nn.SiLU, {"inplace": False}),
    "timm.layers.activations_me.MishMe": (nn.Mish, {"inplace": False}),
    "timm.layers.activations_me.HardSwishMe": (nn.Hardswish, {"inplace": False}),
    "timm.layers.activations_me.HardSigmoidMe": (nn.Hardsigmoid, {"inplace": False}),
    "timm.layers.activations_me.HardMishMe": (nn.HardMish, {"inplace": False}),
}

# The feed-forward block that a gate's activation makes of Llama's.
_BLOCKS: dict[str, type[Module]] = {
    "SiLU": nn.SwiGLU,
    "GELU(approximate='none')": nn.GEGLU,
    "GELU(approximate='tanh')": nn.GEGLUTanh,
    "QuickGELU": nn.QuickGEGLU,
    "ReLU": nn.ReGLU,
    "Sigmoid": nn.SiGLU,
}
_BLOCK = "self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x))"
_LAYERS = {"gate_proj", "up_proj", "down_proj", "act_fn"}


@cache
def _of_torch() -> dict[type[Module], type[Module]]:
    """torch.nn's classes and act_ext's of the same name."""
    ours = ((name, getattr(nn, name)) for name in dir(nn) if not name.startswith("_"))
    return {
        getattr(torch.nn, name): cls
        for name, cls in ours
        if isinstance(cls, type) and name != "Identity" and issubclass(cls, getattr(torch.nn, name, ()))
    }


@cache
def _functions() -> dict[Any, Callable[..., Any]]:
    """torch's functions and act_ext's of the same name and signature."""
    found = {}
    for name in functional.__all__:
        for module in (torch.nn.functional, torch):
            if hasattr(module, name) and name not in ("threshold", "rrelu"):
                found[getattr(module, name)] = getattr(functional, name)
    return found


@dataclass(frozen=True)
class Replacement:
    """One thing that was replaced: a module, or a function that a module holds (then name ends in the attribute's).

    Attributes:
        name: where it is in the model, as in ``model.named_modules()``.
        before: the class or function that it was.
        after: what it is now.
    """

    name: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.name or '(the model itself)'}: {_title(self.before)} -> {_title(self.after)}"


def _title(thing: Any) -> str:
    name = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", None) or repr(thing)
    module = getattr(thing, "__module__", None)
    return f"{module}.{name}" if module else name


@dataclass
class Conversion:
    """What :func:`act_ext.convert` did, and the way back.

    Attributes:
        replaced: what was replaced, in the order of ``model.named_modules()``.
        left: names and classes of modules that derive from an activation and define a forward pass of their own, or
            have one that is wrapped (parametrized): they are as they were.
    """

    replaced: list[Replacement] = field(default_factory=list)
    left: list[tuple[str, type]] = field(default_factory=list)
    _way_back: list[Callable[[], None]] = field(default_factory=list, repr=False)

    def undo(self) -> None:
        """Makes the model what it was. What training has changed since, parameters and hooks, stays."""
        while self._way_back:
            self._way_back.pop()()
        self.replaced.clear()

    def __len__(self) -> int:
        return len(self.replaced)

    def __str__(self) -> str:
        lines = [f"act_ext: {len(self.replaced)} replaced"]
        lines += [f"  {replacement}" for replacement in self.replaced]
        lines += [f"  {name}: {_title(cls)} left, it has a forward pass of its own" for name, cls in self.left]
        return "\n".join(lines)


def _become(module: Module, cls: type[Module], attributes: Attributes) -> Callable[[], None]:
    """Gives a module another class. It stays the same object, with its parameters, hooks, mode, dtype and device."""
    before, old = type(module), dict(module.__dict__)
    module.__class__ = cls  # type: ignore[assignment]
    module.__dict__.update(attributes)

    def back() -> None:
        module.__class__ = before  # type: ignore[assignment]
        for name in attributes:
            if name in old:
                module.__dict__[name] = old[name]
            else:
                del module.__dict__[name]

    return back


def _hold(module: Module, name: str, value: Any) -> Callable[[], None]:
    before = module.__dict__[name]
    module.__dict__[name] = value
    return partial(module.__dict__.__setitem__, name, before)


def _target(module: Module) -> tuple[type[Module], Attributes] | None:
    cls = type(module)
    if cls in _of_torch():
        return _of_torch()[cls], {}
    target = _ELSEWHERE.get(f"{cls.__module__}.{cls.__qualname__}")
    if target is not None and target[0] in (nn.Sigmoid, nn.Tanh) and getattr(module, "inplace", False):
        return None  # neither torch.nn's nor act_ext's work in place
    return target


def _replacement_of(value: Any) -> Any:
    """act_ext's function for one of torch's, also with arguments filled in."""
    if isinstance(value, partial):
        inner = _replacement_of(value.func)
        return None if inner is None else partial(inner, *value.args, **value.keywords)
    try:
        return _functions().get(value)
    except TypeError:  # not hashable
        return None


def _is_block(cls: type[Module]) -> bool:
    """Whether the class's forward pass is that of Llama's feed-forward block, and nothing else."""
    try:
        function = ast.parse(textwrap.dedent(inspect.getsource(cls.forward))).body[0]
    except (OSError, TypeError, SyntaxError):
        return False
    if not isinstance(function, ast.FunctionDef) or function.decorator_list or len(function.args.args) != 2:
        return False
    given = function.args.args[1].arg
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and node.id == given:
            node.id = "x"
    body = [ast.unparse(statement) for statement in function.body]
    return body == [f"return {_BLOCK}"] or body == [f"down_proj = {_BLOCK}", "return down_proj"]


def _block_for(module: Module) -> type[Module] | None:
    """The whole block that can stand for this module, whose activation is act_ext's by now."""
    if set(dict(module.named_children())) != _LAYERS or not _is_block(type(module)):
        return None
    act = module.act_fn
    if act._forward_hooks or act._forward_pre_hooks or act._backward_hooks or act._backward_pre_hooks:
        return None  # which would no longer run
    name = type(act).__name__ if type(act).__module__ == nn.__name__ else ""
    return _BLOCKS.get(f"GELU(approximate={act.approximate!r})" if name == "GELU" else name)


def _overrides(cls: type[Module]) -> bool:
    return any(cls is not known and issubclass(cls, known) for known in _of_torch()) and not cls.__module__.startswith(
        nn.__name__
    )


def convert(model: Module, *, fuse_gated: bool = False) -> Conversion:
    """Replaces a model's activations by act_ext's, in place.

    Replaced are the modules whose class is one of ``torch.nn``'s activations or, of those packages,
    ``transformers``' or ``timm``'s; and the functions of ``torch.nn.functional`` that modules hold as attributes, as
    ``torch.nn.TransformerEncoderLayer`` does. Every module stays the same object: parameters, buffers, hooks, training
    mode, dtype, device, names and ``state_dict`` are untouched. For code that calls torch's functions itself there is
    :class:`act_ext.override_native`.

    Args:
        model: the model, or an activation itself.
        fuse_gated: whether feed-forward blocks with Llama's forward pass,
            ``down_proj(act_fn(gate_proj(x)) * up_proj(x))``, become act_ext's (:class:`act_ext.nn.SwiGLU` and its
            siblings), which save less for backward. Their ``act_fn`` stays where it is and is no longer called.

    Returns:
        A :class:`Conversion`: it prints what was replaced, and its ``undo()`` is the way back.

    Raises:
        TypeError: if model is not a torch.nn.Module.

    Example:
        >>> import act_ext, torch
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Mish())
        >>> conversion = act_ext.convert(model)
        >>> print(conversion)
        act_ext: 1 replaced
          1: torch.nn.modules.activation.Mish -> act_ext.nn.Mish
        >>> conversion.undo()
    """
    if not isinstance(model, Module):
        raise TypeError(f"act_ext.convert: model must be a torch.nn.Module, got {type(model).__name__}")
    conversion = Conversion()

    def note(name: str, before: Any, after: Any, back: Callable[[], None]) -> None:
        conversion.replaced.append(Replacement(name, before, after))
        conversion._way_back.append(back)

    for name, module in model.named_modules():
        cls = type(module)
        if (target := _target(module)) is not None:
            note(name, cls, target[0], _become(module, *target))
            continue
        if _overrides(cls):
            conversion.left.append((name, cls))
            continue
        for attribute, value in list(module.__dict__.items()):
            if (function := _replacement_of(value)) is not None:
                path = f"{name}.{attribute}" if name else attribute
                note(path, value, function, _hold(module, attribute, function))
    if fuse_gated:
        for name, module in model.named_modules():
            if (block := _block_for(module)) is not None:
                note(name, type(module), block, _become(module, block, {}))
    return conversion
