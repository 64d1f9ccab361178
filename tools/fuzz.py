"""Calls every op with arguments of every kind, right and wrong, for as long as it is told: each call must end in a
result or in an exception, never in a crash.

    python -m tools.fuzz --seconds 600

A child process makes the calls and writes down each one before it makes it; if it dies, the parent prints that call.
"""

import argparse
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from act_ext._register import DTYPES, overload

FLOATS = list(DTYPES)
OTHERS = [torch.int64, torch.int8, torch.uint8, torch.bool, torch.complex64, torch.float8_e4m3fn]
NUMBERS = [0.0, -0.0, 1.0, -1.0, 0.5, 3.0, 1e-45, 1e-300, 1e38, 1e300, -1e300, math.inf, -math.inf, math.nan]


def shape(rng: random.Random) -> list[int]:
    return [rng.choice([0, 1, 1, 2, 3, 4, 7, 16, 33]) for _ in range(rng.choice([0, 1, 1, 2, 2, 3, 4, 5]))]


def any_tensor(rng: random.Random, size: list[int], dtype: torch.dtype) -> Tensor:
    """Of any layout: contiguous, transposed, sliced, expanded, misaligned, on no device, sparse."""
    if dtype.is_floating_point and dtype in FLOATS:
        x = torch.randn(size, dtype=torch.float64).mul_(rng.choice([1, 10, 1e3, 1e30])).to(dtype)
        if rng.random() < 0.1 and x.numel():
            x.view(-1)[rng.randrange(x.numel())] = torch.tensor(rng.choice(NUMBERS), dtype=torch.float64).to(dtype)
    else:
        x = torch.zeros(size, dtype=dtype)
    how = rng.randrange(12)
    if how == 0 and x.dim() > 1:
        x = x.transpose(rng.randrange(x.dim()), rng.randrange(x.dim()))
    elif how == 1 and x.dim() > 0:
        x = torch.cat([x, x]).narrow(0, 0, x.size(0)) if dtype in FLOATS else x
    elif how == 2 and x.dim() > 0:
        x = x[..., ::2]
    elif how == 3:
        x = x.flatten()[:1].expand(size) if x.numel() and size else x
    elif how == 4 and x.dim() == 4:
        x = x.to(memory_format=torch.channels_last)
    elif how == 5 and dtype in FLOATS:
        x = torch.cat([x.flatten()[:0], torch.zeros(1, dtype=dtype), x.flatten()])[1:].view(size)
    elif how == 6 and rng.random() < 0.3:
        x = x.to("meta")
    elif how == 7 and rng.random() < 0.3 and dtype in FLOATS and x.dim():
        x = x.to_sparse()
    elif how == 8 and dtype in FLOATS and x.layout == torch.strided:
        x = x.detach().requires_grad_()
    return x


def argument(rng: random.Random, kind: Any, size: list[int], dtype: torch.dtype) -> Any:
    name = str(kind)
    if name == "Tensor":
        other = rng.random()
        size = shape(rng) if other < 0.08 else size
        dtype = rng.choice(FLOATS + OTHERS) if 0.08 < other < 0.13 else dtype
        return any_tensor(rng, size, dtype)
    if name == "float":
        return rng.choice(NUMBERS) if rng.random() < 0.5 else rng.gauss(0, 3)
    if name == "int":
        return rng.choice([-1, 0, 1, 1, 2, 3, -2, 100, -100, 2**31, -(2**63), 2**63 - 1])
    if name == "bool":
        return rng.random() < 0.5
    if name == "str":
        return rng.choice(["none", "tanh", "", "x"])
    return None


def call(rng: random.Random, op: Any, log: Any) -> str:
    size, dtype = shape(rng), rng.choice(FLOATS if rng.random() < 0.95 else OTHERS)
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for parameter in op._schema.arguments:
        if parameter.has_default_value() and rng.random() < 0.3:
            break
        value = argument(rng, parameter.type, size, dtype)
        if parameter.kwarg_only:
            named[parameter.name] = value
        else:
            positional.append(value)
    shown = [f"{v.dtype}{tuple(v.shape)}{v.layout}" if isinstance(v, Tensor) else repr(v) for v in positional]
    log.seek(0)
    log.truncate()
    log.write(f"{op}({', '.join(shown)}, {list(named)})")
    log.flush()
    try:
        results = op(*positional, **named)
        for result in results if isinstance(results, tuple) else (results,):
            if result.requires_grad and result.layout == torch.strided:
                result.sum().backward()
    except Exception as error:
        return type(error).__name__
    return "result"


def work(seconds: float, seed: int, path: Path) -> None:
    torch.manual_seed(seed)
    rng = random.Random(seed)
    names = [n.removeprefix("act_ext::") for n in torch._C._dispatch_get_all_op_names() if n.startswith("act_ext::")]
    ops = [overload(name) for name in sorted(names)]
    counts: Counter[str] = Counter()
    end = time.monotonic() + seconds
    with path.open("w") as log:
        while time.monotonic() < end:
            counts[call(rng, rng.choice(ops), log)] += 1
    print(f"{sum(counts.values())} calls of {len(ops)} ops, seed {seed}: {dict(counts.most_common())}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.log:
        work(options.seconds, options.seed, options.log)
        return
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "call")
        again = [sys.executable, "-W", "ignore", "-X", "faulthandler", "-m", "tools.fuzz", "--log", str(log)]
        again += ["--seconds", str(options.seconds), "--seed", str(options.seed)]
        child = subprocess.run(again, env=os.environ | {"TORCH_CPP_LOG_LEVEL": "ERROR"}, check=False)
        if child.returncode != 0:
            sys.exit(f"crashed with status {child.returncode} in {log.read_text()}")


if __name__ == "__main__":
    main()
