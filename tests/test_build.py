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


def test_setup_without_torch_names_the_command(tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here')")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "setup.py", "--version"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert result.returncode != 0
    assert "install torch and run `pip install --no-build-isolation .`" in result.stderr


def test_import_is_quick():
    code = "import time, torch; t = time.perf_counter(); import act_ext; print(time.perf_counter() - t)"
    times = [
        float(subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout)
        for _ in range(3)
    ]
    assert min(times) < 0.25  # 0.1 on an idle machine
