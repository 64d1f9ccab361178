"""Autograd: first and second derivatives, forward mode, in-place forms, version counters, and what is saved."""

import pytest
import torch
import torch.autograd.forward_ad as forward_ad
from torch.autograd import gradcheck, gradgradcheck

import act_ext
from tests.table import SPEC, Case, differentiable, each_default, each_dtype

INPLACE = [
    name for name in act_ext.list_activations() if "inplace" in getattr(act_ext.functional, name).__annotations__
]
each_inplace = pytest.mark.parametrize(
    "case", [Case(n, {"threshold": 0.1, "value": 0.0} if n == "threshold" else {}) for n in INPLACE], ids=str
)


def sample(case, shape=(5, 7)):
    x = torch.randn(shape, dtype=torch.float64) * 3
    return case.away_from_kinks(x, 0.05).requires_grad_()


@differentiable
def test_gradcheck(case):
    checks = {"check_forward_ad": True, "check_batched_grad": True, "check_batched_forward_grad": True}
    assert gradcheck(case.function, (sample(case),), **checks)


@differentiable
def test_gradgradcheck(case):
    assert gradgradcheck(case.function, (sample(case),), check_batched_grad=True, check_fwd_over_rev=True)


@differentiable
def test_gradcheck_of_strided_input(case):
    assert gradcheck(lambda x: case.function(x.t()[::2]), (sample(case),))


@each_default
def test_binary_step_has_zero_gradient_and_identity_one(case):
    if case.spec["saves"] != "nothing":
        pytest.skip("it has a slope")
    x = torch.randn(5, requires_grad=True)
    case.function(x).backward(torch.full((5,), 3.0))
    assert x.grad.tolist() == [0.0 if case.name == "binary_step" else 3.0] * 5


@pytest.mark.parametrize(("dtype", "b"), [(torch.float32, 1e-30), (torch.float64, 1e-210)])
def test_second_derivative_of_a_narrow_squareplus(dtype, b):
    """b / 2 (x^2 + b)^-3/2, to which terms add that are far larger."""
    x = torch.linspace(-3, 3, 7, dtype=dtype) * b**0.5
    x.requires_grad_()
    slope = torch.autograd.grad(act_ext.functional.squareplus(x, b).sum(), x, create_graph=True)[0]
    (second,) = torch.autograd.grad(slope.sum(), x)
    part = x.detach() / b**0.5
    torch.testing.assert_close(second * b**0.5, 0.5 * (part * part + 1) ** -1.5, rtol=1e-5, atol=0.0)


@each_dtype
@each_inplace
def test_inplace_equals_out_of_place(case, dtype, device):
    x = torch.randn(6, 9, dtype=dtype, device=device)
    expected = case.function(x)
    for view in (x.clone(), x.t().contiguous().t(), torch.stack([x, x], -1)[..., 0]):
        result = case.function(view, inplace=True)
        assert result is view
        assert torch.equal(result, expected)


@pytest.mark.parametrize("parameters", ["default", "result does not suffice"])
@each_inplace
def test_inplace_gradients(case, parameters):
    if parameters != "default":
        if case.name not in ("elu", "celu", "leaky_relu"):
            pytest.skip("no such parameters")
        case = Case(case.name, {"negative_slope" if case.name == "leaky_relu" else "alpha": -0.5})
    assert gradcheck(lambda x: case.function(x * 1, inplace=True), (sample(case),), check_forward_ad=True)
    assert gradgradcheck(lambda x: case.function(x * 1, inplace=True), (sample(case),))


@each_inplace
def test_inplace_on_a_leaf_is_rejected(case):
    x = torch.randn(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
        case.function(x, inplace=True)


@each_default
def test_versions_count(case):
    x, out = torch.randn(4), torch.empty(4)
    getattr(torch.ops.act_ext, f"{case.name}_")(x, **case.kwargs)
    assert x._version == 1
    case.op.out(x, **case.kwargs, out=out)
    assert out._version == 1


@each_default
def test_modifying_what_backward_needs_is_detected(case):
    if case.spec["saves"] == "nothing":
        pytest.skip("backward needs nothing")
    x = torch.randn(4, requires_grad=True) * 1
    y = case.function(x)
    (y if case.spec["saves"] == "result" else x).detach().add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@each_default
def test_backward_twice_is_an_error(case):
    if case.spec["saves"] == "nothing":
        pytest.skip("nothing is freed")
    y = case.function(torch.randn(4, requires_grad=True)).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


def saved_bytes(function, x):
    storages = {}

    def pack(tensor):
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = function(x)
    return sum(storages.values()), result


@each_dtype
@each_default
def test_saves_no_more_than_native(case, dtype):
    x = torch.randn(64, dtype=dtype, requires_grad=True)
    ours = saved_bytes(case.function, x)[0]
    if case.name != "binary_step":
        assert ours <= saved_bytes(case.native, x)[0]
    assert ours <= (0 if SPEC[case.name]["saves"] == "nothing" else x.nbytes)


@each_inplace
def test_inplace_saves_no_more_than_native(case):
    ours, _ = saved_bytes(lambda x: case.function(x * 1, inplace=True), torch.randn(64, requires_grad=True))
    try:
        native = saved_bytes(
            lambda x: getattr(torch.nn.functional, case.name)(x * 1, **case.kwargs, inplace=True),
            torch.randn(64, requires_grad=True),
        )[0]
    except (AttributeError, TypeError):
        pytest.skip("no native in-place form")
    assert ours <= native


def test_forward_mode_of_in_place():
    x, t = torch.randn(5, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x.clone(), t.clone())
        expected = forward_ad.unpack_dual(torch.nn.functional.mish(forward_ad.make_dual(x.clone(), t.clone()))).tangent
        torch.testing.assert_close(forward_ad.unpack_dual(torch.ops.act_ext.mish_(dual)).tangent, expected)


@each_default
def test_no_grad_builds_no_graph(case):
    x = torch.randn(3, requires_grad=True)
    with torch.no_grad():
        assert not case.function(x).requires_grad
    with torch.inference_mode():
        assert case.function(x).is_inference()


def test_identity_has_a_tangent_of_its_own():
    t = torch.ones(3)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(torch.zeros(3), t)
        forward_ad.unpack_dual(act_ext.functional.identity(dual)).tangent.mul_(5)
        assert forward_ad.unpack_dual(dual).tangent.tolist() == [1.0] * 3


def test_in_place_on_a_view():
    for name in ("relu_", "elu_", "mish_"):
        op = getattr(torch.ops.act_ext, name)

        def through_view(x, op=op):
            base = x * 1
            op(base[1:])
            return base * 2

        x = torch.tensor([[-1.5, 0.5], [-0.7, 2.0], [1.0, -3.0]], dtype=torch.float64, requires_grad=True)
        assert gradcheck(through_view, (x,))
        assert gradgradcheck(through_view, (x,))
