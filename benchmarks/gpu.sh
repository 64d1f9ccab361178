#!/usr/bin/env bash
# Build, CUDA tests, compute-sanitizer and benchmarks on a machine with a GPU, in one call of at most ten minutes.
# Results go to the folder given, by default benchmarks/results/<GPU>: tests.txt, sanitizer_*.txt, compare.*.
set -uo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
NAME=$(nvidia-smi --query-gpu=name --format=csv,noheader | head -1 | tr ' ' '_')
OUT=${1:-benchmarks/results/$NAME}
mkdir -p "$OUT"
step() { printf '\n=== %s (%s s)\n' "$1" "$SECONDS"; }
status=0

step "build"
# For this GPU alone: the other architectures are compiled by CI.
TORCH_CUDA_ARCH_LIST=$($PYTHON -c 'import torch; print("%d.%d" % torch.cuda.get_device_capability())')
export TORCH_CUDA_ARCH_LIST FORCE_CUDA=1
$PYTHON -m pip install --quiet "setuptools>=77" ninja "pybind11>=2.13" pytest pytest-xdist mpmath numpy expecttest rich matplotlib ||
  echo "some packages could not be installed; going on with what is there"
$PYTHON setup.py build_ext --inplace >"$OUT/build.txt" 2>&1 || { tail -40 "$OUT/build.txt"; exit 1; }
tail -1 "$OUT/build.txt"

step "tests on the GPU"
timeout 200 $PYTHON -m pytest -q -m cuda --numprocesses=4 -p no:cacheprovider >"$OUT/tests.txt" 2>&1 || status=1
tail -15 "$OUT/tests.txt"

step "compute-sanitizer"
if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck; do
    timeout 60 compute-sanitizer --tool $tool --error-exitcode 9 $PYTHON -c '
import torch, act_ext
f = act_ext.functional
for dtype in (torch.float32, torch.bfloat16, torch.float64):
    for shape in ((1,), (4099,), (64, 65)):
        x = torch.randn(shape, device="cuda").to(dtype)
        for view in (x, x.flatten()[1:], x.t() if x.dim() == 2 else x[::3]):
            for name in ("relu", "mish", "gelu", "elu"):
                leaf = view.detach().requires_grad_()
                grad = torch.autograd.grad(getattr(f, name)(leaf).sum(), leaf, create_graph=True)[0]
                if grad.requires_grad:
                    grad.sum().backward()
            leaf = view.detach().requires_grad_()
            for count in (1, view.size(-1)):
                weights = [torch.rand(count, device="cuda", dtype=dtype, requires_grad=True) for _ in range(3)]
                y = torch.ops.act_ext.dyt(leaf, *weights, -1)
                for grad in torch.autograd.grad(y.sum(), (leaf, *weights), create_graph=True):
                    if grad.requires_grad:
                        grad.sum().backward(retain_graph=True)
            for size in (2, 3, 16):
                part = leaf[..., : leaf.size(-1) // size * size]
                if part.numel() > 0:
                    f.maxout(part, size, -1).sum().backward()
            if view.size(-1) % 2 == 0:
                f.swiglu(leaf).sum().backward()
torch.cuda.synchronize()
print("ran")' >"$OUT/sanitizer_$tool.txt" 2>&1 || status=1
    tail -3 "$OUT/sanitizer_$tool.txt"
  done
else
  echo "compute-sanitizer is not on the PATH" | tee "$OUT/sanitizer.txt"
fi

step "benchmarks"
timeout 240 $PYTHON benchmarks/compare.py --device cuda --dtypes float32 bfloat16 --sizes 1 1Mi 16Mi --rounds 9 \
  --round-seconds 0.004 --out "$OUT" >"$OUT/compare.txt" 2>&1 || status=1
tail -8 "$OUT/compare.txt"

step "done"
exit $status
