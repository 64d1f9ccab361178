"""Any bits, shapes, strides and parameters: ops give the same for every layout, and what exact arithmetic gives."""

import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from benchmarks.accuracy import exact
from benchmarks.bits import INTEGER, passes
from tests.table import CASES, DTYPES, SPEC, Case

# The same examples in every run.
settings.register_profile("fixed", derandomize=True, deadline=None, max_examples=200)
settings.load_profile("fixed")


@st.composite
def layouts(draw, dtype):
    """A tensor of any bits: up to four dimensions, in any order, with any steps, somewhere in its memory."""
    sizes = draw(st.lists(st.integers(0, 9), max_size=4))
    steps = [draw(st.integers(1, 3)) for _ in sizes]
    offset = draw(st.integers(0, 3))
    whole = [size * step + offset for size, step in zip(sizes, steps, strict=True)]
    order = draw(st.permutations(range(len(sizes))))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    integer = torch.iinfo(INTEGER[dtype.itemsize])
    memory = torch.randint(integer.min, integer.max, whole, generator=generator, dtype=INTEGER[dtype.itemsize])
    parts = tuple(slice(offset, None, step) for step in steps)
    x = memory.view(dtype)[parts].permute(order)
    return x.expand(3, *x.shape) if draw(st.booleans()) else x


def same(a, b):
    """Equal bits, but for NaN's."""
    numbers = a.isnan() == b.isnan()
    bits = a.contiguous().view(INTEGER[a.itemsize]) == b.contiguous().view(INTEGER[a.itemsize])
    return bool((numbers & (bits | a.isnan())).all())


@given(st.data(), st.sampled_from(CASES), st.sampled_from(DTYPES))
def test_any_layout(data, case, dtype):
    x, g = data.draw(layouts(dtype)), data.draw(layouts(dtype))
    packed = x.contiguous()
    want = case.op(packed, **case.kwargs)
    assert same(case.op(x, **case.kwargs), want)
    inplace = x.clone()  # with its strides, where they leave no gaps
    assert same(getattr(torch.ops.act_ext, f"{case.name}_")(inplace, **case.kwargs), want)
    out = torch.empty(x.shape[::-1], dtype=dtype).permute(list(reversed(range(x.dim()))))
    assert same(case.op(x, **case.kwargs, out=out), want)
    if case.spec["saves"] != "nothing" and g.numel() >= x.numel():
        g = g.flatten()[: x.numel()].view(x.shape)
        strided = g.new_zeros(*g.shape, 2)[..., 1].copy_(g)
        assert same(case.backward_op(strided, x, **case.kwargs), case.backward_op(g, packed, **case.kwargs))


MAGNITUDES = st.floats(-20, 20).map(lambda exponent: 10.0**exponent)
FACTORS = st.one_of(MAGNITUDES, MAGNITUDES.map(lambda x: -x), st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 200.0]))
INPUTS = st.one_of(st.floats(width=32, allow_nan=False, allow_infinity=False), st.floats(-100, 100, width=32), FACTORS)
# Of softexponential where alpha x or x + alpha cancels nothing; its own test has the rest.
WITH_PARAMETERS = [name for name, spec in SPEC.items() if "float " in spec["params"] and name != "softexponential"]


def unless_refused(case, x):
    """The values, or None where an error says what a parameter must be."""
    try:
        return case.function(x)
    except ValueError as error:
        message = str(error)
    assert message.startswith(f"{case.name}: ")
    assert " must " in message
    return None


@pytest.mark.parametrize("name", WITH_PARAMETERS)
@given(st.data())
def test_any_parameters(name, data):
    """Values in float32, to a few units of the last place; or an error that names what is wrong."""
    declared = [part.removeprefix("float ").partition("=")[0] for part in SPEC[name]["params"].split(", ")]
    case = Case(name, {parameter: data.draw(FACTORS, label=parameter) for parameter in declared})
    x = torch.tensor(data.draw(st.lists(INPUTS, min_size=1, max_size=20)), dtype=torch.float32)
    result = unless_refused(case, x)
    if result is None:
        return
    constants = case.constants(torch.float32)
    assume(name != "softplus" or constants["beta"] != 0)
    for point, got in zip(x.tolist(), result.tolist(), strict=True):
        # Which side a rounded product falls on is not a matter of accuracy.
        if name == "softplus" and math.isclose(constants["beta"] * point, constants["threshold"], rel_tol=1e-6):
            continue
        assume(not (name == "softplus" and 0 < abs(constants["beta"] * point) < 1e-37))
        want, _ = exact.value(SPEC[name]["formula"], constants | {"x": point})
        if abs(want) > torch.finfo(torch.float32).max:
            assert abs(got) >= torch.finfo(torch.float32).max * (1 - 1e-6)
            continue
        unit = math.ldexp(1, max(math.frexp(want)[1] - 24, -149)) if want else 2.0**-149
        assert abs(got - want) <= 3 * unit, f"{case}({point!r}) is {got!r}, should be {want!r}"


@pytest.mark.parametrize("name", WITH_PARAMETERS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_parameters_that_are_no_numbers(name, dtype):
    """Neither a crash nor a hang, and an empty tensor stays one."""
    declared = [part.removeprefix("float ").partition("=")[0] for part in SPEC[name]["params"].split(", ")]
    x = torch.tensor([0.0, -0.0, 1.0, -1.0, 100.0, -100.0, math.inf, -math.inf, math.nan], dtype=dtype)
    for value in (math.nan, math.inf, -math.inf):
        case = Case(name, dict.fromkeys(declared, value))
        result, empty = unless_refused(case, x), unless_refused(case, x[:0])
        if result is not None:
            assert result.shape == x.shape
            assert empty.shape == (0,)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_flushing_of_subnormal_numbers(case):
    """It takes no more than what it says: next to what is flushed, and by some last places where a second word is."""
    bits = torch.arange(-(2**31), 2**31, 2**20 + 7)
    x = bits.to(torch.int32).view(torch.float32)
    tiny = torch.finfo(torch.float32).tiny
    x = x[x.isfinite() & (x.abs() >= tiny)]
    expected = passes(case, x, torch.ones_like(x))[:2]
    try:
        assert torch.set_flush_denormal(True)
        flushed = passes(case, x, torch.ones_like(x))[:2]
    finally:
        torch.set_flush_denormal(False)
    for got, want in zip(flushed, expected, strict=True):
        assert torch.equal(got.isfinite(), want.isfinite())
        finite = want.isfinite()
        error = (got.double() - want.double()).abs()[finite]
        assert (error <= 8 * 2.0**-23 * want[finite].abs() + 4 * tiny).all()
