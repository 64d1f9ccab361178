"""The exhaustive accuracy runs of benchmarks/accuracy: what they count, and that they go on where they stopped."""

import math

import pytest
import torch

from benchmarks.accuracy.measure import core, merged, run

pytestmark = pytest.mark.slow


def compare(result, exact, dtype=torch.float32, at_least=0.0):
    stats = core().Stats()
    exact = torch.tensor(exact, dtype=torch.float64)
    at_least = torch.full_like(exact, at_least)
    stats.add(torch.tensor(result, dtype=torch.float64).to(dtype), exact, exact.clone(), at_least)
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
    assert compare([2**-10], [0.0], at_least=1.0)["worst"] == 2**13
    assert compare([5.0], [0.0], at_least=math.nan)["count"] == 0


def test_what_is_not_finite():
    stats = compare([math.nan, 1.0, math.inf, math.nan], [1.0, math.nan, 2.0, math.nan])
    assert (stats["count"], stats["wrong"], stats["first_wrong"]) == (4, 3, 1.0)


def test_misrounded():
    stats = compare([1.0, 1 + 2**-23], [1 + 2**-24, 1 + 2**-25])  # the first is a tie, which goes to even
    assert stats["misrounded"] == 1
    assert merged([stats, stats])["misrounded"] == 2


def test_a_run_goes_on(tmp_path):
    log = tmp_path / "log.jsonl"
    first = run(2**16 + 1, ["relu", "mish"], log)
    lines = log.read_text().splitlines()
    assert len(lines) == 2 * 3
    mish = first["mish", "float32"]
    assert mish["act_ext value"]["count"] > 65000
    assert 0.5 < mish["act_ext value"]["worst"] < 4
    assert mish["native slope"]["worst"] > 1000
    assert first["relu", "float16"]["act_ext value"]["worst"] == 0
    log.write_text("\n".join(lines[:4]) + "\n")
    assert run(2**16 + 1, ["relu", "mish"], log) == first
    assert len(log.read_text().splitlines()) == 6
