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
from act_ext._register import DTYPES

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

# The gated unit that a gate's activation makes.
_UNITS: dict[str, str] = {
    "SiLU()": "swiglu",
    "GELU(approximate='none')": "geglu",
    "GELU(approximate='tanh')": "geglu_tanh",
    "QuickGELU()": "quick_geglu",
    "ReLU()": "reglu",
    "Sigmoid()": "siglu",
}
# Llama's feed-forward block.
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
    """torch's functions and act_ext's of the same name and arguments. (torch.softmax's are others.)"""
    functions = [name for name in functional.__all__ if hasattr(torch.nn.functional, name) and name != "rrelu"]
    found = {getattr(torch.nn.functional, name): getattr(functional, name) for name in functions}
    also = ("relu", "selu", "celu", "prelu", "sigmoid", "tanh", "hardshrink")
    return found | {getattr(torch, name): getattr(functional, name) for name in also}


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
        left: names and classes of modules that are as they were: of a class of their own that derives from an
            activation's (parametrized ones too), or with a forward pass that was set on the module itself.
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
        lines += [f"  {name}: {_title(cls)} left, a class or a forward pass of its own" for name, cls in self.left]
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


def _argument_of_block(cls: type[Module]) -> str | None:
    """The name of the argument, if the class's forward pass is that of Llama's feed-forward block and nothing else."""
    try:
        function = ast.parse(textwrap.dedent(inspect.getsource(cls.forward))).body[0]
    except (OSError, TypeError, SyntaxError):
        return None
    if not isinstance(function, ast.FunctionDef) or function.decorator_list or len(function.args.args) != 2:
        return None
    given = function.args.args[1].arg
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and node.id == given:
            node.id = "x"
    body = [ast.unparse(statement) for statement in function.body]
    is_block = body == [f"return {_BLOCK}"] or body == [f"down_proj = {_BLOCK}", "return down_proj"]
    return given if is_block else None


def _is_watched(module: Module) -> bool:
    """Whether a call of the module does more than its class's forward pass, or another one."""
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return any(hooks) or "forward" in vars(module)


@cache
def _fused_class(cls: Any, unit: str, argument: str) -> Any:
    """The block's class with a forward pass that calls a gated unit, where that gives what the composition gives."""
    function = getattr(functional, unit)

    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        x = args[0] if args else kwargs[argument]
        gate, up = self.gate_proj(x), self.up_proj(x)
        alike = gate.shape == up.shape and gate.dtype == up.dtype and gate.dtype in DTYPES
        return self.down_proj(self.act_fn(gate) * up if _is_watched(self.act_fn) or not alike else function(gate, up))

    def reduce(self: Any, protocol: int) -> Any:
        state = self.__getstate__() if hasattr(self, "__getstate__") else vars(self)
        return _new_fused, (cls, unit, argument), state

    members = {
        "forward": forward,
        "__reduce_ex__": reduce,
        "__module__": cls.__module__,
        "__qualname__": f"{cls.__qualname__} with act_ext.functional.{unit}",
    }
    return type(cls.__name__, (cls,), members)


def _new_fused(cls: Any, unit: str, argument: str) -> Module:
    """For pickle, which finds no class that was made at run time."""
    fused = _fused_class(cls, unit, argument)
    return fused.__new__(fused)


def _fused(module: Module) -> type[Module] | None:
    """What the class of this module becomes, whose activation is act_ext's by now."""
    if set(dict(module.named_children())) != _LAYERS or "forward" in vars(module):
        return None
    act: Any = module.act_fn
    cls: Any = type(module)
    argument = _argument_of_block(cls)
    if argument is None or _is_watched(act) or type(act).__module__ != nn.__name__:
        return None
    unit = _UNITS.get(repr(act).replace("inplace=True", ""))  # in place or not is the same to a block
    return _fused_class(cls, unit, argument) if unit else None


def _is_of_its_own(cls: type[Module]) -> bool:
    """Whether a class derives from an activation's of torch, and not from act_ext's."""
    return issubclass(cls, tuple(_of_torch())) and not issubclass(cls, tuple(_of_torch().values()))


def convert(model: Module, *, fuse_gated: bool = False) -> Conversion:
    """Replaces a model's activations by act_ext's, in place.

    Replaced are the modules whose class is one of ``torch.nn``'s activations or, of those packages,
    ``transformers``' or ``timm``'s; and the functions of ``torch.nn.functional`` that modules hold as attributes, as
    ``torch.nn.TransformerEncoderLayer`` does. Every module stays the same object: parameters, buffers, hooks, training
    mode, dtype, device, names and ``state_dict`` are untouched. Integers and complex numbers, which a few of torch's
    modules take, are an error from then on. For code that calls torch's functions itself there is
    :class:`act_ext.override_native`.

    Args:
        model: the model, or an activation itself.
        fuse_gated: whether feed-forward blocks with Llama's forward pass,
            ``down_proj(act_fn(gate_proj(x)) * up_proj(x))``, call a gated unit (:func:`act_ext.functional.swiglu` and
            its siblings), which saves less for backward. Their class becomes one derived from theirs; ``act_fn`` is
            called no longer, unless it has a hook.

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
        target = _target(module)
        if target is not None and "forward" not in vars(module):
            note(name, cls, target[0], _become(module, *target))
            continue
        if target is not None or _is_of_its_own(cls):
            conversion.left.append((name, cls))
            continue
        for attribute, value in list(module.__dict__.items()):
            if (function := _replacement_of(value)) is not None:
                path = f"{name}.{attribute}" if name else attribute
                note(path, value, function, _hold(module, attribute, function))
    if fuse_gated:
        for name, module in model.named_modules():
            if (fused := _fused(module)) is not None:
                note(name, type(module), fused, _become(module, fused, {}))
    return conversion
