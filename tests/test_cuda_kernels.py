"""The CUDA kernels on the CPU: their sources, compiled by the C++ compiler against a stand-in for the CUDA runtime.

What this proves is their arithmetic and their indexing, that they write nothing but the results and access no memory
that is not aligned, and that no result depends on the order in which a block's threads run.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parent
SOURCES = ROOT.parent / "csrc"
LAUNCH = re.compile(r"([^\s;{}][^;{}]*?)\s*<<<(\w+), ([\w.]+), 0, cuda_stream>>>\(([^;]*)\);")
COMPILER = os.environ.get("CXX", "c++")


@pytest.mark.skipif(not SOURCES.is_dir() or shutil.which(COMPILER) is None, reason="no sources or no compiler")
@pytest.mark.parametrize("program", sorted(path.stem for path in (ROOT / "cuda_emulator").glob("*.cpp")))
def test_on_the_cpu(program, tmp_path):
    shutil.copytree(SOURCES, tmp_path / "csrc")
    for path in (tmp_path / "csrc/cuda").iterdir():
        path.write_text(LAUNCH.sub(r"emulator::launch(\2, \3, [&] { \1(\4); });", path.read_text()))
    include = [f"-I{path}" for path in (ROOT / "cuda_emulator", tmp_path / "csrc")]
    include += [f"-isystem{Path(torch.__file__).parent / 'include'}"]
    # Some compilers have longjmp check that it stays on one stack, which here it is not to do.
    flags = ["-std=c++20", "-O1", "-ffp-contract=off", "-Wno-unknown-pragmas", "-U_FORTIFY_SOURCE"]
    # Packs at addresses that sixteen does not divide, which a GPU does not take either.
    flags += ["-fsanitize=alignment", "-fsanitize-undefined-trap-on-error"]
    command = [COMPILER, *flags, *include, ROOT / "cuda_emulator" / f"{program}.cpp", "-o", tmp_path / program]
    subprocess.run(command, check=True)
    result = subprocess.run([tmp_path / program], capture_output=True, text=True)
    assert result.stdout == "passed\n"
