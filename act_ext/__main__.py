"""The command line: ``python -m act_ext --help``."""

import argparse
import os
import platform
import sys

import torch
from torch.utils import benchmark

import act_ext
from act_ext._describe import spec_of
from act_ext._plot import parameters_of
from act_ext._register import build_info


def _list(options: argparse.Namespace) -> None:
    print(*act_ext.list_activations(), sep="\n")


def _describe(options: argparse.Namespace) -> None:
    for name in options.names:
        act_ext.describe(name)


def _plot(options: argparse.Namespace) -> None:
    if options.output:
        os.environ["MPLBACKEND"] = "agg"  # no window
    axes = act_ext.plot(*options.names, derivative=options.derivative, limits=tuple(options.limits))
    if options.output:
        axes.figure.savefig(options.output, dpi=options.dpi)
        print(options.output)
    else:
        from matplotlib import get_backend, pyplot

        if get_backend().lower() == "agg":
            raise RuntimeError("there is no display to draw on: give -o FILE")
        pyplot.show()


def _env(options: argparse.Namespace) -> None:
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    facts = {
        "act_ext": act_ext.__version__,
        "built for": build_info(),
        "CPU kernels": act_ext.cpu_capability(),
        "CUDA kernels": "built" if act_ext.built_with_cuda() else "not built",
        "torch": f"{torch.__version__} (CUDA {torch.version.cuda})",
        "threads": torch.get_num_threads(),
        "GPU": gpu,
        "Python": platform.python_version(),
        "system": platform.platform(),
    }
    for what, fact in facts.items():
        print(f"{what:<13} {fact}")


def _bench(options: argparse.Namespace) -> None:
    """With torch's own benchmark utility; the repository's benchmarks/compare.py is the thorough way."""
    device = options.device
    results = []
    for name in options.names:
        spec = spec_of(name)
        if spec["kind"] != "pointwise" or not hasattr(torch.nn.functional, name):
            raise ValueError(f"bench: {name} has no function of one tensor in torch to compare with")
        parameters = parameters_of(spec)
        for elements in options.elements:
            x = torch.randn(elements, device=device, requires_grad=options.backward)
            for source in (torch.nn.functional, act_ext.functional):
                statement = (
                    "function(x, **parameters).sum().backward()" if options.backward else "function(x, **parameters)"
                )
                timer = benchmark.Timer(
                    statement,
                    globals={"function": getattr(source, name), "x": x, "parameters": parameters},
                    label="forward and backward" if options.backward else "forward",
                    sub_label=f"{name}, {elements} elements",
                    description="act_ext" if source is act_ext.functional else "torch",
                    num_threads=options.threads,
                )
                results.append(timer.blocked_autorange(min_run_time=0.3))
    table = benchmark.Compare(results)
    table.trim_significant_figures()
    table.print()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m act_ext", description="Activation functions for PyTorch.")
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(name: str, run, text: str) -> argparse.ArgumentParser:  # type: ignore[no-untyped-def]
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        return added

    command("list", _list, "the names of all activations")
    described = command("describe", _describe, "formula, derivative, range and more")
    described.add_argument("names", nargs="+", metavar="NAME")
    plotted = command("plot", _plot, "the curves, in a window or a file (needs matplotlib)")
    plotted.add_argument("names", nargs="+", metavar="NAME")
    plotted.add_argument("-o", "--output", help="the file to write: .png, .svg, .pdf")
    plotted.add_argument("-d", "--derivative", action="store_true", help="draw the derivatives too")
    plotted.add_argument("--limits", nargs=2, type=float, default=(-5.0, 5.0), metavar=("LOW", "HIGH"))
    plotted.add_argument("--dpi", type=int, default=150)
    command("env", _env, "what is installed and what it runs on, for a bug report")
    timed = command("bench", _bench, "the time of an activation beside torch's")
    timed.add_argument("names", nargs="*", metavar="NAME", default=["relu", "gelu", "silu", "mish"])
    timed.add_argument("--backward", action="store_true", help="forward and backward")
    timed.add_argument("--elements", nargs="+", type=int, default=[1, 1 << 15, 1 << 20])
    timed.add_argument("--threads", type=int, default=1)
    timed.add_argument("--device", default="cpu")

    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except (ValueError, ImportError, OSError, RuntimeError, AssertionError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
