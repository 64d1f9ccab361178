"""More than one process: DTensor, tensor parallelism, FSDP2 and DDP over gloo, against one process."""

import copy
import socket
import subprocess
import sys
import traceback

import pytest
import torch
import torch.multiprocessing
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.debug import CommDebugMode
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from torch.nn.parallel import DistributedDataParallel

import act_ext
from tests.calls import CALLS, Call

F = act_ext.functional
ops = torch.ops.act_ext


def derivatives(call: Call, tensors, grad, tangent):
    """The result, its gradients, and the derivatives of the input's gradient, where there are any."""
    result = call.function(*tensors)
    if not call.has_gradient:
        return [result]
    gradients = torch.autograd.grad(result, tensors, grad(result), create_graph=True)
    found = [result, *gradients]
    if gradients[0].requires_grad:
        found += torch.autograd.grad(gradients[0], tensors, tangent(gradients[0]), allow_unused=True)
    return [tensor for tensor in found if tensor is not None]


def ramp(like: torch.Tensor) -> torch.Tensor:
    return torch.linspace(-1, 1, like.numel(), dtype=torch.float64).reshape(like.shape)


def placed(call: Call, tensors, mesh, placements):
    """Parameters of one element for each channel follow the channels, in dimension 1."""
    of_parameters = [Shard(0) if place == Shard(1) else Replicate() for place in placements]
    return [
        distribute_tensor(tensor.detach(), mesh, placements if i < call.count else of_parameters).requires_grad_()
        for i, tensor in enumerate(tensors)
    ]


def needs_no_communication(call: Call, shape, mesh, placements) -> bool:
    if Shard(1) not in placements or call.kind in ("pointwise", "gated_unit", "learned", "rrelu"):
        return True
    in_whole_pairs = call.kind == "maxout" or "interleaved" in call.name
    return in_whole_pairs and shape[1] % (2 * mesh.size()) == 0


def check_call(call: Call, mesh, shape, placements) -> None:
    tensors = [tensor.requires_grad_() for tensor in call.tensors(*shape)]
    expected = derivatives(call, tensors, ramp, ramp)
    shards = placed(call, tensors, mesh, placements)

    def like(model: DTensor) -> DTensor:
        return distribute_tensor(ramp(model), mesh, model.placements)

    with CommDebugMode() as communication:
        result = call.function(*shards)
        assert isinstance(result, DTensor)
        if call.has_gradient:
            torch.autograd.grad(result, shards, like_locally(result))
    if needs_no_communication(call, shape, mesh, placements):
        assert communication.get_total_counts() == 0, communication.get_comm_counts()
        assert result.placements == tuple(placements)
    for found, wanted in zip(derivatives(call, shards, like, like), expected, strict=True):
        torch.testing.assert_close(found.full_tensor(), wanted, rtol=1e-9, atol=1e-9)


def like_locally(model: DTensor) -> DTensor:
    """A gradient that no communication makes."""
    local = torch.ones_like(model.to_local())
    return DTensor.from_local(local, model.device_mesh, model.placements, shape=model.shape, stride=model.stride())


def check_rules_are_found(rank: int, size: int) -> None:
    """Also where somebody asks for the module before it is imported."""
    code = """import importlib.util, sys, act_ext
importlib.util.find_spec("torch.distributed.tensor")
assert "act_ext._sharding" not in sys.modules
import torch.distributed.tensor
assert "act_ext._sharding" in sys.modules"""
    if rank == 0:
        subprocess.run([sys.executable, "-c", code], check=True)


def check_every_call(rank: int, size: int) -> None:
    failures = []
    meshes = [init_device_mesh("cpu", (size,))] + ([init_device_mesh("cpu", (2, 2))] if size == 4 else [])
    for mesh in meshes:
        if mesh.ndim == 1:
            # Of four processes, what depends on their number.
            places = (Replicate(), Shard(0), Shard(1), Shard(2)) if size == 2 else (Shard(1),)
            cases = [((8, 4, 6), [place]) for place in places]
            cases += [((5, 4, 3), [Shard(0)])]  # which does not divide evenly
        else:
            cases = [((4, 4, 4), [Shard(0), Shard(2)]), ((4, 4, 4), [Shard(1), Replicate()])]
        for call in CALLS:
            for shape, placements in cases:
                try:
                    check_call(call, mesh, shape, placements)
                except Exception:
                    failures.append(f"{call} at {placements} on {tuple(mesh.shape)}: {traceback.format_exc(limit=-2)}")
    assert not failures, "\n".join(failures)


def check_sums(rank: int, size: int) -> None:
    """What is linear takes the summands: nothing is reduced before."""
    mesh = init_device_mesh("cpu", (size,))
    x = torch.randn(4, 6, dtype=torch.float64)
    part = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(rank))
    summands = DTensor.from_local(part, mesh, [Partial()])
    whole, replicated = summands.full_tensor(), distribute_tensor(x, mesh, [Replicate()])
    linear = {
        "identity": (lambda t: F.identity(t), ()),
        "mish_backward": (lambda t, x: ops.mish_backward(t, x), (x,)),
        "elu_backward.from_result": (lambda t, x: ops.elu_backward.from_result(t, x, 1.0), (x,)),
        "swiglu up": (lambda t, x: F.swiglu(x, t), (x,)),
        "bilinear_glu gate": (lambda t, x: F.bilinear_glu(t, x), (x,)),
        "softmax_backward": (lambda t, x: ops.softmax_backward(t, x, 1), (x,)),
    }
    for name, (function, others) in linear.items():
        with CommDebugMode() as communication:
            result = function(summands, *([replicated] if others else []))
        assert communication.get_total_counts() == 0, name
        assert result.placements == (Partial(),), name
        torch.testing.assert_close(result.full_tensor(), function(whole, *others))
    # And what is not reduces first.
    torch.testing.assert_close(F.mish(summands).full_tensor(), F.mish(whole))
    torch.testing.assert_close(F.swiglu(summands, replicated).full_tensor(), F.swiglu(whole, x))


def check_in_place(rank: int, size: int) -> None:
    mesh = init_device_mesh("cpu", (size,))
    x = torch.randn(4, 6)
    shard = distribute_tensor(x.clone(), mesh, [Shard(0)])
    assert ops.mish_(shard) is shard
    torch.testing.assert_close(shard.full_tensor(), F.mish(x))


def check_third_derivative(rank: int, size: int) -> None:
    mesh = init_device_mesh("cpu", (size,))

    def third(x):
        for function in (F.mish, torch.square, torch.square):
            (x,) = torch.autograd.grad(function(x).sum(), leaf, create_graph=True)
        return x

    leaf = torch.randn(4, 6, dtype=torch.float64).requires_grad_()
    expected = third(leaf)
    leaf = distribute_tensor(leaf.detach(), mesh, [Shard(0)]).requires_grad_()
    found = third(leaf)
    assert found.placements == (Shard(0),)
    torch.testing.assert_close(found.full_tensor(), expected)


def check_what_cannot_be(rank: int, size: int) -> None:
    mesh = init_device_mesh("cpu", (size,))
    x = distribute_tensor(torch.randn(4, 6), mesh, [Shard(0)])
    with pytest.raises(NotImplementedError, match="rrelu_with_noise"):
        F.rrelu(x, training=True)
    with pytest.raises(NotImplementedError, match=r"mish\.out"):
        ops.mish(x, out=distribute_tensor(torch.empty(4, 6), mesh, [Shard(0)]))


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(8, 8), act_ext.nn.Mish(), act_ext.nn.SwiGLU(8, 16), act_ext.nn.PReLU(8), act_ext.nn.Softmax(-1)
    )


def step(net: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    result = net(x)
    result.square().sum().backward()
    return result


def check_tensor_parallel(rank: int, size: int) -> None:
    mesh = init_device_mesh("cpu", (size,))
    x = torch.randn(4, 8, generator=torch.Generator().manual_seed(1))
    expected, net = network(), network()
    wanted = step(expected, x)
    plan = {"2.gate_proj": ColwiseParallel(), "2.up_proj": ColwiseParallel(), "2.down_proj": RowwiseParallel()}
    net = parallelize_module(net, mesh, plan)
    with CommDebugMode() as communication:
        result = net(x)
    assert communication.get_total_counts() == 1, communication.get_comm_counts()  # after down_proj
    result.square().sum().backward()
    torch.testing.assert_close(result, wanted)
    for (name, parameter), want in zip(net.named_parameters(), expected.parameters(), strict=True):
        found = parameter.grad.full_tensor() if isinstance(parameter.grad, DTensor) else parameter.grad
        torch.testing.assert_close(found, want.grad, msg=name)


def check_fsdp(rank: int, size: int) -> None:
    mesh = init_device_mesh("cpu", (size,))
    x = torch.randn(4 * size, 8, generator=torch.Generator().manual_seed(1))
    expected, net = network(), network()
    step(expected, x)
    fully_shard(net[2], mesh=mesh)
    fully_shard(net, mesh=mesh)
    step(net, x.chunk(size)[rank])
    for parameter, want in zip(net.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad.full_tensor() * size, want.grad)


def check_ddp(rank: int, size: int) -> None:
    x = torch.randn(4 * size, 8, generator=torch.Generator().manual_seed(1))
    expected = network()
    step(expected, x)
    net = DistributedDataParallel(copy.deepcopy(network()))
    step(net, x.chunk(size)[rank])
    for parameter, want in zip(net.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad * size, want.grad)


CHECKS = [
    check_rules_are_found,
    check_every_call,
    check_sums,
    check_in_place,
    check_third_derivative,
    check_what_cannot_be,
    check_tensor_parallel,
    check_fsdp,
    check_ddp,
]


def work(rank: int, size: int, port: int) -> None:
    torch.set_num_threads(1)
    address = f"tcp://127.0.0.1:{port}"
    distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=size)
    try:
        for check in CHECKS:
            torch.manual_seed(0)
            check(rank, size)
    finally:
        distributed.destroy_process_group()


@pytest.mark.skipif(not distributed.is_available(), reason="torch is built without distributed")
@pytest.mark.parametrize("size", [2, 4])
def test_processes(size):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(work, (size, port), nprocs=size)
