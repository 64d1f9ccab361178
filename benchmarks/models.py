"""What act_ext changes in real models: time and memory of a training step, as they are, converted and overridden.

    python -m benchmarks.models

Llama, BERT and GPT-2 of transformers, with random weights, on the CPU or the GPU where there is one: forward and
backward, timed in turn in one run. The peak is of what a step allocates beside the model: on the CPU the process's
resident memory, on a GPU torch's own count. Writes models.json and models.md into the output folder.
"""

import argparse
import copy
import ctypes
import json
import platform
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from rich.console import Console
from rich.table import Table

import act_ext
from benchmarks.timing import interleaved

SIZES: dict[str, Any] = {"num_hidden_layers": 4, "num_attention_heads": 8, "hidden_size": 512, "vocab_size": 1000}
MODELS: dict[str, Callable[[], torch.nn.Module]] = {
    "Llama": lambda: transformers.LlamaForCausalLM(
        transformers.LlamaConfig(**SIZES, intermediate_size=2048, pad_token_id=0)
    ),
    "BERT": lambda: transformers.BertModel(transformers.BertConfig(**SIZES, intermediate_size=2048)),
    "GPT-2": lambda: transformers.GPT2LMHeadModel(
        transformers.GPT2Config(n_layer=4, n_head=8, n_embd=512, vocab_size=1000, bos_token_id=0, eos_token_id=0)
    ),
}
BATCH, LENGTH = 4, 256


def variants(model: torch.nn.Module) -> dict[str, tuple[torch.nn.Module, AbstractContextManager[Any], int]]:
    """By name: a model, what a step of it runs in, and how many modules were replaced."""
    found: dict[str, Any] = {"as it is": (model, nullcontext(), 0)}
    for name, fuse in (("converted", False), ("converted, gates fused", True)):
        changed = copy.deepcopy(model)
        found[name] = (changed, nullcontext(), len(act_ext.convert(changed, fuse_gated=fuse)))
    if found["converted"][2] == found["converted, gates fused"][2]:  # it has no gated blocks
        del found["converted, gates fused"]
    found["overridden"] = (model, act_ext.override_native(), 0)
    return found


def step(model: torch.nn.Module, context: AbstractContextManager[Any], ids: torch.Tensor) -> torch.Tensor:
    model.zero_grad(set_to_none=True)
    with context:
        result = model(ids)[0]
        result.float().square().mean().backward()
    return result.detach()


def saved_bytes(model: torch.nn.Module, context: AbstractContextManager[Any], ids: torch.Tensor) -> int:
    """What autograd keeps between forward and backward, each piece of memory once, beside the parameters."""
    known = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with context, torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = model(ids)[0]
        total = sum(kept.values())
        result.float().sum().backward()
    return total


def resident(field: str) -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field))


def peak_bytes(run: Callable[[], Any], net: torch.nn.Module, device: str) -> int:
    """The most memory that a run holds beside the model."""
    run()
    net.zero_grad(set_to_none=True)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        return torch.cuda.max_memory_allocated() - before
    ctypes.CDLL(None).malloc_trim(0)  # what is free goes back to the system
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before = resident("VmRSS:")
    run()
    return resident("VmHWM:") - before


def measure(name: str, dtype: torch.dtype, device: str) -> list[dict[str, Any]]:
    torch.manual_seed(0)
    model = MODELS[name]().to(device, dtype).eval()
    ids = torch.randint(0, 1000, (BATCH, LENGTH), device=device)
    all_of = variants(model)
    runs = [partial(step, net, context, ids) for net, context, _ in all_of.values()]
    timing = interleaved(runs, rounds=7, round_seconds=0.1, cuda=device == "cuda")
    results, gradients = [], []
    for run, (net, _, _) in zip(runs, all_of.values(), strict=True):
        results.append(run())
        gradients.append(torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None]))
    rows = []
    for i, (variant, (net, context, replaced)) in enumerate(all_of.items()):
        rows.append(
            {
                "model": name,
                "dtype": str(dtype).removeprefix("torch."),
                "variant": variant,
                "replaced": replaced,
                "milliseconds": timing.seconds[i] * 1e3,
                "ratio": timing.ratios[i],
                "saved_mib": saved_bytes(net, context, ids) / 2**20,
                "peak_mib": peak_bytes(runs[i], net, device) / 2**20,
                "result_difference": relative(results[i], results[0]),
                "gradient_difference": relative(gradients[i], gradients[0]),
            }
        )
    return rows


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest difference as a part of the largest value."""
    return ((found - expected).abs().max() / expected.abs().max()).item()


COLUMNS = {
    "model": "{}",
    "dtype": "{}",
    "variant": "{}",
    "replaced": "{}",
    "milliseconds": "{:.0f}",
    "ratio": "{:.2f}",
    "saved_mib": "{:.0f}",
    "peak_mib": "{:.0f}",
    "result_difference": "{:.1e}",
    "gradient_difference": "{:.1e}",
}


def cells(row: dict[str, Any]) -> list[str]:
    return [form.format(row[column]) for column, form in COLUMNS.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--dtypes", nargs="+", choices=["float32", "bfloat16"], default=["float32", "bfloat16"])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    rows = []
    for name in options.models:
        for dtype in options.dtypes:
            rows += measure(name, getattr(torch, dtype), device)
    cpu = f"{options.threads} thread(s), {act_ext.cpu_capability()}"
    where = torch.cuda.get_device_name() if device == "cuda" else cpu
    title = f"A training step of {BATCH} x {LENGTH} tokens ({where}, torch {torch.__version__})"
    table = Table(*COLUMNS, title=title)
    for row in rows:
        table.add_row(*cells(row))
    Console(width=160).print(table)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "models.json").write_text(
        json.dumps({"where": where, "torch": torch.__version__, "machine": platform.machine(), "rows": rows}, indent=1)
    )
    lines = [f"{title}.", "", f"| {' | '.join(COLUMNS)} |", f"|{' --- |' * len(COLUMNS)}"]
    lines += [f"| {' | '.join(cells(row))} |" for row in rows]
    (options.out / "models.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
