"""RReLU: its random numbers against Philox written in Python, what is made of them, and how it behaves in torch."""

import copy
import hashlib
import inspect
import pickle

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.utils.checkpoint import checkpoint

import act_ext
from act_ext._register import SPECS
from tests.table import each_dtype
from tests.test_bits import run_with

F = act_ext.functional
ops = torch.ops.act_ext
LOWER, UPPER = 0.125, 0.3333333333333333
N = 1 << 18
FLOATS = pytest.mark.parametrize(("dtype", "digits"), [(torch.float32, 24), (torch.float64, 52)], ids=str)


def noise_of(n, dtype=torch.float32, lower=0.0, upper=1.0):
    return ops.rrelu_noise(torch.zeros(n, dtype=dtype), lower, upper)


def seeded(function, *args, seed=5, **kwargs):
    torch.manual_seed(seed)
    return function(*args, **kwargs)


def philox(key, counter):
    """The four words of Philox4x32-10, of whole numbers of Python."""
    word = 0xFFFFFFFF
    x = [counter >> 32 * i & word for i in range(4)]
    k = [key & word, key >> 32]
    for _ in range(10):
        p, q = 0xD2511F53 * x[0], 0xCD9E8D57 * x[2]
        x = [q >> 32 ^ x[1] ^ k[0], q & word, p >> 32 ^ x[3] ^ k[1], p & word]
        k = [(k[0] + 0x9E3779B9) & word, (k[1] + 0xBB67AE85) & word]
    return x


def test_the_philox_of_these_tests():
    """The known answers of Random123."""
    assert philox(0, 0) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    counter = 0x03707344_13198A2E_85A308D3_243F6A88
    assert philox(0x299F31D0_A4093822, counter) == [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]


@FLOATS
def test_random_numbers_are_philoxs(dtype, digits):
    n = 200
    noise = seeded(noise_of, n, dtype)
    torch.manual_seed(5)
    key, stream = (int(torch.empty((), dtype=torch.int64).random_(-(2**63), None)) % 2**64 for _ in range(2))
    # Sixteen counters at a time: the lower 64 bits of each, then the upper ones.
    of_a_counter = 4 if dtype == torch.float32 else 2
    for i in range(n):
        first, within = i // (16 * of_a_counter) * 16, i % (16 * of_a_counter)
        half, rest = divmod(within, 8 * of_a_counter)
        lane, word = divmod(rest, of_a_counter // 2)
        words = philox(key, stream << 64 | (first + lane))[2 * half : 2 * half + 2]
        bits = words[word] >> 8 if dtype == torch.float32 else (words[1] << 32 | words[0]) >> 12
        assert noise[i].item() == bits / 2**digits


@FLOATS
def test_numbers_have_all_digits(dtype, digits):
    whole = noise_of(N, dtype).double() * 2.0**digits
    assert torch.equal(whole, whole.round())
    assert 0.49 < (whole.long() % 2).double().mean() < 0.51
    assert whole.max() < 2.0**digits
    if dtype == torch.float32:
        assert whole.min() < 2.0**digits / 2**14
        assert whole.max() > 2.0**digits * (1 - 2**-14)


@each_dtype
def test_distribution(dtype):
    """Kolmogorov-Smirnov, mean and variance; in 16 bits as finely as these can tell."""
    noise = noise_of(N, dtype, LOWER, UPPER)
    assert noise.min() >= torch.tensor(LOWER).to(dtype)
    assert noise.max() <= torch.tensor(UPPER).to(dtype)
    u = ((noise.double() - LOWER) / (UPPER - LOWER)).sort().values
    expected = torch.arange(N, dtype=torch.float64) / N
    coarse = 2 * torch.finfo(dtype).eps
    assert (u - expected).abs().max() < 1.8 / N**0.5 + coarse  # exceeded once in 300
    assert abs(u.mean() - 0.5) < 4 / (12 * N) ** 0.5 + coarse
    assert abs(u.var() - 1 / 12) < 4 / (180 * N) ** 0.5 + coarse


@FLOATS
def test_independence(dtype, digits):
    """No correlation, and chi-square over pairs: neighbours, elements of one counter or register, two calls."""
    a, b = noise_of(N, dtype).double(), noise_of(N, dtype).double()
    pairs = {lag: (a[lag:], a[:-lag]) for lag in (1, 2, 4, 8, 16, 32, 64, 1024)}
    for lag, (x, y) in {**pairs, "calls": (a, b), "shifted calls": (a[1:], b[:-1])}.items():
        correlation = torch.corrcoef(torch.stack([x, y]))[0, 1]
        assert abs(correlation) < 4.5 / N**0.5, lag
        counts = torch.bincount((x * 16).long() * 16 + (y * 16).long(), minlength=256).double()
        chi = ((counts - x.numel() / 256) ** 2).sum() / (x.numel() / 256)
        assert abs(chi - 255) < 4.5 * (2 * 255) ** 0.5, lag


@each_dtype
def test_values_and_gradients(dtype, device):
    x = torch.randn(3, 1031).to(dtype)
    x.view(-1)[:6] = torch.tensor([0.0, -0.0, float("nan"), float("inf"), float("-inf"), -1.0])
    x = x.to(device).requires_grad_()
    values, noise = seeded(ops.rrelu_with_noise, x, LOWER, UPPER)
    assert not noise.requires_grad
    assert torch.equal(noise != 1, x <= 0)  # 1 also at NaN
    torch.testing.assert_close(values, (x.double() * noise.double()).to(dtype), rtol=0, atol=0, equal_nan=True)
    assert values.view(-1)[:2].signbit().tolist() == [False, True]
    assert torch.equal(seeded(ops.rrelu_noise, x, LOWER, UPPER), noise)
    result = seeded(F.rrelu, x, training=True)
    torch.testing.assert_close(result, values, rtol=0, atol=0, equal_nan=True)
    g = torch.randn_like(x)
    gradient = torch.autograd.grad(result, x, g)[0]
    native = torch.ops.aten.rrelu_with_noise_backward(g, x, noise, LOWER, UPPER, True, False)
    assert torch.equal(gradient, native)


@each_dtype
def test_evaluation_is_leaky_relu(dtype):
    x = torch.randn(1000).to(dtype)
    state = torch.get_rng_state()
    for inplace in (False, True):
        assert torch.equal(F.rrelu(x.clone(), 0.1, 0.4, inplace=inplace), F.leaky_relu(x, (0.1 + 0.4) / 2))
    torch.testing.assert_close(F.rrelu(x), torch.nn.functional.rrelu(x))
    formula = next(spec["formula"] for spec in SPECS if spec["name"] == "rrelu")
    scope = {**vars(torch), "x": x, "lower": LOWER, "upper": UPPER, "training": False}
    torch.testing.assert_close(F.rrelu(x), eval(formula, scope))
    assert torch.equal(F.rrelu(torch.empty(0, 3), training=True), torch.empty(0, 3))
    assert torch.equal(state, torch.get_rng_state())  # nothing is drawn
    F.rrelu(x, training=True)
    assert not torch.equal(state, torch.get_rng_state())
    equal = F.rrelu(x, 0.25, 0.25, training=True)
    assert torch.equal(equal, F.leaky_relu(x, 0.25))
    assert F.rrelu(torch.tensor(-1.0), training=True).shape == ()


def test_seeds_and_generators():
    x = -torch.ones(1000)
    first, second = seeded(F.rrelu, x, training=True), F.rrelu(x, training=True)
    assert not torch.equal(first, second)
    assert torch.equal(first, seeded(F.rrelu, x, training=True))
    assert not torch.equal(first, seeded(F.rrelu, x, training=True, seed=6))
    state = torch.get_rng_state()
    mine = torch.Generator().manual_seed(5)
    assert torch.equal(ops.rrelu(x, LOWER, UPPER, True, mine), first)
    assert torch.equal(ops.rrelu_with_noise(x, LOWER, UPPER, generator=mine)[0], second)
    mine.manual_seed(5)
    assert torch.equal(ops.rrelu_(x.clone(), LOWER, UPPER, True, mine), first)
    assert torch.equal(state, torch.get_rng_state())


@each_dtype
def test_strides_and_threads_do_not_matter(dtype):
    x = torch.randn(6, 5, 37, 41).to(dtype)
    expected = seeded(ops.rrelu_with_noise, x, LOWER, UPPER)
    layouts = {
        "channels_last": x.contiguous(memory_format=torch.channels_last),
        "transposed": x.permute(3, 1, 0, 2).contiguous().permute(2, 1, 3, 0),
        "sliced": torch.stack([x, x], -1)[..., 1],
        "shifted": torch.cat([x.new_zeros(3), x.flatten()])[3:].view(x.shape),
    }
    for name, strided in layouts.items():
        assert torch.equal(strided, x)
        values, noise = seeded(ops.rrelu_with_noise, strided, LOWER, UPPER)
        assert torch.equal(values, expected[0]), name
        assert torch.equal(noise, expected[1]), name
        assert values.stride() == noise.stride() == torch.neg(strided).stride()
        in_place = strided.clone()
        assert torch.equal(seeded(F.rrelu, in_place, training=True, inplace=True), values)
    expanded = x[:1].expand_as(x)
    noise = seeded(ops.rrelu_noise, expanded, LOWER, UPPER)
    assert torch.equal(noise, seeded(ops.rrelu_noise, expanded.contiguous(), LOWER, UPPER))
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            assert torch.equal(seeded(F.rrelu, x, training=True), expected[0])
    finally:
        torch.set_num_threads(threads)


@each_dtype
def test_an_elements_number_decides(dtype):
    whole = seeded(noise_of, 5000, dtype)
    for n in (1, 7, 63, 64, 65, 1023, 1024, 1025, 4999):
        assert torch.equal(seeded(noise_of, n, dtype), whole[:n])


def digest():
    torch.manual_seed(5)
    sums = hashlib.sha256()
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
        for tensor in ops.rrelu_with_noise(torch.randn(5003).to(dtype), -0.3, 0.7):
            sums.update(tensor.view(torch.uint8).numpy().tobytes())
    return sums.hexdigest()


@pytest.mark.parametrize("capability", ["default", "avx2", "avx512"])
def test_instruction_sets_do_not_matter(capability):
    order = ["default", "avx2", "avx512"]
    if order.index(capability) > order.index(act_ext.cpu_capability()):
        pytest.skip(f"this processor has no {capability}")
    output = run_with(capability, "from tests.test_rrelu import digest; print(digest())")
    assert output.stdout.strip() == digest(), output.stderr


@pytest.mark.parametrize("inplace", [False, True])
def test_derivatives(inplace):
    x = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)

    def f(x):
        return seeded(F.rrelu, x * 1, -0.3, 0.7, training=True, inplace=inplace)

    assert gradcheck(f, (x,), check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(lambda x: f(x) * x.sum(), (x,), check_fwd_over_rev=True)
    slope = torch.func.grad(lambda x: f(x).sum())(x)
    assert torch.equal(slope, seeded(ops.rrelu_noise, x, -0.3, 0.7))
    assert torch.equal(torch.func.jvp(f, (x,), (x.cos(),))[1], slope * x.cos())


def test_compiled_autograd():
    for shape in ((4, 5), (6, 7)):
        x = torch.randn(shape, requires_grad=True)
        values, noise = ops.rrelu_with_noise(x, LOWER, UPPER)
        with torch._dynamo.compiled_autograd._enable(torch.compile(backend="eager", fullgraph=True)):
            values.sum().backward()
        assert torch.equal(x.grad, noise)


@pytest.mark.parametrize("inplace", [False, True])
def test_saves_only_the_noise(inplace):
    saved = []
    x = torch.randn(4, 6, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        y = F.rrelu(x * 1 if inplace else x, training=True, inplace=inplace)
    assert [t.shape for t in saved] == [x.shape]
    assert torch.equal(saved[0], torch.autograd.grad(y.sum(), x)[0])


def test_checkpoint_draws_the_same_again():
    x = -torch.rand(100, requires_grad=True)
    y = checkpoint(lambda x: F.rrelu(x, training=True), x, use_reentrant=False)
    assert torch.equal(torch.autograd.grad(y.sum(), x)[0] * x, y)


@pytest.mark.parametrize("function", [F.rrelu, lambda x, **how: F.rrelu(x * 1, inplace=True, **how)], ids=["", "_"])
@pytest.mark.parametrize("dim", [0, 1])
def test_vmap(function, dim):
    def train(x):
        return function(x, training=True)

    x = -torch.ones(7, 7)
    with pytest.raises(RuntimeError, match="randomness error mode"):
        torch.vmap(train)(x)
    different = torch.vmap(train, in_dims=dim, randomness="different")(x)
    assert different.unique().numel() == x.numel()
    same = torch.vmap(train, in_dims=dim, randomness="same")(x)
    assert torch.equal(same, same[:1].expand_as(same))
    assert same.unique().numel() == 7
    mixed = torch.vmap(train, in_dims=dim, out_dims=dim, randomness="same")(x.index_fill(1, torch.tensor([2, 3]), 1.0))
    assert torch.equal(mixed[:, 2:4], torch.ones(7, 2))
    nested = torch.vmap(torch.vmap(train, randomness="same"), randomness="different")(-torch.ones(2, 3, 4))
    assert nested.unique().numel() == 8
    slopes = torch.vmap(torch.func.grad(lambda x: train(x).sum()), randomness="different")(x)
    assert slopes.unique().numel() == x.numel()
    assert torch.equal(torch.vmap(function)(x), F.rrelu(x))


def test_vmap_where_the_input_is_not_batched():
    x, zeros = -torch.ones(7), torch.zeros(5, 7)

    def f(y):
        return y + F.rrelu(x, training=True)

    with pytest.raises(RuntimeError, match="randomness error mode"):
        torch.vmap(f)(zeros)
    assert torch.vmap(f, randomness="different")(zeros).unique().numel() == 35
    same = torch.vmap(f, randomness="same")(zeros)
    assert torch.equal(same, same[:1].expand_as(same))
    with pytest.raises(RuntimeError, match="inplace arithmetic"):  # five results do not fit into one
        torch.vmap(lambda y: y + F.rrelu(x, training=True, inplace=True), randomness="different")(zeros)


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
@pytest.mark.parametrize("inplace", [False, True])
def test_compile(backend, inplace):
    torch._dynamo.reset()
    compiled = torch.compile(
        lambda x: F.rrelu(x * 2, training=True, inplace=inplace) + 1, fullgraph=True, backend=backend
    )
    x = torch.randn(50, 40, requires_grad=True)
    first = seeded(compiled, x)
    assert not torch.equal(first, compiled(x))
    assert torch.equal(first, seeded(compiled, x))
    torch.testing.assert_close(first, seeded(F.rrelu, x * 2, training=True) + 1)
    gradient = torch.autograd.grad(first.sum(), x)[0]
    torch.testing.assert_close(gradient * x + 1, first)  # of the same noise


def test_compile_draws_twice_for_two_calls():
    torch._dynamo.reset()
    x = -torch.ones(100)
    a, b = torch.compile(lambda x: (F.rrelu(x, training=True), F.rrelu(x, training=True)), fullgraph=True)(x)
    assert not torch.equal(a, b)


def test_opcheck_and_meta():
    # Both runs of a check begin at one state, but for the compiled one, where the bounds leave nothing to chance.
    for x in (torch.randn(4, 6), torch.randn(4, 12)[:, ::2], torch.randn(4, 6).t()):
        for given in (x, x.clone().requires_grad_()):
            torch.library.opcheck(ops.rrelu_with_noise.default, (given, 0.25, 0.25))
            torch.library.opcheck(ops.rrelu.default, (given, 0.25, 0.25, True))
        torch.library.opcheck(ops.rrelu_noise.default, (x, 0.25, 0.25))
        torch.library.opcheck(ops.rrelu_.default, (x.clone(), 0.25, 0.25, True))
    for op in (ops.rrelu, ops.rrelu_, ops.rrelu_with_noise, ops.rrelu_noise):
        assert torch.Tag.nondeterministic_seeded in op.default.tags
    x = torch.empty(3, 4, device="meta", requires_grad=True)
    y = F.rrelu(x, training=True)
    y.sum().backward()
    assert x.grad.shape == y.shape == x.shape


def test_errors():
    x = torch.randn(3)
    for training in (False, True):
        for bounds, text in [
            ((0.5, 0.1), "rrelu: lower must not be greater than upper, got 0.5 and 0.1"),
            ((float("nan"), 0.1), "rrelu: lower must be finite, got nan"),
            ((0.1, float("inf")), "rrelu: upper must be finite, got inf"),
        ]:
            with pytest.raises(RuntimeError):
                torch.nn.functional.rrelu(x, *bounds, training)
            for inplace in (False, True):
                with pytest.raises(RuntimeError, match=text):
                    F.rrelu(x, *bounds, training, inplace)
        with pytest.raises(NotImplementedError, match="must be a float32, float64, bfloat16 or float16 tensor"):
            F.rrelu(torch.ones(3, dtype=torch.long), training=training)
        with pytest.raises(TypeError, match="argument 'input' must be Tensor, not list"):
            F.rrelu([1.0], training=training)
        with pytest.raises(RuntimeError, match="more than one element of the written-to tensor"):
            F.rrelu(torch.randn(1, 4).expand(4, 4), training=training, inplace=True)
        with pytest.raises(RuntimeError, match="leaf Variable"):
            F.rrelu(torch.randn(3, requires_grad=True), training=training, inplace=True)


def test_signature_and_module():
    assert str(inspect.signature(F.rrelu)) == str(inspect.signature(torch.nn.functional.rrelu))
    module = act_ext.nn.RReLU(0.1, 0.3)
    assert isinstance(module, torch.nn.RReLU)
    assert repr(module) == repr(torch.nn.RReLU(0.1, 0.3))
    x = torch.randn(50)
    for form in (module, copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(seeded(form, x), seeded(F.rrelu, x, 0.1, 0.3, training=True))
        assert torch.equal(form.eval()(x), F.leaky_relu(x, 0.2))
    assert act_ext.nn.RReLU(inplace=True)(x) is x
