"""Writes docs/activations/: a page for each family, with curves, formulas, facts, errors and speeds, from the specs and
the published measurements; and the models' table in docs/pytorch.md: `python -m tools.pages`."""

import csv
import inspect
import json
import sys
from pathlib import Path
from typing import Any

import torch

import act_ext
from act_ext import _plot, functional
from act_ext._describe import lines_of
from act_ext._register import SPECS
from benchmarks.accuracy.page import DTYPES, number
from tools.op_table import link

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "docs" / "activations"
# By the module of act_ext.functional that a family's functions stand in: its title, and limits for its curves.
FAMILIES: dict[str, tuple[str, tuple[float, float]]] = {
    "rectifiers": ("Rectifiers and piecewise linear activations", (-5, 8)),
    "exponential": ("Exponential linear units", (-5, 3)),
    "sigmoidal": ("Sigmoids and their like", (-6, 6)),
    "gated": ("Self-gated activations, of one input", (-5, 3)),
    "literature": ("From the literature", (-5, 3)),
    "logarithmic": ("With a logarithm", (-5, 3)),
    "periodic": ("Periodic activations", (-8, 8)),
    "learned": ("Learned parameters", (-5, 3)),
    "gated_units": ("Gated units, of two inputs", (-5, 3)),
    "normalizing": ("Functions of rows", (-5, 5)),
    "maximum": ("Maxout", (-5, 5)),
    "randomized": ("Random slopes", (-5, 3)),
}


WORDS = (
    "*slope*: the derivative. *zero-centred*: 0 at 0, with values of both signs. *saturates*: has a finite limit at "
    "minus infinity (below), infinity (above) or both. *Cn*: its first n derivatives are continuous, the next is not."
)
ERRORS = (
    "The tables give the worst errors: half a unit is perfect rounding. *native* is torch's function, or the usual "
    "composition of torch's where it has none; its large errors come from the tails, where it gives 0 or loses all "
    "digits: [Accuracy](../accuracy.md)."
)


def family_of(name: str) -> str:
    return Path(inspect.getsourcefile(inspect.unwrap(getattr(functional, name))) or "").stem


def example_of(name: str) -> str:
    """The docstring's."""
    text = inspect.getdoc(getattr(functional, name)) or ""
    return inspect.cleandoc(text.partition("Example:\n")[2]).strip()


def summary_of(name: str) -> str:
    return (inspect.getdoc(getattr(functional, name)) or "").partition("\n\n")[0].replace("\n", " ")


def errors_of(name: str, published: dict[str, Any]) -> list[str]:
    """A table of the worst errors, act_ext's and the native op's, where the accuracy runs measure the op."""
    by_dtype = {dtype: published["results"].get(f"{name} {dtype}") for dtype in DTYPES}
    if None in by_dtype.values():
        return []
    keys = [key for what in by_dtype["float32"] if (key := what.removeprefix("act_ext ")) != what]
    head = [f"{whose}{key}" for key in keys for whose in ("", "native ")]
    lines = [f"| units in the last place | {' | '.join(head)} |", f"|{' --- |' * (1 + len(head))}"]
    for dtype, stats in by_dtype.items():
        found = [stats[f"{who} {key}"] for key in keys for who in ("act_ext", "native")]
        cells = [number(each["worst"]) if each["count"] else "" for each in found]
        lines.append(f"| {dtype} | {' | '.join(cells)} |")
    return [*lines, ""]


def speeds_of(name: str, measured: list[dict[str, str]]) -> list[str]:
    """Times as fast as native at 2^20 elements, by dtype and direction."""
    found: dict[str, list[str]] = {}
    for row in measured:
        if row["op"] == name and row["size"] == "1Mi":
            rows = f", rows of {row['rows']}" if row["rows"] else ""
            found.setdefault(f"{row['direction']}{rows}", []).append(f"{row['dtype']} {float(row['ratio']):.2f}")
    if not found:
        return []
    text = "; ".join(f"{direction}: {', '.join(each)}" for direction, each in found.items())
    return [f"Times as fast as native at 2^20 elements, one thread: {text}.", ""]


def section(spec: dict[str, Any], published: dict[str, Any], measured: list[dict[str, str]]) -> list[str]:
    name = spec["name"]
    facts = [f"{what:<12}  {text}" for what, text in lines_of(spec) if what != "paper"]
    paper = [f"Paper: {link(spec['paper'])}", ""] if spec["paper"] else []
    return [
        *(f"## {name}", "", summary_of(name), "", "```text", *facts, "```", ""),
        *(*errors_of(name, published), *speeds_of(name, measured), *paper),
        *("```python", example_of(name), "```", ""),
    ]


def draw(names: list[str], limits: tuple[float, float], path: Path) -> None:
    """A small chart for each: the value, and dashed the derivative."""
    from matplotlib import pyplot

    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    size = (2.7 * columns, 2.3 * rows)
    figure, grid = pyplot.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    for ax in grid.flat[len(names) :]:
        ax.remove()
    for name, ax in zip(names, grid.flat, strict=False):
        act_ext.plot(name, limits=limits, derivative=True, ax=ax)
        ax.get_legend().remove()
        low, high = ax.get_ylim()
        ax.set(title=name, xlabel="", ylim=(max(low, -5), min(high, 7)))
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def has_curve(name: str) -> bool:
    try:
        _plot.curve_of(name)
    except ValueError:
        return False
    return True


def pages() -> dict[str, str]:
    """The text of each page by its file's name."""
    published = json.loads((ROOT / "docs" / "accuracy.json").read_text())
    with (ROOT / "benchmarks" / "results" / "compare.csv").open() as file:
        measured = list(csv.DictReader(file))
    found = {}
    index = ["# The activations", "", WORDS, "", "| family | activations |", "| --- | --- |"]
    for family, (title, _) in FAMILIES.items():
        specs = [spec for spec in SPECS if family_of(spec["name"]) == family]
        lines = [f"# {title}", ""]
        if any(has_curve(spec["name"]) for spec in specs):
            lines += [f"![Values, and dashed the derivatives]({family}.png)", ""]
        if any(f"{spec['name']} float32" in published["results"] for spec in specs):
            lines += [ERRORS, ""]
        for spec in specs:
            lines += section(spec, published, measured)
        found[f"{family}.md"] = "\n".join(lines).rstrip() + "\n"
        names = ", ".join(f"[{spec['name']}]({family}.md#{spec['name']})" for spec in specs)
        index.append(f"| [{title}]({family}.md) | {names} |")
    found["index.md"] = "\n".join(index) + "\n"
    return found


MODELS = ROOT / "docs" / "pytorch.md"
BEGIN, END = "<!-- models: generated by tools/pages.py -->", "<!-- end of models -->"


def with_models(text: str) -> str:
    """The page with the table of benchmarks.models, without its title."""
    before, _, rest = text.partition(BEGIN)
    table = (ROOT / "benchmarks" / "results" / "models.md").read_text().partition("\n\n")[2].strip()
    return f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}"


def main() -> None:
    import matplotlib

    matplotlib.use("agg")
    torch.manual_seed(0)
    OUT.mkdir(parents=True, exist_ok=True)
    MODELS.write_text(with_models(MODELS.read_text()))
    for file, text in pages().items():
        (OUT / file).write_text(text)
    for family, (_, limits) in FAMILIES.items():
        names = [spec["name"] for spec in SPECS if family_of(spec["name"]) == family and has_curve(spec["name"])]
        if names:
            draw(names, limits, OUT / f"{family}.png")


if __name__ == "__main__":
    sys.exit(main())
