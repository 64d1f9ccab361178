"""The gated units: on two tensors and on one that holds both halves."""

import copy
import inspect

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import act_ext
from act_ext._register import SPECS
from tests.table import each_dtype, error_in_ulp

F = act_ext.functional
SPEC = {spec["name"]: spec for spec in SPECS if spec["kind"] == "gated_unit"}
PACKINGS = [
    {"dim": -1},
    {"dim": 1, "gate_first": False},
    {"dim": 0, "interleaved": True},
    {"dim": -1, "gate_first": False, "interleaved": True},
]
# Beside the defaults of the parameters.
PARAMETERS = {
    "swiglu_clamped": [
        {"alpha": alpha, "limit": limit}
        for alpha, limit in [(1.0, 0.75), (-0.5, 2.0), (1.702, 100.0), (10.0, 20.0), (-1.0, 7.0), (0.01, 7.0)]
    ]
}
CASES = [(name, {}) for name in SPEC] + [(name, kwargs) for name, sets in PARAMETERS.items() for kwargs in sets]
each_case = pytest.mark.parametrize(
    ("name", "kwargs"), CASES, ids=lambda v: v if isinstance(v, str) else ",".join(f"{k}={x}" for k, x in v.items())
)
each_packing = pytest.mark.parametrize("packing", PACKINGS, ids=lambda p: ",".join(f"{k}={v}" for k, v in p.items()))
each_name = pytest.mark.parametrize("name", SPEC)


def evaluate(expression, name, kwargs, gate, up, dtype=torch.float64):
    """With parameters as the kernels for `dtype` take them."""
    compute = torch.float64 if dtype == torch.float64 else torch.float32
    defaults = {p.split("=")[0].split()[-1]: float(p.split("=")[1]) for p in SPEC[name]["params"].split(", ") if p}
    scope = {n: getattr(torch, n) for n in dir(torch) if not n.startswith("_")}
    rounded = {n: torch.tensor(v, dtype=compute).item() for n, v in (defaults | kwargs).items()}
    scope |= {"sqrt": lambda v: v**0.5, "pi": torch.pi} | rounded | {"gate": gate, "up": up}

    def where(condition, a, b):
        return torch.where(condition, torch.as_tensor(a, dtype=gate.dtype), torch.as_tensor(b, dtype=gate.dtype))

    return eval(expression, {"__builtins__": {"__import__": __import__}, **scope, "where": where})


def formula(name, kwargs, gate, up, dtype=torch.float64):
    return evaluate(SPEC[name]["formula"], name, kwargs, gate, up, dtype)


def pack(gate, up, dim=-1, gate_first=True, interleaved=False):
    halves = (gate, up) if gate_first else (up, gate)
    if not interleaved:
        return torch.cat(halves, dim)
    dim %= gate.dim()
    return torch.stack(halves, dim + 1).flatten(dim, dim + 1)


def samples(dtype, shape=(40, 33)):
    torch.manual_seed(0)
    return [(torch.randn(shape) * scale).to(dtype) for scale in (3, 2, 1)]


@each_dtype
@each_case
def test_values_and_gradients(name, kwargs, dtype, device):
    gate, up, g = samples(dtype)
    leaves = [gate.requires_grad_(), up.requires_grad_()]
    result = getattr(F, name)(gate.to(device), up.to(device), **kwargs)
    grads = torch.autograd.grad(result, leaves, g.to(device))
    out = result.cpu()
    wide = [t.detach().double().requires_grad_() for t in leaves]
    expected = formula(name, kwargs, *wide, dtype)
    exact = torch.autograd.grad(expected, wide, g.double())
    assert out.dtype == dtype
    low = dtype in (torch.bfloat16, torch.float16)
    # Low precision is rounded once; float32 may use a few units. The float64 reference rounds what it gives to exp.
    bound = 0.502 if low else 2.1 if dtype == torch.float32 else 256
    assert error_in_ulp(out, expected.detach()).max() <= bound
    for result, reference in zip(grads, exact, strict=True):
        # A slope's zero crossing is measured in units of the gradient's usual size.
        assert error_in_ulp(result, reference, at_least=0.5).max() <= (0.51 if low else 5 if bound < 5 else 256)


@each_case
def test_extremes(name, kwargs, device):
    """What overflows or is subnormal on the way to a normal result."""
    gates = torch.tensor([-1e4, -20.0, -1e-3, -1e-30, -0.0, 0.0, 1e-30, 1e-3, 0.1, 3.0, 20.0, 1e4, 1e30])
    ups = torch.tensor([-3.4e38, -1e20, -1.0, -1e-44, -0.0, 0.0, 1e-44, 1e-30, 1.0, 1e20, 3.4e38])
    if name == "swiglu_clamped":
        kwargs = kwargs | {"limit": torch.inf}
    gate, up = (t.to(device) for t in torch.meshgrid(gates, ups, indexing="ij"))
    result = getattr(F, name)(gate, up, **kwargs).cpu()
    exact = formula(name, kwargs, gate.cpu().double(), up.cpu().double(), torch.float32)
    assert torch.equal(result.isinf(), exact.float().isinf())
    assert not result.isnan().any()
    error = torch.where(result.isinf(), 0.0, error_in_ulp(result, torch.where(result.isinf(), 0.0, exact)))
    assert error.max() <= 3, (gate.cpu().flatten()[error.argmax()], up.cpu().flatten()[error.argmax()])


@each_dtype
@each_case
def test_gates_far_out(name, kwargs, dtype, device):
    """Finite where the result is, and 0 only where it is."""
    far = [8.0, 39.0, 50.0, 200.0, 1e4, 1.1e6, 1e30]
    gate = torch.tensor([*far, *(-number for number in far)], dtype=torch.float64).to(dtype)
    gate = gate[gate.isfinite()]
    up = torch.full_like(gate, 0.5)
    leaves = [t.to(device).requires_grad_() for t in (gate, up)]
    result = getattr(F, name)(*leaves, **kwargs)
    results = [result, *torch.autograd.grad(result.sum(), leaves)]
    for got, text in zip(results, [SPEC[name]["formula"], *SPEC[name]["derivative"].split("; ")], strict=True):
        want = torch.as_tensor(evaluate(text, name, kwargs, gate.detach().double(), up.detach().double(), dtype))
        want = want.to(dtype).expand_as(gate)
        torch.testing.assert_close(got.detach().cpu(), want, rtol=0.01, atol=torch.finfo(dtype).tiny)


@each_packing
@each_case
def test_packed_is_the_same_as_two(name, kwargs, packing, device):
    gate, up, _ = (t.to(device) for t in samples(torch.float32, (6, 10, 16)))
    packed = pack(gate, up, **packing)
    function = getattr(F, name)
    for x in (
        packed,
        packed.transpose(0, 2).contiguous().transpose(0, 2),
        torch.cat([packed, packed], 0)[2 : 2 + len(packed)],
    ):
        if not torch.equal(x, packed):
            gate, up = act_ext._register._halves(x, **packing)
        x = x.detach().requires_grad_()
        two = [gate.detach().requires_grad_(), up.detach().requires_grad_()]
        out = function(x, **kwargs, **packing)
        expected = function(*two, **kwargs)
        assert torch.equal(out, expected)
        g = torch.randn_like(out)
        grads = torch.autograd.grad(expected, two, g)
        assert torch.equal(torch.autograd.grad(out, x, g)[0], pack(*grads, **packing))


@each_case
def test_derivatives(name, kwargs):
    gate, up, _ = samples(torch.float64, (2, 3))
    gate, up = gate.requires_grad_(), up.requires_grad_()
    packed = pack(gate, up).detach().requires_grad_()
    function = getattr(F, name)
    for f, inputs in [
        (lambda a, u: function(a, u, **kwargs), (gate, up)),
        (lambda x: function(x, **kwargs), (packed,)),
        (
            lambda x: function(x, dim=0, gate_first=False, interleaved=True, **kwargs),
            (pack(gate, up, 0).detach().requires_grad_(),),
        ),
    ]:
        assert gradcheck(f, inputs, check_forward_ad=True, check_batched_grad=True)
        assert gradgradcheck(f, inputs, check_fwd_over_rev=True)


@each_name
def test_opcheck(name):
    op, packed = getattr(torch.ops.act_ext, name), getattr(torch.ops.act_ext, name + "_packed")
    a, u = torch.randn(4, 6), torch.randn(4, 6)
    for gate, up in [(a, u), (a.t(), u.t()), (torch.randn(4, 12)[:, ::2], u)]:
        torch.library.opcheck(op.default, (gate.clone().requires_grad_(), up.clone().requires_grad_()))
        torch.library.opcheck(op.default, (gate, up))
    for packing in PACKINGS:
        args = [packing.get(k, d) for k, d in (("dim", -1), ("gate_first", True), ("interleaved", False))]
        torch.library.opcheck(packed.default, (torch.randn(4, 6, requires_grad=True), *args))
    # The third derivative is not there to be checked.
    tests = ["test_schema", "test_autograd_registration", "test_faketensor"]
    params = [v for v in (1.702, 7.0) if SPEC[name]["params"]]
    for suffix in ("_backward", "_double_backward"):
        backward = getattr(torch.ops.act_ext, name + suffix).default
        count = sum(str(arg.type) == "Tensor" for arg in backward._schema.arguments)
        tensors = [torch.randn(4, 6, requires_grad=True) for _ in range(count)]
        torch.library.opcheck(backward, (*tensors, *params), test_utils=tests)
        x, g = torch.randn(4, 12, requires_grad=True), torch.randn(4, 6)
        backward = getattr(torch.ops.act_ext, name + "_packed" + suffix).default
        inputs = (g, x) if suffix == "_backward" else (torch.randn(4, 12), g, x)
        torch.library.opcheck(backward, (*inputs, -1, True, False, *params), test_utils=tests)


@each_name
def test_transforms(name):
    f = getattr(F, name)
    gate, up = torch.randn(5, 4), torch.randn(5, 4)
    expected = f(gate, up)
    assert torch.equal(torch.vmap(f)(gate, up), expected)
    assert torch.equal(torch.vmap(f, in_dims=(1, None), out_dims=1)(gate, up[:, 0]), f(gate, up[:, :1].expand(5, 4)))
    packed = pack(gate, up, 0)
    assert torch.equal(torch.vmap(lambda x: f(x, dim=0), in_dims=1, out_dims=1)(packed), expected)
    per_sample = torch.vmap(torch.func.grad(lambda a, u: f(a, u).sum(), argnums=(0, 1)))(gate, up)
    a, u = gate.clone().requires_grad_(), up.clone().requires_grad_()
    for ours, whole in zip(per_sample, torch.autograd.grad(f(a, u).sum(), (a, u)), strict=True):
        assert torch.equal(ours, whole)


def test_compile():
    def block(x, y):
        return F.swiglu(x, y) + F.glu(torch.cat([y, x], -1)) + F.geglu(torch.cat([x, y], -1), approximate="tanh")

    x, y = torch.randn(4, 6, requires_grad=True), torch.randn(4, 6, requires_grad=True)
    compiled = torch.compile(block, fullgraph=True, dynamic=True)
    for scale in (1, 2):
        ours, eager = compiled(x * scale, y), block(x * scale, y)
        torch.testing.assert_close(ours, eager)
        for a, b in zip(torch.autograd.grad(ours.sum(), (x, y)), torch.autograd.grad(eager.sum(), (x, y)), strict=True):
            torch.testing.assert_close(a, b)


def test_saves_only_its_inputs():
    gate, up = torch.randn(8, 16, requires_grad=True), torch.randn(8, 16, requires_grad=True)
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        F.swiglu(gate, up)
    assert {t.data_ptr() for t in saved} == {gate.data_ptr(), up.data_ptr()}
    assert len(saved) == 2


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_glu_is_torchs(dim):
    x = torch.randn(4, 6, 8, requires_grad=True)
    ours, native = F.glu(x, dim), torch.nn.functional.glu(x, dim)
    torch.testing.assert_close(ours, native)
    g = torch.randn_like(ours)
    torch.testing.assert_close(torch.autograd.grad(ours, x, g), torch.autograd.grad(native, x, g))
    module = act_ext.nn.GLU(dim)
    assert isinstance(module, torch.nn.GLU)
    assert repr(module) == repr(torch.nn.GLU(dim))
    assert torch.equal(module(x), ours)


BLOCKS = [
    ("SiGLU", "siglu"),
    ("SwiGLU", "swiglu"),
    ("GEGLU", "geglu"),
    ("GEGLUTanh", "geglu_tanh"),
    ("QuickGEGLU", "quick_geglu"),
    ("ReGLU", "reglu"),
    ("SeGLU", "seglu"),
    ("BilinearGLU", "bilinear_glu"),
    ("SwiGLUClamped", "swiglu_clamped"),
]


def test_every_unit_has_a_block():
    assert {function for _, function in BLOCKS} == set(SPEC)
    block = act_ext.nn.SwiGLUClamped(6, 10, alpha=1.0, limit=0.5)
    gate, up = torch.randn(3, 10), torch.randn(3, 10)
    assert torch.equal(block.unit(gate, up), F.swiglu_clamped(gate, up, alpha=1.0, limit=0.5))


@pytest.mark.parametrize(("cls", "function"), BLOCKS)
def test_feed_forward(cls, function):
    torch.manual_seed(0)
    block = getattr(act_ext.nn, cls)(6, 10, 4, bias=False)
    x = torch.randn(2, 3, 6)
    expected = block.down_proj(getattr(F, function)(block.gate_proj(x), block.up_proj(x)))
    assert torch.equal(block(x), expected)
    assert torch.equal(copy.deepcopy(block)(x), expected)
    assert list(block.state_dict()) == ["gate_proj.weight", "up_proj.weight", "down_proj.weight"]
    assert getattr(act_ext.nn, cls)(6, 10)(x).shape == x.shape


def test_every_unit_has_its_function():
    for name, spec in SPEC.items():
        parameters = dict(inspect.signature(getattr(F, name)).parameters)
        for part in ("Args:", "Formula", spec["formula"], "Shape:", "Raises:", "Paper:", "Example:"):
            assert part in getattr(F, name).__doc__
        schema = getattr(torch.ops.act_ext, name).default._schema
        for argument in schema.arguments[2:]:
            assert parameters[argument.name].default == argument.default_value


def test_infinite_gradients_meet_closed_gates():
    gate = torch.tensor([-1.0, 1.0], requires_grad=True)
    out = F.reglu(gate, torch.ones(2))
    assert torch.autograd.grad(out, gate, torch.full((2,), torch.inf))[0].tolist() == [0.0, torch.inf]


@each_dtype
@pytest.mark.parametrize("name", [name for name in SPEC if name not in ("siglu", "swiglu_clamped")])
def test_a_gate_of_0_closes(name, dtype):
    """It gives 0, so 0 times infinity is NaN."""
    gate = torch.tensor([0.0, -0.0], dtype=dtype).repeat(20)
    assert getattr(F, name)(gate, torch.full_like(gate, torch.inf)).isnan().all()
    assert (getattr(F, name)(gate, torch.full_like(gate, torch.finfo(dtype).max)) == 0).all()


def test_empty_and_odd_layouts():
    assert F.swiglu(torch.empty(0, 4), torch.empty(0, 4)).shape == (0, 4)
    assert F.swiglu(torch.empty(3, 0)).shape == (3, 0)
    a, u = torch.randn(3, 4, 5, 6), torch.randn(3, 4, 5, 6)
    last = torch.channels_last
    out = F.swiglu(a.to(memory_format=last), u.to(memory_format=last))
    assert out.is_contiguous(memory_format=last)
    assert torch.equal(out, F.swiglu(a, u))
    assert torch.equal(F.swiglu(a.to(memory_format=last), u), F.swiglu(a, u))
    row = torch.randn(6)
    assert torch.equal(F.swiglu(row.expand(4, 6), torch.ones(4, 6)), F.swiglu(row, torch.ones(6)).expand(4, 6))


@each_name
def test_derivatives_of_tangents(name):
    """Forward mode is differentiable itself: a second derivative by any mixture of modes is the same."""
    f = getattr(F, name)
    x = torch.randn(3, 4, dtype=torch.float64)
    for g in (lambda x: f(x, x.sin()).sum(), lambda x: f(x).sum(), lambda x: f(x, dim=-1, interleaved=True).sum()):
        expected = torch.func.jacrev(torch.func.jacrev(g))(x)
        torch.testing.assert_close(torch.func.jacfwd(torch.func.jacrev(g))(x), expected)
        torch.testing.assert_close(torch.func.jacrev(torch.func.jacfwd(g))(x), expected)
        torch.testing.assert_close(torch.func.jacfwd(torch.func.jacfwd(g))(x), expected)
        v = torch.randn_like(x)
        product = torch.autograd.functional.hvp(g, x, v)[1]
        torch.testing.assert_close(product, torch.einsum("ijkl,kl->ij", expected, v))


@each_dtype
@each_name
def test_far_from_zero(name, dtype):
    """The limits of value and gradients, and gradients that keep falling."""
    gate = torch.tensor([-torch.inf, -1e4, 80.0, 200.0, 1e4, torch.inf], dtype=dtype, requires_grad=True)
    up = torch.ones(6, dtype=dtype, requires_grad=True)
    out = getattr(F, name)(gate, up)
    grad_gate, grad_up = torch.autograd.grad(out, (gate, up), torch.ones_like(out))
    wide = gate.detach().double().requires_grad_()
    exact = formula(name, {}, wide, torch.ones(6, dtype=torch.float64), dtype)
    slope = torch.autograd.grad(exact.sum(), wide)[0]
    inner = slice(1, 5)
    torch.testing.assert_close(out[inner], exact[inner].to(dtype))
    torch.testing.assert_close(grad_gate[inner], slope[inner].to(dtype), atol=1e-30, rtol=1e-2)
    if name != "swiglu_clamped":
        torch.testing.assert_close(grad_up[inner], exact[inner].to(dtype))
    assert not grad_gate.isnan().any()
    assert not out.isnan().any()


def test_tails_do_not_round_before_their_factors():
    gate = torch.linspace(-101.0, -86.0, 64, requires_grad=True)
    up = torch.ones(64, requires_grad=True)
    out = F.swiglu(gate, up)
    grads = torch.autograd.grad(out, (gate, up), torch.full((64,), 1e20))
    wide = gate.detach().double()
    value = 1e20 * wide * torch.sigmoid(wide)
    slope = 1e20 * torch.sigmoid(wide) * (1 + wide * torch.sigmoid(-wide))
    for result, exact in zip(grads, (slope, value), strict=True):
        # What a subnormal number can carry.
        torch.testing.assert_close(result.double(), exact, rtol=1e-6, atol=1e20 * 2**-149)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_selus_constants_come_after_a_subnormal_number(dtype):
    """Times them it would lose digits, which the other number then shows."""
    least, largest = torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps, torch.finfo(dtype).max
    small = least * torch.tensor([1.0, 2100.0, -1.0, -360000.0], dtype=dtype)
    large = torch.full_like(small, 2.0**100)
    slope_at_0 = torch.tensor([1.0507009873554804934, 1.7580993408473766], dtype=dtype)
    for gate, up in ((small, large), (large, small)):
        exact = torch.where(gate > 0, *slope_at_0) * (gate * up)
        torch.testing.assert_close(F.seglu(gate, up), exact, rtol=torch.finfo(dtype).eps, atol=least)
    # What only the constant makes overflow; and nothing, times what it makes infinite.
    big = torch.full((40,), 0.98 * largest, dtype=dtype)
    assert F.seglu(big, torch.ones_like(big)).isposinf().all()
    nothing = F.seglu(big, torch.zeros_like(big))
    assert (nothing == 0).all()
    assert not nothing.signbit().any()


def test_errors():
    x = torch.randn(3, 4)
    with pytest.raises(TypeError, match=r"act_ext.swiglu\(\): argument 'gate' must be Tensor, not list"):
        F.swiglu([1.0, 2.0])
    with pytest.raises(TypeError, match="argument 'input' must be Tensor"):
        F.glu([1.0])
    with pytest.raises(RuntimeError, match="at least one dimension"):
        torch.vmap(F.swiglu)(torch.randn(4))
    with pytest.raises(IndexError, match="Dimension out of range"):
        torch.vmap(lambda x: F.swiglu(x, dim=-2))(x)
    with pytest.raises(RuntimeError, match=r"swiglu: gate must have the shape of up \(\[3, 4\]\), got \[3, 2\]"):
        F.swiglu(x[:, :2], x)
    with pytest.raises(RuntimeError, match="gate must have the dtype of up"):
        F.swiglu(x.double(), x)
    with pytest.raises(NotImplementedError, match="up must be a float32, float64, bfloat16 or float16 tensor"):
        F.swiglu(x.int(), x.int())
    with pytest.raises(RuntimeError, match="input must have an even size in dimension 1, got 3"):
        F.swiglu(torch.randn(2, 3))
    with pytest.raises(RuntimeError, match="at least one dimension"):
        F.swiglu(torch.tensor(1.0))
    with pytest.raises(IndexError, match="Dimension out of range"):
        F.swiglu(x, dim=2)
    with pytest.raises(RuntimeError, match="approximate must be 'none' or 'tanh', got 'erf'"):
        F.geglu(x, x, approximate="erf")


@each_name
@each_dtype
def test_nan_of_the_up_propagates(name, dtype):
    """Also where the gate is so far down that the result would be 0."""
    gate = torch.tensor([-1e4, -200.0, -130.0, -50.0, -0.0, 0.0, 50.0, 200.0, 1e4], dtype=dtype)
    assert getattr(act_ext.functional, name)(gate, torch.full_like(gate, torch.nan)).isnan().all()
