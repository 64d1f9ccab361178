"""What a type checker knows of act_ext in a user's file."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import act_ext

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
    # An editable install is a hook for imports, which mypy does not run: the folder is given as if it were the user's.
    root = Path(act_ext.__file__).parent.parent
    environment = os.environ | ({} if root.name == "site-packages" else {"MYPYPATH": str(root)})
    settings = tmp_path / "mypy.ini"
    settings.write_text("[mypy]\nstrict = True\npython_version = 3.11\n[mypy-act_ext.*]\nignore_errors = True\n")
    command = [sys.executable, "-m", "mypy", "--config-file", str(settings), "--cache-dir", str(tmp_path), str(file)]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
