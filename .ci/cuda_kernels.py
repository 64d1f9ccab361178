"""Checks the machine code that the CUDA build has made for sm_80, sm_90 and sm_100: no spills to local memory, and
128-bit loads and stores in the float32 and bfloat16 kernels over contiguous memory.

    cuda_kernels.py LOG OBJECTS

LOG: the build's output, with ptxas -v in it. OBJECTS: the folder of the compiled .cu files.
"""

import re
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ARCHITECTURES = ("sm_80", "sm_90", "sm_100")


def tool(name):
    """A program of the nvidia-cuda-* packages, wherever the wheel has put it."""
    found = sorted(Path(sysconfig.get_paths()["purelib"]).rglob(f"bin/{name}"))
    if not found:
        sys.exit(f"{name} is not installed")
    found[0].chmod(0o755)
    return str(found[0])


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


SOURCES = {path.name for path in (Path(__file__).resolve().parent.parent / "csrc/cuda").glob("*.cu")}
# The kernels that must move float32 and bfloat16 by sixteen bytes: over contiguous elements, and over contiguous rows.
PACKED = re.compile(
    r"contiguous_kernelI(f|13__nv_bfloat16)|(held|streamed|strided|reducing)_kernelI(f|13__nv_bfloat16)Lb1E"
)


def main(log, objects):
    text = log.read_text(errors="replace")
    if "bytes spill stores" not in text:
        sys.exit(f"{log} has nothing of ptxas: was anything compiled?")
    failures, checked = spills(text), 0
    sources = sorted(path.resolve() for path in objects.glob("*.o") if path.with_suffix(".cu").name in SOURCES)
    if len(sources) != len(SOURCES):
        sys.exit(f"{objects} has the objects of {len(sources)} of {len(SOURCES)} .cu files")
    for path in sources:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([tool("cuobjdump"), "-xelf", "all", str(path)], cwd=folder, check=True, capture_output=True)
            for arch in ARCHITECTURES:
                (cubin,) = Path(folder).glob(f"*.{arch}.cubin")
                for name, code in kernels(cubin).items():
                    if not PACKED.search(name):
                        continue
                    checked += 1
                    for instruction in ("LDG.E.128", "STG.E.128"):
                        if instruction not in code:
                            failures.append(f"{path.name} {arch}: {name} has no {instruction}")
    print(f"{checked} kernels with 128-bit accesses, {len(failures)} failures")
    print("\n".join(failures))
    sys.exit(bool(failures) or checked == 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
