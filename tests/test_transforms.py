"""torch.compile, torch.export, torch.func, compiled autograd and the Python-level protocols, for every activation."""

from functools import partial

import pytest
import torch
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vjp, vmap
from torch.fx.experimental.proxy_tensor import make_fx
from torch.overrides import TorchFunctionMode
from torch.testing._internal.two_tensor import TwoTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

import act_ext
from tests.calls import CALLS, CHANNELS, DIFFERENTIABLE, Everything, each_call, each_differentiable

F = act_ext.functional


def derivatives(function, tensors):
    """The result and the gradients of its sum, weighted."""
    tensors = [tensor.detach().clone().requires_grad_() for tensor in tensors]
    result = function(*tensors)
    if not result.requires_grad:
        return [result]
    ramp = torch.linspace(-1, 1, result.numel(), dtype=result.dtype).reshape(result.shape)
    weights = torch.zeros_like(result) + ramp  # of result's class
    return [result.detach(), *torch.autograd.grad(result, tensors, weights)]


def sample(batch, dtype=torch.float64):
    return CALLS[0].tensors(batch, CHANNELS, 6, dtype=dtype)[0]


def assert_all_close(found, expected):
    for call, one, other in zip(CALLS, found, expected, strict=True):
        torch.testing.assert_close(one, other, msg=lambda text, call=call: f"{call}: {text}")


# The compiler.


@each_call
def test_compile_fullgraph(call):
    torch._dynamo.reset()
    compiled = torch.compile(call.function, fullgraph=True, backend="aot_eager", dynamic=True)
    with torch._dynamo.config.patch(error_on_recompile=True):
        for batch in (5, 9, 16):
            tensors = call.tensors(batch, CHANNELS, 6)
            torch.testing.assert_close(derivatives(compiled, tensors), derivatives(call.function, tensors))


def test_compile_with_inductor():
    torch._dynamo.reset()
    net = Everything(CALLS)
    compiled = torch.compile(net, fullgraph=True, dynamic=True)
    with torch._dynamo.config.patch(error_on_recompile=True):
        for batch in (5, 33):
            found, expected = (derivative_of_all(module, sample(batch)) for module in (compiled, net))
            assert_all_close(found[0], expected[0])
            torch.testing.assert_close(found[1:], expected[1:])


def derivative_of_all(net, x):
    x = x.detach().requires_grad_()
    results = net(x)
    leaves = [x, *net.parameters()]
    return [r.detach() for r in results], *torch.autograd.grad(sum(r.sum() for r in results), leaves)


@pytest.mark.parametrize("name", ["mish", "relu", "elu"])
def test_compile_in_place(name):
    torch._dynamo.reset()

    def f(x):
        y = x * 1
        getattr(F, name)(y, inplace=True)
        return y * 3

    a = torch.randn(6, requires_grad=True)
    b = a.detach().clone().requires_grad_()
    torch.compile(f, fullgraph=True, backend="aot_eager")(a).sum().backward()
    f(b).sum().backward()
    torch.testing.assert_close(a.grad, b.grad)


def test_compile_gelu_tanh_and_out():
    torch._dynamo.reset()
    x = torch.randn(9)
    compiled = torch.compile(lambda x: F.gelu(x, approximate="tanh"), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), torch.nn.functional.gelu(x, approximate="tanh"))


@each_differentiable
def test_compiled_autograd(call):
    torch._dynamo.reset()
    for batch in (4, 6):
        tensors = [tensor.requires_grad_() for tensor in call.tensors(batch, CHANNELS, 3)]
        with torch._dynamo.compiled_autograd._enable(torch.compile(backend="eager", fullgraph=True)):
            call.function(*tensors).sum().backward()
        expected = torch.autograd.grad(call.function(*tensors).sum(), tensors)
        torch.testing.assert_close([tensor.grad for tensor in tensors], list(expected))


def test_export():
    net = Everything(CALLS)
    shapes = ({0: torch.export.Dim("batch", min=2)},)
    program = torch.export.export(net, (sample(3),), dynamic_shapes=shapes)
    assert_all_close(program.module()(sample(7)), net(sample(7)))


@each_call
def test_make_fx(call):
    tensors = call.tensors(3, CHANNELS, 6)
    traced = make_fx(partial(derivatives, call.function), tracing_mode="symbolic")(tensors)
    assert "act_ext" in traced.code
    other = [tensor * 0.5 for tensor in tensors]
    torch.testing.assert_close(traced(other), derivatives(call.function, other))


# torch.func.


@each_differentiable
def test_func_transforms(call):
    tensors = call.tensors(2, CHANNELS, 2)
    x, rest = tensors[0], tensors[1:]
    f = lambda x: call.function(x, *rest)  # noqa: E731
    total = lambda x: f(x).sum()  # noqa: E731
    slope = torch.autograd.functional.jacobian(total, x)
    jacobian = torch.autograd.functional.jacobian(f, x)
    tangent = x.cos()
    torch.testing.assert_close(grad(total)(x), slope)
    torch.testing.assert_close(jvp(f, (x,), (tangent,))[1], torch.tensordot(jacobian, tangent, x.dim()))
    torch.testing.assert_close(vjp(f, x)[1](f(x).cos())[0], torch.tensordot(f(x).cos(), jacobian, x.dim()))
    torch.testing.assert_close(jacrev(f)(x), jacobian)
    torch.testing.assert_close(jacfwd(f)(x), jacobian)
    second = torch.autograd.functional.hessian(total, x)
    torch.testing.assert_close(hessian(total)(x), second)
    torch.testing.assert_close(jacrev(jacrev(total))(x), second)


@each_call
def test_vmap(call):
    batch = [call.tensors(2, CHANNELS, 3), [tensor * 0.7 for tensor in call.tensors(2, CHANNELS, 3)]]
    stacked = [torch.stack(pair) for pair in zip(*batch, strict=True)]
    expected = torch.stack([call.function(*tensors) for tensors in batch])
    torch.testing.assert_close(vmap(call.function)(*stacked), expected)
    last = [tensor.movedim(0, -1) for tensor in stacked]
    torch.testing.assert_close(vmap(call.function, in_dims=-1, out_dims=-1)(*last), expected.movedim(0, -1))
    nested = [tensor[None] for tensor in stacked]
    torch.testing.assert_close(vmap(vmap(call.function))(*nested), expected[None])
    if call.has_gradient:
        slopes = vmap(grad(lambda *tensors: call.function(*tensors).sum()))(*stacked)
        each = [torch.func.grad(lambda *t: call.function(*t).sum())(*tensors) for tensors in batch]
        torch.testing.assert_close(slopes, torch.stack(each))


def test_vmap_over_grad_output_alone():
    x, grads = torch.randn(5, dtype=torch.float64), torch.randn(3, 5, dtype=torch.float64)
    result = vmap(torch.ops.act_ext.mish_backward, in_dims=(0, None))(grads, x)
    torch.testing.assert_close(result, torch.stack([torch.ops.act_ext.mish_backward(g, x) for g in grads]))


def test_vmap_in_place():
    x = torch.randn(3, 4)
    expected = F.mish(x)
    vmap(lambda row: torch.ops.act_ext.mish_(row))(x)
    torch.testing.assert_close(x, expected)


def test_functional_call():
    net = Everything([call for call in CALLS if call.parameters])
    doubled = {name: parameter * 2 for name, parameter in net.named_parameters()}
    results = functional_call(net, doubled, (sample(3),))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(2)
    torch.testing.assert_close(results, net(sample(3)))


# Around a call.


@each_differentiable
def test_checkpoint(call):
    tensors = call.tensors(3, CHANNELS, 6)
    run = partial(checkpoint, call.function, use_reentrant=False)
    torch.testing.assert_close(derivatives(run, tensors), derivatives(call.function, tensors))


@each_call
def test_function_mode(call):
    seen = []

    class Record(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            seen.append(str(func))
            return func(*args, **(kwargs or {}))

    tensors = call.tensors(2, CHANNELS, 6)
    with Record():
        result = call.function(*tensors)
    if call.name not in ("identity", "rrelu"):  # which return their input, or call another
        assert any("act_ext" in name for name in seen)
    torch.testing.assert_close(result, call.function(*tensors))


@each_call
def test_dispatch_mode(call):
    seen = []

    class Record(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append(str(func))
            return func(*args, **(kwargs or {}))

    tensors = [tensor.requires_grad_() for tensor in call.tensors(2, CHANNELS, 6)]
    with Record():
        result = call.function(*tensors)
        if call.has_gradient:
            result.sum().backward()
    assert sum(name.startswith("act_ext.") for name in seen) >= (1 if call.name in ("identity", "binary_step") else 2)


@each_call
def test_subclasses(call):
    class Marked(torch.Tensor):
        pass

    tensors = call.tensors(2, CHANNELS, 6)
    result = call.function(tensors[0].as_subclass(Marked), *tensors[1:])
    assert type(result) is Marked
    assert torch.equal(result.as_subclass(torch.Tensor), call.function(*tensors))
    assert type(call.function(*map(torch.nn.Parameter, tensors))) is torch.Tensor or call.name == "identity"


@each_call
def test_wrapper_subclasses(call):
    """A tensor of two: each op runs on both, also in backward."""
    one, other = call.tensors(2, CHANNELS, 6), [tensor * 0.7 for tensor in call.tensors(2, CHANNELS, 6)]
    found = derivatives(call.function, [TwoTensor(a, b) for a, b in zip(one, other, strict=True)])
    for result, a, b in zip(found, derivatives(call.function, one), derivatives(call.function, other), strict=True):
        torch.testing.assert_close(result.a, a)
        torch.testing.assert_close(result.b, b)


def of_proxies(function, count):
    """With as many arguments as the tracer is to replace."""
    names = "abcd"[:count]
    return eval(f"lambda {', '.join(names)}: function({', '.join(names)})", {"function": function})


@each_call
def test_symbolic_trace(call):
    tensors = call.tensors(2, CHANNELS)
    traced = torch.fx.symbolic_trace(of_proxies(call.function, len(tensors)))
    torch.testing.assert_close(traced(*tensors), call.function(*tensors))


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_jit():
    """Traced, not compiled by the compiler of torch.jit, which cannot read compiled functions."""
    net = torch.nn.Sequential(act_ext.nn.Mish(), act_ext.nn.GELU())
    x = torch.randn(3)
    torch.testing.assert_close(torch.jit.trace(net, torch.zeros(2))(x), net(x))
    with pytest.raises(RuntimeError, match="not supported in Torchscript"):
        torch.jit.script(net)


@each_call
def test_meta_tensors(call):
    tensors = [t.to("meta").requires_grad_() for t in call.tensors(3, CHANNELS, 6)]
    result = call.function(*tensors)
    expected = call.function(*call.tensors(3, CHANNELS, 6))
    assert result.device.type == "meta"
    assert result.shape == expected.shape
    assert result.stride() == expected.stride()
    if call.has_gradient:
        result.sum().backward()
        assert all(tensor.grad.shape == tensor.shape for tensor in tensors)


# Nested (jagged) tensors.

LENGTHS = (3, 1, 5)


@each_call
def test_jagged(call):
    if call.name == "prelu":
        pytest.skip("its channels are in dimension 1, which is the ragged one")
    plain = [tensor.requires_grad_() for tensor in call.tensors(sum(LENGTHS), CHANNELS)]
    offsets = torch.tensor([0, *LENGTHS]).cumsum(0)
    nested = [
        torch.nested.nested_tensor_from_jagged(tensor.detach(), offsets).requires_grad_()
        for tensor in plain[: call.count]
    ]
    parameters = [tensor.detach().requires_grad_() for tensor in plain[call.count :]]
    # A component's dimension 1 is the nested tensor's 2.
    result = call.function(*nested, *parameters, **({"dim": 2} if call.has_dim else {}))
    expected = call.function(*plain)
    assert result.is_nested
    assert result.shape[:2] == nested[0].shape[:2]
    torch.testing.assert_close(result.values(), expected)
    if call.has_gradient:
        found = torch.autograd.grad(result.values().sum(), [*nested, *parameters])
        wanted = torch.autograd.grad(expected.sum(), plain)
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(one.values() if one.is_nested else one, other)


@pytest.mark.parametrize("name", ["mish", "swiglu", "softmax", "learned_swish", "dyt"])
def test_jagged_compiled(name):
    (call,) = (call for call in CALLS if call.name == name)
    # As many rows as there are channels: what runs along the wrong dimension gives no error.
    tensors, offsets = call.tensors(CHANNELS, CHANNELS), torch.tensor([0, 1, CHANNELS])
    nested = [torch.nested.nested_tensor_from_jagged(tensor, offsets) for tensor in tensors[: call.count]]
    parameters = tensors[call.count :]
    function = partial(call.function, **({"dim": 2} if call.has_dim else {}))
    compiled = torch.compile(function, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(*nested, *parameters).values(), call.function(*tensors))


def test_jagged_errors():
    x = torch.nested.nested_tensor([torch.randn(3, 4), torch.randn(2, 4)], layout=torch.jagged)
    y = torch.nested.nested_tensor([torch.randn(2, 4), torch.randn(3, 4)], layout=torch.jagged)
    with pytest.raises(NotImplementedError, match=r"dim must not be .* the ragged one \(1\)"):
        F.softmax(x, dim=1)
    with pytest.raises(NotImplementedError, match=r"dim must not be .* got 0"):
        F.softmax(x, dim=0)
    with pytest.raises(RuntimeError, match="must share their offsets"):
        F.swiglu(x, y)
    weight = torch.full((1,), 0.25)
    torch.testing.assert_close(F.prelu(x, weight).values(), F.prelu(x.values(), weight))


# Autocast.


def mixed(call, *dtypes):
    tensors = call.tensors(2, CHANNELS, 6, dtype=torch.float32)
    return [tensor.to(dtype) for tensor, dtype in zip(tensors, dtypes * len(tensors), strict=False)]


@each_call
def test_autocast(call):
    """On the CPU as torch's own ops: only prelu is converted. Several tensors meet in one dtype."""
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        tensors = call.tensors(2, CHANNELS, 6, dtype=dtype)
        lower = call.name == "prelu" and dtype == torch.float32
        with torch.autocast("cpu", dtype=torch.bfloat16):
            result = call.function(*tensors)
        assert result.dtype == (torch.bfloat16 if lower else dtype)
        expected = call.function(*(t.bfloat16() for t in tensors) if lower else tensors)
        torch.testing.assert_close(result, expected)


@pytest.mark.parametrize("call", [call for call in DIFFERENTIABLE if call.count + call.parameters > 1], ids=str)
def test_autocast_of_mixed_tensors(call):
    low, *high = call.tensors(2, CHANNELS, 6, dtype=torch.float32)
    tensors = [low.bfloat16().requires_grad_(), *(t.requires_grad_() for t in high)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = call.function(*tensors)
    assert result.dtype == (torch.bfloat16 if call.parameters else torch.float32)
    result.float().sum().backward()
    assert [tensor.grad.dtype for tensor in tensors] == [tensor.dtype for tensor in tensors]
    with pytest.raises(RuntimeError):
        call.function(*tensors)


def test_autocast_on_cuda():
    """torch's lists for CUDA, on tensors that need no device."""
    native = torch.nn.functional
    with torch._subclasses.FakeTensorMode():
        x = torch.empty(2, CHANNELS, device="cuda", dtype=torch.float16)
        weight = torch.empty(CHANNELS, device="cuda")
        before = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
        try:
            torch.set_autocast_enabled("cuda", True)
            torch.set_autocast_dtype("cuda", torch.float16)
            for name in ("softplus", "mish", "gelu", "sigmoid", "relu", "logsigmoid"):
                assert getattr(F, name)(x).dtype == getattr(native, name)(x).dtype, name
            for name in ("softmax", "log_softmax", "softmin"):
                assert getattr(F, name)(x, 1).dtype == getattr(native, name)(x, 1).dtype == torch.float32
            assert F.softmax(x, 1, dtype=torch.float16).dtype == native.softmax(x, 1, dtype=torch.float16).dtype
            assert F.prelu(x.float(), weight).dtype == native.prelu(x.float(), weight).dtype == torch.float16
        finally:
            torch.set_autocast_enabled("cuda", before[0])
            torch.set_autocast_dtype("cuda", before[1])


def test_autocast_is_traced():
    torch._dynamo.reset()
    weight = torch.randn(CHANNELS)

    def f(x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return F.prelu(x, weight)

    x = torch.randn(3, CHANNELS)
    compiled = torch.compile(f, fullgraph=True, backend="aot_eager")
    assert compiled(x).dtype == torch.bfloat16
    torch.testing.assert_close(compiled(x), f(x))
