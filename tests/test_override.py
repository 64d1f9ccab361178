"""torch's own functions, run by act_ext's kernels."""

import math
import threading
import warnings

import pytest
import torch
from torch import Tensor

import act_ext
from tests.table import each_dtype

F = torch.nn.functional
OURS = act_ext.functional

# By what act_ext.override_native calls them: torch's function, and act_ext's.
PAIRS = {
    "relu": (torch.relu, OURS.relu),
    "leaky_relu": (F.leaky_relu, OURS.leaky_relu),
    "threshold": (lambda x: F.threshold(x, 0.1, 20.0), lambda x: OURS.threshold(x, 0.1, 20.0)),
    "hardtanh": (F.hardtanh, OURS.hardtanh),
    "hardtanh-relu6": (F.relu6, OURS.relu6),
    "softshrink": (F.softshrink, OURS.softshrink),
    "hardshrink": (F.hardshrink, OURS.hardshrink),
    "hardsigmoid": (F.hardsigmoid, OURS.hardsigmoid),
    "hardswish": (F.hardswish, OURS.hardswish),
    "elu": (F.elu, OURS.elu),
    "elu-alpha": (lambda x: F.elu(x, 0.7), lambda x: OURS.elu(x, 0.7)),
    "elu-selu": (torch.selu, OURS.selu),
    "elu-celu": (lambda x: F.celu(x, 0.3), lambda x: OURS.celu(x, 0.3)),
    "sigmoid": (torch.sigmoid, OURS.sigmoid),
    "tanh": (torch.tanh, OURS.tanh),
    "softplus": (lambda x: F.softplus(x, 2.0, 15.0), lambda x: OURS.softplus(x, 2.0, 15.0)),
    "silu": (F.silu, OURS.silu),
    "gelu": (F.gelu, OURS.gelu),
    "gelu-tanh": (lambda x: F.gelu(x, approximate="tanh"), OURS.gelu_tanh),
    "mish": (F.mish, OURS.mish),
    "glu": (lambda x: F.glu(x, 1), lambda x: OURS.glu(x, 1)),
    "softmax": (lambda x: torch.softmax(x, 1), lambda x: OURS.softmax(x, 1)),
    "log_softmax": (lambda x: F.log_softmax(x, 1), lambda x: OURS.log_softmax(x, 1)),
}
IN_PLACE = {
    "relu": (torch.relu_, OURS.relu),
    "leaky_relu": (F.leaky_relu_, OURS.leaky_relu),
    "elu": (F.elu_, OURS.elu),
    "elu-selu": (torch.selu_, OURS.selu),
    "hardtanh": (F.hardtanh_, OURS.hardtanh),
    "silu": (lambda x: F.silu(x, inplace=True), OURS.silu),
    "sigmoid": (torch.sigmoid_, OURS.sigmoid),
    "mish": (lambda x: F.mish(x, inplace=True), OURS.mish),
}
each_pair = pytest.mark.parametrize("key", PAIRS)


def override(key: str) -> act_ext.override_native:
    return act_ext.override_native(key.partition("-")[0])


def gradient(function, x: Tensor) -> Tensor:
    x = x.detach().clone().requires_grad_()
    y = function(x)
    y.backward(torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape))
    return x.grad


# Wide enough that the native float32 kernels differ somewhere from act_ext's, where those are not exact.
def wide(dtype=torch.float32) -> Tensor:
    return (torch.randn(64, 32, dtype=torch.float64) * 8).to(dtype)


@each_dtype
@each_pair
def test_runs_our_kernels(key, dtype):
    native, ours = PAIRS[key]
    x = wide(dtype)
    before = native(x), gradient(native, x), native(x.t().contiguous().t()).stride()
    with override(key):
        assert torch.equal(native(x), ours(x))
        strided = native(x.t().contiguous().t())
        assert torch.equal(strided, ours(x))
        assert strided.stride() == before[2]
        torch.testing.assert_close(gradient(native, x), gradient(ours, x), rtol=0, atol=0)
    assert torch.equal(native(x), before[0])
    assert torch.equal(gradient(native, x), before[1])


# The native ops of each name, all of whose kernels are to change.
NATIVE = {name: [name, f"{name}_backward"] for name in act_ext.override_native.names} | {
    "relu": ["relu", "relu_", "threshold_backward"],
    "glu": ["glu", "glu_backward"],
    "softmax": ["_softmax", "_softmax_backward_data"],
    "log_softmax": ["_log_softmax", "_log_softmax_backward_data"],
}


def runs_ours(op: str) -> bool:
    """Whether the dispatcher's kernel for the CPU comes from act_ext."""
    (line,) = (line for line in torch._C._dispatch_dump_table(f"aten::{op}").splitlines() if line.startswith("CPU:"))
    return "override.cpp" in line


@pytest.mark.parametrize("name", act_ext.override_native.names)
def test_kernels_change(name):
    ops = NATIVE[name]
    with act_ext.override_native(name):
        assert all(map(runs_ours, ops))
        assert not runs_ours("cos")
    assert not any(map(runs_ours, ops))


def test_differs_from_native():
    """What the tests above rely on: the kernels do change."""
    x = torch.tensor([-91.0, -5.5])
    exact = 0.5 * x.double() * torch.special.erfc(-x.double() * math.sqrt(0.5))
    assert ((F.gelu(x).double() - exact).abs() > 1e-3 * exact.abs()).any()
    with act_ext.override_native():
        torch.testing.assert_close(F.gelu(x).double(), exact, rtol=1e-6, atol=1e-44)


@pytest.mark.parametrize("key", IN_PLACE)
def test_in_place(key):
    native, ours = IN_PLACE[key]
    x = wide()
    with override(key):
        y = x.clone()
        assert native(y) is y
        assert torch.equal(y, ours(x))
        assert y._version == 1


def test_in_place_gradients_from_the_result():
    for native, ours in ((F.elu_, OURS.elu), (F.leaky_relu_, OURS.leaky_relu), (torch.selu_, OURS.selu)):
        x = wide(torch.float64)
        with act_ext.override_native():
            result = gradient(lambda x, native=native: native(x * 1), x)
        torch.testing.assert_close(result, gradient(ours, x))


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_out(name):
    x, out = wide(), torch.empty(0)
    with act_ext.override_native(name):
        assert getattr(torch, name)(x, out=out) is out
    assert torch.equal(out, getattr(OURS, name)(x))


def test_all_at_once_and_no_warning():
    x = wide()
    with warnings.catch_warnings(), act_ext.override_native():
        warnings.simplefilter("error")
        for key, (native, ours) in PAIRS.items():
            assert torch.equal(native(x), ours(x)), key


def test_what_we_have_no_kernel_for_stays_native():
    integers = torch.arange(-3, 4)
    expected = torch.relu(integers), torch.sigmoid(integers), torch.sigmoid(torch.tensor(1 + 1j))
    with act_ext.override_native():
        assert torch.equal(torch.relu(integers), expected[0])
        assert torch.equal(torch.sigmoid(integers), expected[1])
        assert torch.equal(torch.sigmoid(torch.tensor(1 + 1j)), expected[2])
        assert torch.equal(torch.sigmoid(torch.tensor([True])), torch.tensor([1.0]).sigmoid())
        # A dtype for the result, broadcasting of gradients, an alpha that celu does not take.
        wider = torch.softmax(torch.zeros(2, 4, dtype=torch.bfloat16), 1, dtype=torch.float32)
        assert wider.dtype == torch.float32
        out = torch.empty(7, dtype=torch.float64)
        torch.sigmoid(torch.zeros(7), out=out)
        assert (out == 0.5).all()
        with pytest.raises(RuntimeError):
            F.celu(torch.zeros(2), 0.0)
        with pytest.raises(RuntimeError, match="approximate"):
            F.gelu(torch.zeros(2), approximate="other")
        with pytest.raises(RuntimeError):
            F.mish(torch.arange(3))


def test_sparse_and_quantized_stay_native():
    x = torch.eye(3).to_sparse()
    with act_ext.override_native():
        assert torch.equal(torch.tanh(x).to_dense(), torch.eye(3).tanh())


def test_forward_inside_backward_outside():
    for key, (native, ours) in PAIRS.items():
        x = wide(torch.float64).requires_grad_()
        with override(key):
            y = native(x)
        y.sum().backward()
        same = x.detach().requires_grad_()
        torch.testing.assert_close(x.grad, torch.autograd.grad(ours(same).sum(), same)[0])


def test_blocks_nest():
    x = torch.tensor([-5.5])
    native = F.gelu(x)
    with act_ext.override_native("gelu"):
        with act_ext.override_native():
            assert not torch.equal(F.gelu(x), native)
        assert not torch.equal(F.gelu(x), native)
    assert torch.equal(F.gelu(x), native)


def test_as_a_decorator_and_for_good():
    x = torch.tensor([-5.5])
    native = F.gelu(x)

    @act_ext.override_native("gelu")
    def run():
        return F.gelu(x)

    assert not torch.equal(run(), native)
    assert torch.equal(F.gelu(x), native)
    act_ext.set_override_native(True, "gelu")
    act_ext.set_override_native(True)
    try:
        assert not torch.equal(F.gelu(x), native)
        with act_ext.override_native("gelu"):
            pass
        assert not torch.equal(F.gelu(x), native)
    finally:
        act_ext.set_override_native(False)
    assert torch.equal(F.gelu(x), native)


def test_left_when_an_error_passes():
    x = torch.tensor([-5.5])
    native = F.gelu(x)
    with pytest.raises(KeyError), act_ext.override_native():
        raise KeyError
    assert torch.equal(F.gelu(x), native)


def test_shares_an_op():
    """relu's backward is threshold's."""
    with act_ext.override_native("threshold"):
        with act_ext.override_native("relu"):
            assert runs_ours("threshold_backward")
        assert runs_ours("threshold_backward")
        assert torch.equal(torch.relu(torch.tensor([-1, 2])), torch.tensor([0, 2]))
    assert not runs_ours("threshold_backward")


def test_what_another_library_overrides():
    library = torch.library.Library("aten", "IMPL")
    library.impl("relu", lambda x: x * 0 + 42, "CPU", allow_override=True)
    try:
        with act_ext.override_native("relu"):
            assert (torch.relu(torch.arange(2)) == 42).all()
    finally:
        library._destroy()
    with act_ext.override_native("relu"):
        assert torch.equal(torch.relu(torch.arange(2)), torch.arange(2))


def test_errors_are_the_native_ones():
    def messages(call):
        with pytest.raises((RuntimeError, IndexError)) as native:
            call()
        with act_ext.override_native(), pytest.raises((RuntimeError, IndexError)) as ours:
            call()
        return str(native.value), str(ours.value)

    for call in (
        lambda: F.glu(torch.randn(3, 3), 1),
        lambda: F.glu(torch.randn(()), 0),
        lambda: F.glu(torch.randn(2, 2), 5),
        lambda: F.softshrink(torch.zeros(2), -1.0),
        lambda: F.softshrink(torch.zeros(2), float("inf")),
        lambda: F.gelu(torch.zeros(2), approximate="other"),
        lambda: F.silu(torch.arange(2)),
    ):
        native, ours = messages(call)
        assert ours.partition("\n")[0] == native.partition("\n")[0]
    with act_ext.override_native():
        result = torch.ops.aten.glu_backward(torch.ones(3, 1), torch.zeros(3, 4), 1)  # which broadcasts
        assert F.hardtanh(torch.tensor([0.3]), float("nan"), 1.0).isnan()
    assert result.shape == (3, 4)


def test_errors():
    with pytest.raises(TypeError, match="use a block inside"):

        @act_ext.override_native()
        def generate():
            yield

    with pytest.raises(ValueError, match=r"name must be one of .*'tanhshrink'"):
        act_ext.override_native("tanhshrink")
    with pytest.raises(ValueError, match="must not be given with False"):
        act_ext.set_override_native(False, "mish")


def test_seen_from_other_threads():
    seen = []
    x = torch.tensor([-5.5])
    with act_ext.override_native("gelu"):
        thread = threading.Thread(target=lambda: seen.append(F.gelu(x)))
        thread.start()
        thread.join()
    assert torch.equal(seen[0], OURS.gelu(x))


def test_under_transforms_and_modes():
    x = torch.randn(3, 4, dtype=torch.float64)
    with act_ext.override_native():
        torch.testing.assert_close(torch.func.vmap(F.mish)(x), OURS.mish(x))
        slope = torch.func.grad(lambda v: F.mish(v).sum())(x)
        torch.testing.assert_close(slope, torch.ops.act_ext.mish_backward(torch.ones_like(x), x))
        assert torch.autograd.gradcheck(F.gelu, x.clone().requires_grad_())
        with torch.inference_mode():
            assert torch.equal(F.silu(x), OURS.silu(x))
        assert F.mish(x.to("meta")).device.type == "meta"
        compiled = torch.compile(lambda v: F.mish(v) * 2, backend="aot_eager", fullgraph=True)
        torch.testing.assert_close(compiled(x), F.mish(x) * 2)


def test_a_whole_network():
    model = torch.nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, activation="gelu", batch_first=True)
    x = torch.randn(2, 5, 16)
    expected = model(x)
    with act_ext.override_native():
        torch.testing.assert_close(model(x), expected)
