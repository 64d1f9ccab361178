"""What a type checker knows of act_ext in a user's file."""

import subprocess
import sys

import pytest

pytest.importorskip("mypy")

# An error that is not there is an error too: mypy warns of an unused "ignore".
USERS_FILE = """
from typing import assert_type

import act_ext
import torch
from torch import Tensor, nn

x = torch.randn(2, 4, requires_grad=True)
assert_type(act_ext.functional.mish(x), Tensor)
assert_type(act_ext.functional.gelu(x, approximate="tanh"), Tensor)
assert_type(act_ext.functional.softmax(x, dim=-1), Tensor)
assert_type(act_ext.functional.swiglu(x, x), Tensor)
assert_type(act_ext.functional.snake(x, x), Tensor)
assert_type(act_ext.functional.maxout(x, 2), Tensor)
assert_type(act_ext.nn.PReLU(num_parameters=3).weight, nn.Parameter)
assert_type(act_ext.list_activations(), list[str])
model = nn.Sequential(nn.Linear(4, 8), act_ext.nn.Mish(inplace=True), act_ext.nn.SwiGLU(8, 16, 4))
act_ext.convert(model)
with act_ext.override_native():
    nn.functional.mish(x)

act_ext.functional.mish("x")  # type: ignore[arg-type]
act_ext.functional.mish(x, in_place=True)  # type: ignore[call-arg]
act_ext.functional.swiglu(x, 1.0)  # type: ignore[arg-type]
act_ext.functional.softmax(x, dim="rows")  # type: ignore[arg-type]
act_ext.functional.snake(x)  # type: ignore[call-arg]
act_ext.nn.Mish(alpha=1.0)  # type: ignore[call-arg]
act_ext.no_such_function(x)  # type: ignore[attr-defined]
"""


def test_a_users_file_is_checked(tmp_path):
    file = tmp_path / "user.py"
    file.write_text(USERS_FILE)
    command = [sys.executable, "-m", "mypy", "--strict", "--python-version", "3.11", "--cache-dir", str(tmp_path)]
    result = subprocess.run([*command, str(file)], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
