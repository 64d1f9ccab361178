"""Derivatives beyond the second: of the pointwise ops up to the fifth, of the functions of rows any."""

import math
import re

import pytest
import torch
from torch.autograd import forward_ad, gradcheck, gradgradcheck

import act_ext
from benchmarks.accuracy import exact
from tests.table import CASES, SPEC, Case, each_dtype

F = act_ext.functional
OP = torch.ops.act_ext.slope_derivative.default
SLOPED = [case for case in CASES if case.spec["saves"] != "nothing"]
each_sloped = pytest.mark.parametrize("case", SLOPED, ids=str)
each_order = pytest.mark.parametrize("order", [2, 3, 4])
# One of each way: by the input, by the result, gating, from the result in place.
FEW = [Case(name) for name in ("mish", "tanh", "relu_squared", "elu", "gelu")]
each_of_few = pytest.mark.parametrize("case", FEW, ids=str)


def derivative(function, x, order):
    """By reverse mode alone."""
    y = function(x)
    for _ in range(order):
        (y,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    return y


def sample(case, dtype=torch.float64):
    near = torch.linspace(-12, 12, 49, dtype=torch.float64) + 0.013
    far = torch.tensor([-100.0, -40, -25, 25, 40, 100, 1e-3, -1e-3, 1e-8, -1e-8], dtype=torch.float64)
    return case.away_from_kinks(torch.cat([near, far]), 0.02).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@each_order
@each_sloped
def test_values(case, order, dtype):
    x = sample(case, dtype).requires_grad_()
    found = derivative(case.function, x, order + 1).detach().double()
    want = exact.slope_derivative(case, x.detach(), order)
    # Near their zeros and in the tails in parts of a tenth of the largest. A result that is saved has been rounded,
    # which each derivative magnifies.
    finite = want.abs() < torch.finfo(dtype).max
    least = 0.1 * want[finite].abs().max().item() + 1e-300
    error = ((found - want).abs() / want.abs().clamp(min=least)).where(finite, 0)
    worst = error.argmax()
    assert error[worst] <= (1e-5 if dtype == torch.float32 else 1e-8), f"{error[worst]:.1e} at {x[worst].item()!r}"


@each_of_few
def test_modes(case):
    """Forward and reverse, in any order, and batches of them."""
    x = sample(case)[::5]
    slope = torch.func.grad(lambda x: case.function(x).sum())
    second = torch.func.grad(lambda x: slope(x).sum())
    want = derivative(case.function, x.clone().requires_grad_(), 3).detach()
    ones = torch.ones_like(x)
    torch.testing.assert_close(torch.func.grad(lambda x: second(x).sum())(x), want)
    torch.testing.assert_close(torch.func.jvp(second, (x,), (ones,))[1], want)
    pushed = torch.func.jvp(lambda x: torch.func.jvp(case.function, (x,), (ones,))[1], (x,), (ones,))[1]
    assert pushed.shape == x.shape
    twice = torch.func.jvp(lambda x: torch.func.jvp(slope, (x,), (ones,))[1], (x,), (ones,))[1]
    torch.testing.assert_close(twice, want)
    each = torch.func.vmap(torch.func.grad(torch.func.grad(torch.func.grad(case.function))))(x)
    torch.testing.assert_close(each, want)


@each_order
@each_of_few
def test_gradcheck(case, order):
    saved = sample(case)[10:40:3].requires_grad_()
    if case.spec["saves"] == "result":
        saved = case.function(saved).detach().requires_grad_()
    if order < 4:
        values = list(case.values.values())
        checks = {"check_forward_ad": True, "check_batched_grad": True, "check_batched_forward_grad": True}
        assert gradcheck(lambda s: OP(s, case.name, values, order), (saved,), **checks)


@each_of_few
def test_second_pass_by_all_its_inputs(case):
    """The gradients of grad_grad_input and grad_output too, and theirs."""
    saved = sample(case)[20:30:3]
    if case.spec["saves"] == "result":
        saved = case.function(saved)
    op = getattr(torch.ops.act_ext, f"{case.name}_double_backward")
    tensors = tuple(t.requires_grad_() for t in (torch.randn_like(saved), torch.randn_like(saved), saved.detach()))

    def second(*tensors):
        return op(*tensors, **case.kwargs)

    assert gradcheck(second, tensors, check_forward_ad=True)
    assert gradgradcheck(second, tensors, check_fwd_over_rev=True)


@each_sloped
def test_nan_stays(case):
    x = torch.tensor([math.nan, 1.3], dtype=torch.float64, requires_grad=True)
    for order in range(1, 6):
        assert derivative(case.function, x, order).isnan().tolist() == [True, False], order


@pytest.mark.parametrize("name", ["elu", "selu", "celu", "leaky_relu", "relu"])
def test_of_in_place_forms(name):
    """They save the result alone."""
    x = sample(Case(name)).requires_grad_()
    for order in (3, 4, 5):
        found = derivative(lambda x: getattr(F, name)(x * 1, inplace=True), x, order)
        torch.testing.assert_close(found, derivative(getattr(F, name), x, order))


def test_a_closed_gate_lets_nothing_through():
    x = torch.tensor([-1.0, 2.0], requires_grad=True)
    h = torch.full((2,), math.inf, requires_grad=True)
    (third,) = torch.autograd.grad(torch.ops.act_ext.relu_double_backward(h, h, x).sum(), x)
    assert third.tolist() == [0, 0]


@each_dtype
@each_order
@each_of_few
def test_dtypes_and_layouts(case, order, dtype, device):
    """In every dtype float64's value, rounded once, and whatever the layout."""
    values = list(case.values.values())
    x = (torch.randn(7, 30, 5, dtype=torch.float64) * 2).to(dtype).to(device)
    want = OP(x.double(), case.name, values, order).to(dtype)
    for y, expected in [(x, want), (x.transpose(0, 2), want.transpose(0, 2)), (x[:, ::3], want[:, ::3])]:
        found = OP(y, case.name, values, order)
        assert found.dtype == dtype
        assert found.stride() == torch.neg(y).stride()
        assert torch.equal(found, expected)
    assert OP(x[:0], case.name, values, order).shape == (0, 30, 5)


def test_threads():
    x = torch.randn(100_003, dtype=torch.float64)
    want = OP(x, "silu", [], 2)
    torch.set_num_threads(2)
    try:
        assert torch.equal(OP(x, "silu", [], 2), want)
    finally:
        torch.set_num_threads(1)


def test_around_the_op():
    for x in (torch.randn(4, 6), torch.randn(4, 12, dtype=torch.float64)[:, ::2]):
        torch.library.opcheck(OP, (x.clone().requires_grad_(), "mish", [], 2))
        torch.library.opcheck(OP, (x.clone().requires_grad_(), "elu", [0.5], 3, True))
    x = torch.randn(5, 3, requires_grad=True)
    with torch._dynamo.compiled_autograd._enable(torch.compile(backend="eager", fullgraph=True)):
        derivative(F.mish, x, 2).sum().backward()
    torch.testing.assert_close(x.grad, derivative(F.mish, x, 3).detach())


def test_nested_tensors():
    parts = [torch.randn(3, 4), torch.randn(5, 4)]
    x = torch.nested.nested_tensor(parts, layout=torch.jagged).requires_grad_()
    y = F.mish(x)
    for _ in range(3):
        (y,) = torch.autograd.grad(y, x, torch.ones_like(y), create_graph=True)
    assert torch.equal(y.values(), derivative(F.mish, torch.cat(parts).requires_grad_(), 3))


def test_the_sixth_says_that_it_is_missing():
    x = torch.randn(5, dtype=torch.float64, requires_grad=True)
    fifth = derivative(F.mish, x, 5)
    with pytest.raises(NotImplementedError, match="mish: derivatives beyond the fifth are not implemented"):
        torch.autograd.grad(fifth.sum(), x)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mash", [], 2), "activation must be a pointwise one with a slope, got 'mash'"),
        (("swiglu", [], 2), "activation must be a pointwise one with a slope, got 'swiglu'"),
        (("identity", [], 2), "activation must be a pointwise one with a slope, got 'identity'"),
        (("mish", [], 2, True), "a pointwise one with a slope that follows from its result, got 'mish'"),
        (("elu", [], 2), "params must be the 1 of elu, got 0"),
        (("mish", [], 1), "order must be at least 2, got 1"),
        (("squareplus", [-1.0], 2), "squareplus: b must be positive"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        OP(torch.randn(3), *arguments)
    if message.startswith("order"):
        with pytest.raises(NotImplementedError, match="float32, float64, bfloat16 or float16 tensor, got dtype Long"):
            OP(torch.arange(3), "mish", [], 2)


# The functions of rows.

each_row_function = pytest.mark.parametrize("name", ["softmax", "softmin", "log_softmax"])


@each_row_function
def test_rows_as_natively(name):
    x = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    weights = torch.arange(15.0, dtype=torch.float64).view(3, 5).cos()
    both = []
    for module in (F, torch.nn.functional):
        y = getattr(module, name)(x, 1)
        for _ in range(5):
            (y,) = torch.autograd.grad((weights * y).sin().sum(), x, create_graph=True)
        both.append(y)
    torch.testing.assert_close(*both)


@each_row_function
def test_second_pass_of_rows_by_all_its_inputs(name):
    y = getattr(F, name)(torch.randn(2, 4, dtype=torch.float64), 1)
    tensors = tuple(t.requires_grad_() for t in (torch.randn_like(y), torch.randn_like(y), y))
    op = getattr(torch.ops.act_ext, f"{name}_double_backward")
    checks = {"check_forward_ad": True, "check_batched_grad": True, "check_batched_forward_grad": True}
    assert gradcheck(lambda *tensors: op(*tensors, 1), tensors, **checks)
    assert gradgradcheck(lambda *tensors: op(*tensors, 1), tensors, check_fwd_over_rev=True)
    for only in range(3):  # one tangent or gradient alone
        x = [t.detach() for t in tensors]
        with forward_ad.dual_level():
            x[only] = forward_ad.make_dual(x[only], torch.ones_like(y))
            tangents = [forward_ad.unpack_dual(result).tangent for result in op(*x, 1)]
        assert [t.shape for t in tangents] == [y.shape] * 2


@pytest.mark.parametrize("case", [case for case in SLOPED if case.spec["saves"] == "result"], ids=str)
def test_slopes_of_results_are_at_most_quadratic(case):
    """So that no derivative beyond is computed."""
    y = case.function(torch.linspace(-3, 3, 9, dtype=torch.float64))
    for order in (3, 4):
        assert not OP(y, case.name, [], order).any()


def test_every_pointwise_op_has_them():
    assert {case.name for case in SLOPED} == {name for name, spec in SPEC.items() if spec["saves"] != "nothing"}
