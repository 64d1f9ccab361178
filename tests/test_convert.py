"""A model's activations, replaced by act_ext's."""

import copy
import importlib.util
import pickle
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from torch.nn import functional as TF
from torch.utils._python_dispatch import TorchDispatchMode

import act_ext
from act_ext import _convert, nn

# Every activation of torch.nn that act_ext has, with arguments that it does not have by default where it takes any.
MODULES = [
    torch.nn.ReLU(inplace=True),
    torch.nn.ReLU6(),
    torch.nn.LeakyReLU(0.3),
    torch.nn.RReLU(0.2, 0.3),
    torch.nn.Threshold(0.3, -2.0),
    torch.nn.Hardtanh(-0.5, 0.7),
    torch.nn.Softshrink(0.7),
    torch.nn.Hardshrink(0.7),
    torch.nn.Hardsigmoid(),
    torch.nn.Hardswish(),
    torch.nn.ELU(0.6),
    torch.nn.SELU(),
    torch.nn.CELU(0.6),
    torch.nn.Sigmoid(),
    torch.nn.LogSigmoid(),
    torch.nn.Tanh(),
    torch.nn.Tanhshrink(),
    torch.nn.Softsign(),
    torch.nn.Softplus(2.0, 10.0),
    torch.nn.SiLU(),
    torch.nn.GELU(approximate="tanh"),
    torch.nn.Mish(),
    torch.nn.PReLU(4),
    torch.nn.GLU(dim=1),
    torch.nn.Softmax(dim=1),
    torch.nn.Softmin(dim=1),
    torch.nn.LogSoftmax(dim=1),
    torch.nn.Softmax2d(),
]


def run(module, *inputs):
    """The result, and the gradients of inputs and parameters."""
    inputs = [x.detach().clone().requires_grad_(x.is_floating_point()) for x in inputs]
    module.zero_grad()
    result = module(*(x * 1 if x.is_floating_point() else x for x in inputs))  # in-place modules write to their input
    result = result[0] if isinstance(result, tuple) else result
    result = getattr(result, "logits", getattr(result, "last_hidden_state", result))
    result.square().sum().backward()
    leaves = [x for x in inputs if x.requires_grad] + list(module.parameters())
    return result.detach(), [leaf.grad.clone() for leaf in leaves if leaf.grad is not None]


@pytest.mark.parametrize("module", MODULES, ids=lambda m: type(m).__name__)
def test_each_class_of_torch(module):
    module = copy.deepcopy(module).eval()
    before, state, text, attributes = type(module), module.state_dict(), repr(module), set(vars(module))
    x = torch.randn(2, 4, 3, 3)
    expected = run(module, x)
    conversion = act_ext.convert(module)
    assert type(module) is getattr(nn, before.__name__)
    assert len(conversion) == 1
    assert repr(module) == text
    assert list(module.state_dict()) == list(state)
    result = run(module, x)
    torch.testing.assert_close(result, expected)
    conversion.undo()
    assert type(module) is before
    assert vars(module).keys() == attributes
    assert torch.equal(run(module, x)[0], expected[0])


def test_every_counterpart_is_known():
    known = {type(module) for module in MODULES}
    assert set(_convert._of_torch()) == known


def model():
    return torch.nn.Sequential(
        torch.nn.Linear(6, 8), torch.nn.Mish(), torch.nn.Sequential(torch.nn.PReLU(8), torch.nn.Identity())
    )


def test_keeps_everything():
    net = model().double().train()
    net[2].eval()
    seen = []
    net[1].register_forward_hook(lambda module, args, result: seen.append(type(module)))
    modules, parameters = dict(net.named_modules()), dict(net.named_parameters())
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    act_ext.convert(net)
    assert dict(net.named_modules()) == modules
    assert all(parameter is parameters[name] for name, parameter in net.named_parameters())
    assert net[1].training
    assert not net[2][0].training
    x = torch.randn(3, 6, dtype=torch.float64)
    net(x).sum().backward()
    before = net[2][0].weight.detach().clone()
    optimizer.step()
    assert not torch.equal(net[2][0].weight, before)
    assert seen == [nn.Mish]


def test_shared_modules_and_copies():
    act = torch.nn.GELU()
    net = torch.nn.ModuleList([act, act])
    conversion = act_ext.convert(net)
    assert len(conversion) == 1
    assert type(net[1]) is nn.GELU
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert type(other[0]) is nn.GELU
    conversion.undo()
    assert type(act) is torch.nn.GELU


def test_twice_is_once():
    net = model()
    assert len(act_ext.convert(net)) == 2
    assert len(act_ext.convert(net)) == 0


def test_functions_that_modules_hold():
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, activation=TF.gelu, batch_first=True)
    x = torch.randn(2, 3, 8)
    expected = run(layer, x)
    conversion = act_ext.convert(layer)
    assert layer.activation is act_ext.functional.gelu
    torch.testing.assert_close(run(layer, x), expected)
    conversion.undo()
    assert layer.activation is TF.gelu

    class Holder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.act = partial(TF.gelu, approximate="tanh")
            self.others = (max, [1], {"a": 1})

    holder = Holder()
    conversion = act_ext.convert(holder)
    assert holder.act.func is act_ext.functional.gelu
    assert holder.act.keywords == {"approximate": "tanh"}
    assert len(conversion) == 1
    holder.act = torch.softmax  # whose third argument is another than act_ext's
    assert len(act_ext.convert(holder)) == 0


def test_leaves_other_forward_passes_alone():
    class Scaled(torch.nn.Mish):
        def forward(self, input):
            return 2 * super().forward(input)

    net = torch.nn.Sequential(Scaled(), torch.nn.ReLU())
    conversion = act_ext.convert(net)
    assert type(net[0]) is Scaled
    assert conversion.left == [("0", Scaled)]
    assert [replacement.name for replacement in conversion.replaced] == ["1"]
    assert "a class or a forward pass of its own" in str(conversion)
    assert "1: torch.nn.modules.activation.ReLU -> act_ext.nn.ReLU" in str(conversion)

    patched = torch.nn.Mish()
    patched.forward = lambda input: input
    assert act_ext.convert(patched).left == [("", torch.nn.Mish)]

    class Ours(nn.Mish):
        pass

    assert not act_ext.convert(Ours()).left
    prelu = torch.nn.PReLU()
    torch.nn.utils.parametrize.register_parametrization(prelu, "weight", torch.nn.Identity())
    assert len(act_ext.convert(prelu)) == 0


def test_scripted_modules_are_left():
    scripted = torch.jit.script(torch.nn.Sequential(torch.nn.ReLU()))
    assert len(act_ext.convert(scripted)) == 0


def test_compiles():
    net = model()
    x = torch.randn(3, 6)
    expected = net(x)
    act_ext.convert(net)
    compiled = torch.compile(net, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), expected)


def test_error():
    with pytest.raises(TypeError, match=r"model must be a torch\.nn\.Module, got function"):
        act_ext.convert(TF.mish)


class Block(torch.nn.Module):
    """As in Llama."""

    def __init__(self, act_fn):
        super().__init__()
        self.gate_proj, self.up_proj = torch.nn.Linear(6, 10), torch.nn.Linear(6, 10)
        self.down_proj = torch.nn.Linear(10, 6)
        self.act_fn = act_fn

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        down_proj = self.down_proj(self.act_fn(self.gate_proj(hidden_states)) * self.up_proj(hidden_states))
        return down_proj  # noqa: RET504  (as it is there)


class Scaled(Block):
    def forward(self, x):
        return 2 * self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x))


def units_called(module, x):
    """The names of the gated units' ops that a call runs."""
    seen = []

    class Record(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append(func.__name__.removesuffix(".default"))
            return func(*args, **(kwargs or {}))

    with Record():
        module(x)
    return [name for name in seen if name.endswith(("glu", "glu_tanh"))]


@pytest.mark.parametrize(
    ("act", "unit"),
    [
        (torch.nn.SiLU(inplace=True), "swiglu"),
        (torch.nn.GELU(), "geglu"),
        (torch.nn.GELU("tanh"), "geglu_tanh"),
        (torch.nn.ReLU(), "reglu"),
        (torch.nn.Sigmoid(), "siglu"),
    ],
    ids=str,
)
def test_fuses_gated_blocks(act, unit):
    module = Block(act)
    x = torch.randn(2, 6)
    expected, state = run(module, x), list(module.state_dict())
    assert len(act_ext.convert(copy.deepcopy(module))) == 1  # not unless it is asked to
    conversion = act_ext.convert(module, fuse_gated=True)
    assert isinstance(module, Block)
    assert f"Block with act_ext.functional.{unit}" in str(conversion)
    assert list(module.state_dict()) == state
    assert units_called(module, x) == [unit]
    for same in (module, copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        torch.testing.assert_close(run(same, x), expected)
        torch.testing.assert_close(same(hidden_states=x).detach(), expected[0])
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x).detach(), expected[0])
    conversion.undo()
    assert type(module) is Block
    assert torch.equal(run(module, x)[0], expected[0])


def test_a_fused_block_is_still_its_composition():
    """Where the unit would give something else, or an error."""
    x = torch.randn(2, 6)
    module = Block(torch.nn.SiLU())
    act_ext.convert(module, fuse_gated=True)
    seen = []
    handle = module.act_fn.register_forward_hook(lambda *given: seen.append(1))
    assert units_called(module, x) == []
    assert seen
    handle.remove()
    module.act_fn.forward = torch.zeros_like
    assert torch.equal(module(x), module.down_proj.bias.expand(2, 6))
    del module.act_fn.forward
    module.up_proj = torch.nn.Linear(6, 1)  # is broadcast
    assert module(x).shape == (2, 6)
    with pytest.raises(KeyError):
        module()


def test_fuses_nothing_else():
    hooked = Block(torch.nn.SiLU())
    hooked.act_fn.register_forward_hook(lambda *_: None)
    for module in (Scaled(torch.nn.SiLU()), Block(torch.nn.Mish()), hooked):
        before = type(module)
        act_ext.convert(module, fuse_gated=True)
        assert type(module) is before


def timm_module(name):
    """One of timm's files: the package wants torchvision, its activations do not."""
    found = importlib.util.find_spec("timm")
    if found is None:
        pytest.skip("timm is not installed")
    path = Path(found.submodule_search_locations[0], "layers", f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"timm.layers.{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("file", ["activations", "activations_me"])
def test_timm(file):
    module = timm_module(file)
    classes = {
        name: cls
        for name, cls in vars(module).items()
        if isinstance(cls, type) and issubclass(cls, torch.nn.Module) and cls.__module__ == module.__name__
    }
    x = torch.randn(2, 4, 3) * 3
    for name, cls in classes.items():
        for inplace in (False, True):
            act = cls(inplace=inplace)
            attributes = set(vars(act))
            expected = run(act, x)
            conversion = act_ext.convert(act)
            if name in ("Sigmoid", "Tanh") and inplace:  # which torch.nn's have no way to be
                assert not conversion.replaced
                continue
            assert type(act).__module__ == "act_ext.nn", name
            torch.testing.assert_close(run(act, x), expected, rtol=1e-5, atol=1e-5)
            conversion.undo()
            assert type(act) is cls
            assert set(vars(act)) == attributes


TRANSFORMERS = {
    "LlamaForCausalLM": ("LlamaConfig", {"hidden_size": 32, "intermediate_size": 64, "num_key_value_heads": 2}),
    "BertModel": ("BertConfig", {"hidden_size": 32, "intermediate_size": 64}),
    "GPT2LMHeadModel": ("GPT2Config", {"n_embd": 32, "bos_token_id": 0, "eos_token_id": 0}),
    "MistralForCausalLM": ("MistralConfig", {"hidden_size": 32, "intermediate_size": 64, "num_key_value_heads": 2}),
    "GemmaForCausalLM": (
        "GemmaConfig",
        {"hidden_size": 32, "intermediate_size": 64, "num_key_value_heads": 2, "head_dim": 16},
    ),
}


@pytest.mark.parametrize("fuse_gated", [False, True])
@pytest.mark.parametrize("name", TRANSFORMERS)
def test_transformers(name, fuse_gated):
    transformers = pytest.importorskip("transformers")
    config, sizes = TRANSFORMERS[name]
    config = getattr(transformers, config)(num_hidden_layers=2, num_attention_heads=2, vocab_size=50, **sizes)
    net = getattr(transformers, name)(config).eval()
    ids = torch.randint(0, 50, (2, 7))
    expected = run(net, ids)
    conversion = act_ext.convert(net, fuse_gated=fuse_gated)
    assert len(conversion) >= 2
    if fuse_gated and name not in ("BertModel", "GPT2LMHeadModel"):
        assert len(conversion) == 4
    torch.testing.assert_close(run(net, ids), expected, rtol=1e-4, atol=1e-5)
    conversion.undo()
    assert torch.equal(run(net, ids)[0], expected[0])


def test_transformers_activations():
    """All of its module's classes: those that have a counterpart here, and those that have none."""
    activations = pytest.importorskip("transformers.activations")
    with_counterpart = {
        *("gelu", "gelu_fast", "gelu_new", "gelu_python", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu_accurate"),
        *(
            "hardswish",
            "leaky_relu",
            "mish",
            "quick_gelu",
            "relu",
            "relu2",
            "relu6",
            "sigmoid",
            "silu",
            "swish",
            "tanh",
        ),
        "prelu",
    }
    without = {"gelu_10", "laplace", "linear", "sqrtsoftplus", "xielu"}
    x = torch.randn(2, 4)
    for key in with_counterpart | without:
        act = activations.ACT2FN[key]
        expected = act(x)
        assert bool(act_ext.convert(act).replaced) == (key in with_counterpart), key
        torch.testing.assert_close(act(x), expected, rtol=1e-5, atol=1e-6)


def test_no_package_is_imported():
    code = """import sys, act_ext, torch
act_ext.convert(torch.nn.ReLU())
assert not {"timm", "transformers"} & set(sys.modules)"""
    subprocess.run([sys.executable, "-c", code], check=True)
