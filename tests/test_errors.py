"""Wrong arguments get one clear sentence of the type that torch's users expect."""

import pytest
import torch

import act_ext
from tests.table import each_default

F = act_ext.functional
ops = torch.ops.act_ext


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64, torch.float8_e4m3fn], ids=str)
@each_default
def test_dtypes(case, dtype):
    x = torch.zeros(3).to(dtype)
    for form in (case.op, getattr(ops, f"{case.name}_")):
        with pytest.raises(NotImplementedError, match=f"{case.name}: input must be a float32, float64.*got dtype"):
            form(x, **case.kwargs)


@each_default
def test_backward_arguments(case):
    if case.spec["saves"] == "nothing":
        pytest.skip("backward takes one tensor")
    saved = case.spec["saves"]
    x = torch.randn(3, 4)
    for wrong, text in [
        (torch.randn(4), f"grad_output must have the shape of {saved} .*3, 4.*got.*4"),
        (torch.randn(3, 4).double(), f"grad_output must have the dtype of {saved} .*Float.*got Double"),
        (torch.randn(3, 4, device="meta"), None),
    ]:
        with pytest.raises((RuntimeError, NotImplementedError), match=text):
            case.backward_op(wrong, x, **case.kwargs)


def test_parameters():
    x = torch.randn(3)
    for call, error, text in [
        (lambda: F.hardtanh(x, 2.0, 1.0), ValueError, "hardtanh: min_val must not be greater than max_val"),
        (lambda: F.softshrink(x, -1.0), ValueError, "softshrink: lambd must be greater than or equal to 0"),
        (lambda: F.celu(x, 0.0), ValueError, "celu: alpha must not be 0"),
        (lambda: F.gelu(x, approximate="erf"), RuntimeError, "gelu: approximate must be 'none' or 'tanh', got 'erf'"),
        (lambda: F.mish(3.0), TypeError, "mish.*argument 'input' must be Tensor, not float"),
        (lambda: F.mish(None), TypeError, "mish.*argument 'input' must be Tensor, not NoneType"),
        (lambda: F.mish(), TypeError, "input"),
        (lambda: F.elu(x, alpha="1"), TypeError, "elu.*argument 'alpha' must be float, not str"),
        (lambda: ops.mish(x, 2), (TypeError, RuntimeError), ""),
    ]:
        with pytest.raises(error, match=text):
            call()


def test_out_and_in_place():
    x = torch.randn(4, 4)
    with pytest.raises(RuntimeError, match="more than one element of the written-to tensor"):
        ops.mish_(torch.randn(1, 4).expand(4, 4))
    buffer = torch.randn(17)
    with pytest.raises(RuntimeError, match=r"partially? overlap|single memory location"):
        ops.mish.out(buffer[:16], out=buffer[1:])
    with pytest.raises(RuntimeError, match="can't be cast"):
        ops.mish.out(x, out=torch.empty(4, 4, dtype=torch.int64))
    with pytest.raises(RuntimeError, match=r"out=\.\.\. arguments don't support automatic differentiation"):
        ops.mish.out(x.clone().requires_grad_(), out=torch.empty(4, 4))
    out = torch.empty(3)
    ops.mish.out(x, out=out)  # resized, with torch's warning
    assert torch.equal(out, F.mish(x))
    wide = torch.empty(4, 4, dtype=torch.float64)
    ops.mish.out(x, out=wide)
    assert torch.equal(wide, F.mish(x).double())
    transposed = torch.empty(4, 4).t()
    ops.mish.out(x, out=transposed)
    assert torch.equal(transposed, F.mish(x))


@pytest.mark.parametrize("tensor", [torch.eye(3).to_sparse(), torch.randn(3).to_mkldnn()], ids=["sparse", "mkldnn"])
def test_layouts_that_are_not_dense(tensor):
    with pytest.raises(NotImplementedError, match=r"act_ext::mish"):
        F.mish(tensor)


@pytest.mark.skipif(act_ext.built_with_cuda(), reason="this build has CUDA kernels")
@pytest.mark.cuda
def test_cuda_tensor_without_cuda_kernels():
    with pytest.raises(NotImplementedError, match="built without CUDA kernels"):
        F.mish(torch.randn(3, device="cuda"))
