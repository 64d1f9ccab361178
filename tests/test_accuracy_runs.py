"""The accuracy runs of benchmarks/accuracy: what they count, that they go on where they stopped, and that no error is
larger than published, on all inputs of the small dtypes and every 997th of float32."""

import json
import math

import pytest
import torch

from benchmarks.accuracy import page
from benchmarks.accuracy.measure import ORDER, Inputs, core, merged, run

pytestmark = pytest.mark.slow
LOW_PRECISION_ULP = 0.51


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


def test_misrounded():
    stats = compare([1.0, 1 + 2**-23], [1 + 2**-24, 1 + 2**-25])  # the first is a tie, which goes to even
    assert stats["misrounded"] == 1
    assert merged([stats, stats])["misrounded"] == 2


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


# In units in the last place; larger where a kernel of two would be slower than the native one, or than gelu's.
LARGEST = {"value": 2.2, "slope": 4.0}
LARGER = {"gelu value": 4.5, "phish value": 3.5, "softplus-3-2 value": 3.0}


def test_published_errors_are_small():
    published = json.loads(page.PUBLISHED.read_text())["results"]
    for key, found in published.items():
        case, dtype = key.split(" ")
        for what in ("value", "slope"):
            bound = LARGER.get(f"{case} {what}", LARGEST[what]) if dtype == "float32" else LOW_PRECISION_ULP
            stats = found[f"act_ext {what}"]
            assert stats["wrong"] == 0, (key, what)
            assert stats["worst"] <= bound, (key, what, stats["worst"])
