"""Compiles the CUDA kernels and checks their machine code; see .ci/cuda_kernels."""

import re
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "build" / "cubin"
FLAGS = ["-std=c++20", "-O3", "-fmad=false", "-Xptxas=-v", "-cubin"]
# torch's build sets these.
FLAGS += [f"-D__CUDA_NO_{what}__" for what in ("HALF_OPERATORS", "HALF_CONVERSIONS", "BFLOAT16_CONVERSIONS")]


def tool(name):
    """A program of the nvidia-cuda-* packages, wherever the wheel has put it."""
    found = sorted(Path(sysconfig.get_paths()["purelib"]).rglob(f"bin/{name}"))
    if not found:
        sys.exit(f"{name} is not installed")
    found[0].chmod(0o755)
    return str(found[0])


def compile_one(source, arch):
    cubin = OUT / f"{source.stem}.{arch}.cubin"
    command = ["nvcc", *FLAGS, f"-arch={arch}", str(source), "-o", str(cubin)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{' '.join(command)}\n{result.stderr[-4000:]}")
    return cubin, result.stderr


def spills(log):
    """Kernels for which ptxas reports spills."""
    found, current = [], ""
    for line in log.splitlines():
        if match := re.search(r"(?:Function properties for|Compiling entry function) '?(\w+)", line):
            current = match[1]
        elif (match := re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", line)) and set(
            match.groups()
        ) != {"0"}:
            found.append(f"{current}: {line.strip()}")
    return found


def kernels(cubin):
    """The machine code of each kernel by its mangled name."""
    text = subprocess.run([tool("nvdisasm"), "-c", str(cubin)], capture_output=True, text=True, check=True).stdout
    parts = re.split(r"^\.text\.(\w+):", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


# The kernels that must move float32 and bfloat16 by sixteen bytes: over contiguous elements, and over contiguous rows.
PACKED = re.compile(
    r"contiguous_kernelI(f|13__nv_bfloat16)|(held|streamed|strided|reducing)_kernelI(f|13__nv_bfloat16)Lb1E"
)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    jobs = [
        (source, arch) for source in sorted((ROOT / "csrc/cuda").glob("*.cu")) for arch in ("sm_80", "sm_90", "sm_100")
    ]
    with ThreadPoolExecutor(2) as pool:
        compiled = list(pool.map(lambda job: compile_one(*job), jobs))
    failures, checked = [], 0
    for cubin, log in compiled:
        failures += [f"{cubin.name}: {spill}" for spill in spills(log)]
        for name, code in kernels(cubin).items():
            if not PACKED.search(name):
                continue
            checked += 1
            for instruction in ("LDG.E.128", "STG.E.128"):
                if instruction not in code:
                    failures.append(f"{cubin.name}: {name} has no {instruction}")
    print(f"{len(compiled)} compilations, {checked} contiguous kernels with 128-bit accesses, {len(failures)} failures")
    print("\n".join(failures))
    sys.exit(bool(failures) or checked == 0)


if __name__ == "__main__":
    main()
