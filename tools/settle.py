"""Settles the tables for results of 16 bits: every number of bfloat16 and float16 is to give the result that the exact
value would be rounded to.

python -m tools.settle reads csrc/math/tables.h, looks for coefficients with which that holds where it does not yet, in
half a minute, and writes tools/settled.json; python -m tools.tables then takes them. It tells also what is wrong beyond
the tables. Where a fit changes, take its table out of settled.json, and run tables, settle and tables.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tools.tables import PATH, SETTLED

SOURCES = PATH.parent.parent
BUILD = SOURCES.parent / "build/settle"
ROUNDS = 20_000_000


def with_variables(text: str) -> str:
    """tables.h with tables that can be changed."""

    def replaced(match: re.Match[str]) -> str:
        head, error, name, between, type_, values = match.groups()
        return f'{head}{between}static {type_}& pieces = variable<{name}>("{name}", {error}, {type_}{values});'

    pattern = (
        r"(error 2\^(\S+)\.\nstruct (\w+) \{)((?:(?!struct).)*?)static constexpr (Pieces<\d+>) pieces = (\{.*?\}\}\});"
    )
    text, count = re.subn(pattern, replaced, text, flags=re.DOTALL)
    assert count == text.count("\nstruct "), "every table should have been found"
    return text


def with_notes(text: str) -> str:
    """pieces.h, telling which pieces it evaluates."""
    text, count = re.subn(
        r"(polynomial|piecewise)\(const Pieces<kDegree>& pieces, V piece, X x\) \{",
        r"\g<0>\n  if constexpr (std::is_same_v<V, float>) note(pieces.point, piece, head(x));",
        text,
    )
    assert count == 2, "both functions should have been found"
    return text


def main() -> None:
    shutil.rmtree(BUILD, ignore_errors=True)
    shutil.copytree(SOURCES, BUILD / "csrc")
    for name, changed in {"tables.h": with_variables, "pieces.h": with_notes}.items():
        path = BUILD / "csrc/math" / name
        path.write_text(changed(path.read_text()))
    flags = ["-std=c++20", "-O2", "-march=native", "-ffp-contract=off", "-fno-math-errno", "-Wno-psabi"]
    program = BUILD / "settle"
    source = Path(__file__).with_suffix(".cpp")
    subprocess.run(["c++", *flags, f"-I{BUILD / 'csrc'}", source, "-o", program], check=True)
    settled = json.loads(SETTLED.read_text()) if SETTLED.is_file() else {}
    with subprocess.Popen([program, str(ROUNDS)], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            what, *rest = line.split()
            if what == "settled":
                name, piece, *values = rest
                settled.setdefault(name, {})[piece] = [float(value) for value in values]
    if process.returncode:
        sys.exit(f"settle ended with {process.returncode}")
    rows = (
        f'"{name}": {{\n' + ",\n".join(f'  "{piece}": {values}' for piece, values in settled[name].items()) + "\n}"
        for name in sorted(settled)
    )
    SETTLED.write_text("{\n" + ",\n".join(rows) + "\n}\n")


if __name__ == "__main__":
    main()
