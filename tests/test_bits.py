"""The same bits whatever the stride, offset, position, thread count and instruction set."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import act_ext
from benchmarks.bits import INTEGER, ROW_FUNCTIONS, UNITS, passes, row_passes, unit_passes
from tests.table import Case, each_default, each_dtype, pass_tests_with

ROOT = Path(__file__).resolve().parent.parent
ORDER = ["default", "avx2", "avx512"]  # of the instruction sets


def inputs(dtype, n=4099):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(n, dtype=torch.float64, generator=generator) * 6
    x[::11] *= 1e-6
    x[::13] *= 20
    return x.to(dtype)


def same_bits(a, b):
    integer = INTEGER[a.itemsize]
    return torch.equal(a.contiguous().view(integer), b.contiguous().view(integer))


def same_but_nan(a, b):
    """The sign and the payload of a NaN are nothing that anyone specifies."""
    return same_bits(*(torch.where(t.isnan(), torch.nan, t) for t in (a, b)))


@each_dtype
@each_default
def test_layout_and_position(case, dtype):
    x, g = inputs(dtype), inputs(dtype).flip(0)
    expected = passes(case, x, g)
    for start in (1, 3, 17):
        # Shifted in memory, so that every element meets another lane, and the tail.
        for got, want in zip(passes(case, x[start:], g[start:]), expected, strict=True):
            assert same_bits(got, want[start:])
    for count in (1, 2, 15, 31, 65):
        for got, want in zip(passes(case, x[:count], g[:count]), expected, strict=True):
            assert same_bits(got, want[:count])
    wide_x, wide_g = torch.zeros(4099, 3, dtype=dtype), torch.zeros(4099, 2, dtype=dtype)
    wide_x[:, 1], wide_g[:, 0] = x, g
    for got, want in zip(passes(case, wide_x[:, 1], wide_g[:, 0]), expected, strict=True):
        assert same_bits(got, want)
    square_x, square_g = x[:4096].view(64, 64).t(), g[:4096].view(64, 64).t()
    for got, want in zip(passes(case, square_x, square_g.contiguous()), expected, strict=True):
        assert same_bits(got.t().flatten(), want[:4096])


@each_dtype
@each_default
def test_neighbours(case, dtype):
    """What pieces do not reach (csrc/math/pieces.h) changes nothing beside it."""
    x, g = torch.linspace(-20, 20, 2048).to(dtype), inputs(dtype, 2048)
    among = x.clone()
    among[::7] = 1000.0
    kept = among == x
    for got, want in zip(passes(case, among, g), passes(case, x, g), strict=True):
        assert same_bits(got[kept], want[kept])
    mixed = inputs(dtype, 2048), g
    of_one_kind = passes(case, *(t.repeat_interleave(64) for t in mixed))
    for got, want in zip(passes(case, *mixed), of_one_kind, strict=True):
        assert same_bits(got, want[::64])


@each_dtype
def test_elements_that_vectors_pass_on(dtype):
    """An angle near a multiple of pi, or a large one, is the business of no other element."""
    steps = torch.arange(-400, 400, dtype=torch.float64)
    x = torch.cat([steps * torch.pi / 2, steps.sign() * 2 ** (steps.abs() / 6)]).to(dtype)
    x = x[torch.randperm(len(x), generator=torch.Generator().manual_seed(1))]
    x = x[x.isfinite()]
    for omega in (1.0, 30.0):
        case = Case("sine", {"omega": omega})
        expected = passes(case, x, x.flip(0))
        for part in (slice(1, None), slice(7, None), slice(0, None, 3)):
            for got, want in zip(passes(case, x[part], x.flip(0)[part]), expected, strict=True):
                assert same_bits(got, want[part])
        single = torch.cat([case.op(x[i : i + 1], omega) for i in range(len(x))])
        assert same_bits(single, expected[0])


@each_dtype
@each_default
def test_thread_count(case, dtype):
    x, g = inputs(dtype, 300_007), inputs(dtype, 300_007).flip(0)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        expected = passes(case, x, g)
        torch.set_num_threads(2)
        results = passes(case, x, g)
    finally:
        torch.set_num_threads(threads)
    assert all(same_bits(got, want) for got, want in zip(results, expected, strict=True))


@each_dtype
@pytest.mark.parametrize("name", UNITS)
def test_units(name, dtype):
    tensors = [inputs(dtype, 40_013).roll(k) for k in (0, 7, 100)]
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        expected = unit_passes(name, *tensors)
        torch.set_num_threads(2)
        for got, want in zip(unit_passes(name, *tensors), expected, strict=True):
            assert same_bits(got, want)
    finally:
        torch.set_num_threads(threads)
    for got, want in zip(unit_passes(name, *(t[3:] for t in tensors)), expected, strict=True):
        assert same_bits(got, want[3:])
    of_one_kind = unit_passes(name, *(t[:2048].repeat_interleave(64) for t in tensors))
    for got, want in zip(of_one_kind, expected, strict=True):
        assert same_bits(got[::64], want[:2048])
    wide = [torch.stack([t, t], 1)[:, 1] for t in tensors]
    for got, want in zip(unit_passes(name, *wide), expected, strict=True):
        assert same_bits(got, want)


@each_dtype
@pytest.mark.parametrize("name", UNITS)
def test_neighbours_in_units(name, dtype):
    """Few gates that pieces do not reach, which are gathered, and many, for which all of a vector is computed again."""
    near = torch.linspace(-3, 3, 2048).to(dtype)
    up, g = inputs(dtype, 2048), inputs(dtype, 2048).flip(0)
    apart = [unit_passes(name, gate, up, g) for gate in (near, torch.full_like(near, -30.0))]
    for distance in (2, 9, 50):
        far = torch.arange(2048) % distance == 0
        for got, *want in zip(unit_passes(name, torch.where(far, -30.0, near), up, g), *apart, strict=True):
            assert same_bits(got, torch.where(far, want[1], want[0]))


@each_dtype
@pytest.mark.parametrize("name", ROW_FUNCTIONS)
def test_rows(name, dtype):
    """Rows of any length, along memory and across it, whole registers of them or less."""
    threads = torch.get_num_threads()
    for length, count in [(1, 40), (5, 33), (31, 64), (33, 100), (130, 70), (1025, 40), (5000, 37), (40_000, 33)]:
        x, g = (inputs(dtype, length * count + k)[k:].view(count, length) for k in (0, 5))
        try:
            torch.set_num_threads(1)
            expected = row_passes(name, x, g, 1)
            torch.set_num_threads(2)
            results = [row_passes(name, x, g, 1)]
        finally:
            torch.set_num_threads(threads)
        columns_x, columns_g = x.t().contiguous(), g.t().contiguous()
        results += [
            row_passes(name, columns_x.t(), columns_g.t(), 1),
            row_passes(name, columns_x.t(), g, 1),
            row_passes(name, torch.stack([x, x], -1)[..., 1], g, 1),
            row_passes(name, torch.cat([x.new_zeros(3), x.flatten()])[3:].view(count, length), g, 1),
            [t.t() for t in row_passes(name, columns_x, columns_g, 0)],
        ]
        some = row_passes(name, columns_x[:, 3:5], columns_g[:, 3:5], 0)
        for got in results:
            assert all(same_bits(a, b) for a, b in zip(got, expected, strict=True))
        assert all(same_bits(a.t(), b[3:5]) for a, b in zip(some, expected, strict=True))


@each_dtype
@pytest.mark.parametrize("name", ROW_FUNCTIONS)
def test_sets_of_rows_side_by_side(name, dtype):
    """Few or many side by side, short or long, in one set or in several, with gaps or without."""
    shapes = [(5, length, rows) for length in (*range(1, 36), 70, 130) for rows in (2, 3, 7, 16, 31, 33, 49, 150)]
    shapes += [(40, 3, 4), (40, 20, 4), (3, 200, 9), (2, 700, 20), (1, 1, 3), (1, 2000, 20), (1, 35_000, 5)]
    shapes += [(40, 140, 2), (1, 67_000, 2), *((3, length, 20) for length in (48, 63, 64, 255, 257, 383, 385))]
    threads = torch.get_num_threads()
    for shape in shapes:
        count = shape[0] * shape[1] * shape[2]
        x, g = (inputs(dtype, count + k)[k:].view(shape) for k in (0, 5))
        x[..., 1], g[..., 0] = -torch.inf, -0.0
        if shape[2] > 2:
            x[:, :1, 2] = torch.nan
        if shape[2] > 3:
            x[:, -1:, 3], g[:, :1, -1] = torch.inf, torch.inf
        as_rows = row_passes(name, *(t.transpose(1, 2).contiguous() for t in (x, g)), 2)
        with_gaps = (torch.stack([t, t + 1], 1).flatten(0, 1)[::2] for t in (x, g))
        apart = (torch.cat([t, t], 2)[..., shape[2] :] for t in (x, g))
        elements_apart = (torch.stack([t, t + 1], 2).flatten(1, 2)[:, ::2] for t in (x, g))
        try:
            torch.set_num_threads(1)
            results = [row_passes(name, x, g, 1)]
            results += [row_passes(name, *layout, 1) for layout in (with_gaps, apart, elements_apart)]
            torch.set_num_threads(2)
            results.append(row_passes(name, x, g, 1))
        finally:
            torch.set_num_threads(threads)
        for got in results:
            assert all(same_but_nan(a.transpose(1, 2), b) for a, b in zip(got, as_rows, strict=True)), shape
        for dim in (0, 1, 2):
            expanded = x.narrow(dim, 0, 1).expand(shape)
            pairs = zip(row_passes(name, expanded, g, 1), row_passes(name, expanded.contiguous(), g, 1), strict=True)
            assert all(same_but_nan(a, b) for a, b in pairs), (shape, dim)


@each_dtype
@pytest.mark.parametrize("name", ROW_FUNCTIONS)
def test_short_rows(name, dtype):
    """Many are turned to lie side by side, some blocks of them and a rest; two are not. They may lie apart."""
    for length in range(1, 70):
        x, g = (inputs(dtype, length * 131 + k)[k:].view(131, length) for k in (0, 5))
        together = row_passes(name, x, g, 1)
        for rows in (slice(0, 2), slice(63, 65), slice(129, 131)):
            alone = row_passes(name, x[rows], g[rows], 1)
            assert all(same_bits(a, b[rows]) for a, b in zip(alone, together, strict=True)), length
        wide = x.new_full((131, length + 8), torch.nan)
        wide[:, 3:-5] = x
        apart = row_passes(name, wide[:, 3:-5], g, 1)
        assert all(same_bits(a, b) for a, b in zip(apart, together, strict=True)), length
        one, copies = (
            row_passes(name, rows, g[:1].expand(131, -1), 1) for rows in (x[:1].expand(131, -1), x[:1].repeat(131, 1))
        )
        assert all(same_bits(a, b) for a, b in zip(one, copies, strict=True)), length


def run_with(capability, code):
    environment = os.environ | {"ACT_EXT_CPU_CAPABILITY": capability, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("capability", ["avx2", "avx512"])
def test_published_bits(capability):
    if ORDER.index(capability) > ORDER.index(act_ext.cpu_capability()):
        pytest.skip(f"this processor has no {capability}")
    result = run_with(capability, "from benchmarks.bits import different; print(different())")
    assert result.stdout == "[]\n", result.stdout + result.stderr


@pytest.mark.parametrize("capability", ORDER)
def test_forced_capability(capability):
    if ORDER.index(capability) > ORDER.index(act_ext.cpu_capability()):
        pytest.skip(f"this processor has no {capability}")
    code = f"import act_ext; assert act_ext.cpu_capability() == {capability!r}"
    assert run_with(capability, code).returncode == 0


@pytest.mark.skipif(act_ext.cpu_capability() != "avx512", reason="this process computes with it")
def test_rows_with_avx2():
    """They take ways of their own: the published hashes are of few lengths."""
    pass_tests_with("avx2", "rows and not avx2", "bits")


@pytest.mark.skipif(act_ext.cpu_capability() == "default", reason="the tests of values stand for it")
def test_values_without_vectors():
    """The kernels for any processor pass the tests of values; the others have the same bits as this one's."""
    wanted = "(limits or nan or signed or values_and or special_rows or near_zero) and not cuda and not expanded"
    pass_tests_with("default", wanted, "special", "values", "gated_units", "row_functions", "learned")


def test_unknown_capability_is_refused():
    result = run_with("sse9", "import act_ext; act_ext.cpu_capability()")
    assert result.returncode != 0
    assert "ValueError: ACT_EXT_CPU_CAPABILITY must name an instruction set of this processor" in result.stderr
