"""Curves and the command line."""

import subprocess
import sys

import pytest
import torch

import act_ext
from act_ext import __main__ as command_line
from act_ext._register import SPECS

pytest.importorskip("matplotlib").use("agg")
pyplot = pytest.importorskip("matplotlib.pyplot")

DRAWN = [spec["name"] for spec in SPECS if spec["kind"] not in ("row_function", "maxout")]


@pytest.fixture(autouse=True)
def _closed():
    yield
    pyplot.close("all")


@pytest.fixture
def axes():
    return pyplot.subplots()[1]


@pytest.mark.parametrize("name", DRAWN)
def test_curves(name, axes):
    act_ext.plot(name, derivative=True, ax=axes)
    function, slope = axes.lines[:2]
    x, y = function.get_data()
    assert (x[0], x[-1]) == (-5, 5)
    # A gap only where there is a jump, and the slope is that of the curve.
    assert (y != y).sum() <= 2
    assert slope.get_label() == f"{name}'"
    rise = (y[1:] - y[:-1]) / (x[1] - x[0])
    between = (slope.get_ydata()[1:] + slope.get_ydata()[:-1]) / 2
    near = abs(rise - between) <= 0.02 * (1 + abs(between)) * (1 if name != "sine" else 2)
    # Not beside a kink or a jump.
    assert near.sum() >= len(rise) - 8


def test_several_in_one_chart():
    ax = act_ext.plot("mish", "relu", "swiglu", limits=(-2, 3))
    assert [line.get_label() for line in ax.lines[:3]] == ["mish", "relu", "swiglu"]
    assert ax.get_xlim() == (-2, 3)
    assert ax.get_legend() is not None
    colors = [line.get_color() for line in ax.lines[:3]]
    assert len(set(colors)) == 3


def test_jumps_are_not_drawn_as_lines(axes):
    act_ext.plot("binary_step", ax=axes)
    y = axes.lines[0].get_ydata()
    assert (y != y).sum() == 1
    act_ext.plot("relu", "hardtanh", ax=axes)
    assert all((line.get_ydata() == line.get_ydata()).all() for line in axes.lines[3:5])


def test_where_gradients_are_off(axes):
    with torch.no_grad():
        act_ext.plot("mish", derivative=True, ax=axes)
    with torch.inference_mode():
        act_ext.plot("mish", derivative=True, ax=axes)
    assert axes.lines[1].get_ydata()[-1] == pytest.approx(1, abs=1e-3)
    assert (axes.lines[1].get_ydata() == axes.lines[5].get_ydata()).all()


def test_errors():
    with pytest.raises(ValueError, match="did you mean 'mish'"):
        act_ext.plot("mihs")
    with pytest.raises(ValueError, match="softmax is a function of several elements"):
        act_ext.plot("softmax")
    with pytest.raises(ValueError, match="at least one name"):
        act_ext.plot()
    with pytest.raises(ValueError, match="limits must be two numbers in order"):
        act_ext.plot("mish", limits=(1, 1))


def run(capsys, *arguments):
    status = command_line.main(list(arguments))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_without_matplotlib(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match="run `pip install matplotlib`"):
        act_ext.plot("mish")
    status, out, err = run(capsys, "plot", "mish", "-o", str(tmp_path / "curve.png"))
    assert (status, out) == (2, "")
    assert err == "error: act_ext.plot needs matplotlib: run `pip install matplotlib`\n"


def test_list_and_describe(capsys):
    assert run(capsys, "list") == (0, "\n".join(act_ext.list_activations()) + "\n", "")
    status, out, _ = run(capsys, "describe", "mish", "relu")
    assert status == 0
    assert out.startswith("mish\n  formula")
    assert "relu\n" in out
    status, out, err = run(capsys, "describe", "mihs")
    assert (status, out) == (2, "")
    assert err.startswith("error: no activation is named 'mihs': did you mean 'mish'?")


def test_plot_to_a_file(capsys, tmp_path):
    path = tmp_path / "curves.png"
    assert run(capsys, "plot", "mish", "relu", "-d", "-o", str(path)) == (0, f"{path}\n", "")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_env(capsys):
    status, out, _ = run(capsys, "env")
    assert status == 0
    assert f"CPU kernels   {act_ext.cpu_capability()}" in out


def test_bench(capsys):
    status, out, _ = run(capsys, "bench", "mish", "--elements", "64", "--backward")
    assert status == 0
    assert "mish, 64 elements" in out
    assert "act_ext" in out
    assert run(capsys, "bench", "threshold", "--elements", "8")[0] == 0
    for wrong, text in (
        (["swiglu"], "no function of one tensor in torch to compare with"),
        (["mish", "--device", "nowhere"], "nowhere"),
        (["mish", "--elements", "-1"], "-1"),
    ):
        status, _, err = run(capsys, "bench", *wrong)
        assert status == 2
        assert text in err


def test_as_a_command():
    out = subprocess.run([sys.executable, "-m", "act_ext", "--help"], capture_output=True, text=True, check=True).stdout
    assert all(name in out for name in ("list", "describe", "plot", "env", "bench"))
