"""Maxout against torch's own maximum over unflattened channels."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import act_ext
from tests.table import each_dtype

F = act_ext.functional
SHAPES = [(lambda k: (7, 6 * k), 1), (lambda k: (3, 4 * k, 5, 6), 1), (lambda k: (2, 3 * k, 9, 130), 1)]
SHAPES += [(lambda k: (4 * k, 33), 0), (lambda k: (300 * k,), 0), (lambda k: (3, 5 * k, 7), -2)]


def reference(x, num_pieces, dim):
    dim %= x.dim()
    return x.unflatten(dim, (-1, num_pieces)).max(dim + 1)


@each_dtype
@pytest.mark.parametrize("num_pieces", [1, 2, 3, 4, 5, 300])
@pytest.mark.parametrize(("shape", "dim"), SHAPES)
def test_values_indices_and_gradients(shape, dim, num_pieces, dtype, device):
    x = torch.randn(shape(num_pieces)).to(dtype)
    x.view(-1)[::17], x.view(-1)[5::97], x.view(-1)[3::101] = 0.5, float("nan"), float("-inf")  # ties, NaN
    x = x.to(device)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    result, (expected, winners) = F.maxout(ours, num_pieces, dim), reference(theirs, num_pieces, dim)
    torch.testing.assert_close(result, expected, rtol=0, atol=0, equal_nan=True)
    _, indices = torch.ops.act_ext.maxout_with_indices(x, num_pieces, dim)
    assert indices.dtype == (torch.uint8 if num_pieces <= 256 else torch.int16)
    assert torch.equal(indices.long(), winners)
    g = torch.randn_like(expected)
    assert torch.equal(torch.autograd.grad(result, ours, g)[0], torch.autograd.grad(expected, theirs, g)[0])


@pytest.mark.parametrize("layout", ["channels_last", "sliced", "transposed", "expanded"])
def test_layouts(layout):
    x = {
        "channels_last": torch.randn(2, 6, 4, 5).contiguous(memory_format=torch.channels_last),
        "sliced": torch.randn(2, 12, 9)[:, ::2, 1:],
        "transposed": torch.randn(9, 6).t().unsqueeze(0),
        "expanded": torch.randn(1, 6, 1).expand(3, 6, 8),
    }[layout]
    assert torch.equal(F.maxout(x, 3, 1), reference(x, 3, 1)[0])


def test_derivatives_and_transforms():
    x = torch.randn(2, 6, 3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda x: F.maxout(x, 3), (x,), check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(lambda x: F.maxout(x, 3) * x.sum(), (x,), check_fwd_over_rev=True)
    compiled = torch.compile(lambda x: F.maxout(x, 3), fullgraph=True)
    assert torch.equal(compiled(x), F.maxout(x, 3))
    assert torch.equal(torch.vmap(lambda x: F.maxout(x, 3, 0))(x), F.maxout(x, 3, 1))
    for args in [(x.detach(), 3, 1), (x, 2, -2)]:
        torch.library.opcheck(torch.ops.act_ext.maxout_with_indices.default, args)
    units, indices = torch.ops.act_ext.maxout_with_indices(x.detach(), 3, 1)
    torch.library.opcheck(torch.ops.act_ext.maxout_backward.default, (units.requires_grad_(), indices, 3, 1))
    torch.library.opcheck(torch.ops.act_ext.maxout_pick.default, (x, indices, 3, 1))


def test_saves_only_the_indices():
    saved = []
    x = torch.randn(4, 6, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        F.maxout(x, 2)
    assert [(t.dtype, t.shape) for t in saved] == [(torch.uint8, (4, 3))]


def test_errors():
    x = torch.randn(4, 6)
    with pytest.raises(RuntimeError, match="multiple of num_pieces"):
        F.maxout(x, 4)
    with pytest.raises(ValueError, match="num_pieces must be positive"):
        F.maxout(x, 0)
    with pytest.raises(IndexError, match="out of range"):
        F.maxout(x, 2, 5)
    with pytest.raises(RuntimeError, match="at least one dimension"):
        F.maxout(torch.tensor(1.0), 1, 0)
    with pytest.raises(NotImplementedError, match="float32"):
        F.maxout(torch.ones(4, 6, dtype=torch.long), 2)
    with pytest.raises(TypeError, match="must be Tensor"):
        F.maxout([1.0], 2)
    assert F.maxout(torch.empty(0, 6), 2).shape == (0, 3)


def test_module():
    module = act_ext.nn.Maxout(5, 4, 3)
    x = torch.randn(2, 7, 5)
    assert torch.equal(module(x), module.linear(x).unflatten(-1, (4, 3)).amax(-1))
    assert "num_pieces=3" in repr(module)
    assert list(module.state_dict()) == ["linear.weight", "linear.bias"]
