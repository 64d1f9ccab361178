"""The training study, in small."""

import json
import sys

import pytest
import torch

pytest.importorskip("sklearn")

from benchmarks import training


def test_networks_are_trained_side_by_side():
    """As each would be alone."""
    nets = training.Networks("mish", 2, 3)
    x, y = torch.randn(5, training.WIDTH), torch.randint(0, 10, (5,))
    losses = nets.losses(x, y)
    for seed in range(3):
        h = x
        for layer, (weight, bias) in enumerate(zip(nets.weights, nets.biases, strict=True)):
            h = torch.nn.functional.mish(h) if layer else h
            h = h @ weight[seed] + bias[seed]
        torch.testing.assert_close(losses[seed], torch.nn.functional.cross_entropy(h, y))


def test_dead_units():
    nets = training.Networks("relu", 1, 2)
    x = torch.randn(50, training.WIDTH)
    assert (nets.dead_share(x) < 0.1).all()
    with torch.no_grad():
        nets.biases[0].fill_(-1e6)
    assert (nets.dead_share(x) == 1).all()


def test_gradients_vanish_through_sigmoids():
    data = training.digits()
    norms = training.Networks("sigmoid", 10, 2).gradient_norms(data.x, data.y)
    assert norms[0] < 1e-3 * norms[-1]


def test_the_study(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(training, "ACTIVATIONS", ["relu", "mish"])
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    small = ["--epochs", "2", "--seeds", "2", "--depths", "2", "3", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["training", *small])
    training.main()
    found = json.loads((tmp_path / "training.json").read_text())
    losses = found["convergence"]["mish"]["loss"]
    assert sum(losses[1]) < sum(losses[0])
    assert {path.name for path in tmp_path.glob("*.png")} == {
        f"{name}.png" for name in ("loss", "depth", "dead", "gradients")
    }
    assert "| `mish` |" in (tmp_path / "results.md").read_text()
    assert "2 seeds each" in capsys.readouterr().out
