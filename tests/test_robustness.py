"""Threads, processes, signals, memory, and calls of every kind."""

import multiprocessing
import signal
import subprocess
import sys
import time
import timeit
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

import act_ext
from tests.calls import CALLS, CHANNELS
from tests.table import DEFAULTS
from tests.test_transforms import derivatives

F = act_ext.functional
ROOT = Path(__file__).resolve().parent.parent


def test_concurrent_calls():
    """With the GIL held for small tensors and released for large ones: the same bits as one after the other."""

    def work(job):
        call, batch = job
        return derivatives(call.function, call.tensors(batch, CHANNELS, 6))

    jobs = [(call, batch) for batch in (2, 700) for call in CALLS] * 2
    expected = [work(job) for job in jobs]
    with ThreadPoolExecutor(8) as pool:
        for job, found, wanted in zip(jobs, pool.map(work, jobs), expected, strict=True):
            assert all(map(torch.equal, found, wanted)), job[0]


class Activated(torch.utils.data.Dataset):
    def __len__(self):
        return 6

    def __getitem__(self, index):
        x = torch.full((40000,), float(index))
        return F.mish(x), F.softmax(x.view(200, 200), 1)


def test_data_loader_workers():
    F.mish(torch.randn(1 << 20))  # the parent's threads have run
    loader = torch.utils.data.DataLoader(Activated(), batch_size=2, num_workers=2)
    for i, (mish, softmax) in enumerate(loader):
        torch.testing.assert_close(mish[1], F.mish(torch.full((40000,), 2.0 * i + 1)))
        assert softmax.shape == (2, 200, 200)


def in_child(connection):
    x = torch.linspace(-3, 3, 100, requires_grad=True)
    y = F.gelu(x)
    y.sum().backward()
    connection.send((y.detach().numpy(), x.grad.numpy()))


def test_fork_after_use():
    x = torch.linspace(-3, 3, 100, requires_grad=True)
    y = F.gelu(x)
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=in_child, args=(theirs,))
    child.start()
    assert ours.poll(60)
    assert (ours.recv()[0] == y.detach().numpy()).all()
    child.join(60)
    assert child.exitcode == 0


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_out_of_memory(call):
    """An error, after which everything works."""
    if call.name == "identity":
        pytest.skip("it allocates nothing")
    tensors = call.tensors(2, CHANNELS, 6)
    huge = [t[:1, :, :1].expand(1 << 24, CHANNELS, 1 << 24) for t in tensors[: call.count]]  # 2^53 bytes
    with pytest.raises(RuntimeError, match=r"allocate memory|not enough memory|Storage size"):
        call.function(*huge, *tensors[call.count :])
    assert call.function(*tensors).isfinite().all()


def test_interrupt():
    """Control-C ends a run of long kernels as it ends any Python program."""
    # What runs in the background may have been told to ignore it.
    code = """import signal, torch, act_ext
signal.signal(signal.SIGINT, signal.default_int_handler)
x = torch.randn(1 << 24)
print("ready", flush=True)
while True:
    act_ext.functional.mish(x)"""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert child.stdout.readline() == "ready\n"
        time.sleep(0.5)
        child.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in child.communicate(timeout=60)[1]
        assert child.returncode != 0
    finally:
        child.kill()  # it would run on for ever


def test_fuzz():
    run = [sys.executable, "-m", "tools.fuzz", "--seconds", "5", "--seed", "3"]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "'result'" in done.stdout


def times_as_long(call, as_this):
    """By the quickest of many runs, which take turns: other processes disturb some of them."""
    runs = [[timeit.timeit(each, number=2) for each in (call, as_this)] for _ in range(40)]
    mine, other = map(min, zip(*runs, strict=True))
    return mine / other


# A product that is rounded to 0 takes a processor a hundred times as long as another one. Left to themselves, softmax
# took four times as long for a causal mask, and mish thirty times for what lies far out.
@pytest.mark.parametrize("name", ["softmax", "softmin", "log_softmax"])
@pytest.mark.parametrize("dim", [0, 1])
def test_masked_rows_take_no_longer(name, dim):
    x = torch.randn(90, 90)  # for one thread
    masked = x.masked_fill(torch.ones(90, 90).triu(1).bool(), float("inf" if name == "softmin" else "-inf"))
    function = getattr(F, name)
    assert times_as_long(lambda: function(masked, dim), lambda: function(x, dim)) < 2.5


@pytest.mark.parametrize("case", DEFAULTS, ids=str)
@pytest.mark.parametrize("place", [200, 1e4])
def test_inputs_far_out_take_little_longer(case, place):
    """Pieces do not reach there, so that the exact formula is computed too."""
    usual, far = torch.randn(1 << 14), torch.randn(1 << 14)
    far[::4], far[2::4] = place, -place
    assert times_as_long(lambda: case.function(far), lambda: case.function(usual)) < 9
    inputs = usual.requires_grad_(), far.requires_grad_()
    results = [case.function(x) for x in inputs]
    if not results[0].requires_grad:  # binary_step
        return
    grad = torch.ones_like(usual)
    backward = [
        lambda x=x, y=y: torch.autograd.grad(y, x, grad, retain_graph=True)
        for x, y in zip(inputs, results, strict=True)
    ]
    assert times_as_long(backward[1], backward[0]) < 9
