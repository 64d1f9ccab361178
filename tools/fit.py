"""Finds the coefficients of csrc/math: minimax polynomials and ratios by Remez exchange in mpmath.

python -m tools.fit prints each approximation's coefficients and its largest error, in about two minutes.
"""

from collections.abc import Callable

from mpmath import cos, erf, erfc, exp, expm1, log, lu_solve, matrix, mp, mpf, nstr, pi, sin, sqrt, tanh

Function = Callable[[mpf], mpf]
mp.prec = 260


def remez(f: Function, low: mpf, high: mpf, degrees: tuple[int, int], weight: Function) -> tuple[list, list, mpf]:
    """p and q (q[0] = 1) of the given degrees that minimise the largest |weight (p / q - f)| on [low, high]."""
    n, m = degrees
    size = n + m + 2
    middle, half = (low + high) / 2, (high - low) / 2

    def chebyshev(count: int) -> list[mpf]:
        return [middle - half * cos(pi * (mpf(i) + mpf(1) / 2) / count) for i in range(count)]

    grid = chebyshev(40 * size)
    exact, weights = [f(x) for x in grid], [weight(x) for x in grid]
    points, q = chebyshev(size), [mpf(1)] + [mpf(0)] * m

    def value(c: list, x: mpf) -> mpf:
        return sum(ck * x**k for k, ck in enumerate(c))

    p, worst = [mpf(0)], mpf(0)
    for _ in range(40):
        # p - f q -+ error q / weight = 0 at the points, with the denominator of the step before in the last term.
        level = mpf(0)
        for _ in range(12 if m else 1):
            system, right = matrix(size, size), matrix(size, 1)
            for i, x in enumerate(points):
                for j in range(n + 1):
                    system[i, j] = x**j
                for j in range(1, m + 1):
                    system[i, n + j] = -f(x) * x**j
                system[i, size - 1] = -((-1) ** i) / weight(x) * value(q, x)
                right[i] = f(x)
            solution = lu_solve(system, right)
            p, q = list(solution[: n + 1]), [mpf(1), *solution[n + 1 : n + m + 1]]
            settled = abs(solution[size - 1] - level) < abs(level) * mpf(10) ** -8
            level = solution[size - 1]
            if settled:
                break
        errors = [w * (value(p, x) / value(q, x) - y) for x, y, w in zip(grid, exact, weights, strict=True)]
        worst = max(map(abs, errors))
        runs, current = [], [0]
        for i in range(1, len(grid)):
            if (errors[i] > 0) == (errors[current[-1]] > 0):
                current.append(i)
            else:
                runs.append(current)
                current = [i]
        extrema = [max(run, key=lambda i: abs(errors[i])) for run in [*runs, current]]
        if len(extrema) < size:
            break
        while len(extrema) > size:
            extrema.pop(0 if abs(errors[extrema[0]]) < abs(errors[extrema[-1]]) else -1)
        points = [grid[i] for i in extrema]
        if worst - abs(level) < abs(level) / 1000:
            break
    return p, q, worst


def expm1_tail(r: mpf) -> mpf:
    return (expm1(r) - r) / r**2 if abs(r) > mpf(10) ** -30 else mpf(1) / 2


def atanh_tail(z: mpf) -> mpf:
    w = sqrt(z)
    return (log((2 + w) / (2 - w)) - w) / w**3 if z > mpf(10) ** -25 else mpf(1) / 12


def tanh_defect(z: mpf) -> mpf:
    x = sqrt(z)
    return (x - tanh(x)) / x**3 if z > mpf(10) ** -18 else mpf(1) / 3 - 2 * z / 15


def erf_over_s(z: mpf) -> mpf:
    s = sqrt(z)
    return erf(s) / s if z > mpf(10) ** -60 else 2 / sqrt(pi)


def sin_defect(z: mpf) -> mpf:
    r = sqrt(z)
    return (r - sin(r)) / r**3 if z > mpf(10) ** -18 else mpf(1) / 6 - z / 120


def defect_weight(z: mpf) -> mpf:
    """Makes the error of sin_defect that of the sine, relative to it."""
    r = sqrt(z)
    return r**3 / sin(r) if z > mpf(10) ** -20 else z


def mills(a: mpf) -> mpf:
    return exp(a * a / 2) * erfc(a / sqrt(mpf(2))) / 2


REDUCED = log(2) / 2 * mpf("1.005")
TINY = mpf(10) ** -9
# Name: function, interval, degrees for float and double, weight that makes the error relative to what is computed.
APPROXIMATIONS = {
    "expm1_tail": (expm1_tail, -REDUCED, REDUCED, [(4, 0), (9, 0)], lambda r: max(r * r, abs(r) / 6, TINY)),
    "log1p_exp": (atanh_tail, mpf(0), mpf(4) / 9 * mpf("1.0001"), [(3, 0), (10, 0)], lambda z: z + mpf(1) / 125),
    "tanh_defect": (tanh_defect, mpf(0), mpf(1), [(7, 0), (15, 0)], lambda z: 1 / tanh_defect(z)),
    "erf": (erf_over_s, mpf(0), mpf(1), [(6, 0), (12, 0)], lambda z: 1 / erf_over_s(z)),
    "sin_defect": (sin_defect, mpf(0), pi**2 / 4 * mpf("1.0001"), [(3, 0), (7, 0)], defect_weight),
    "mills (float)": (mills, mpf(0), mpf("14.5"), [(4, 5)], lambda a: 1 / mills(a)),
    "mills (double)": (mills, mpf(0), mpf("38.7"), [(10, 11)], lambda a: 1 / mills(a)),
}


def main() -> None:
    for name, (f, low, high, degrees, weight) in APPROXIMATIONS.items():
        for degree in degrees:
            p, q, error = remez(f, low, high, degree, weight)
            print(f"{name} {degree}: error 2^{float(log(error, 2)):.2f}")
            print("  ", ", ".join(nstr(c, 20) for c in p))
            if len(q) > 1:
                print("  /", ", ".join(nstr(c, 20) for c in q))
            if name.startswith("mills"):
                complement = [b / sqrt(2 * pi) - a for a, b in zip([mpf(0), *p], q, strict=True)]
                print("  complement", ", ".join(nstr(c, 20) for c in complement))


if __name__ == "__main__":
    main()
