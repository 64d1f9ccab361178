"""The activations with learned parameters: one element, or one for each channel."""

import copy
import inspect
import math
import pickle

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call, grad, jacfwd, jacrev, vmap

import act_ext
from act_ext._register import SPECS
from act_ext.functional._common import derivatives_of
from tests.table import each_dtype, error_in_ulp

F = act_ext.functional
ops = torch.ops.act_ext
SPEC = {spec["name"]: spec for spec in SPECS if spec["kind"] == "learned"}
each_name = pytest.mark.parametrize("name", SPEC)

# Where each parameter is drawn from.
RANGES = {
    "prelu": {"weight": (-0.5, 1)},
    "learned_swish": {"beta": (-1, 3)},
    "pelu": {"a": (0.2, 3), "b": (0.2, 3)},
    "acon_c": {"p1": (-1, 2), "p2": (-1, 1), "beta": (-0.5, 2)},
    "xielu": {"alpha_p": (0.1, 2), "alpha_n": (0.5, 2)},
    "star_relu": {"scale": (-1, 2), "bias": (-1, 1)},
    "dyt": {"alpha": (0.1, 2), "weight": (-1, 2), "bias": (-1, 1)},
    "snake": {"alpha": (0.2, 3)},
    "snakebeta": {"alpha": (0.2, 3), "beta": (0.2, 3)},
}
# The sum of the magnitudes of the terms of value and slope, which may cancel: the unit of an error is theirs.
TERMS = {
    "learned_swish": ("abs(x * sigmoid(beta * x))", "sigmoid(beta * x) * (1 + abs(beta * x) * sigmoid(-beta * x))"),
    "acon_c": (
        "abs((p1 - p2) * x * sigmoid(beta * (p1 - p2) * x)) + abs(p2 * x)",
        "abs(p1 - p2) * sigmoid(z := beta * (p1 - p2) * x) * (1 + abs(z) * sigmoid(-z)) + abs(p2)",
    ),
    "xielu": (
        "where(x > 0, alpha_p * x * x, alpha_n * (expm1(clamp(x, max=eps)) - x)) + abs(beta * x)",
        "where(x > 0, 2 * alpha_p * x, alpha_n) + beta",
    ),
    "star_relu": ("abs(scale) * clamp(x, min=0)**2 + abs(bias)", "0"),
    "dyt": ("abs(weight * tanh(alpha * x)) + abs(bias)", "0"),
    "snake": ("abs(x) + sin(alpha * x)**2 / alpha", "1 + abs(sin(2 * alpha * x))"),
    "snakebeta": ("abs(x) + sin(alpha * x)**2 / beta", "1 + alpha / beta * abs(sin(2 * alpha * x))"),
}
# A parameter's terms, where they come from a difference, likewise.
PARAMETER_TERMS = {
    "acon_c": {"p1": "abs(x)", "p2": "abs(x)"},
    "xielu": {"alpha_n": "where(x > 0, 0, abs(x))"},
    # Where a sine vanishes, the rounding of its argument counts in the reference.
    "snake": {"alpha": "(abs(x * alpha) + sin(alpha * x)**2) / alpha**2"},
    "snakebeta": {"alpha": "abs(x) / beta", "beta": "abs(sin(alpha * x)) / beta**2"},
}
TORCH = {n: getattr(torch, n) for n in dir(torch) if not n.startswith("_")}


def names(name):
    return SPEC[name]["learned"].split(", ")


def dim_of(x, dim):
    """The dimension of the channels, or None."""
    return None if x.dim() == 0 or (x.dim() == 1 and dim == 1) else dim % x.dim()


def channels_of(x, dim):
    dim = dim_of(x, dim)
    return 1 if dim is None else x.size(dim)


def draw(name, count, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        (torch.rand(count, generator=generator, dtype=torch.float64) * (high - low) + low).to(dtype)
        for low, high in RANGES[name].values()
    ]


def along(parameter, x, dim):
    """The parameter as it broadcasts against x."""
    shape = [1] * x.dim()
    if parameter.numel() != 1:
        shape[dim_of(x, dim)] = parameter.numel()
    return parameter.reshape(shape)


def evaluate(expression, name, x, parameters, dim, **constants):
    """Of torch's functions, the parameters along dim and the constants, as the kernels for x's dtype take them."""
    compute = torch.float64 if x.dtype == torch.float64 else torch.float32
    defaults = {p.split("=")[0].split()[-1]: float(p.split("=")[1]) for p in SPEC[name]["params"].split(", ") if p}
    scope = {n: torch.tensor(v, dtype=compute).item() for n, v in (defaults | constants).items()}
    scope |= {n: along(p.double(), x, dim) for n, p in zip(names(name), parameters, strict=True)}

    def where(condition, a, b):
        return torch.where(condition, torch.as_tensor(a, dtype=torch.float64), torch.as_tensor(b, dtype=torch.float64))

    scope |= {"x": x.double(), "where": where}
    result = eval(expression, {"__builtins__": {"__import__": __import__}, **TORCH, **scope})
    return torch.as_tensor(result, dtype=torch.float64).expand(x.shape)


def formula(name, x, parameters, dim, **constants):
    return evaluate(SPEC[name]["formula"], name, x, parameters, dim, **constants)


def derivatives(name, x, parameters, dim, **constants):
    """By x and by each parameter, not summed."""
    return [evaluate(text, name, x, parameters, dim, **constants) for text in derivatives_of(SPEC[name])]


def summed(terms, parameter, dim):
    """Over the elements that share the parameter's elements."""
    if parameter.numel() == 1:
        return terms.sum().reshape(parameter.shape)
    return terms.movedim(dim, 0).reshape(parameter.numel(), terms.numel() // max(parameter.numel(), 1)).sum(1)


# Each gives an input and the dimension of its channels.
LAYOUTS = {
    "contiguous": lambda: (torch.randn(2, 6, 5, 7), 1),
    "channels_last": lambda: (torch.randn(2, 6, 5, 7).to(memory_format=torch.channels_last), 1),
    "transposed": lambda: (torch.randn(2, 6, 5, 7).transpose(1, 3), 1),
    "sliced": lambda: (torch.randn(2, 9, 5, 7)[:, 1::2, :, 1:], 1),
    "expanded": lambda: (torch.randn(2, 6, 1, 7).expand(-1, -1, 5, -1), 1),
    "expanded_channels": lambda: (torch.randn(2, 1, 5, 7).expand(-1, 6, -1, -1), -3),
    "innermost": lambda: (torch.randn(33, 13), -1),
    "outermost": lambda: (torch.randn(5, 100, 3), 0),
    "many_channels": lambda: (torch.randn(3, 2001), 1),
    "one_pixel": lambda: (torch.randn(8, 6, 1, 1), 1),
    "7x7": lambda: (torch.randn(4, 6, 7, 7), 1),
    "64x64": lambda: (torch.randn(2, 3, 64, 64), 1),
    "zero_dim": lambda: (torch.randn(()), 1),
    "one_dim": lambda: (torch.randn(37), 1),
    "one_dim_of_channels": lambda: (torch.randn(37), 0),
    "empty": lambda: (torch.randn(0, 3, 4), 1),
    "no_channels": lambda: (torch.randn(2, 0, 4), 1),
}


def bounds(name, dtype):
    """In units of the last place; for float64 the reference, in float64 itself, has the larger part of this."""
    if dtype in (torch.bfloat16, torch.float16):
        return 0.51, 0.51
    # acon_c's slope is a sum of two shares, each with the error of a sigmoid's slope; dyt's is tanh's times three
    # numbers: 4.6 on 150 samples.
    return (4.0, 5.0 if name in ("acon_c", "dyt") else 4.0) if dtype == torch.float32 else (200.0, 200.0)


def worst(error):
    return error.max().item() if error.numel() else 0.0


def apply(name, x, parameters, dim):
    """The op: prelu's function has no dim."""
    return getattr(ops, name)(x, *parameters, dim)


def check_elementwise(name, result, exact, x, parameters, dim, which, factor=1.0):
    """which: 0 for the value, 1 for the slope times factor."""
    terms = evaluate(TERMS.get(name, ("0", "0"))[which], name, x, parameters, dim) * abs(factor)
    representable = exact.isfinite() & (terms <= torch.finfo(x.dtype).max)
    error = torch.where(representable, error_in_ulp(result, exact, terms), 0.0)
    assert worst(error) <= bounds(name, x.dtype)[which]


def check_gradients(name, results, g, x, parameters, dim):
    """The parameters' gradients, relative to the magnitudes of what was summed, and rounded once."""
    for argument, result, parameter, text in zip(
        names(name), results, parameters, derivatives_of(SPEC[name])[1:], strict=True
    ):
        terms = evaluate(text, name, x, parameters, dim) * g
        magnitude = terms.abs() + evaluate(
            PARAMETER_TERMS.get(name, {}).get(argument, "0"), name, x, parameters, dim
        ) * abs(g)
        exact, magnitude = summed(terms, parameter, dim), summed(magnitude, parameter, dim)
        assert result.shape == parameter.shape
        assert result.dtype == parameter.dtype
        rounding = 0.501 * torch.finfo(parameter.dtype).eps
        tolerance = 1e-14 if parameter.dtype == torch.float64 else 1e-6
        tiny = torch.finfo(parameter.dtype).smallest_normal
        assert ((result.double() - exact).abs() <= rounding * exact.abs() + tolerance * magnitude + tiny).all()


@pytest.mark.parametrize("per_channel", [False, True], ids=["one", "per_channel"])
@pytest.mark.parametrize("layout", LAYOUTS)
@each_dtype
@each_name
def test_values_and_gradients(name, dtype, layout, per_channel, device):
    x, dim = LAYOUTS[layout]()
    x = (x * 3).to(dtype).to(device).requires_grad_()
    if per_channel and dim_of(x, dim) is None:
        pytest.skip("it has no channels")
    count = channels_of(x, dim) if per_channel else 1
    leaves = [p.to(device).requires_grad_() for p in draw(name, count, dtype)]
    y = apply(name, x, leaves, dim)
    assert y.dtype == dtype
    assert y.shape == x.shape
    assert y.stride() == torch.neg(x).stride()
    g = torch.randn_like(y)
    grads = [t.cpu() for t in torch.autograd.grad(y, (x, *leaves), g)]
    assert grads[0].shape == x.shape

    x, g, y = x.detach().cpu(), g.cpu().double(), y.detach().cpu()
    parameters = [p.detach().cpu() for p in leaves]
    slope = evaluate(derivatives_of(SPEC[name])[0], name, x, parameters, dim)
    check_elementwise(name, y, formula(name, x, parameters, dim), x, parameters, dim, 0)
    check_elementwise(name, grads[0], slope * g, x, parameters, dim, 1, g)
    check_gradients(name, grads[1:], g, x, parameters, dim)


@each_name
def test_derivatives_are_the_formulas(name):
    """What the documentation says, against autograd through the formula."""
    torch.manual_seed(1)
    x = (torch.randn(7, 5, 100, dtype=torch.float64) * 3).requires_grad_()
    leaves = [p.requires_grad_() for p in draw(name, 5)]
    g = torch.randn_like(x)
    exact = torch.autograd.grad(formula(name, x, leaves, 1), (x, *leaves), g)
    stated = derivatives(name, x.detach(), [p.detach() for p in leaves], 1)
    torch.testing.assert_close(stated[0] * g, exact[0], rtol=1e-11, atol=1e-13)
    for terms, parameter, gradient in zip(stated[1:], leaves, exact[1:], strict=True):
        torch.testing.assert_close(summed(terms * g, parameter, 1), gradient, rtol=1e-11, atol=1e-11)


@each_name
def test_accuracy_over_the_whole_range(name):
    """Every 99991st float32 bit pattern, at several parameters."""
    bits = torch.arange(0, 2**32, 99991, dtype=torch.int64)
    x = (bits - 2**31).to(torch.int32).view(torch.float32)
    x = x[x.isfinite()]
    for seed in range(5):
        parameters = draw(name, 1, torch.float32, seed)
        y = apply(name, x, parameters, 1)
        slope = getattr(ops, f"{name}_backward")(torch.ones_like(x), x, *parameters, 1)[0]
        assert not y.isnan().any()
        assert not slope.isnan().any()
        check_elementwise(name, y, formula(name, x, parameters, 1), x, parameters, 1, 0)
        check_elementwise(
            name, slope, evaluate(derivatives_of(SPEC[name])[0], name, x, parameters, 1), x, parameters, 1, 1
        )


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 64])
@each_name
def test_parameter_gradients_of_many_elements(name, channels):
    # The same numbers many times over: their sum is known from one time.
    times = 16
    x, signs = torch.randn(64, 2**14), torch.randn(64, 2**14)
    parameters = draw(name, channels, torch.float32)
    backward = getattr(ops, f"{name}_backward")

    def gradients(g):
        return backward(g.repeat(times, 1, 1), x.repeat(times, 1, 1), *parameters, 1)[1:]

    mixed = gradients(signs)
    for k, parameter in enumerate(parameters):
        terms = evaluate(derivatives_of(SPEC[name])[k + 1], name, x, parameters, 0)
        exact = times * summed(terms * signs.double(), parameter, 0)
        magnitude = times * summed(terms.abs() * signs.abs().double(), parameter, 0)
        assert ((mixed[k].double() - exact).abs() <= 1e-6 * magnitude).all()
        # No sign but one: the sum of the magnitudes itself.
        total = gradients(signs.abs() * torch.where(terms < 0, -1, 1))[k]
        assert ((total.double() - magnitude).abs() <= 1e-6 * magnitude).all()


@each_dtype
@each_name
def test_thread_count(name, dtype):
    threads = torch.get_num_threads()
    try:
        for count, shape in [(1, (300_007,)), (64, (40, 64, 149)), (2001, (77, 2001))]:
            x, g = torch.randn(shape).to(dtype), torch.randn(shape).to(dtype)
            h = [torch.randn_like(x), *draw(name, count, dtype, seed=1)]
            parameters = draw(name, count, dtype)
            results = []
            for number in (1, 2):
                torch.set_num_threads(number)
                backward, second = (getattr(ops, f"{name}_{s}backward") for s in ("", "double_"))
                results.append(
                    [apply(name, x, parameters, 1), *backward(g, x, *parameters, 1), *second(*h, g, x, *parameters, 1)]
                )
            for one, two in zip(*results, strict=True):
                assert torch.equal(one.view(torch.uint8), two.view(torch.uint8))
    finally:
        torch.set_num_threads(threads)


@each_dtype
@each_name
def test_strides_change_no_bit(name, dtype):
    x = torch.randn(4, 6, 9, 10).to(dtype)
    parameters = draw(name, 6, dtype)
    g = torch.randn_like(x)
    expected = [apply(name, x, parameters, 1), getattr(ops, f"{name}_backward")(g, x, *parameters, 1)[0]]
    for reorder, dim in [((0, 2, 3, 1), 3), ((3, 0, 1, 2), 2), ((1, 0, 2, 3), 0)]:
        strided, strided_g = x.permute(reorder), g.permute(reorder).contiguous()
        got = [
            apply(name, strided, parameters, dim),
            getattr(ops, f"{name}_backward")(strided_g, strided, *parameters, dim)[0],
        ]
        for result, value in zip(got, expected, strict=True):
            assert torch.equal(result, value.permute(reorder))


@each_dtype
@each_name
def test_length_of_a_channel_changes_no_bit(name, dtype):
    """Less than a vector of it, some vectors and a part of one; and one element, where the channels lie innermost."""
    parameters = draw(name, 5, dtype)
    for length in (1, 15, 16, 17, 31, 33, 64, 65, 200):
        x = torch.randn(3, 5, length).to(dtype)
        innermost = apply(name, x.transpose(1, 2).contiguous(), parameters, 2)
        assert torch.equal(apply(name, x, parameters, 1), innermost.transpose(1, 2))


@each_dtype
@each_name
def test_position_changes_no_bit(name, dtype):
    x, g = torch.randn(2, 4099).to(dtype)
    parameters = draw(name, 1, dtype)

    def passes(x, g):
        return [apply(name, x, parameters, 1), getattr(ops, f"{name}_backward")(g, x, *parameters, 1)[0]]

    expected = passes(x, g)
    for part in (slice(1, None), slice(17, None), slice(0, 1), slice(0, 65), slice(0, None, 3)):
        for result, value in zip(passes(x[part], g[part]), expected, strict=True):
            assert torch.equal(result, value[part])


@each_name
def test_grad_output_of_another_layout(name):
    x = torch.randn(4, 6, 4, 6, dtype=torch.float64)
    parameters = draw(name, 6)
    backward = getattr(ops, f"{name}_backward")
    for g in (
        torch.randn(1, 1, 4, 6).double().expand(4, 6, 4, 6),
        torch.randn(4, 6, 4, 6).double().permute(2, 3, 0, 1),
    ):
        expected = backward(g.contiguous(), x, *parameters, 1)
        for result, value in zip(backward(g, x, *parameters, 1), expected, strict=True):
            torch.testing.assert_close(result, value, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last", "sliced", "innermost", "outermost", "7x7", "64x64"])
@each_name
def test_some_parameters_of_one_number(name, layout, device):
    """The gradients are sums of those that there are where each channel has the same number."""
    x, dim = LAYOUTS[layout]()
    x, g, h = x.double(), torch.randn_like(x).double(), torch.randn_like(x).double()
    count = channels_of(x, dim)
    parameters, h_parameters = draw(name, 1), draw(name, 1, seed=1)

    def results(counts, device):
        wide = [[p.expand(c).to(device) for p, c in zip(ps, counts, strict=True)] for ps in (h_parameters, parameters)]
        x_, g_, h_ = x.to(device), g.to(device), h.to(device)
        backward, second = (getattr(ops, f"{name}_{s}backward") for s in ("", "double_"))
        return backward(g_, x_, *wide[1], dim), second(h_, *wide[0], g_, x_, *wide[1], dim)

    mixed = [1 if k % 2 == 0 else count for k in range(len(parameters))]
    expected = results([count] * len(parameters), "cpu")
    for kept, given, reference in zip((1, 2), results(mixed, device), expected, strict=True):
        for k, (result, value) in enumerate(zip(given, reference, strict=True)):
            single = k >= kept and mixed[k - kept] == 1
            torch.testing.assert_close(result.cpu(), value.sum(0, True) if single else value, rtol=1e-10, atol=1e-10)


def test_parameters_of_any_stride():
    x = torch.randn(3, 5, dtype=torch.float64)
    wide = torch.rand(5, 2, dtype=torch.float64, requires_grad=True)
    result = F.prelu(x, wide[:, 1])
    assert torch.equal(result, F.prelu(x, wide[:, 1].contiguous()))
    result.sum().backward()
    assert torch.equal(wide.grad[:, 1], x.clamp(max=0).sum(0))
    scalar = torch.tensor(0.25, dtype=torch.float64, requires_grad=True)
    F.prelu(x, scalar).sum().backward()
    torch.testing.assert_close(scalar.grad, x.clamp(max=0).sum())


INF = torch.inf
# At these parameters: the values at -inf and inf, the slopes there, NaN where they have no limit.
LIMITS = {
    "prelu": ([0.25], [-INF, INF], [0.25, 1]),
    "learned_swish": ([1.5], [0, INF], [0, 1]),
    "pelu": ([2, 0.5], [-2, INF], [0, 4]),
    "acon_c": ([1.5, 0.25, 2], [-INF, INF], [0.25, 1.5]),
    "xielu": ([0.75, 0.75], [INF, INF], [-0.25, INF]),
    "star_relu": ([2, -0.5], [-0.5, INF], [0, INF]),
    "dyt": ([0.5, 2, 0.25], [-1.75, 2.25], [0, 0]),
    "snake": ([0.5], [-INF, INF], [torch.nan, torch.nan]),
    "snakebeta": ([0.5, 2], [-INF, INF], [torch.nan, torch.nan]),
}


def at_limits(name, dtype):
    return [torch.tensor([value], dtype=dtype) for value in LIMITS[name][0]]


@each_dtype
@each_name
def test_limits(name, dtype, device):
    parameters = [p.to(device).requires_grad_() for p in at_limits(name, dtype)]
    for k, infinity in enumerate((-INF, INF)):
        x = torch.tensor([infinity], dtype=dtype, device=device, requires_grad=True)
        y = apply(name, x, parameters, 1)
        slope, *by_parameters = torch.autograd.grad(y, (x, *parameters), torch.ones_like(y))
        assert y.item() == LIMITS[name][1][k]
        if math.isnan(LIMITS[name][2][k]):
            assert slope.isnan()
            continue
        assert slope.item() == LIMITS[name][2][k]
        assert not any(gradient.isnan().any() for gradient in by_parameters)


@each_dtype
@each_name
def test_nan_propagates(name, dtype, device):
    parameters = [p.to(device) for p in draw(name, 1, dtype)]
    for position in range(0, 67, 6):
        x = torch.ones(67, dtype=dtype, device=device)
        x[position] = torch.nan
        isnan = torch.arange(67, device=device) == position
        slope, *by_parameters = getattr(ops, f"{name}_backward")(torch.ones_like(x), x, *parameters, 1)
        for result in (apply(name, x, parameters, 1), slope):
            assert torch.equal(result.isnan(), isnan)
        # Star ReLU's and DyT's bias is added, whatever the rest.
        for argument, gradient in zip(names(name), by_parameters, strict=True):
            assert gradient.isnan().all() == (argument != "bias")


@each_dtype
@pytest.mark.parametrize("name", ["prelu", "learned_swish", "pelu", "acon_c", "snake", "snakebeta"])
def test_signed_zero(name, dtype, device):
    x = torch.tensor([-0.0, 0.0], dtype=dtype, device=device)
    y = apply(name, x, [p.to(device) for p in at_limits(name, dtype)], 1)
    assert y.tolist() == [0, 0]
    assert y.signbit().tolist() == [True, False]


def test_gradients_do_not_pass_a_slope_of_zero(device):
    """An infinite gradient is stopped, not turned into NaN, where nothing depends on what it belongs to."""
    x = torch.tensor([[-2.0, 3.0]], device=device, requires_grad=True)
    weight = torch.tensor([0.0, 0.5], device=device, requires_grad=True)
    F.prelu(x, weight).backward(torch.tensor([[INF, INF]], device=device))
    assert x.grad.tolist() == [[0, INF]]
    assert weight.grad.tolist() == [-INF, 0]


def samples(name, shape=(2, 3, 4), dim=1, count=None):
    """Input and parameters in float64, away from the kink at 0."""
    x = torch.randn(shape, dtype=torch.float64)
    x = torch.where(x.abs() < 0.05, x + 0.2, x).requires_grad_()
    return x, *(p.requires_grad_() for p in draw(name, channels_of(x, dim) if count is None else count))


@pytest.mark.parametrize(
    ("shape", "dim", "count"),
    [((2, 3, 4), 1, 1), ((2, 3, 4), 1, 3), ((2, 3), -1, 3), ((5,), 1, 1), ((), 1, 1), ((4,), 0, 4)],
    ids=str,
)
@each_name
def test_gradcheck(name, shape, dim, count):
    inputs = samples(name, shape, dim, count)

    def f(x, *parameters):
        return apply(name, x, parameters, dim)

    checks = {"check_forward_ad": True, "check_batched_grad": True, "check_batched_forward_grad": True}
    assert gradcheck(f, inputs, **checks)
    assert gradgradcheck(f, inputs, check_batched_grad=True, check_fwd_over_rev=True)


@each_name
def test_gradients_of_some_of_the_tensors(name):
    inputs = samples(name)
    whole = torch.autograd.grad(apply(name, inputs[0], inputs[1:], 1).sum(), inputs)
    for k in range(len(inputs)):
        some = [t.detach().requires_grad_(i == k) for i, t in enumerate(inputs)]
        apply(name, some[0], some[1:], 1).sum().backward()
        assert torch.equal(some[k].grad, whole[k])
        assert all(t.grad is None for i, t in enumerate(some) if i != k)


def test_third_derivative_says_that_it_is_missing():
    x, beta = samples("learned_swish")
    first = torch.autograd.grad(F.learned_swish(x, beta).sum(), x, create_graph=True)[0]
    second = torch.autograd.grad(first.sum(), x, create_graph=True)[0]
    with pytest.raises(NotImplementedError, match="learned_swish: the third derivative"):
        torch.autograd.grad(second.sum(), x)


@each_name
def test_saves_only_its_inputs(name):
    inputs = samples(name)
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        apply(name, inputs[0], inputs[1:], 1)
    assert sorted(t.data_ptr() for t in saved) == sorted(t.data_ptr() for t in inputs)


@each_name
def test_opcheck(name):
    op = getattr(ops, name).default
    constants = (0.25, -1e-3) if SPEC[name]["params"] else ()
    for shape, dim, count in [((4, 6), 1, 6), ((4, 6), 1, 1), ((2, 3, 4, 5), -3, 3), ((5,), 1, 1)]:
        inputs = samples(name, shape, dim, count)
        torch.library.opcheck(op, (*inputs, dim, *constants))
        torch.library.opcheck(op, tuple(t.detach() for t in inputs))
        strided = torch.stack([inputs[0].detach()] * 2, -1)[..., 0]
        torch.library.opcheck(op, (strided, *inputs[1:], dim))
        # The third derivative is not there to be checked.
        tests = ["test_schema", "test_autograd_registration", "test_faketensor"]
        g, h = torch.randn_like(inputs[0]), [torch.randn_like(t) for t in inputs]
        for suffix, tensors in (("_backward", (g, *inputs)), ("_double_backward", (*h, g, *inputs))):
            backward = getattr(ops, name + suffix).default
            torch.library.opcheck(backward, (*tensors, dim, *constants), test_utils=tests)


@pytest.mark.parametrize("per_channel", [False, True], ids=["one", "per_channel"])
@each_name
def test_vmap(name, per_channel):
    count = 3 if per_channel else 1
    x = torch.randn(5, 2, 3, 4, dtype=torch.float64)
    many = [torch.stack(ps) for ps in zip(*(draw(name, count, seed=k) for k in range(5)), strict=True)]
    one = [p[0] for p in many]

    def f(x, *parameters):
        return apply(name, x, parameters, 1)

    def rows(x, parameters):
        """Each member of the batch by itself."""
        batch = [x if isinstance(x, list) else [x] * 5, *(p if isinstance(p, list) else [p] * 5 for p in parameters)]
        return list(zip(*batch, strict=True))

    gradients = grad(lambda *tensors: f(*tensors).sin().sum(), argnums=tuple(range(1 + len(one))))
    for batched_x, batched_p in [(True, False), (False, True), (True, True)]:
        tensors = (x if batched_x else x[0], *(many if batched_p else one))
        in_dims = (0 if batched_x else None, *([0 if batched_p else None] * len(one)))
        each = rows(list(x) if batched_x else x[0], [list(p) for p in many] if batched_p else one)
        torch.testing.assert_close(vmap(f, in_dims)(*tensors), torch.stack([f(*row) for row in each]))
        expected = [torch.stack(g) for g in zip(*(gradients(*row) for row in each), strict=True)]
        for result, value in zip(vmap(gradients, in_dims)(*tensors), expected, strict=True):
            torch.testing.assert_close(result, value)
    inside = vmap(lambda row: apply(name, row, one, -2), in_dims=2, out_dims=2)(x.movedim(0, 2))
    torch.testing.assert_close(inside, f(x.flatten(0, 1), *one).unflatten(0, (5, 2)).movedim(0, 2))


@each_name
def test_jacobians(name):
    inputs = tuple(t.detach() for t in samples(name, (2, 3)))
    arguments = tuple(range(len(inputs)))

    def f(*tensors):
        return apply(name, tensors[0], tensors[1:], 1)

    for forward, reverse in zip(jacfwd(f, arguments)(*inputs), jacrev(f, arguments)(*inputs), strict=True):
        torch.testing.assert_close(forward, reverse)
    total = grad(lambda *tensors: f(*tensors).sum(), arguments)
    for forward, reverse in zip(jacfwd(total, arguments)(*inputs), jacrev(total, arguments)(*inputs), strict=True):
        torch.testing.assert_close(forward, reverse)


@each_name
def test_compile_fullgraph(name):
    torch._dynamo.reset()
    function = getattr(F, name)
    compiled = torch.compile(lambda x, *p: function(x * 2, *p).sum(), fullgraph=True, backend="aot_eager")
    count = 8 if name == "dyt" else 6
    for n in (5, 9, 16):
        a = [torch.randn(n, 6, 8, requires_grad=True), *(p.requires_grad_() for p in draw(name, count, torch.float32))]
        b = [t.detach().clone().requires_grad_() for t in a]
        result, expected = compiled(*a), function(b[0] * 2, *b[1:]).sum()
        torch.testing.assert_close(result, expected)
        result.backward()
        expected.backward()
        for ours, eager in zip(a, b, strict=True):
            torch.testing.assert_close(ours.grad, eager.grad)


def test_compile_modules_with_inductor():
    torch._dynamo.reset()
    model = torch.nn.Sequential(
        torch.nn.Conv1d(2, 4, 1), act_ext.nn.PReLU(4), act_ext.nn.AconC(4), act_ext.nn.XIELU(), act_ext.nn.DyT(7)
    )
    compiled = torch.compile(copy.deepcopy(model), fullgraph=True, dynamic=True)
    for n in (3, 5):
        x = torch.randn(n, 2, 7)
        for m in (compiled, model):
            m.zero_grad()
        torch.testing.assert_close(compiled(x), model(x))
        compiled(x).sum().backward()
        model(x).sum().backward()
        for a, b in zip(compiled.parameters(), model.parameters(), strict=True):
            torch.testing.assert_close(a.grad, b.grad)


def test_meta_tensors():
    x, weight = torch.empty(2, 3, device="meta", requires_grad=True), torch.empty(3, device="meta", requires_grad=True)
    F.prelu(x, weight).sum().backward()
    assert x.grad.shape == (2, 3)
    assert weight.grad.shape == (3,)
    for wrong in (torch.empty(2, device="meta"), torch.empty(1, 3, device="meta"), torch.empty(3, device="cpu")):
        with pytest.raises(RuntimeError):
            F.prelu(x, wrong)


@pytest.mark.parametrize("meta", [False, True])
def test_errors(meta):
    x, w = torch.randn(2, 3), torch.rand(3)
    if meta:
        x, w = x.to("meta"), w.to("meta")
    for call, error, text in [
        (lambda: F.prelu(x, w[:2]), RuntimeError, "one element or one for each of the 3 channels"),
        (lambda: F.prelu(x, w[None]), RuntimeError, "one element or one for each of the 3 channels.*got shape"),
        (lambda: F.prelu(x, w[:0]), RuntimeError, "one element or one for each of the 3 channels"),
        (lambda: F.prelu(x[0], w), RuntimeError, "one for each of the 1 channels"),
        (lambda: F.prelu(x[0, 0], w), RuntimeError, "one for each of the 1 channels"),
        (lambda: F.prelu(x, w.double()), RuntimeError, "must have the dtype"),
        (lambda: F.prelu(x.bfloat16(), w), RuntimeError, "must have the dtype"),
        (lambda: F.prelu(x.long(), w.long()), NotImplementedError, "input must be"),
        (lambda: F.dyt(x, w, w, w[:1], 0), RuntimeError, "one for each of the 2 channels"),
        (lambda: F.pelu(x, w, w, 2), IndexError, "Dimension out of range"),
        (lambda: F.pelu(x, w, w, -3), IndexError, "Dimension out of range"),
        (lambda: F.star_relu(x[0], w, w, 2), IndexError, "Dimension out of range"),
        (lambda: F.prelu(x, 0.25), TypeError, r"prelu\(\): argument 'weight' must be Tensor, not float"),
        (lambda: F.prelu(x, None), TypeError, "argument 'weight' must be Tensor, not NoneType"),
        (lambda: F.prelu(1.0, w), TypeError, "argument 'input' must be Tensor, not float"),
        (lambda: F.dyt(x, w, w), TypeError, "bias"),
        (lambda: F.pelu(x, w, 1.0), TypeError, "argument 'b' must be Tensor, not float"),
        (lambda: F.swish(x, w, inplace=True), ValueError, "inplace is for a beta that is a number"),
    ]:
        with pytest.raises(error, match=text):
            call()


def test_errors_name_the_parameter():
    x, w = torch.randn(2, 3), torch.rand(3)
    for call, text in [
        (
            lambda: F.acon_c(x, w, w[:2], w),
            r"acon_c: p2 must have one element or one for each of the 3 channels.*\[2\]",
        ),
        (lambda: F.dyt(x, w, w, w.half()), r"dyt: bias must have the dtype of input \(Float\), got Half"),
        (lambda: F.pelu(x, w.to("meta"), w), "device"),
        (lambda: ops.prelu_backward(x[0], x, w), "grad_output must have the shape of input"),
    ]:
        with pytest.raises(RuntimeError, match=text):
            call()


def test_errors_are_of_the_type_of_torchs():
    x, w = torch.randn(2, 3), torch.rand(3)
    for arguments in [(x, w[:2]), (x, w[None]), (x[0], w), (x[0, 0], w), (x, w.double()), (x, 0.25), (1.0, w)]:
        with pytest.raises(Exception) as native:  # noqa: PT011
            torch.nn.functional.prelu(*arguments)
        with pytest.raises(native.type):
            F.prelu(*arguments)


@each_dtype
@pytest.mark.parametrize("shape", [(4, 3, 5, 7), (4, 3), (3,), ()], ids=str)
def test_prelu_is_torchs(shape, dtype):
    for weight in (torch.tensor([0.25]), torch.tensor(-0.5), torch.rand(3)):
        if weight.numel() == 3 and len(shape) < 2:
            continue
        ours = [t.to(dtype).requires_grad_() for t in (torch.randn(shape), weight)]
        native = [t.detach().clone().requires_grad_() for t in ours]
        y, expected = F.prelu(*ours), torch.nn.functional.prelu(*native)
        assert torch.equal(y, expected)
        g = torch.randn_like(y)
        grads, expected = torch.autograd.grad(y, ours, g), torch.autograd.grad(expected, native, g)
        assert torch.equal(grads[0], expected[0])
        torch.testing.assert_close(grads[1], expected[1], rtol=5 * torch.finfo(dtype).eps, atol=0.02)


def test_swish_of_a_tensor():
    x = torch.randn(4, 3, requires_grad=True)
    for beta in (torch.rand(3, requires_grad=True), torch.nn.Parameter(torch.tensor(1.5))):
        assert torch.equal(F.swish(x, beta), F.learned_swish(x, beta))
        F.swish(x, beta).sum().backward()
        assert beta.grad.shape == beta.shape
    torch.testing.assert_close(F.swish(x, torch.tensor(1.5)), F.swish(x, 1.5), rtol=0, atol=0)


@each_name
def test_signature_and_documentation(name):
    function = getattr(F, name)
    arguments = inspect.signature(function).parameters
    schema = {a.name: a for a in getattr(ops, name).default._schema.arguments}
    assert set(arguments) | {"dim"} == set(schema)
    for argument, parameter in arguments.items():
        if argument == "dim":
            assert parameter.default == (-1 if name == "dyt" else 1)
        elif schema[argument].has_default_value():
            assert parameter.default == schema[argument].default_value
        else:
            assert parameter.default is inspect.Parameter.empty
        assert f"\n        {argument}: " in function.__doc__
    assert len(derivatives_of(SPEC[name])) == 1 + len(names(name))
    for part in (
        SPEC[name]["formula"],
        *derivatives_of(SPEC[name]),
        SPEC[name]["paper"],
        "Shape:",
        "Raises:",
        "Example:",
    ):
        assert part in function.__doc__
    assert "..." not in function.__doc__


# Each with the op and the parameters that it passes.
MODULES = [
    (lambda **k: act_ext.nn.PReLU(6, **k), "PReLU(num_parameters=6)", lambda m, x: F.prelu(x, m.weight)),
    (lambda **k: act_ext.nn.PReLU(**k), "PReLU(num_parameters=1)", lambda m, x: F.prelu(x, m.weight)),
    (
        lambda **k: act_ext.nn.LearnedSwish(6, 1.5, **k),
        "LearnedSwish(num_parameters=6)",
        lambda m, x: F.learned_swish(x, m.beta),
    ),
    (lambda **k: act_ext.nn.PELU(6, 2.0, 0.5, **k), "PELU(num_parameters=6)", lambda m, x: F.pelu(x, m.a, m.b)),
    (lambda **k: act_ext.nn.AconC(6, **k), "AconC(6)", lambda m, x: F.acon_c(x, m.p1, m.p2, m.beta)),
    (
        lambda **k: act_ext.nn.XIELU(0.5, 1.0, 0.25, -1e-3, **k),
        "XIELU(beta=0.25, eps=-0.001)",
        lambda m, x: F.xielu(x, F.softplus(m.alpha_p), 0.25 + F.softplus(m.alpha_n), 0.25, -1e-3),
    ),
    (
        lambda **k: act_ext.nn.StarReLU(bias_learnable=False, **k),
        "StarReLU(scale_learnable=True, bias_learnable=False)",
        lambda m, x: F.star_relu(x, m.scale, m.bias),
    ),
    (
        lambda **k: act_ext.nn.DyT(8, **k),
        "DyT((8,), channels_last=True, alpha_init_value=0.5)",
        lambda m, x: F.dyt(x, m.alpha, m.weight, m.bias),
    ),
    (
        lambda **k: act_ext.nn.DyT((6,), False, 0.75, **k),
        "DyT((6,), channels_last=False, alpha_init_value=0.75)",
        lambda m, x: F.dyt(x, m.alpha, m.weight, m.bias, 1),
    ),
    (lambda **k: act_ext.nn.Snake(6, 0.5, **k), "Snake(6, alpha_logscale=False)", lambda m, x: F.snake(x, m.alpha)),
    (
        lambda **k: act_ext.nn.SnakeBeta(6, 2.0, alpha_trainable=False, alpha_logscale=True, **k),
        "SnakeBeta(6, alpha_logscale=True)",
        lambda m, x: F.snakebeta(x, m.alpha.exp(), m.beta.exp()),
    ),
]


@pytest.mark.parametrize(("make", "text", "function"), MODULES, ids=[text for _, text, _ in MODULES])
def test_modules(make, text, function):
    module = make()
    x = torch.randn(4, 6, 8, requires_grad=True)
    assert repr(module) == text
    expected = function(module, x)
    other = make()
    for parameter in other.parameters():
        torch.nn.init.constant_(parameter, 0.125)
    other.load_state_dict(module.state_dict())
    for form in (module, copy.deepcopy(module), pickle.loads(pickle.dumps(module)), other):
        assert torch.equal(form(x), expected)
        assert repr(form) == text
    assert torch.equal(functional_call(module, dict(module.named_parameters()), (x,)), expected)
    module(x).square().sum().backward()
    for parameter in module.parameters():
        assert (parameter.grad is not None) == parameter.requires_grad
        assert parameter.dim() == 1
    wide = make(dtype=torch.float64, device="meta")
    assert all(p.dtype == torch.float64 and p.device.type == "meta" for p in wide.parameters())
    assert module.to(torch.bfloat16)(x.bfloat16()).dtype == torch.bfloat16
    program = torch.export.export(make(), (torch.randn(4, 6, 8),))
    assert "act_ext" in program.graph_module.code


def test_reset_parameters():
    for module, expected in [
        (act_ext.nn.PReLU(2), {"weight": [0.25] * 2}),
        (act_ext.nn.LearnedSwish(2, 1.5), {"beta": [1.5] * 2}),
        (act_ext.nn.PELU(2, 2.0, 0.5), {"a": [2.0] * 2, "b": [0.5] * 2}),
        (act_ext.nn.StarReLU(), {"scale": [0.8944271909999159], "bias": [-0.4472135954999579]}),
        (act_ext.nn.DyT(2), {"alpha": [0.5], "weight": [1.0] * 2, "bias": [0.0] * 2}),
        (act_ext.nn.Snake(2, 0.5), {"alpha": [0.5] * 2}),
        (act_ext.nn.SnakeBeta(2, 2.0, alpha_logscale=True), {"alpha": [math.log(2)] * 2, "beta": [math.log(2)] * 2}),
    ]:
        for parameter in module.parameters():
            torch.nn.init.constant_(parameter, 7.0)
        module.reset_parameters()
        assert set(module.state_dict()) == set(expected)
        for name, value in expected.items():
            torch.testing.assert_close(getattr(module, name).detach(), torch.tensor(value))
    acon = act_ext.nn.AconC(1000)
    assert set(acon.state_dict()) == {"p1", "p2", "beta"}
    assert acon.beta.eq(1).all()
    assert not torch.equal(acon.p1, acon.p2)
    assert all(0.8 < p.std() < 1.2 for p in (acon.p1, acon.p2))
    xielu = act_ext.nn.XIELU(dtype=torch.float64)
    assert set(xielu.state_dict()) == {"alpha_p", "alpha_n"}
    torch.testing.assert_close(F.softplus(xielu.alpha_p).item(), 0.8)
    torch.testing.assert_close(0.5 + F.softplus(xielu.alpha_n).item(), 0.8)
    with pytest.raises(ValueError, match="alpha_n_init more than beta"):
        act_ext.nn.XIELU(alpha_n_init=0.5)
    for module in (act_ext.nn.Snake, act_ext.nn.SnakeBeta):
        with pytest.raises(ValueError, match=f"{module.__name__}: alpha must be positive for alpha_logscale, got 0"):
            module(2, 0.0, alpha_logscale=True)
    normal = torch.randn(200_000)
    y = act_ext.nn.StarReLU()(normal)
    assert abs(y.mean().item()) < 0.02
    assert abs(y.std().item() - 1) < 0.02


def test_snake_of_a_small_alpha():
    """It goes to the identity, and its gradient to x^2, without a division by what underflows."""
    for dtype in (torch.float32, torch.float64):
        tiny = torch.finfo(dtype).smallest_normal
        for value in (0.0, -0.0, tiny / 64, -tiny, 1e-12):
            x = torch.tensor([-3.0, -1e-3, 0.0, 1e-30, 1.7, 1e3], dtype=dtype, requires_grad=True)
            alpha = torch.tensor([value], dtype=dtype, requires_grad=True)
            y = F.snake(x, alpha)
            slope, by_alpha = torch.autograd.grad(y.sum(), (x, alpha), create_graph=True)
            torch.testing.assert_close(y, x + value * x * x)
            torch.testing.assert_close(slope, 1 + 2 * value * x)
            torch.testing.assert_close(by_alpha, (x * x).sum().reshape(1))
            second = torch.autograd.grad(by_alpha, (x, alpha))
            torch.testing.assert_close(second[0], 2 * x)
            assert abs(second[1].item()) <= abs(value) * 3e12


def test_prelu_module_is_torchs():
    ours, native = act_ext.nn.PReLU(3, 0.1), torch.nn.PReLU(3, 0.1)
    assert isinstance(ours, torch.nn.PReLU)
    assert repr(ours) == repr(native)
    assert inspect.signature(type(ours).__init__) == inspect.signature(torch.nn.PReLU.__init__)
    native.load_state_dict(ours.state_dict())
    x = torch.randn(4, 3, 5, requires_grad=True)
    assert torch.equal(ours(x), native(x))
    results = [torch.autograd.grad(m(x).sin().sum(), (x, m.weight)) for m in (ours, native)]
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b)
