"""Infinities, NaN and signed zeros, for every op, in value and slope."""

import math

import pytest
import torch

import act_ext
from tests.table import DEFAULTS, each_default, each_dtype

INF = math.inf
# op: (f(-inf), f(inf), slope(-inf), slope(inf)); NaN where there is no limit.
LIMITS = {
    "identity": (-INF, INF, 1, 1),
    "binary_step": (0, 1, 0, 0),
    "relu": (0, INF, 0, 1),
    "relu6": (0, 6, 0, 0),
    "leaky_relu": (-INF, INF, 0.01, 1),
    "threshold": (0, INF, 0, 1),
    "hardtanh": (-1, 1, 0, 0),
    "softshrink": (-INF, INF, 1, 1),
    "hardshrink": (-INF, INF, 1, 1),
    "hardsigmoid": (0, 1, 0, 0),
    "hardswish": (0, INF, 0, 1),
    "relu_squared": (0, INF, 0, INF),
    "elu": (-1, INF, 0, 1),
    "selu": (-1.7580993408473766, INF, 0, 1.0507009873554805),
    "celu": (-1, INF, 0, 1),
    "sigmoid": (0, 1, 0, 0),
    "logsigmoid": (-INF, 0, 1, 0),
    "tanh": (-1, 1, 0, 0),
    "tanhshrink": (-INF, INF, 1, 1),
    "softsign": (-1, 1, 0, 0),
    "softplus": (0, INF, 0, 1),
    "silu": (0, INF, 0, 1),
    "swish": (0, INF, 0, 1),
    "quick_gelu": (0, INF, 0, 1),
    "gelu": (0, INF, 0, 1),
    "gelu_tanh": (0, INF, 0, 1),
    "mish": (0, INF, 0, 1),
    "hard_mish": (0, INF, 0, 1),
    "squareplus": (0, INF, 0, 1),
    "isru": (-1, 1, 0, 0),
    "isrlu": (-1, INF, 0, 1),
    "lisht": (INF, INF, -1, 1),
    "tanhexp": (0, INF, 0, 1),
    "smish": (0, INF, 0, 0.6),
    "logish": (0, INF, 0, 0.6931471805599453),
    "gish": (0, INF, 0, 0.6931471805599453),
    "phish": (0, INF, 0, 1),
    "nlrelu": (0, INF, 0, 0),
    "softexponential": (0, INF, 0, INF),
    "serf": (0, INF, 0, 1),
    "sine": (math.nan, math.nan, math.nan, math.nan),
}
# f(-0) is -0 where the function is odd, or 0 at 0 with the sign of x around it.
NO_SIGNED_ZERO = {"binary_step", "threshold", "hardsigmoid", "sigmoid", "logsigmoid", "softplus", "squareplus", "lisht"}
NO_SIGNED_ZERO |= {"phish", "softexponential"}


def value_and_slope(case, x):
    x = x.clone().requires_grad_()
    y = case.function(x)
    y.backward(torch.ones_like(y))
    return y.detach(), x.grad


def test_extreme_parameters():
    x = torch.tensor([-INF, -1.0, 1.0, INF])
    F = act_ext.functional
    assert F.softplus(x, beta=0.0)[1:3].tolist() == [INF, INF]
    assert F.softplus(x, beta=1e-39).tolist() == [0.0, INF, INF, INF]
    assert F.softplus(x, beta=1e-37)[0] == 0
    assert F.softplus(x, beta=1e39).tolist() == [0.0, 0.0, 1.0, INF]
    big = torch.tensor([2e18, -2e18], dtype=torch.float64)
    expected = 0.5 * (big + (big * big + 1e38).sqrt())
    torch.testing.assert_close(F.squareplus(big.float(), b=1e38).double(), expected, rtol=1e-6, atol=0)
    assert F.nlrelu(torch.tensor([3e38]), beta=3e38).item() == pytest.approx(2 * math.log(3e38), rel=1e-6)
    assert F.softexponential(torch.tensor([3e38]), alpha=-2e20).item() == pytest.approx(math.log(6e58) / 2e20, rel=1e-6)
    tiny, huge = 1e-50, 1e39
    parameters = [(F.squareplus, {"b": tiny}), *((F.isru, {"alpha": alpha}) for alpha in (tiny, huge))]
    parameters += [
        (F.nlrelu, {"beta": tiny}),
        (F.softexponential, {"alpha": tiny}),
        (F.softexponential, {"alpha": -tiny}),
    ]
    for function, kwargs in parameters:
        y = torch.tensor([-INF, -1.0, 0.0, 1.0, INF], requires_grad=True)
        value = function(y, **kwargs)
        value.sum().backward()
        assert not value.isnan().any()
        assert not y.grad.isnan().any()


@pytest.mark.parametrize("b", [1e-37, 1e-25, 1e-18, 1e-14, 1.0, 1e20])
def test_squareplus_far_below_zero(b):
    x = -torch.logspace(17.9, 38.5, 1001)
    wide = x.double()
    exact = float(torch.tensor(b)) / 2 / ((wide * wide + b).sqrt() - wide)
    last_place = (torch.nextafter(exact.float(), torch.tensor(INF)) - exact.float()).double()
    assert ((act_ext.functional.squareplus(x, b=b).double() - exact).abs() <= last_place).all()


def test_every_op_has_limits():
    assert set(LIMITS) == {case.name for case in DEFAULTS}


@each_dtype
@each_default
def test_limits(case, dtype, device):
    x = torch.tensor([-INF, INF], dtype=dtype, device=device)
    value, slope = value_and_slope(case, x)
    low, high, slope_low, slope_high = LIMITS[case.name]
    expected = torch.tensor([low, high, slope_low, slope_high], dtype=dtype)
    torch.testing.assert_close(torch.cat([value, slope]).cpu(), expected, equal_nan=True)


@each_dtype
@each_default
def test_nan_propagates(case, dtype, device):
    # In every position of a vector and of a tail.
    for position in range(0, 67, 6):
        x = torch.ones(67, dtype=dtype, device=device)
        x[position] = math.nan
        value, slope = value_and_slope(case, x)
        isnan = torch.arange(67, device=device) == position
        assert torch.equal(value.isnan(), isnan)
        if case.spec["saves"] != "nothing":
            assert torch.equal(slope.isnan(), isnan)


@each_dtype
@each_default
def test_signed_zero(case, dtype, device):
    if case.name in NO_SIGNED_ZERO:
        pytest.skip("not odd, or not 0 at 0")
    x = torch.tensor([-0.0, 0.0], dtype=dtype, device=device)
    y = case.function(x)
    assert y.eq(0).all()
    assert y.signbit().tolist() == [True, False]


@each_dtype
@each_default
def test_negative_tail_of_the_gated_ends_in_minus_zero(case, dtype, device):
    flat = ("binary_step", "relu", "relu6", "threshold", "relu_squared", "nlrelu")
    if LIMITS[case.name][0] != 0 or case.name in flat:
        pytest.skip("its limit at minus infinity is not 0 from below")
    if case.name in ("sigmoid", "softplus", "hardsigmoid", "squareplus", "phish", "softexponential"):
        pytest.skip("it is positive")
    y = case.function(torch.tensor([-INF, -1e4], dtype=dtype, device=device))
    assert y.eq(0).all()
    assert y.signbit().all()


@each_default
def test_gradients_do_not_pass_a_slope_of_zero(case, device):
    """As in torch, an infinite gradient is stopped, not turned into NaN, where a rectifier is flat."""
    if case.name not in ("relu", "relu6", "threshold", "hardtanh", "softshrink", "hardshrink", "hardsigmoid"):
        pytest.skip("not a rectifier")
    flat = 0.0 if case.name in ("softshrink", "hardshrink") else -5.0
    x = torch.tensor([flat], device=device, requires_grad=True)
    case.function(x).backward(torch.tensor([INF], device=device))
    native = torch.tensor([flat], device=device, requires_grad=True)
    case.native(native).backward(torch.tensor([INF], device=device))
    assert x.grad.item() == native.grad.item() == 0


@each_dtype
@each_default
def test_second_derivative_at_infinity(case, dtype, device):
    if case.spec["saves"] == "nothing":
        pytest.skip("its slope is constant")
    x = torch.tensor([-INF, INF], dtype=dtype, device=device)
    saved = case.function(x) if case.spec["saves"] == "result" else x
    one = torch.ones_like(x)
    second = getattr(torch.ops.act_ext, f"{case.name}_double_backward")(one, one, saved, **case.kwargs).cpu()
    if case.spec["saves"] == "result":  # with respect to the result
        assert second.isfinite().all()
    elif math.isnan(LIMITS[case.name][2]):
        assert second.isnan().all()
    else:
        assert second.tolist() == [0, {"relu_squared": 2, "softexponential": INF}.get(case.name, 0)]
