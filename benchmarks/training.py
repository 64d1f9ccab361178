"""What people say of activations, measured: the same small networks trained with each of them.

    python -m benchmarks.training

The data are scikit-learn's handwritten digits: 1797 images of 8 x 8. The networks are plain stacks of linear layers of
64 units, without normalization and without skip connections, initialized after He et al. for all activations alike and
trained by Adam. All seeds of a network train at once, as one batch of matrices. Writes training.json, results.md and
the charts into the output folder.
"""

import argparse
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch
from rich.progress import Progress
from sklearn.datasets import load_digits
from torch import Tensor

import act_ext

# By activation: the points, across and up.
Curves = dict[str, tuple[list[float], list[float]]]

WIDTH, CLASSES, BATCH = 64, 10, 64
ACTIVATIONS = ["relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "softplus", "tanh", "sigmoid"]
DEPTHS = [5, 10, 20, 30]
SHALLOW = 3
RATE = 1e-3
# At which ReLUs are said to die.
HIGH_RATE = 3e-2


@dataclass
class Data:
    x: Tensor
    y: Tensor
    test_x: Tensor
    test_y: Tensor


def digits() -> Data:
    loaded = load_digits()
    x = torch.tensor(loaded.data, dtype=torch.float32)
    y = torch.tensor(loaded.target)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    x, y = x[order], y[order]
    count = len(x) * 4 // 5
    mean, spread = x[:count].mean(0), x[:count].std(0) + 1e-3
    x = (x - mean) / spread
    return Data(x[:count], y[:count], x[count:], y[count:])


class Networks(torch.nn.Module):
    """As many networks of one shape as there are seeds, side by side."""

    def __init__(self, activation: str, depth: int, seeds: int) -> None:
        super().__init__()
        self.activation: Callable[[Tensor], Tensor] = getattr(act_ext.functional, activation)
        sizes = [WIDTH] * (depth + 1) + [CLASSES]
        generator = torch.Generator().manual_seed(depth)
        self.weights = torch.nn.ParameterList(
            torch.randn(seeds, fan_in, fan_out, generator=generator) * math.sqrt(2 / fan_in)
            for fan_in, fan_out in pairwise(sizes)
        )
        self.biases = torch.nn.ParameterList(torch.zeros(seeds, 1, fan_out) for fan_out in sizes[1:])

    def before_activations(self, x: Tensor) -> list[Tensor]:
        """What each hidden layer gives its activation, and the logits, of shape (seeds, batch, units)."""
        found, x = [], x.expand(len(self.weights[0]), *x.shape)
        for weight, bias in zip(self.weights, self.biases, strict=True):
            found.append(torch.baddbmm(bias, self.activation(found[-1]) if found else x, weight))
        return found

    def losses(self, x: Tensor, y: Tensor) -> Tensor:
        """The mean loss of each network."""
        logits = self.before_activations(x)[-1]
        each = torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.repeat(len(logits)), reduction="none")
        return each.view(len(logits), -1).mean(1)

    @torch.no_grad()
    def accuracies(self, x: Tensor, y: Tensor) -> Tensor:
        return (self.before_activations(x)[-1].argmax(-1) == y).float().mean(1)

    def dead_share(self, x: Tensor) -> Tensor:
        """Of each network's hidden units, those whose slope is 0 for every sample: they no longer learn."""
        *hidden, _ = (t.detach().requires_grad_() for t in self.before_activations(x))
        slopes = [torch.autograd.grad(self.activation(t).sum(), t)[0] for t in hidden]
        return torch.stack([(slope == 0).all(1).float().mean(1) for slope in slopes]).mean(0)

    def gradient_norms(self, x: Tensor, y: Tensor) -> list[float]:
        """Of each layer's weights, the geometric mean over the networks."""
        gradients = torch.autograd.grad(self.losses(x, y).sum(), list(self.weights))
        return [g.flatten(1).norm(dim=1).clamp(min=1e-45).log().mean().exp().item() for g in gradients]


def train(nets: Networks, data: Data, epochs: int, rate: float, advance: Callable[[], None]) -> dict[str, list[Any]]:
    """Losses on the training data and accuracies on the others after each epoch, by seed."""
    optimizer = torch.optim.Adam(nets.parameters(), rate)
    generator = torch.Generator().manual_seed(1)
    history: dict[str, list[Any]] = {"loss": [], "accuracy": []}
    for _ in range(epochs):
        for part in torch.randperm(len(data.x), generator=generator).split(BATCH):
            optimizer.zero_grad()
            nets.losses(data.x[part], data.y[part]).sum().backward()
            optimizer.step()
        with torch.no_grad():
            history["loss"].append(nets.losses(data.x, data.y).tolist())
        history["accuracy"].append(nets.accuracies(data.test_x, data.test_y).tolist())
        advance()
    return history


def study(epochs: int, seeds: int, depths: list[int]) -> dict[str, Any]:
    data = digits()
    found: dict[str, Any] = {"epochs": epochs, "seeds": seeds, "convergence": {}, "high_rate": {}, "depth": {}}
    found["gradients"] = {}
    with Progress() as progress:
        total = len(ACTIVATIONS) * epochs * (2 + len(depths))
        task = progress.add_task("training", total=total)
        for name in ACTIVATIONS:
            progress.update(task, description=f"training {name}")
            step = lambda: progress.advance(task)  # noqa: E731
            found["convergence"][name] = train(Networks(name, SHALLOW, seeds), data, epochs, RATE, step)
            nets = Networks(name, SHALLOW, seeds)
            history = train(nets, data, epochs, HIGH_RATE, step)
            found["high_rate"][name] = {"accuracy": history["accuracy"][-1], "dead": nets.dead_share(data.x).tolist()}
            found["depth"][name] = {}
            for depth in depths:
                nets = Networks(name, depth, seeds)
                if depth == depths[-1]:
                    found["gradients"][name] = nets.gradient_norms(data.x, data.y)
                history = train(nets, data, epochs, RATE, step)
                found["depth"][name][depth] = {
                    "accuracy": history["accuracy"][-1],
                    "dead": nets.dead_share(data.x).tolist(),
                }
    return found


def epochs_until(losses: list[list[float]], limit: float) -> float:
    """The first epoch after which the seeds' mean loss is at most the limit."""
    return next((i + 1 for i, each in enumerate(losses) if fmean(each) <= limit), math.inf)


def table(found: dict[str, Any]) -> list[str]:
    depths = list(next(iter(found["depth"].values())))
    ends = (depths[0], depths[-1])
    head = ["activation", "loss 0.1 after (epochs)", f"accuracy, {SHALLOW} layers"]
    head += [f"accuracy, {depth} layers" for depth in depths]
    head += [f"dead units at rate {HIGH_RATE:g}", f"gradient of the first layer / the last, {ends[1]} layers"]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for name in ACTIVATIONS:
        curve = found["convergence"][name]
        gradients = found["gradients"][name]
        cells = [f"`{name}`", f"{epochs_until(curve['loss'], 0.1):g}", _percent(curve["accuracy"][-1])]
        cells += [_percent(found["depth"][name][depth]["accuracy"]) for depth in depths]
        cells += [_percent(found["high_rate"][name]["dead"]), f"{gradients[0] / gradients[-1]:.2g}"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _percent(values: list[float]) -> str:
    spread = stdev(values) if len(values) > 1 else 0.0
    return f"{100 * fmean(values):.1f} ± {100 * spread:.1f} %"


def charts(found: dict[str, Any], out: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    colors = dict(zip(ACTIVATIONS, pyplot.get_cmap("tab10").colors, strict=False))

    def chart(file: str, title: str, x_label: str, y_label: str, curves: Curves, log: bool) -> None:
        figure, ax = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
        for name, (x, y) in curves.items():
            ax.plot(x, y, label=name, color=colors[name], marker="." if len(x) < 10 else None)
        if log:
            ax.set_yscale("log")
        ax.set(title=title, xlabel=x_label, ylabel=y_label)
        ax.grid(alpha=0.3)
        ax.legend(fontsize="small", ncols=2)
        figure.savefig(out / f"{file}.png", dpi=120)
        pyplot.close(figure)

    epochs = list(range(1, found["epochs"] + 1))
    losses = {n: (epochs, [fmean(each) for each in c["loss"]]) for n, c in found["convergence"].items()}
    chart("loss", f"Loss on the training data, {SHALLOW} hidden layers", "epoch", "cross entropy", losses, True)
    accuracy, dead = (
        {n: (list(map(int, d)), [100 * fmean(e[what]) for e in d.values()]) for n, d in found["depth"].items()}
        for what in ("accuracy", "dead")
    )
    chart("depth", "Accuracy on the test data, by depth", "hidden layers", "%", accuracy, False)
    chart("dead", "Hidden units that no longer learn, by depth", "hidden layers", "%", dead, False)
    norms = {n: (list(range(1, len(g) + 1)), g) for n, g in found["gradients"].items()}
    chart("gradients", "Gradient of each layer's weights before training", "layer", "norm", norms, True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/training"))
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--depths", type=int, nargs="+", default=DEPTHS)
    options = parser.parse_args()
    torch.set_num_threads(1)  # the matrices are small
    found = study(options.epochs, options.seeds, options.depths)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "training.json").write_text(json.dumps(found))
    charts(found, options.out)
    about = (
        f"{options.seeds} seeds each (mean ± standard deviation), {options.epochs} epochs, Adam at {RATE:g}, layers of "
        f"{WIDTH} units, digits of scikit-learn, torch {torch.__version__}."
    )
    lines = [about, "", *table(found)]
    (options.out / "results.md").write_text("\n".join(lines) + "\n")
    print(*lines, sep="\n")


if __name__ == "__main__":
    main()
