"""torch's own samples of its activations (OpInfo): act_ext's functions take what torch's take, and give what they give,
with the same strides, gradients and errors."""

import pytest
import torch
from torch.testing._internal.common_methods_invocations import op_db

import act_ext
from tests.table import each_dtype

F = act_ext.functional


def short(info):
    return info.name.removeprefix("nn.functional.")


# rrelu draws other random numbers than torch's; complex numbers are not act_ext's.
INFOS = [
    info
    for info in op_db
    if short(info) in F.__all__ and short(info) != "rrelu" and info.variant_test_name != "complex"
]
each_info = pytest.mark.parametrize(
    "info", INFOS, ids=lambda info: ".".join(filter(None, [short(info), info.variant_test_name]))
)


def test_the_list():
    native = {name for name in F.__all__ if hasattr(torch.nn.functional, name)} - {"rrelu", "identity"}
    assert {short(info) for info in INFOS} >= native | {"sigmoid", "tanh"}


def samples(info, dtype):
    for sample in info.sample_inputs("cpu", dtype, requires_grad=True):
        yield sample
        yield sample.noncontiguous()


@each_dtype
@each_info
def test_samples(info, dtype):
    if dtype not in info.dtypes:
        pytest.skip("torch has no kernel for it")
    ours = getattr(F, short(info))
    tolerance = {"rtol": 2e-2, "atol": 2e-2} if dtype.itemsize == 2 else {}
    for sample in samples(info, dtype):
        leaves = [t for t in (sample.input, *sample.args) if isinstance(t, torch.Tensor)]
        expected = info.op(sample.input, *sample.args, **sample.kwargs)
        found = ours(sample.input, *sample.args, **sample.kwargs)
        assert found.dtype == expected.dtype
        if expected.numel() > 0:  # of an empty tensor torch's own ops do not agree
            assert found.stride() == expected.stride(), sample
        torch.testing.assert_close(found, expected, **tolerance)
        ones = torch.ones_like(expected)
        wanted = torch.autograd.grad(expected, leaves, ones)
        torch.testing.assert_close(torch.autograd.grad(found, leaves, ones), wanted, **tolerance)


@pytest.mark.parametrize("info", [info for info in INFOS if info.error_inputs_func], ids=short)
def test_error_samples(info):
    ours = getattr(F, short(info))
    for wrong in info.error_inputs("cpu"):
        sample = wrong.sample_input
        # A parameter out of range is a ValueError here, where torch's kernels raise RuntimeError.
        with pytest.raises((wrong.error_type, NotImplementedError, ValueError)):
            ours(sample.input, *sample.args, **sample.kwargs)
