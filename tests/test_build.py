"""What a build remembers, and what happens where it does not fit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import act_ext

ROOT = Path(__file__).resolve().parent.parent


def import_with(tmp_path, torch='"2.13.0"', cuda="None", abi="True", with_cuda="False"):
    """Imports a copy of the package whose build information is another, and whose library would crash."""
    package = tmp_path / "act_ext"
    package.mkdir()
    for source in Path(act_ext.__file__).parent.glob("*.py"):
        (package / source.name).write_text(source.read_text())
    (package / "_build_info.py").write_text(
        f"TORCH = {torch}\nCUDA = {cuda}\nCXX11_ABI = {abi}\nWITH_CUDA = {with_cuda}\n"
    )
    (package / "libact_ext.so").write_text("not a library")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    return subprocess.run(
        [sys.executable, "-c", "import act_ext"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({"torch": '"2.4.1"'}, "ImportError: act_ext was built for torch 2.4.1, but this is torch"),
        ({"abi": "False"}, "ImportError: act_ext was built for the C++ ABI False"),
        ({"cuda": '"11.8"', "with_cuda": "True"}, "ImportError: act_ext was built for CUDA 11.8"),
    ],
)
def test_mismatch_is_an_import_error_with_the_command(tmp_path, facts, text):
    import torch

    version = ".".join(torch.__version__.split(".")[:2])
    result = import_with(tmp_path, **({"torch": f'"{version}.9"'} | facts))
    assert result.returncode != 0
    assert text in result.stderr
    assert "pip install --no-build-isolation" in result.stderr


def setup_py(*arguments, **environment):
    """Runs setup.py as a build would."""
    command = [sys.executable, "setup.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True)


def test_setup_without_torch_names_the_command(tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here')")
    result = setup_py("--version", PYTHONPATH=str(tmp_path))
    assert result.returncode != 0
    assert "install torch and run `pip install --no-build-isolation .`" in result.stderr


def executable(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("macros", "text"),
    [
        (None, "and there is no "),
        ("#define __GNUC__ 9\n#define __EXCEPTIONS", "is g++ 9: install one or set CXX"),
        ("#define __GNUC__ 4\n#define __clang_major__ 13", "is clang 13: install one or set CXX"),
    ],
)
def test_a_missing_or_old_compiler_is_one_sentence(tmp_path, macros, text):
    compiler = str(tmp_path / "c++") if macros is None else executable(tmp_path / "c++", macros)
    build = ["build_ext", "--build-lib", str(tmp_path / "lib"), "--build-temp", str(tmp_path / "temp")]
    result = setup_py(*build, CXX=compiler)
    assert result.returncode != 0
    sentence = result.stderr.splitlines()[-1]
    assert sentence.startswith("act_ext needs a C++20 compiler, g++ 11 or clang 14 or later, ")
    assert text in sentence


@pytest.mark.parametrize(
    ("torch_cuda", "nvcc", "text"),
    [
        (None, None, "FORCE_CUDA is set, but torch 2.13.0 is not a CUDA build"),
        (
            "13.0",
            None,
            "FORCE_CUDA is set, but nvcc was not found: set CUDA_HOME to the folder of the CUDA 13.0 toolkit",
        ),
        ("13.0", "12.4", "nvcc is of CUDA 12.4, but torch 2.13.0 was built with CUDA 13.0"),
    ],
)
def test_cuda_that_is_forced_and_cannot_be_is_one_sentence(tmp_path, torch_cuda, nvcc, text):
    # A torch that knows only what setup.py asks it before it builds.
    package = tmp_path / "stub" / "torch"
    (package / "utils").mkdir(parents=True)
    (package / "__init__.py").write_text(
        f"from types import SimpleNamespace\n__version__ = '2.13.0'\nversion = SimpleNamespace(cuda={torch_cuda!r})\n"
        "cuda = SimpleNamespace(is_available=lambda: False)\n"
    )
    (package / "utils" / "__init__.py").write_text("")
    (package / "utils" / "cpp_extension.py").write_text(f"CUDA_HOME = {str(tmp_path)!r}\nclass BuildExtension: pass\n")
    if nvcc:
        executable(tmp_path / "bin" / "nvcc", f"Cuda compilation tools, release {nvcc}, V{nvcc}.1")
    result = setup_py("--version", FORCE_CUDA="1", PYTHONPATH=str(tmp_path / "stub"))
    assert result.returncode != 0
    assert result.stderr.splitlines()[-1] == text


def test_import_is_quick():
    code = "import time, torch; t = time.perf_counter(); import act_ext; print(time.perf_counter() - t)"
    times = [
        float(subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout)
        for _ in range(3)
    ]
    assert min(times) < 0.25  # 0.1 on an idle machine
