"""What the specs say of each function holds for its kernel and its formula, in float64."""

import math

import pytest
import torch

import act_ext
from act_ext._register import SPECS
from tests.table import CASES, Case
from tests.test_gated_units import evaluate as evaluate_unit
from tests.test_learned import evaluate as evaluate_learned

SPEC = {spec["name"]: spec for spec in SPECS}


class Fixed:
    """An activation whose learned parameters are numbers."""

    def __init__(self, name, kwargs):
        self.spec = SPEC[name]
        learned = self.spec["learned"].split(", ")
        self.name, self.parameters = name, [tensor(kwargs[p]) for p in learned]
        self.constants = {p: value for p, value in kwargs.items() if p not in learned}

    def function(self, x):
        return getattr(act_ext.functional, self.name)(x, *self.parameters, **self.constants)

    def formula(self, x):
        return evaluate_learned(self.spec["formula"], self.name, x, self.parameters, 1, **self.constants)

    def derivative(self, x):
        by_x = self.spec["derivative"].split("; ")[0]
        return evaluate_learned(by_x, self.name, x, self.parameters, 1, **self.constants)


def case_of(name):
    """The op with the parameters that its facts hold for."""
    kwargs = eval(f"dict({SPEC[name]['facts']['at']})", {"inf": math.inf})
    return Fixed(name, kwargs) if SPEC[name]["kind"] == "learned" else Case(name, kwargs)


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


def both_signs(*parts):
    """In order, each once."""
    magnitudes = torch.cat(parts)
    return torch.cat([magnitudes, -magnitudes]).unique()


NEAR = [torch.linspace(0, 40, 40001, dtype=torch.float64), torch.logspace(-300, 2, 303, dtype=torch.float64)]
FAR = torch.logspace(2, 100, 50, dtype=torch.float64)  # farther out formulas overflow
FARTHEST = tensor(1e200, 1e300, math.inf)


def values(case):
    """Of kernel and formula, each with its points in order."""
    everywhere, near = both_signs(*NEAR, FAR, FARTHEST), both_signs(*NEAR, FAR)
    if case.name == "sine":  # it has no limit at infinity
        everywhere = everywhere[everywhere.isfinite()]
    return case.function(everywhere), case.formula(near)


def differentiated(f, x, order=1):
    """The derivative of that order by autograd: of case.function from the kernels."""
    x = x.clone().requires_grad_()
    y = f(x)
    for _ in range(order):
        if not y.requires_grad:
            return torch.zeros_like(x)
        y = torch.autograd.grad(y.sum(), x, create_graph=True)[0]
    return y.detach()


def jumps(f):
    """Whether f jumps: a grid of intervals is halved, each time for the half over which f changes more, until the
    change over a continuous function's is nearly nothing."""
    edges = torch.linspace(-12.003, 12.001, 12001, dtype=torch.float64)  # kinks lie inside the intervals
    low, high = edges[:-1], edges[1:]
    f_low, f_high = f(low), f(high)
    for _ in range(30):
        middle = (low + high) / 2
        f_middle = f(middle)
        left = (f_middle - f_low).abs() > (f_high - f_middle).abs()
        low, f_low = torch.where(left, low, middle), torch.where(left, f_low, f_middle)
        high, f_high = torch.where(left, middle, high), torch.where(left, f_middle, f_high)
    return not bool(((f_high - f_low).abs() < 1e-6).all())  # a NaN is a jump


def check_range(case, facts):
    for y in values(case):
        assert not y.isnan().any()
        y = y[y.isfinite()]
        for extreme, bound, beyond in [(y.min(), facts["infimum"], -1), (y.max(), facts["supremum"], 1)]:
            if math.isinf(bound):
                assert extreme * beyond > 200  # a logarithm does not come further
            else:
                assert (extreme - bound) * beyond <= 4e-16 * abs(bound)
                assert abs(extreme - bound) < 1e-6  # the points do not meet a minimum exactly


def check_monotonic(case, facts):
    for y in values(case):
        down = (y[:-1] - y[1:]) / y[1:].abs().clamp(min=1e-300)
        assert (not (down > 1e-14).any()) == facts["monotonic"]
        assert facts["monotonic"] or (y.diff() < -1e-5).any()


def check_zero_centred(case, facts):
    at_zero = case.function(tensor(0.0)).item()
    for y in values(case):
        assert (at_zero == 0 and bool((y < 0).any()) and bool((y > 0).any())) == facts["zero_centred"]


def check_saturates(case, facts):
    infinite = case.function(tensor(-math.inf, math.inf))
    far = tensor([-1e90, 1e90], [-1e100, 1e100])
    for y in (case.function(far), case.formula(far)):
        settled = (y[0] - y[1]).abs() < 1e-9
        assert torch.equal(settled, infinite.isfinite())
        assert ((y[1] - infinite)[settled].abs() < 1e-9).all()
        below, above = settled.tolist()
        expected = {(0, 0): "nowhere", (1, 0): "below", (0, 1): "above", (1, 1): "both"}[below, above]
        assert facts["saturates"] == expected


def check_smoothness(case, facts):
    """Not all kernels have three derivatives: the third is that of the spec's derivative."""
    orders = [lambda x, k=k: differentiated(case.function, x, k) for k in range(3)]
    orders.append(lambda x: differentiated(case.derivative, x, 2))
    first = next((k for k, f in enumerate(orders) if jumps(f)), math.inf)
    assert facts["smoothness"] == first - 1


def check_minimum(case, facts):
    x = both_signs(*NEAR)
    y = case.function(x)
    lowest = x[y == y.min()]
    if facts["minimum_at"] is None:
        # Nowhere, or in more than one place, which the points do not meet exactly.
        assert len(lowest) > 1 or lowest.item() == x[0] or x[y < y.min() + 1e-6].diff().max() > 1
        return
    at = tensor(facts["minimum_at"])
    away = (x - at).abs() > 1e-3
    assert (y[away] > facts["infimum"] + 1e-8).all()
    # Where the slope changes its sign, by bisection.
    low, high = at - 0.7, at + 0.5
    assert differentiated(case.function, low) < 0 < differentiated(case.function, high)
    for _ in range(60):
        middle = (low + high) / 2
        falls = differentiated(case.function, middle) < 0
        low, high = torch.where(falls, middle, low), torch.where(falls, high, middle)
    assert abs(high.item() - facts["minimum_at"]) < 1e-12
    for f in (case.function, case.formula):
        assert abs(f(at).item() - facts["infimum"]) < 1e-14


CHECKS = [check_range, check_monotonic, check_zero_centred, check_saturates, check_smoothness, check_minimum]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", [name for name, spec in SPEC.items() if spec["facts"]])
def test_facts(name, check):
    check(case_of(name), SPEC[name]["facts"])


WRONG = [
    ("mish", "infimum", -0.3088434),
    ("mish", "infimum", -0.309),
    ("mish", "supremum", 1e80),
    ("mish", "minimum_at", -1.19243121),
    ("mish", "minimum_at", None),
    ("sigmoid", "minimum_at", 0.0),
    ("sigmoid", "supremum", 1.00001),
    ("relu", "infimum", -math.inf),
    ("mish", "monotonic", True),
    ("tanh", "monotonic", False),
    ("mish", "zero_centred", False),
    ("sigmoid", "zero_centred", True),
    ("lisht", "zero_centred", True),
    ("mish", "saturates", "nowhere"),
    ("tanh", "saturates", "below"),
    ("mish", "smoothness", 2),
    ("isrlu", "smoothness", 1),
    ("isrlu", "smoothness", math.inf),
    ("relu", "smoothness", 1),
    ("relu", "smoothness", -1),
    ("hardshrink", "smoothness", 0),
]


@pytest.mark.parametrize(("name", "fact", "value"), WRONG)
def test_a_wrong_fact_is_noticed(name, fact, value):
    def check_all():
        for check in CHECKS:
            check(case_of(name), SPEC[name]["facts"] | {fact: value})

    with pytest.raises(AssertionError):
        check_all()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_derivative(case):
    """The formula's, and what backward multiplies with, also where the slope jumps."""
    kinks = tensor(*case.kinks)
    x = torch.cat([both_signs(NEAR[0][::50], NEAR[1], FAR), kinks])
    result = case.derivative(x)
    torch.testing.assert_close(result, differentiated(case.function, x), rtol=1e-11, atol=1e-14)
    # Farther out autograd overflows on its way through some formulas.
    near = x[~torch.isin(x, kinks) & (x.abs() < 30)]
    torch.testing.assert_close(case.derivative(near), differentiated(case.formula, near), rtol=1e-11, atol=1e-14)


def test_what_has_facts_and_derivatives():
    for spec in SPECS:
        assert (spec["facts"] is not None) == (spec["kind"] in ("pointwise", "learned"))
        assert bool(spec["derivative"]) == (spec["kind"] not in ("maxout", "rrelu"))


@pytest.mark.parametrize("name", [name for name, spec in SPEC.items() if spec["kind"] == "gated_unit"])
def test_derivatives_of_a_gated_unit(name):
    """The formula's, and what backward gives."""
    torch.manual_seed(0)
    gate, up, g = (torch.randn(3, 1000, dtype=torch.float64) * 4).unbind()
    leaves = gate.clone().requires_grad_(), up.clone().requires_grad_()
    stated = [evaluate_unit(text, name, {}, gate, up) * g for text in SPEC[name]["derivative"].split("; ")]
    for result in (evaluate_unit(SPEC[name]["formula"], name, {}, *leaves), getattr(act_ext.functional, name)(*leaves)):
        for gradient, expected in zip(torch.autograd.grad(result, leaves, g), stated, strict=True):
            torch.testing.assert_close(gradient, expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", act_ext.list_activations())
def test_describe(name, capsys):
    assert act_ext.describe(name) is None
    text = capsys.readouterr().out
    spec = next(spec for spec in SPECS if spec["name"] == name)
    assert text.startswith(f"{name}\n")
    for part in ("formula", "learned", "params", "paper"):
        assert spec[part] in text
    for derivative in spec["derivative"].split("; "):
        assert derivative in text
    if spec["facts"]:
        assert f"{spec['facts']['infimum']:.7g} to {spec['facts']['supremum']:.7g}" in text
        assert spec["facts"]["at"] in text


def test_describe_an_op_without_facts(capsys, monkeypatch):
    monkeypatch.setattr(act_ext._describe, "SPECS", [{"name": "new", "params": "", "formula": "x", "paper": ""}])
    act_ext.describe("new")
    assert capsys.readouterr().out == "new\n  formula       x\n"


def test_describe_an_unknown_name():
    with pytest.raises(ValueError, match=r"named 'mihs': did you mean 'mish'\? act_ext.list_activations\(\) lists"):
        act_ext.describe("mihs")
    with pytest.raises(ValueError, match=r"no activation is named '': act_ext.list_activations\(\) lists the names"):
        act_ext.describe("")
