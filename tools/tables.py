"""Writes csrc/math/tables.h: activations and slopes in pieces (csrc/math/pieces.h), for where inputs mostly lie.

python -m tools.tables takes a minute and a half.
"""

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from mpmath import (
    cos,
    cosh,
    diff,
    erf,
    erfc,
    exp,
    expm1,
    log,
    log1p,
    lu_solve,
    matrix,
    mp,
    mpf,
    nstr,
    pi,
    polyval,
    sin,
    sqrt,
    tanh,
)

from tools.fit import Function, to_float

with mp.workprec(140):
    SELU_SCALE = mpf("1.0507009873554804934193349852946") * mpf("1.6732632423543772848170429916717")
PATH = Path(__file__).parent.parent / "csrc/math/tables.h"
# By table and piece a point and coefficients that are taken instead of those that are fitted: tools/settle.py.
SETTLED = Path(__file__).with_name("settled.json")
COUNT = 16


@dataclass
class Table:
    """f in pieces around the places of the numbers from `first` on. Where that is 0 or -15 they end at 0: a function of
    |x| or of -|x|."""

    name: str
    text: str
    f: Function
    # A number is x times density, and for a function of |x| or -|x| more, the farther from 0: x (density + bend |x|).
    density: float
    degree: int
    first: int
    # Within 1 of this point, where a slope changes its sign, the error counts relative to 1, not to the slope. (Where
    # nothing is made good, a piece's point should be near to it.)
    zero: float | None = None
    bend: float = 0.0
    # Whether the function does not change any more above the last piece.
    level: bool = False
    # Whether what is rounded off on the way is made good also where it is less than the last rounding.
    exact: bool = False
    # Whether nothing is made good, for results of 16 bits.
    quick: bool = False

    def scale(self, x: mpf) -> mpf:
        return mpf(1) if self.zero is not None and abs(x - self.zero) < 1 else abs(self.f(x))

    def place(self, number: mpf) -> mpf:
        """The x of that number."""
        return 2 * number / (self.density + sqrt(mpf(self.density) ** 2 + 4 * self.bend * abs(number)))

    def ends(self, piece: int) -> tuple[mpf, mpf]:
        """With a margin for what the rounding of a number adds."""
        low, high = (self.place(self.first + piece + half) for half in (mpf("-0.502"), mpf("0.502")))
        if self.first == 0:
            return max(low, mpf(0)), high
        if self.first == 1 - COUNT:
            return low, min(high, mpf(0))
        return low, high

    def reach(self) -> tuple[str, str]:
        """A little short of where the pieces end."""
        return tuple(nstr(self.place(self.first + end), 6) for end in (mpf(-15) / 32, COUNT - mpf(17) / 32))


def sigmoid(x: mpf) -> mpf:
    return 1 / (1 + exp(-x))


def softplus(x: mpf) -> mpf:
    return log1p(exp(x))


def normal(x: mpf) -> mpf:
    return erfc(-x / sqrt(mpf(2))) / 2


def density(x: mpf) -> mpf:
    return exp(-x * x / 2) / sqrt(2 * pi)


def at_0(f: Function, limit: mpf | int) -> Function:
    """f, of which only its limit is known at 0."""
    return lambda x: f(x) if abs(x) > mpf(10) ** -9 else mpf(limit)


def tanh_argument(x: mpf) -> mpf:
    """Of the sigmoid in the gelu with tanh."""
    return sqrt(8 / pi) * (x + mpf("0.044715") * x**3)


def silu_slope(x: mpf) -> mpf:
    return sigmoid(x) * (1 + x * sigmoid(-x))


def selu_over(x: mpf) -> mpf:
    return SELU_SCALE * expm1(x) / x


def selu_slope(x: mpf) -> mpf:
    return SELU_SCALE * exp(x)


def gelu_slope(x: mpf) -> mpf:
    return normal(x) + x * density(x)


def gelu_slope_tail(a: mpf) -> mpf:
    return gelu_slope(-a)


def gelu_tanh_tail(a: mpf) -> mpf:
    return sigmoid(-tanh_argument(a))


def gelu_tanh_slope(x: mpf) -> mpf:
    z, dz = tanh_argument(x), sqrt(8 / pi) * (1 + 3 * mpf("0.044715") * x**2)
    return sigmoid(z) * (1 + x * dz * sigmoid(-z))


def mish_gate(x: mpf) -> mpf:
    n = exp(x) * (exp(x) + 2)
    return n / (n + 2)


def mish_slope(x: mpf) -> mpf:
    return mish_gate(x) + x * sigmoid(x) * (1 - mish_gate(x) ** 2)


def tanh_squared_over(x: mpf) -> mpf:
    return tanh(x) ** 2 / x


def lisht_slope_over(x: mpf) -> mpf:
    return tanh(x) / x + 1 / cosh(x) ** 2


def tanhexp_slope(x: mpf) -> mpf:
    return tanh(exp(x)) + x * exp(x) / cosh(exp(x)) ** 2


def smish_gate(x: mpf) -> mpf:
    return tanh(log1p(sigmoid(x)))


def smish_slope(x: mpf) -> mpf:
    return smish_gate(x) + x * sigmoid(x) * sigmoid(-x) / (1 + sigmoid(x)) * (1 - smish_gate(x) ** 2)


def logish_gate(x: mpf) -> mpf:
    return log1p(sigmoid(x))


def logish_slope(x: mpf) -> mpf:
    return logish_gate(x) + x * sigmoid(x) * sigmoid(-x) / (1 + sigmoid(x))


def gish_gate(x: mpf) -> mpf:
    return log1p(-expm1(-exp(x)))


def gish_slope(x: mpf) -> mpf:
    return gish_gate(x) + x * exp(x - exp(x)) / (2 - exp(-exp(x)))


def serf_gate(x: mpf) -> mpf:
    return erf(softplus(x))


def serf_slope(x: mpf) -> mpf:
    return serf_gate(x) + 2 * x * sigmoid(x) * exp(-(softplus(x) ** 2)) / sqrt(pi)


def phish_slope_over(x: mpf) -> mpf:
    g = x * normal(x)
    return tanh(g) / x + gelu_slope(x) / cosh(g) ** 2


TABLES = [
    Table("SigmoidBelow", "sigmoid(x) at -|x|", sigmoid, 4 / 3, 7, -15),
    Table("SiluSlopeBelow", "The slope of x sigmoid(x) at -|x|", silu_slope, 4 / 3, 7, -15, -1.2785),
    Table("QuickGeluTail", "sigmoid(-1.702 |x|)", lambda a: sigmoid(-mpf("1.702") * a), 1.58, 8, 0, exact=True),
    Table("GeluTail", "P(N > |x|)", lambda a: normal(-a), 1.7, 8, 0, bend=0.22),
    Table("GeluTailInFloat16", "P(N > |x|), for float16", lambda a: normal(-a), 1.7, 6, 0, bend=0.22, quick=True),
    Table("GeluTailInBfloat16", "P(N > |x|), for bfloat16", lambda a: normal(-a), 1.7, 5, 0, bend=0.3, quick=True),
    Table(
        "GeluSlopeTailInBfloat16",
        "The slope of gelu at -|x|, for bfloat16",
        gelu_slope_tail,
        2.585,
        5,
        0,
        0.7518,
        0.1,
        quick=True,
    ),
    Table("GeluSlopeBelow", "The slope of x P(N < x) at -|x|", gelu_slope, 1.8, 8, -15, -0.7518, 0.15),
    Table("GeluTanhTail", "sigmoid(-z(|x|)), z that of gelu_tanh", gelu_tanh_tail, 1.5, 8, 0, bend=0.3, exact=True),
    Table("GeluTanhSlopeBelow", "The slope of gelu_tanh at -|x|", gelu_tanh_slope, 1.5, 8, -15, -0.7525, 0.3),
    Table("MishGate", "mish(x) / x", mish_gate, 4 / 3, 7, -8),
    Table("MishSlope", "The slope of mish", mish_slope, 4 / 3, 8, -8, -1.1924),
    Table("SoftplusBelow", "log(1 + e^x) at -|x|", softplus, 4 / 3, 7, -15),
    Table("SeluOver", "selu(x) / x at -|x|", at_0(selu_over, SELU_SCALE), 1.2, 6, -15, bend=-0.0178),
    Table("TanhOver", "tanh(x) / x at |x|", at_0(lambda x: tanh(x) / x, 1), 2.4, 6, 0, bend=-0.0765),
    Table("TanhSquaredOver", "tanh(x)^2 / x at |x|", at_0(tanh_squared_over, 0), 2.4, 7, 0, bend=-0.0765),
    Table(
        "TanhSquaredOverIn16Bits",
        "tanh(x)^2 / x at |x|, for 16 bits",
        at_0(tanh_squared_over, 0),
        3.6,
        5,
        0,
        bend=-0.09,
        quick=True,
    ),
    Table("SineOver", "sin(x) / x at |x|", at_0(lambda x: sin(x) / x, 1), 9.7, 4, 0),
    Table("TanhDefect", "(x - tanh(x)) / x^3 at |x|", at_0(lambda x: (x - tanh(x)) / x**3, mpf(1) / 3), 2, 7, 0),
    Table("LishtSlopeOver", "The slope of lisht, over x, at |x|", at_0(lisht_slope_over, 2), 2, 7, 0),
    Table("TanhExpGate", "tanh(e^x)", lambda x: tanh(exp(x)), 1.6, 8, -10, level=True),
    Table("TanhExpSlope", "The slope of x tanh(e^x)", tanhexp_slope, 1.6, 8, -10, -1.0789, level=True),
    Table("SmishGate", "smish(x) / x", smish_gate, 4 / 3, 7, -8),
    Table("SmishSlope", "The slope of smish", smish_slope, 4 / 3, 8, -8, -1.3945),
    Table("LogishGate", "logish(x) / x", logish_gate, 4 / 3, 7, -8),
    Table("LogishSlope", "The slope of logish", logish_slope, 4 / 3, 8, -8, -1.3725),
    Table("GishGate", "gish(x) / x", gish_gate, 1.6, 8, -8, level=True),
    Table("GishSlope", "The slope of gish", gish_slope, 1.6, 8, -8, -1.2821, level=True),
    Table("SerfGate", "serf(x) / x", serf_gate, 1.6, 8, -8, level=True),
    Table("SerfSlope", "The slope of serf", serf_slope, 1.6, 8, -8, -1.1931, level=True),
    Table("PhishOver", "phish(x) / x^2", at_0(lambda x: tanh(x * normal(x)) / x, mpf(1) / 2), 8 / 3, 8, -8, exact=True),
    Table("PhishSlopeOver", "The slope of phish, over x", at_0(phish_slope_over, 1), 8 / 3, 8, -8, -1.1954),
]


def in_16_bits(table: Table, name: str | None = None, degree: int = 0, only: str = "16 bits") -> Table:
    """The same for results of 16 bits: of a lower degree, and settled so that they are rounded right."""
    name = (name or table.name) + "In" + only.title().replace(" ", "")
    text = f"{table.text}, for {only}"
    return replace(table, name=name, text=text, degree=degree or table.degree - 2, exact=False, quick=True)


_OF = {table.name: table for table in TABLES}
TABLES += [
    in_16_bits(_OF["SigmoidBelow"]),
    in_16_bits(_OF["SigmoidBelow"], "SiluGateBelow"),
    in_16_bits(_OF["GeluSlopeBelow"], only="float16"),
    in_16_bits(_OF["SineOver"], degree=3),
    in_16_bits(_OF["TanhExpSlope"], degree=7),
    in_16_bits(_OF["MishGate"], degree=6),
    in_16_bits(_OF["GishGate"], degree=5),
    in_16_bits(_OF["SerfGate"], degree=5),
    Table("SeluSlopeBelowIn16Bits", "The slope of selu at -|x|, for 16 bits", selu_slope, 4 / 3, 5, -15, quick=True),
    *(
        in_16_bits(_OF[name])
        for name in (
            "SiluSlopeBelow",
            "QuickGeluTail",
            "GeluTanhTail",
            "GeluTanhSlopeBelow",
            "MishSlope",
            "SoftplusBelow",
            "TanhDefect",
            "LishtSlopeOver",
            "TanhExpGate",
            "SmishGate",
            "SmishSlope",
            "LogishGate",
            "LogishSlope",
            "GishSlope",
            "SerfSlope",
            "PhishOver",
            "PhishSlopeOver",
        )
    ),
]


def fit(table: Table, piece: int) -> tuple[list[mpf], mpf]:
    """A point and the coefficients of the polynomial around it, floats all of them, and the largest error."""
    low, high = table.ends(piece)
    if low <= 0 <= high and table.f(mpf(0)) == 0:
        return fit_around(table, mpf(0), low, high)
    if 0 in (low, high) and table.f(mpf(0)) == 0.5:
        # Exact there: 1 less the function is rounded as if it were of twice its size.
        return fit_around(table, mpf(0), low, high, to_float(diff(table.f, mpf(0))))
    # Near the middle, or its distance to the farther end would magnify what the coefficients round off.
    middle, step = (low + high) / 2, (high - low) / 2**16
    rounding = {}
    for i in range(-1000, 1000):
        p = to_float(middle + i * step)
        value = table.f(p)
        rounding[p] = abs(to_float(value) - value) / table.scale(p)
    # Of the points where the function is nearly a float, some where its slope is one too, and of these the best.
    for p in sorted(rounding, key=rounding.get)[:60]:
        slope = diff(table.f, p)
        rounding[p] += abs(to_float(slope) - slope) * (high - low) / 2 / table.scale(p) - 1
    return min((fit_around(table, p, low, high) for p in sorted(rounding, key=rounding.get)[:4]), key=lambda of: of[1])


def fit_around(table: Table, point: mpf, low: mpf, high: mpf, *slope: mpf) -> tuple[list[mpf], mpf]:
    """With that slope at the point, if one is given: what it rounds off, the other coefficients make good."""
    # Least squares, on points that lie as dense at the ends as the polynomial with the least error wants them.
    given, count = [table.f(point), *slope], 3 * table.degree
    nodes = [(low + high) / 2 + (high - low) / 2 * cos(pi * (i + mpf(1) / 2) / count) - point for i in range(count)]
    system, right = matrix(count, table.degree + 1 - len(given)), matrix(count, 1)
    for i, h in enumerate(nodes):
        weight = 1 / table.scale(point + h)
        for j in range(system.cols):
            system[i, j] = weight * h ** (len(given) + j)
        right[i] = weight * (table.f(point + h) - polyval(given[::-1], h))
    solution = lu_solve(system.T * system, system.T * right)
    row = [point, *(to_float(c) if c else c for c in (*given, *solution))]
    return row, largest_error(table, row, low, high)


def largest_error(table: Table, row: list[mpf], low: mpf, high: mpf) -> mpf:
    """Of the polynomial with that point and those coefficients."""
    point, *coefficients = row

    def error(x: mpf) -> mpf:
        value = polyval(coefficients[::-1], x - point)
        return abs(value - table.f(x)) / (table.scale(x) or 1)

    return max(error(low + (high - low) * i / 40) for i in range(41))


def fits(table: Table) -> list[tuple[list[mpf], mpf]]:
    """The pieces as they are fitted, or as they were settled."""
    settled = json.loads(SETTLED.read_text()).get(table.name, {}) if SETTLED.is_file() else {}
    rows = []
    for piece in range(COUNT):
        if str(piece) not in settled:
            rows.append(fit(table, piece))
            continue
        row = [to_float(mpf(value)) if value else mpf(0) for value in settled[str(piece)]]
        assert len(row) == table.degree + 2, f"{table.name} has another degree: take it out of {SETTLED.name}"
        rows.append((row, largest_error(table, row, *table.ends(piece))))
        assert rows[-1][1] < 2**-16, f"{table.name} does not fit any more: take it out of {SETTLED.name}"
    return rows


def literal(x: mpf) -> str:
    text = nstr(x, 9)
    return (text if "." in text or "e" in text else text + ".0") + "f"


def written(table: Table) -> str:
    with mp.workprec(140):
        pieces = fits(table)
        error = nstr(log(max(error for _, error in pieces), 2), 4)
        rows = zip(*(row for row, _ in pieces), strict=True)
        point, *coefficients = ("{" + ", ".join(literal(x) for x in row) + "}" for row in rows)
    low, high = table.reach()
    bounded = "\n    x = at_most(x, V(high));" if table.level else ""
    density = f"V({table.density!r})"
    if table.bend:
        density = f"fma(head(x), V({table.bend if table.first == 0 else -table.bend!r}), {density})"
    joined = ",\n         ".join(coefficients)
    flags = ", ".join(f"{name} = {str(getattr(table, name)).lower()}" for name in ("level", "exact", "quick"))
    evaluated = "polynomial" if table.quick else "piecewise<exact>"
    return f"""// {table.text}: error 2^{error}.
struct {table.name} {{
  static constexpr double low = {low}, high = {high};
  static constexpr bool {flags};
  template <class X>
  ACT_FN static auto at(X x) {{
    using V = decltype(head(x));{bounded}
    static constexpr Pieces<{table.degree}> pieces = {{
        {point},
        {{{joined}}}}};
    return {evaluated}(pieces, fma(head(x), {density}, V(rounding_shift<V> + {-table.first})), x);
  }}
}};
"""


def written_by_name(name: str) -> str:
    """For other processes: a table's function is mostly a lambda, which cannot be sent."""
    return next(written(table) for table in TABLES if table.name == name)


def main() -> None:
    with ProcessPoolExecutor() as pool:
        tables = "\n".join(pool.map(written_by_name, [table.name for table in TABLES]))
    PATH.write_text(f"""// Activations and slopes in pieces, for where inputs mostly lie.
// Written by python -m tools.tables.
#pragma once

#include "pieces.h"

// clang-format off
namespace act_ext {{

{tables}
}}  // namespace act_ext
""")


if __name__ == "__main__":
    main()
