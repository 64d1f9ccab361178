"""torch.compile, torch.func, compiled autograd and the Python-level protocols."""

import pytest
import torch
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vmap

import act_ext
from tests.table import each_default

F = act_ext.functional


def sample(case, *shape):
    return case.away_from_kinks(torch.randn(*shape, dtype=torch.float64) * 2, 0.05)


@each_default
def test_compile_fullgraph(case):
    torch._dynamo.reset()
    compiled = torch.compile(lambda x: case.function(x * 2).sum(), fullgraph=True, backend="aot_eager")
    for n in (5, 9, 16):
        a = sample(case, n, 8).requires_grad_()
        b = a.detach().clone().requires_grad_()
        result, expected = compiled(a), case.function(b * 2).sum()
        torch.testing.assert_close(result, expected)
        if case.name != "binary_step":
            result.backward()
            expected.backward()
            torch.testing.assert_close(a.grad, b.grad)


@pytest.mark.parametrize("name", ["mish", "gelu", "elu", "relu", "sigmoid"])
def test_compile_with_inductor(name):
    torch._dynamo.reset()
    f = getattr(F, name)
    compiled = torch.compile(lambda x: f(x + 1) * 2, fullgraph=True, dynamic=True)
    for n in (5, 33):
        a = torch.randn(n, 8, requires_grad=True)
        b = a.detach().clone().requires_grad_()
        compiled(a).sum().backward()
        (f(b + 1) * 2).sum().backward()
        torch.testing.assert_close(a.grad, b.grad)


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


@each_default
def test_compiled_autograd(case):
    if case.name == "binary_step":
        pytest.skip("no gradient to follow")
    torch._dynamo.reset()
    for n in (4, 6):
        a = sample(case, n, 3).requires_grad_()
        b = a.detach().clone().requires_grad_()
        with torch._dynamo.compiled_autograd._enable(torch.compile(backend="eager", fullgraph=True)):
            case.function(a).sum().backward()
        case.function(b).sum().backward()
        torch.testing.assert_close(a.grad, b.grad)


@each_default
def test_func_transforms(case):
    if case.name == "binary_step":
        pytest.skip("constant")
    x = sample(case, 4, 5)
    f, total = case.function, lambda x: case.function(x).sum()
    slope = case.reference(x)[1]
    torch.testing.assert_close(grad(total)(x), slope)
    torch.testing.assert_close(vmap(f, in_dims=1, out_dims=1)(x), f(x))
    torch.testing.assert_close(vmap(vmap(f), in_dims=1, out_dims=1)(x), f(x))
    torch.testing.assert_close(vmap(grad(total))(x), slope)
    torch.testing.assert_close(jvp(f, (x,), (x.cos(),))[1], slope * x.cos())
    torch.testing.assert_close(jacrev(f)(x[0]), torch.diag(slope[0]))
    torch.testing.assert_close(jacfwd(f)(x[0]), torch.diag(slope[0]))
    second = torch.autograd.functional.hessian(lambda v: case.function(v).sum(), x[0])
    torch.testing.assert_close(hessian(total)(x[0]), second)
    torch.testing.assert_close(jacrev(jacrev(total))(x[0]), second)


def test_vmap_over_grad_output_alone():
    x, grads = torch.randn(5, dtype=torch.float64), torch.randn(3, 5, dtype=torch.float64)
    result = vmap(torch.ops.act_ext.mish_backward, in_dims=(0, None))(grads, x)
    torch.testing.assert_close(result, torch.stack([torch.ops.act_ext.mish_backward(g, x) for g in grads]))


def test_vmap_in_place():
    x = torch.randn(3, 4)
    expected = F.mish(x)
    vmap(lambda row: torch.ops.act_ext.mish_(row))(x)
    torch.testing.assert_close(x, expected)


def test_functional_call_and_export():
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), act_ext.nn.Mish(), act_ext.nn.GELU("tanh"))
    x = torch.randn(3, 4)
    torch.testing.assert_close(functional_call(model, dict(model.named_parameters()), (x,)), model(x))
    program = torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim("batch", min=2)},))
    y = torch.randn(7, 4)
    torch.testing.assert_close(program.module()(y), model(y))


def test_subclasses_modes_and_proxies():
    class Marked(torch.Tensor):
        pass

    assert type(F.mish(torch.randn(3).as_subclass(Marked))) is Marked
    assert "act_ext" in torch.fx.symbolic_trace(lambda x: F.mish(x) + 1).code
    assert type(F.mish(torch.nn.Parameter(torch.randn(3)))) is torch.Tensor

    seen = []

    class Record(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append(str(func))
            return func(*args, **(kwargs or {}))

    with Record():
        F.mish(torch.randn(3))
    assert "act_ext.mish.default" in seen


@each_default
def test_meta_tensors(case):
    x = torch.empty(3, 4, device="meta", requires_grad=True)
    y = case.function(x)
    assert y.device.type == "meta"
    assert y.shape == x.shape
    if case.name != "binary_step":
        y.sum().backward()
        assert x.grad.shape == x.shape
