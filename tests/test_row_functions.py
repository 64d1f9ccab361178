"""The functions of rows: softmax, softmin and log_softmax along any dimension."""

import inspect
import math
import pickle
import re
import warnings

import numpy as np
import pytest
import torch
from torch.autograd import forward_ad, gradcheck, gradgradcheck

import act_ext
from act_ext._register import SPECS
from tests.table import each_dtype, error_in_ulp, pass_tests_with
from tests.test_registration import ROW_MODULES

F = act_ext.functional
SPEC = {spec["name"]: spec for spec in SPECS if spec["kind"] == "row_function"}
each_name = pytest.mark.parametrize("name", SPEC)
LOW = (torch.bfloat16, torch.float16)


def passes_of(name):
    """Forward, backward and double backward by the ops themselves."""
    return [getattr(torch.ops.act_ext, name + suffix) for suffix in ("", "_backward", "_double_backward")]


def documented_derivative(name, g, y, dim):
    """What the docstring says that backward gives."""
    expression = re.search(r"Derivative.*:\n +(.+)", getattr(F, name).__doc__)[1]
    return eval(expression, {"g": g, "y": y, "dim": dim, "exp": torch.exp})


# Accuracy, against numpy's long double: float64 itself is too coarse for results in float64, and for logarithms near 0.


def wide(x):
    return x.detach().double().numpy().astype(np.longdouble)


def reference(name, x):
    """Of the rows along the last dimension. Logarithms take the largest term out of the sum: log(1 + the others)."""
    x = wide(x) if name != "softmin" else -wide(x)
    difference = x - x.max(-1, keepdims=True)
    terms = np.exp(difference)
    if name != "log_softmax":
        return terms / terms.sum(-1, keepdims=True)
    largest = np.arange(x.shape[-1]) == x.argmax(-1)[..., None]
    return difference - np.log1p(np.where(largest, 0, terms).sum(-1, keepdims=True))


def backward_reference(name, g, y):
    g, y = wide(g), wide(y)
    if name == "log_softmax":
        return g - np.exp(y) * g.sum(-1, keepdims=True)
    return y * (g - (g * y).sum(-1, keepdims=True)) * (-1 if name == "softmin" else 1)


def sizes(name, h, g, y):
    """Of what the passes add and subtract to backward's result and to double backward's two: the error of a difference
    is counted in the units of its parts."""
    h, g, y = (t.double().abs() if t is not y else t.double() for t in (h, g, y))

    def total(x):
        return x.sum(-1, keepdim=True)

    if name == "log_softmax":
        e = y.exp()
        return g + e * total(g), h + total(h * e), h * e * total(g)
    return y * (g + total(g * y)), y * (h + total(h * y)), h * (g + total(g * y)) + g * total(h * y)


def error(result, exact, at_least=0.0):
    leading = exact.astype(np.float64)
    rest = torch.from_numpy((exact - leading).astype(np.float64))
    return error_in_ulp(result, torch.from_numpy(leading), at_least, rest)


def rows(dtype, length, scale=1.0, most=200):
    return (torch.randn(max(1, min(most, 10_000 // length)), length, dtype=torch.float64) * scale).to(dtype)


LENGTHS = [1, 2, 3, 7, 16, 33, 128, 130, 1000, 4097, 32768, 32769, 100_000]
SCALES = [0.01, 1, 3, 10, 30, 70, 200]
# Every element of a row carries the roundings of its sum.
VALUE_BOUND = {torch.float32: 4.0, torch.float64: 5.0}
# Of the two backward passes. On 220 samples of rows of 33 to 1000 elements in float32 at most 4.4 and 5.1: a lane adds
# sixteen products before its sum goes on in double.
GRADIENT_BOUNDS = {torch.float32: (5.0, 6.0), torch.float64: (4.0, None)}


@each_dtype
@each_name
def test_values(name, dtype):
    forward = passes_of(name)[0]
    bound = VALUE_BOUND.get(dtype, 0.51)
    for length in LENGTHS:
        for scale in SCALES:
            x = rows(dtype, length, scale)
            result = forward(x, 1)
            # Down to the subnormal results, whose unit is the smallest one.
            assert error(result, reference(name, x)).max() <= bound
            if name != "log_softmax" and dtype not in LOW:
                total = result.double().sum(1)
                assert (total - 1).abs().max() <= (4 if dtype == torch.float32 else 10) * torch.finfo(dtype).eps


def test_without_vectors():
    """The bounds hold for the kernels of any processor too: in float64, where they are closest."""
    pass_tests_with("default", "float64 and (test_values or test_backward)", "row_functions")


@each_dtype
def test_logarithms_near_zero(dtype):
    """One element far above the others: its logarithm is what they have together, to the last place."""
    tiny = torch.finfo(dtype).tiny
    for length in (2, 5, 33, 300):
        x = torch.randn(400, length, dtype=torch.float64)
        x[:, length // 2] += torch.linspace(0, -math.log(tiny), 400)
        exact = reference("log_softmax", x.to(dtype))
        errors = error(F.log_softmax(x.to(dtype), 1), exact)
        normal = torch.from_numpy(abs(exact) >= tiny)
        assert errors[normal].max() <= VALUE_BOUND.get(dtype, 0.51)
        # The terms that a subnormal result sums are subnormal themselves.
        assert errors[~normal].sum() == 0 or errors[~normal].max() <= (0.51 if dtype in LOW else 0.5 * length)


@each_dtype
@each_name
def test_backward(name, dtype):
    forward, backward, double_backward = passes_of(name)
    low = dtype in LOW
    bound, second_bound = (0.51, 0.51) if low else GRADIENT_BOUNDS[dtype]
    for length in LENGTHS:
        for scale in (0.3, 3, 30):
            y = forward(rows(dtype, length, scale, 50), 1)
            g, h = (torch.randn_like(y) for _ in range(2))
            size, *second_sizes = sizes(name, h, g, y)
            exact = backward_reference(name, g, y)
            assert error(backward(g, y, 1), exact, size).max() <= bound
            if dtype == torch.float64:
                continue  # by gradgradcheck
            wide_g, wide_y = (t.double().requires_grad_() for t in (g, y))
            derivative = documented_derivative(name, wide_g, wide_y, 1)
            np.testing.assert_allclose(derivative.detach(), exact.astype(np.float64), rtol=1e-9, atol=1e-12)
            results = double_backward(h, g, y, 1)
            second = torch.autograd.grad(derivative, (wide_g, wide_y), h.double())
            for result, expected, size in zip(results, second, second_sizes, strict=True):
                if not low:  # where a product is subnormal, its further factors magnify its rounding
                    factors = (1 + h.abs()) * (1 + g.abs().sum(1, keepdim=True))
                    size = size + torch.finfo(dtype).tiny * factors.double()
                assert error_in_ulp(result, expected, size).max() <= second_bound


@each_name
def test_gradients_of_the_input(name):
    """The whole way from the input, whose result is rounded between the passes."""
    for length in (3, 33, 1000):
        x = rows(torch.float32, length, 3).requires_grad_()
        g = torch.randn_like(x)
        grad = torch.autograd.grad(getattr(F, name)(x, 1), x, g)[0]
        wide_x = x.detach().double().requires_grad_()
        expected = torch.autograd.grad(getattr(torch.nn.functional, name)(wide_x, 1), wide_x, g.double())[0]
        torch.testing.assert_close(grad, expected.float(), rtol=1e-5, atol=1e-5)


INF, NAN = torch.inf, torch.nan


@each_dtype
@each_name
def test_special_rows(name, dtype):
    big = torch.finfo(dtype).max
    special = [
        *([-INF] * 3, [-INF, 1, 2], [INF, 1, 2], [INF, INF, 0], [INF, -INF, 0], [INF] * 3),
        *([NAN, 1, 2], [NAN, -INF, -INF], [INF, NAN, 1], [1, 2, NAN]),
        *([big, -big, 0], [big, big, -INF], [-big] * 3, [big, 0.999 * big, 1], [-big, -INF, -INF]),
        *([3, 3, 3], [3, 3, -1], [5], [INF], [-INF], [big], [-0.0]),
    ]
    for values in special:
        # By itself, after more than a vector of elements that count for nothing, along memory and across it.
        for nothing in (0, 200):
            row = torch.tensor([(INF if name == "softmin" else -INF)] * nothing + values, dtype=dtype)
            expected = getattr(torch.nn.functional, name)(row, 0)
            for x, dim in [(row, 0), (row[:, None].expand(-1, 40).contiguous(), 0), (row.expand(3, -1), -1)]:
                result = getattr(F, name)(x, dim)
                one = result[:, 7] if x.shape[-1] == 40 else result if x.dim() == 1 else result[1]
                torch.testing.assert_close(one, expected, equal_nan=True)


@each_name
def test_long_rows_of_nothing(name):
    """Segments without an element that counts, before, between and after those with one."""
    nothing = INF if name == "softmin" else -INF
    for at in ([5], [70_000], [40_000, 99_999], []):
        x = torch.full((100_000,), nothing)
        x[at] = torch.arange(len(at), dtype=torch.float32)
        expected = getattr(torch.nn.functional, name)(x, 0)
        torch.testing.assert_close(F.__dict__[name](x, 0), expected, equal_nan=True)
        across = F.__dict__[name](x[:, None].repeat(1, 16), 0)
        torch.testing.assert_close(across, expected[:, None].expand(-1, 16), equal_nan=True)


@each_dtype
def test_subnormal_results(dtype):
    tiny = torch.finfo(dtype).tiny
    depth = -torch.tensor(tiny, dtype=torch.float64).log().item()
    x = torch.cat([torch.zeros(1), torch.linspace(-depth - 12, -depth + 2, 500)]).to(dtype)
    exact = reference("softmax", x)
    assert ((exact[1:] < tiny) & (exact[1:] > 0)).any()
    assert error(F.softmax(x, 0), exact).max() <= (0.51 if dtype in LOW else 3)


# Shapes and layouts.


def layouts():
    x = torch.randn(6, 5, 4, 8)
    return {
        "contiguous": x,
        "transposed": x.transpose(1, 3),
        "permuted": x.permute(2, 0, 3, 1),
        "channels_last": x.to(memory_format=torch.channels_last),
        "sliced": torch.randn(6, 5, 9, 17)[:, :, 1::2, 1::2],
        "reversed order": x.permute(3, 2, 1, 0),
        "expanded": torch.randn(6, 1, 4, 8).expand(6, 5, 4, 8),
        "expanded inside": torch.randn(6, 5, 4, 1).expand(6, 5, 4, 8),
        "offset": torch.randn(967)[7:].view(6, 5, 4, 8),
        "overlapping": torch.randn(40).as_strided((6, 5), (3, 2)),
        "one element": torch.randn(1, 1, 1),
        "column": torch.randn(9, 4)[:, 2],
    }


@pytest.mark.parametrize("layout", layouts())
@each_name
def test_layouts(name, layout):
    forward, backward, double_backward = passes_of(name)
    x = layouts()[layout]
    g, h = torch.randn_like(x), torch.randn(x.shape)
    for dim in range(-x.dim(), x.dim()):
        y = forward(x, dim)
        assert y.stride() == torch.softmax(x, dim).stride()
        assert y.storage_offset() == 0
        dense = [t.contiguous() for t in (h, g, y)]
        # Along contiguous memory, by rows of a matrix.
        as_rows = [t.movedim(dim, -1).contiguous() for t in (x, *dense)]
        assert torch.equal(y.movedim(dim, -1), forward(as_rows[0], -1))
        grad = backward(g, y, dim)
        assert grad.stride() == y.stride()
        assert torch.equal(grad.movedim(dim, -1), backward(*as_rows[2:], -1))
        for got, want in zip(double_backward(h, g, y, dim), double_backward(*as_rows[1:], -1), strict=True):
            assert torch.equal(got.movedim(dim, -1), want)


@each_dtype
@each_name
def test_shapes(name, dtype):
    forward, backward, double_backward = passes_of(name)
    for shape in [(), (0,), (1,), (0, 3), (3, 0), (2, 0, 4), (1, 1), (2, 3, 1, 2, 1, 2)]:
        x = torch.randn(shape).to(dtype)
        for dim in range(-max(x.dim(), 1), max(x.dim(), 1)):
            y = forward(x, dim)
            assert y.shape == x.shape
            assert y.dtype == dtype
            exact = getattr(torch.nn.functional, name)(x.double(), dim)
            torch.testing.assert_close(y, exact.to(dtype))
            assert backward(y, y, dim).shape == x.shape
            assert [t.shape for t in double_backward(y, y, y, dim)] == [x.shape] * 2


# torch.nn.functional's arguments.


@each_name
def test_signature_is_torchs(name):
    ours, native = (inspect.signature(getattr(module, name)).parameters for module in (F, torch.nn.functional))
    assert {p.name: p.default for p in ours.values()} == {p.name: p.default for p in native.values()}


@each_name
def test_documentation(name):
    doc = getattr(F, name).__doc__
    for part in ("Args:", "Formula", SPEC[name]["formula"], "Derivative", "Shape:", "Raises:", "Paper:", "Example:"):
        assert part in doc


@each_name
def test_formula(name):
    x = torch.randn(5, 7, dtype=torch.float64)
    for dim in (0, 1):
        result = eval(SPEC[name]["formula"], {"x": x, "dim": dim, "exp": torch.exp})
        torch.testing.assert_close(getattr(F, name)(x, dim), result)


@each_name
def test_derivative(name):
    x, g = torch.randn(2, 5, 7, dtype=torch.float64)
    for dim in (0, 1):
        y = getattr(F, name)(x.requires_grad_(), dim)
        (gradient,) = torch.autograd.grad(y, x, g)
        stated = eval(SPEC[name]["derivative"], {"g": g, "y": y.detach(), "dim": dim, "exp": torch.exp})
        torch.testing.assert_close(gradient, stated)


@pytest.mark.parametrize("rank", range(5))
@each_name
def test_implicit_dimension(name, rank):
    x = torch.randn((3,) * rank)
    ours, native = [], []
    for module, seen in ((F, ours), (torch.nn.functional, native)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            seen.append(getattr(module, name)(x))
        seen += [(str(w.message), w.category, w.filename, w.lineno) for w in caught]
    torch.testing.assert_close(ours[0], native[0])
    assert len(ours) == 2
    assert ours[1:] == native[1:]


@each_name
def test_dtype(name):
    function, native = getattr(F, name), getattr(torch.nn.functional, name)
    for given, dtype in [(torch.bfloat16, torch.float32), (torch.float32, torch.float16), (torch.int64, torch.float64)]:
        x = (torch.randn(4, 5) * 3).to(given)
        result = function(x, 1, dtype=dtype)
        assert result.dtype == dtype
        assert torch.equal(result, function(x.to(dtype), 1))
        torch.testing.assert_close(result, native(x.to(dtype), 1, dtype=torch.float64).to(dtype))
    x = torch.randn(4, 5, requires_grad=True)
    grad = torch.autograd.grad(function(x, 1, dtype=torch.float64), x, torch.ones(4, 5, dtype=torch.float64))[0]
    assert grad.dtype == torch.float32


@each_name
def test_errors(name):
    function, (forward, backward, double_backward) = getattr(F, name), passes_of(name)
    x = torch.randn(3, 4)
    for dim in (2, -3):
        for call in (lambda: function(x, dim), lambda: backward(x, x, dim), lambda: double_backward(x, x, x, dim)):  # noqa: B023
            with pytest.raises(IndexError, match=r"Dimension out of range \(expected to be in range of \[-2, 1\]"):
                call()
    for empty in (torch.tensor(1.0), torch.empty(0)):
        with pytest.raises(IndexError, match="Dimension out of range"):
            function(empty, 1)
    for dtype in (torch.int64, torch.bool, torch.complex64):
        with pytest.raises(NotImplementedError, match=f"{name}: input must be a float32, float64, bfloat16 or float16"):
            forward(x.to(dtype), 0)
    with pytest.raises(NotImplementedError, match="got dtype Long"):
        function(x, 0, dtype=torch.int64)
    for arguments in ({"dim": 0}, {}, {"dim": 0, "dtype": torch.float32}):
        with pytest.raises(TypeError, match=rf"act_ext.{name}\(\): argument 'input' must be Tensor, not list"):
            function([1.0, 2.0], **arguments)
    for wrong, text in [
        (x[:1], r"must have the shape of result \(\[3, 4\]\), got \[1, 4\]"),
        (x.double(), r"must have the dtype of result \(Float\), got Double"),
        (x.to("meta"), "device"),
    ]:
        with pytest.raises(RuntimeError, match=text):
            backward(wrong, x, 0)
        for position in (0, 1):
            tensors = [x, x, x]
            tensors[position] = wrong
            with pytest.raises(RuntimeError, match=text):
                double_backward(*tensors, 0)
    with pytest.raises(NotImplementedError, match=f"act_ext::{name}"):
        function(torch.eye(3).to_sparse(), 0)


# Derivatives.


@pytest.mark.parametrize("dim", [0, 1, -1])
@each_name
def test_gradcheck(name, dim):
    function = getattr(F, name)
    x = torch.randn(3, 4, 2, dtype=torch.float64, requires_grad=True)
    checks = {"check_forward_ad": True, "check_batched_grad": True, "check_batched_forward_grad": True}
    for f in (lambda x: function(x, dim), lambda x: function(x.transpose(0, 2)[:, ::2], dim)):
        assert gradcheck(f, (x,), **checks)
        assert gradgradcheck(f, (x,), check_fwd_over_rev=True, check_rev_over_rev=True, check_batched_grad=True)
    scalar = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda x: function(x, 0), (scalar,), **checks)
    assert gradgradcheck(lambda x: function(x, 0), (scalar,), check_fwd_over_rev=True)


@each_name
def test_backward_is_differentiable_by_each_tensor(name):
    _, backward, _ = passes_of(name)
    g, y = (torch.randn(3, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert gradcheck(lambda g, y: backward(g, y, 1), (g, y), check_forward_ad=True)
    assert gradcheck(lambda g: backward(g, y.detach(), 0), (g,), check_forward_ad=True)
    assert gradcheck(lambda y: backward(g.detach(), y, 0), (y,), check_forward_ad=True)


def of_a_sum(function):
    return lambda x: (function(x, 0) * function(x, -1).sin()).sum()


MODES = [torch.func.jacrev, torch.func.jacfwd]


@pytest.mark.parametrize("inner", MODES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("outer", MODES, ids=lambda f: f.__name__)
@each_name
def test_second_derivatives_by_any_two_modes(name, outer, inner):
    x = torch.randn(3, 4, dtype=torch.float64)
    expected = torch.func.hessian(of_a_sum(getattr(torch.nn.functional, name)))(x)
    torch.testing.assert_close(outer(inner(of_a_sum(getattr(F, name))))(x), expected)


@each_name
def test_products_with_the_hessian(name):
    x, v = (torch.randn(3, 4, dtype=torch.float64) for _ in range(2))
    for product in (torch.autograd.functional.hvp, torch.autograd.functional.vhp):
        ours, native = (product(of_a_sum(getattr(module, name)), x, v)[1] for module in (F, torch.nn.functional))
        torch.testing.assert_close(ours, native)


@each_name
def test_forward_mode(name):
    x, t = torch.randn(3, 5, dtype=torch.float64), torch.randn(3, 5, dtype=torch.float64)
    tangents = []
    for module in (F, torch.nn.functional):
        with forward_ad.dual_level():
            dual = getattr(module, name)(forward_ad.make_dual(x, t), 1)
            tangents.append(forward_ad.unpack_dual(dual).tangent)
    torch.testing.assert_close(*tangents)


@each_name
def test_saves_only_its_result(name):
    x = torch.randn(8, 16, requires_grad=True)
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        y = getattr(F, name)(x, 1)
    assert [t.data_ptr() for t in saved] == [y.data_ptr()]
    y = getattr(F, name)(x, 1)
    y.detach().add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
    with torch.no_grad():
        assert not getattr(F, name)(x, 1).requires_grad
    with torch.inference_mode():
        assert getattr(F, name)(x, 1).is_inference()


# The dispatcher and the compilers.


@pytest.mark.parametrize("dim", [0, -1])
@each_name
def test_opcheck(name, dim):
    ops = [op.default for op in passes_of(name)]
    for x in (torch.randn(4, 6), torch.randn(6, 4).t(), torch.randn(4, 12)[:, ::2], torch.tensor(1.0)):
        torch.library.opcheck(ops[0], (x, dim))
        torch.library.opcheck(ops[0], (x.clone().requires_grad_(), dim))
        for op, count in ((ops[1], 2), (ops[2], 3)):
            tensors = [x, *(torch.randn(x.shape) for _ in range(count - 1))]
            for order in (tensors, tensors[::-1]):
                torch.library.opcheck(op, (*(t.clone().requires_grad_() for t in order), dim))


@each_name
def test_fakes_refuse_what_the_kernels_refuse(name):
    forward, backward, double_backward = passes_of(name)
    x = torch.randn(3, 4, device="meta")
    assert forward(x, 1).shape == (3, 4)
    assert [t.shape for t in double_backward(x, x, x, -1)] == [(3, 4)] * 2
    for call, error_type in [
        (lambda: forward(x, 2), IndexError),
        (lambda: forward(x.int(), 0), NotImplementedError),
        (lambda: backward(x[:1], x, 0), RuntimeError),
        (lambda: double_backward(x, x.double(), x, 0), RuntimeError),
    ]:
        with pytest.raises(error_type):
            call()


@each_name
def test_vmap(name):
    function, (forward, backward, double_backward) = getattr(F, name), passes_of(name)
    x = torch.randn(5, 4, 3)
    vmap = torch.vmap
    for batch in range(3):
        for dim in (0, 1, -1, -2):
            samples = [function(sample, dim) for sample in x.unbind(batch)]
            assert torch.equal(vmap(lambda x: function(x, dim), in_dims=batch)(x), torch.stack(samples))  # noqa: B023
    nested = vmap(vmap(lambda x: function(x, 0)), in_dims=1, out_dims=1)(x)
    assert torch.equal(nested, function(x, 2))
    # Rows of one element.
    v = torch.randn(5)
    for dim in (0, -1):
        assert torch.equal(vmap(lambda x: function(x, dim))(v), function(v[:, None], 1)[:, 0])  # noqa: B023
    one = torch.randn(5)
    assert [t.shape for t in vmap(lambda h, g, y: double_backward(h, g, y, 0))(one, one, one)] == [(5,)] * 2
    with pytest.raises(IndexError, match="Dimension out of range"):
        vmap(lambda x: function(x, 2))(x)
    # Some tensors with a batch dimension, in different places.
    y = forward(torch.randn(4, 3), 0)
    result = vmap(lambda g: backward(g, y, 0), in_dims=2)(x.movedim(0, 2))
    assert torch.equal(result, torch.stack([backward(g, y, 0) for g in x]))
    results = vmap(lambda h, g: double_backward(h, g, y, -1), in_dims=(0, 1))(x, x.movedim(0, 1))
    for got, want in zip(results, zip(*(double_backward(g, g, y, -1) for g in x), strict=True), strict=True):
        assert torch.equal(got, torch.stack(want))


@each_name
def test_func_transforms(name):
    function, native, func = getattr(F, name), getattr(torch.nn.functional, name), torch.func
    x, t = torch.randn(4, 5, dtype=torch.float64), torch.randn(4, 5, dtype=torch.float64)
    for transform in (
        lambda f: func.grad(lambda x: f(x, 1).sin().sum())(x),
        lambda f: torch.vmap(func.grad(lambda x: f(x, 0).sin().sum()))(x),
        lambda f: func.jvp(lambda x: f(x, 0), (x,), (t,))[1],
        lambda f: func.vjp(lambda x: f(x, 0), x)[1](t)[0],
        lambda f: func.jacrev(lambda x: f(x, -1))(x),
        lambda f: torch.vmap(func.hessian(lambda x: f(x, 0).sin().sum()))(x),
    ):
        torch.testing.assert_close(transform(function), transform(native))


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compile(backend):
    torch._dynamo.reset()

    def block(x):
        return F.softmax(x * 2, -1) + F.log_softmax(x, 0, dtype=torch.float32) * F.softmin(x, dim=1)

    compiled = torch.compile(block, fullgraph=True, backend=backend, dynamic=True)
    for count in (4, 7):
        x = torch.randn(count, 6, requires_grad=True)
        ours, eager = compiled(x), block(x)
        torch.testing.assert_close(ours, eager)
        for a, b in zip(torch.autograd.grad(ours.sum(), x), torch.autograd.grad(eager.sum(), x), strict=True):
            torch.testing.assert_close(a, b)


def test_implicit_dimension_in_a_graph():
    torch._dynamo.reset()
    x = torch.randn(3, 4)
    compiled = torch.compile(lambda x: F.softmax(x), fullgraph=True, backend="aot_eager")
    with pytest.warns(UserWarning, match="Implicit dimension choice"):
        expected = F.softmax(x)
    assert torch.equal(compiled(x), expected)


def test_export_and_proxies():
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), act_ext.nn.Softmax(-1))
    program = torch.export.export(model, (torch.randn(3, 4),), dynamic_shapes=({0: torch.export.Dim("batch", min=2)},))
    x = torch.randn(7, 4)
    torch.testing.assert_close(program.module()(x), model(x))
    assert "act_ext.softmax" in torch.fx.symbolic_trace(lambda x: F.softmax(x, -1)).code

    class Marked(torch.Tensor):
        pass

    assert type(F.softmax(x.as_subclass(Marked), 0)) is Marked


# Modules.


@pytest.mark.parametrize("cls", [cls for classes in ROW_MODULES.values() for cls in classes])
def test_modules(cls):
    ours, torchs = getattr(act_ext.nn, cls), getattr(torch.nn, cls)
    x = torch.randn(2, 3, 4, 5)
    for arguments in [()] if cls == "Softmax2d" else [(1,), (-1,)]:
        module, native = ours(*arguments), torchs(*arguments)
        assert isinstance(module, torchs)
        assert repr(module) == repr(native)
        assert module.state_dict() == {}
        assert inspect.signature(ours.__init__) == inspect.signature(torchs.__init__)
        torch.testing.assert_close(module(x), native(x))
        assert torch.equal(pickle.loads(pickle.dumps(module))(x), module(x))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        module, native = ours(), torchs()
        torch.testing.assert_close(module(x), native(x))
    assert len({(str(w.message), w.filename) for w in caught}) == (0 if cls == "Softmax2d" else 1)


def test_softmax2d_takes_images():
    for shape in ((3, 4, 5), (2, 3, 4, 5)):
        x = torch.randn(shape)
        assert torch.equal(act_ext.nn.Softmax2d()(x), F.softmax(x, -3))
    for shape in ((3, 4), (1, 2, 3, 4, 5)):
        with pytest.raises(ValueError, match=f"Softmax2d: expected input to be 3D or 4D, got {len(shape)}D instead"):
            act_ext.nn.Softmax2d()(torch.randn(shape))
