"""Values and gradients against the formula in float64, for every op, dtype and layout."""

import pytest
import torch

from tests.table import NAMES, Case, each_case, each_default, each_dtype, error_in_ulp

LAYOUTS = {
    "contiguous": lambda x: x,
    "channels_last": lambda x: x.to(memory_format=torch.channels_last),
    "transposed": lambda x: x.transpose(1, 3),
    "sliced": lambda x: x[:, :, ::2, 1:],
    "every_third": lambda x: x.flatten()[::3],
    "flipped_rows": lambda x: x[0, 0].t(),
    "expanded": lambda x: x[:, :1].expand(-1, 5, -1, -1),
    "misaligned": lambda x: x.flatten()[1:],
    "narrow_rows": lambda x: x.flatten()[: 3 * 128].view(128, 3)[:, :2],
    "zero_dim": lambda x: x[0, 0, 0, 0],
    "empty": lambda x: x[:, :0],
    "one": lambda x: x[:1, :1, :1, :1],
}
# In units of the dtype's last place; for slopes, of the last place of the largest slope. For float64 the reference, in
# float64 itself, has the larger part of this; test_accuracy.py has the bound against mpmath.
BOUND = {torch.float32: 4.0, torch.float64: 200.0, torch.bfloat16: 0.51, torch.float16: 0.51}


def worst(error: torch.Tensor) -> float:
    return error.max().item() if error.numel() else 0.0


def sample(case: Case, dtype: torch.dtype, device: str) -> torch.Tensor:
    x = torch.randn(2, 3, 8, 9, dtype=torch.float64) * 4
    return case.away_from_kinks(x, 0.02).to(dtype).to(device)


@pytest.mark.parametrize("layout", LAYOUTS)
@each_dtype
@each_case
def test_values_and_gradients(case, dtype, layout, device):
    x = LAYOUTS[layout](sample(case, dtype, device)).detach().requires_grad_()
    y = case.function(x)
    value, slope = case.reference(x.cpu())
    assert y.shape == x.shape
    assert y.dtype == dtype
    assert worst(error_in_ulp(y.detach().cpu(), value)) <= BOUND[dtype]

    y.backward(torch.ones_like(y))
    largest = max(1.0, slope.abs().max().item() if slope.numel() else 1.0)
    error = error_in_ulp(x.grad.cpu(), slope, at_least=largest)
    # grad_output is 1, so the gradient is the slope, rounded once more where the result was saved.
    saved_rounding = 2.0 if case.spec["saves"] == "result" and dtype in (torch.bfloat16, torch.float16) else 0.0
    assert worst(error) <= BOUND[dtype] + saved_rounding


@each_dtype
@each_default
def test_gradient_is_grad_output_times_slope(case, dtype, device):
    x = sample(case, dtype, device).requires_grad_()
    grad_output = torch.randn_like(x)
    case.function(x).backward(grad_output)
    exact = case.reference(x.cpu())[1] * grad_output.cpu().double()
    # Where the result is saved, its rounding is an error of the largest slope's size, and grad_output is up to 4.
    # In float64 the reference has its own.
    atol = torch.finfo(dtype).eps * (128 if dtype == torch.float64 else 16)
    torch.testing.assert_close(x.grad.cpu().double(), exact, rtol=torch.finfo(dtype).eps * 4, atol=atol)


@pytest.mark.parametrize("layout", LAYOUTS)
@each_default
def test_memory_format_is_torchs(case, layout, device):
    """Strides of results as torch's own pointwise ops give them."""
    x = LAYOUTS[layout](torch.randn(2, 3, 8, 9, device=device))
    assert case.function(x).stride() == torch.neg(x).stride()
    # The gradient takes the layout of what was saved, whatever that of grad_output.
    saved = case.function(x) if case.spec["saves"] == "result" else x
    if case.spec["saves"] != "nothing":
        grad_input = case.backward_op(torch.randn(x.shape, device=device), saved, **case.kwargs)
        assert grad_input.stride() == torch.neg(saved).stride()


@pytest.mark.parametrize("layout", ["expanded", "transposed", "sliced"])
@each_default
def test_backward_with_grad_output_of_another_layout(case, layout, device):
    x = torch.randn(4, 6, 4, 6, device=device, dtype=torch.float64).requires_grad_()
    grads = {
        "expanded": torch.randn(1, 1, 4, 6, device=device, dtype=torch.float64).expand(4, 6, 4, 6),
        "transposed": torch.randn(4, 6, 4, 6, device=device, dtype=torch.float64).permute(2, 3, 0, 1),
        "sliced": torch.randn(8, 6, 4, 6, device=device, dtype=torch.float64)[::2],
    }
    grad = grads[layout]
    actual = torch.autograd.grad(case.function(x), x, grad)[0]
    expected = torch.autograd.grad(case.function(x), x, grad.contiguous())[0]
    assert torch.equal(actual, expected)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("swish", "quick_gelu", "relu_squared", "tanhshrink")])
def test_slope_at_kinks_is_the_native_ops(name):
    case = Case(name, {"threshold": 0.1, "value": 0.0} if name == "threshold" else {})
    if name in ("binary_step", "softplus") or not case.kinks:
        pytest.skip("no native gradient, or no kink")
    x = torch.tensor(case.kinks, requires_grad=True)
    ours = torch.autograd.grad(case.function(x).sum(), x)[0]
    native = torch.autograd.grad(case.native(x).sum(), x)[0]
    torch.testing.assert_close(ours, native)


def test_more_than_2_to_the_31_elements():
    """Index arithmetic in 64 bits. The input strides over one element; the result takes 4 GiB."""
    n = 2**31 + 9
    base = torch.full((1,), -1.0, dtype=torch.bfloat16)
    x = base.expand(n)
    out = torch.empty(1, dtype=torch.bfloat16)
    with pytest.raises(RuntimeError, match="more than one element"):
        torch.ops.act_ext.relu.out(x, out=out.expand(n))
    y = torch.ops.act_ext.relu(x)
    assert y.shape == (n,)
    assert y[-9:].eq(0).all()
    assert y[2**31 - 2 : 2**31 + 2].eq(0).all()
    # Dense: one kernel call a thread.
    places = torch.tensor([0, 2**31 - 1, 2**31, n - 1])
    y[places] = torch.tensor([-3.0, 5.0, -7.0, 9.0], dtype=y.dtype)
    torch.ops.act_ext.relu_(y)
    assert y[places].tolist() == [0, 5, 0, 9]
