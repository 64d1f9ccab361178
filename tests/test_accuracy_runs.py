"""The accuracy runs of benchmarks/accuracy: what they count, that they go on where they stopped, and that no error is
larger than published, on all inputs of the small dtypes, every thousandth of float32 and a thousand points of float64.
"""

import json
import math

import mpmath
import pytest
import torch

from benchmarks.accuracy import exact, page
from benchmarks.accuracy.measure import ORDER, Inputs, core, merged, run
from benchmarks.cases import CASES, DEFAULTS, ROWS, UNITS

pytestmark = pytest.mark.slow


def compare(result, exact, dtype=torch.float32, inputs=(1.0,), **rule):
    stats = core().Stats()
    exact = torch.tensor(exact, dtype=torch.float64)
    inputs = torch.tensor(inputs, dtype=dtype).expand_as(exact).contiguous()
    stats.add(torch.tensor(result, dtype=torch.float64).to(dtype), exact, inputs, core().Rule(**rule))
    return stats.as_dict()


@pytest.mark.parametrize(
    ("result", "exact", "dtype", "ulp"),
    [
        (1.0, 1.0, torch.float32, 0),
        (1.0, 1 + 2**-25, torch.float32, 0.25),
        (1 + 2**-23, 1.0, torch.float32, 1),
        (1 - 2**-24, 1.0, torch.float32, 0.5),  # below a power of 2 the numbers lie closer
        (2**-149, 2**-150.5, torch.float32, 1 - 2**-1.5),
        (0.0, 2**-148, torch.float32, 2),
        (1 + 2**-7, 1.0, torch.bfloat16, 1),
        (1 + 2**-9, 1.0, torch.float16, 2),
        (2**-24, 0.0, torch.float16, 1),
        (math.inf, 1e39, torch.float32, 0),
        (float(torch.finfo(torch.float32).max), 1e39, torch.float32, 0),
    ],
)
def test_error(result, exact, dtype, ulp):
    stats = compare([result], [exact], dtype)
    assert stats["worst"] == pytest.approx(ulp, rel=1e-12)
    assert stats["count"] == sum(stats["histogram"]) == 1
    assert stats["wrong"] == 0


def test_the_unit_of_a_larger_magnitude():
    assert compare([2**-10], [0.0], point=0.5, near=0.6, magnitude=1.0)["worst"] == 2**13
    assert compare([2**-10], [0.0], point=0.5, near=0.5, magnitude=1.0)["worst"] == 2**139


def test_where_nothing_is_judged():
    assert compare([5.0] * 4, [0.0] * 4, inputs=(1.0, 2.0, math.inf, math.nan), kinks=[2.0])["count"] == 1


def test_what_is_not_finite():
    stats = compare([math.nan, 1.0, math.inf, math.nan], [1.0, math.nan, 2.0, math.nan])
    assert (stats["count"], stats["wrong"], stats["first_wrong"]) == (4, 3, 1.0)


def float64_stats(result, nearest, rest, inputs=1.0):
    stats = core().Stats()
    tensors = [torch.tensor([value], dtype=torch.float64) for value in (result, nearest, rest, inputs)]
    stats.add_float64(*tensors, core().Rule())
    return stats.as_dict()


@pytest.mark.parametrize(
    ("result", "nearest", "rest", "ulp"),
    [
        (1.0, 1.0, 0.0, 0),
        (1.0, 1.0, 2.0**-54, 0.25),
        (1 + 2.0**-52, 1.0, 2.0**-54, 0.75),
        (1 - 2.0**-53, 1.0, -(2.0**-55), 0.75),  # below a power of 2 the numbers lie closer
        (5e-324, 0.0, 0.0, 1),
        (math.inf, math.inf, 0.0, 0),
        (torch.finfo(torch.float64).max, math.inf, 0.0, 1),
    ],
)
def test_error_in_float64(result, nearest, rest, ulp):
    stats = float64_stats(result, nearest, rest)
    assert (stats["worst"], stats["count"], stats["wrong"]) == (ulp, 1, 0)


def test_what_is_not_finite_in_float64():
    assert float64_stats(math.inf, 1.0, 0.0)["wrong"] == 1
    assert float64_stats(-math.inf, math.inf, 0.0)["wrong"] == 1


def mp_formula(case):
    """The spec's formula as a function of mpmath numbers."""

    def where(condition, a, b):
        return a if condition else b

    def clamp(x, low=-mpmath.inf, high=mpmath.inf, max=mpmath.inf):
        return min(x, high, max) if x > low else mpmath.mpf(low)

    scope = {name: getattr(mpmath, name) for name in ("exp", "expm1", "log1p", "erf", "erfc", "tanh", "sqrt", "sin")}
    scope |= {"where": where, "clamp": clamp, "abs": abs, "zeros_like": lambda x: mpmath.mpf(0), "pi": mpmath.pi}
    scope |= {"logaddexp": lambda a, b: mpmath.log1p(mpmath.exp(-abs(a - b))) + max(a, b)}
    scope |= {"sigmoid": lambda x: 1 / (1 + mpmath.exp(-x))}
    constants = {name: mpmath.mpf(value) for name, value in case.values.items()}
    code = compile(case.spec["formula"], case.name, "eval")
    # Numerals of the formula are doubles, and taken as such by the kernels: 1.702, 0.044715.
    return lambda x: mpmath.mpf(eval(code, {"__builtins__": {}}, scope | constants | {"x": x}))


@pytest.mark.parametrize("case", DEFAULTS, ids=str)
def test_exact_values_are_those_of_mpmath(case):
    """Interval arithmetic against another library, which differentiates the formula itself, on some points."""
    x = exact.points(case, 1000)[::20]
    x = x[x.abs() < 700]
    f = mp_formula(case)

    def compare(x, what, compute, bound, small):
        for point, *given in zip(x.tolist(), *(part.tolist() for part in exact.references(case, x, what)), strict=True):
            want = compute(mpmath.mpf(point))
            error = abs(want - mpmath.fsum(given))
            assert error <= bound * abs(want) + small, f"{what} at {point!r}: {given} for {want}"

    with mpmath.workdps(700):  # x - tanh(x) cancels
        compare(x, "value", f, 1e-25, mpmath.mpf(2) ** -1075)
    steep = x[
        (x.abs() > 1e-3) & (x.abs() < 50) & torch.stack([(x - kink).abs() > 1e-9 for kink in [0.0, *case.kinks]]).all(0)
    ]
    with mpmath.workdps(120):
        # The derivatives have numerals of their own, rounded: 0.134145.
        compare(steep, "slope", lambda point: mpmath.diff(f, point, h=abs(point) * mpmath.mpf(10) ** -25), 1e-15, 1e-17)


@pytest.mark.parametrize("case", [*CASES, *UNITS], ids=str)
def test_float64_is_exact_enough_for_float32(case):
    """The reference that judges float32, in units of float32's last place, or of a slope's near its zero."""
    x = exact.points(case, 1000).float()
    x = x[x.isfinite()]
    near = (x - case.slope_zero[0]).abs() < case.slope_zero[1]
    for what, reference in zip(case.expressions, case.reference(x), strict=True):
        nearest, _ = exact.references(case, x, what)
        unit = torch.finfo(torch.float32).eps * nearest.abs().clamp(min=2.0**-126)
        if what in ("slope", "slope by gate"):
            unit = torch.where(near, unit.clamp(min=2.0**-24), unit)
        error = (reference - nearest).abs() / unit
        assert error[nearest.abs() < 2.0**127].max() < 1e-3, what


@pytest.mark.parametrize("case", ROWS, ids=str)
def test_float64_is_exact_enough_for_rows_of_float32(case):
    for x in case.rows(torch.float32, 1000):
        (reference,), (nearest, _) = case.reference(x), exact.of_rows(case, x)
        unit = torch.finfo(torch.float32).eps * nearest.abs().clamp(min=2.0**-126)
        assert ((reference - nearest).abs() / unit).max() < 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("case", [case for case in CASES if case.spec["saves"] != "nothing"], ids=str)
def test_second_derivative(case, dtype):
    generator = torch.Generator().manual_seed(0)
    # Whole numbers and halves too: there terms are equal that seldom are. (At 0 some slopes bend.)
    halves = torch.arange(1, 17) / 2
    x = [scale * torch.randn(100, generator=generator) for scale in (1, 5, 30)]
    x = torch.cat([*x, halves, -halves]).to(dtype)
    x = case.away_from_kinks(x, 0.01).requires_grad_()
    (slope,) = torch.autograd.grad(case.function(x).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(slope.sum(), x)
    want = exact.slope_derivative(case, x.detach(), order=1)
    # Of itself in the lower tail, of at least a tenth of the largest elsewhere: near its zeros, and above, where most
    # slopes are 1 less what is lost beside it, or come from a result that is.
    finite = want.abs() < torch.finfo(dtype).max
    lower_tail = (x < -5) & (case.spec["saves"] == "input")
    least = torch.where(lower_tail, 0, 0.1 * want[finite].abs().max()).clamp(min=torch.finfo(dtype).tiny)
    error = ((second.double() - want).abs() / torch.maximum(want.abs(), least)).where(finite, 0)
    worst = error.argmax()
    assert error[worst] <= (1e-5 if dtype == torch.float32 else 1e-12), f"{error[worst]:.1e} at {x[worst].item()!r}"


def test_misrounded():
    stats = compare([1.0, 1 + 2**-23], [1 + 2**-24, 1 + 2**-25])  # the first is a tie, which goes to even
    assert stats["misrounded"] == 1
    assert merged([stats, stats])["misrounded"] == 2
    # In float64 a tie, and exactly perhaps none.
    stats = compare([1 + 2**-23], [1 + 2**-24])
    assert (stats["misrounded"], stats["worst"]) == (0, 0.5)


def test_a_run_goes_on(tmp_path):
    log = tmp_path / "log.jsonl"
    inputs = Inputs(2**16 + 1, 1000)
    first = run(inputs, ["relu", "mish"], True, log)
    lines = log.read_text().splitlines()
    assert len(lines) == 2 * 4
    mish = first["mish float32"]
    assert mish["act_ext value"]["count"] > 65000
    assert 0.5 < mish["act_ext value"]["worst"] < 4
    assert mish["native slope"]["worst"] > 1000
    assert first["relu float16"]["act_ext value"]["worst"] == 0
    log.write_text("\n".join(lines[:4]) + "\n")
    assert run(inputs, ["relu", "mish"], True, log) == first
    assert len(log.read_text().splitlines()) == 8


def test_published_errors_hold():
    worse = page.worse_than_published(run(page.checked_inputs(), ORDER, False, None))
    assert not worse, "\n".join(worse)


# In units in the last place.
LOW = {"value": 0.501, "slope": 0.501}
LARGEST = {
    "float32": {"value": 1.0, "slope": 2.0},
    "float64": {"value": 2.0, "slope": 4.0},
    "bfloat16": LOW,
    "float16": LOW,
}
# Of gated units, which are rounded once more, and of rows, whose elements all have the roundings of the sum.
LARGEST_OF_UNITS = LARGEST | {"float32": {"value": 2.0, "slope": 4.0}, "float64": {"value": 2.0, "slope": 4.0}}
LARGEST_OF_ROWS = LARGEST | {"float32": {"value": 4.0}, "float64": {"value": 4.0}}
# What with less would be as slow as the native op, or a good deal slower than it is; and at other parameters than the
# default ones, what small results make of it.
LARGER = {
    ("silu float32", "value"): 2.0,
    ("gelu float32", "value"): 1.31,
    ("logsigmoid float32", "slope"): 2.5,
    ("softplus-0.5-20 float32", "value"): 1.1,
    ("softplus-3-2 float32", "value"): 1.32,
    ("swish-1.702 float32", "value"): 1.15,
    ("nlrelu-30 float32", "value"): 1.1,
}


def test_published_errors_are_small():
    published = json.loads(page.PUBLISHED.read_text())["results"]
    assert len(published) == 4 * len(ORDER)
    bounds = dict.fromkeys(map(str, UNITS), LARGEST_OF_UNITS) | dict.fromkeys(map(str, ROWS), LARGEST_OF_ROWS)
    for key, found in published.items():
        case, dtype = key.split(" ")
        largest = bounds.get(case, LARGEST)[dtype]
        for name, stats in found.items():
            who, what = name.split(" ", 1)
            if who != "act_ext":
                continue
            assert stats["wrong"] == 0, (key, what)
            bound = LARGER.get((key, what), largest["value" if what == "value" else "slope"])
            assert stats["worst"] <= bound, (key, what, stats["worst"])
