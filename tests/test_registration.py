"""The List, the dispatcher, functional and nn.py tell one story."""

import copy
import inspect
import pickle
from itertools import chain

import pytest
import torch
import torch.nn.functional as F

import act_ext
from act_ext._register import SPECS
from tests.table import DEFAULTS, NAMES, SPEC, each_default, each_dtype

LEARNED_MODULES = {
    "prelu": "PReLU",
    "learned_swish": "LearnedSwish",
    "pelu": "PELU",
    "acon_c": "AconC",
    "xielu": "XIELU",
    "star_relu": "StarReLU",
    "dyt": "DyT",
    "snake": "Snake",
    "snakebeta": "SnakeBeta",
}
MODULES = {
    "identity": "Identity",
    "binary_step": "BinaryStep",
    "relu": "ReLU",
    "relu6": "ReLU6",
    "leaky_relu": "LeakyReLU",
    "threshold": "Threshold",
    "hardtanh": "Hardtanh",
    "softshrink": "Softshrink",
    "hardshrink": "Hardshrink",
    "hardsigmoid": "Hardsigmoid",
    "hardswish": "Hardswish",
    "relu_squared": "ReLUSquared",
    "elu": "ELU",
    "selu": "SELU",
    "celu": "CELU",
    "sigmoid": "Sigmoid",
    "logsigmoid": "LogSigmoid",
    "tanh": "Tanh",
    "tanhshrink": "Tanhshrink",
    "softsign": "Softsign",
    "softplus": "Softplus",
    "silu": "SiLU",
    "swish": "Swish",
    "quick_gelu": "QuickGELU",
    "gelu": "GELU",
    "gelu_tanh": "GELUTanh",
    "mish": "Mish",
    "hard_mish": "HardMish",
    "squareplus": "Squareplus",
    "isru": "ISRU",
    "isrlu": "ISRLU",
    "lisht": "LiSHT",
    "tanhexp": "TanhExp",
    "smish": "Smish",
    "logish": "Logish",
    "gish": "Gish",
    "phish": "Phish",
    "nlrelu": "NLReLU",
    "softexponential": "SoftExponential",
    "serf": "Serf",
    "sine": "Sine",
}
ROW_MODULES = {"softmax": ["Softmax", "Softmax2d"], "softmin": ["Softmin"], "log_softmax": ["LogSoftmax"]}


def schema_defaults(name):
    """Parameters that the schema declares, with their defaults."""
    arguments = getattr(torch.ops.act_ext, name).default._schema.arguments[1:]
    return {a.name: a.default_value if a.has_default_value() else inspect.Parameter.empty for a in arguments}


@pytest.mark.parametrize("name", NAMES)
def test_function_and_schema_agree(name):
    parameters = dict(inspect.signature(getattr(act_ext.functional, name)).parameters)
    parameters.pop("input")
    parameters.pop("inplace", None)
    assert {p.name: p.default for p in parameters.values()} == schema_defaults(name)


@pytest.mark.parametrize("name", [name for name in NAMES if hasattr(F, name) and name != "threshold"])
def test_signature_is_torchs(name):
    try:
        native = inspect.signature(getattr(F, name))
    except ValueError:  # a builtin: its documentation begins with the signature
        return
    ours = inspect.signature(getattr(act_ext.functional, name))
    assert {p.name: p.default for p in ours.parameters.values()} == {
        p.name: p.default for p in native.parameters.values()
    }


def test_every_op_has_a_function():
    assert set(act_ext.functional.__all__) == {*act_ext.list_activations(), "glu"}
    for name in act_ext.functional.__all__:
        function = getattr(act_ext.functional, name)
        assert pickle.loads(pickle.dumps(function)) is function
        assert function.__module__ == "act_ext.functional"


@pytest.mark.parametrize("name", NAMES)
def test_documentation(name):
    doc = getattr(act_ext.functional, name).__doc__
    for part in ("Args:", "Formula", SPEC[name]["formula"], SPEC[name]["derivative"], "Shape:", "Raises:", "Example:"):
        assert part in doc


def test_every_op_has_a_module():
    assert set(LEARNED_MODULES) == {spec["name"] for spec in SPECS if spec["kind"] == "learned"}
    assert set(MODULES) == set(NAMES)
    assert set(ROW_MODULES) == {spec["name"] for spec in SPECS if spec["kind"] == "row_function"}
    public = {n for n, c in vars(act_ext.nn).items() if inspect.isclass(c) and issubclass(c, torch.nn.Module)}
    public -= set(LEARNED_MODULES.values())
    gated = {"GLU"} | {n for n in public if issubclass(getattr(act_ext.nn, n), act_ext.nn._GatedFeedForward)}
    assert {n for n in public - gated if not n.startswith("_")} == {
        "Maxout",
        "RReLU",
        *MODULES.values(),
        *chain(*ROW_MODULES.values()),
    }


@each_default
def test_modules(case):
    cls = getattr(act_ext.nn, MODULES[case.name])
    module = cls(**case.kwargs)
    x = torch.randn(4, 5)
    expected = case.function(x)
    for form in (module, copy.deepcopy(module), pickle.loads(pickle.dumps(module)), torch.nn.Sequential(module).eval()):
        assert torch.equal(form(x), expected)
    assert module.state_dict() == {}
    native = getattr(torch.nn, cls.__name__, None)
    if native is not None:
        assert isinstance(module, native)
        assert repr(module) == repr(native(**case.kwargs))
        assert inspect.signature(cls.__init__) == inspect.signature(native.__init__)
        torch.testing.assert_close(module(x), native(**case.kwargs)(x))


def test_module_arguments_reach_the_op():
    x = torch.randn(100) * 3
    for ours, native in [
        (act_ext.nn.ELU(0.3), torch.nn.ELU(0.3)),
        (act_ext.nn.LeakyReLU(0.3), torch.nn.LeakyReLU(0.3)),
        (act_ext.nn.Hardtanh(-2, 0.5), torch.nn.Hardtanh(-2, 0.5)),
        (act_ext.nn.Threshold(0.5, 7), torch.nn.Threshold(0.5, 7)),
        (act_ext.nn.Softplus(2, 3), torch.nn.Softplus(2, 3)),
        (act_ext.nn.Softshrink(1), torch.nn.Softshrink(1)),
        (act_ext.nn.Hardshrink(1), torch.nn.Hardshrink(1)),
        (act_ext.nn.CELU(0.3), torch.nn.CELU(0.3)),
        (act_ext.nn.GELU("tanh"), torch.nn.GELU("tanh")),
    ]:
        assert repr(ours) == repr(native)
        torch.testing.assert_close(ours(x), native(x))
    inplace = torch.randn(5)
    assert act_ext.nn.Mish(inplace=True)(inplace) is inplace
    assert repr(act_ext.nn.Swish(2.0, inplace=True)) == "Swish(beta=2.0, inplace=True)"
    x = torch.randn(3)
    assert act_ext.nn.Identity()(x) is x


@each_dtype
@each_default
def test_three_dresses_of_one_op(case, dtype):
    x = torch.randn(33).to(dtype)
    expected = case.op(x, **case.kwargs)
    assert torch.equal(case.function(x), expected)
    out = torch.empty_like(x)
    assert case.op.out(x, **case.kwargs, out=out) is out
    assert torch.equal(out, expected)
    in_place = x.clone()
    assert getattr(torch.ops.act_ext, f"{case.name}_")(in_place, **case.kwargs) is in_place
    assert torch.equal(in_place, expected)


@each_default
def test_opcheck(case):
    if case.name == "threshold":
        args = tuple(case.kwargs.values())
        kwargs = {}
    else:
        args, kwargs = (), case.kwargs
    dense, strided = torch.randn(4, 6), torch.randn(4, 12)[:, ::2]
    for x in (dense, dense.t(), strided):
        torch.library.opcheck(case.op.default, (x.clone().requires_grad_(), *args), kwargs)
        torch.library.opcheck(case.op.default, (x, *args), kwargs)
    for name in SPEC[case.name]["backward_ops"]:
        base, _, overload = name.partition(".")
        op = getattr(getattr(torch.ops.act_ext, base), overload or "default")
        tensors = [torch.randn(4, 6, requires_grad=True) for a in op._schema.arguments if str(a.type) == "Tensor"]
        torch.library.opcheck(op, (*tensors, *args), kwargs)
    inplace = getattr(torch.ops.act_ext, f"{case.name}_").default
    torch.library.opcheck(inplace, (dense.clone(), *args), kwargs)
    torch.library.opcheck(case.op.out, (dense, *args), {**kwargs, "out": torch.empty(4, 6)})


def test_list_activations():
    assert act_ext.list_activations() == [spec["name"] for spec in SPECS]
    assert set(act_ext.list_activations()) >= {case.name for case in DEFAULTS}
    assert act_ext.cpu_capability() in ("default", "avx2", "avx512")
