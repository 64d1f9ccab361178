"""Finds the coefficients of csrc/math: minimax polynomials by Remez exchange in mpmath.

python -m tools.fit prints each approximation's coefficients and its largest error, in some seconds.
"""

from collections.abc import Callable

from mpmath import (
    cos,
    diff,
    erf,
    erfc,
    exp,
    expm1,
    frexp,
    ldexp,
    log,
    lu_solve,
    matrix,
    mp,
    mpf,
    nint,
    nstr,
    pi,
    sin,
    sqrt,
    tanh,
)

Function = Callable[[mpf], mpf]
mp.prec = 260


def remez(f: Function, low: mpf, high: mpf, degree: int, weight: Function) -> tuple[list, mpf]:
    """The polynomial p that minimises the largest |weight (p - f)| on [low, high], and that error."""
    size = degree + 2
    middle, half = (low + high) / 2, (high - low) / 2

    def chebyshev(count: int) -> list[mpf]:
        return [middle - half * cos(pi * (mpf(i) + mpf(1) / 2) / count) for i in range(count)]

    grid = chebyshev(40 * size)
    exact, weights = [f(x) for x in grid], [weight(x) for x in grid]
    points = chebyshev(size)

    def value(c: list, x: mpf) -> mpf:
        return sum(ck * x**k for k, ck in enumerate(c))

    p, worst = [mpf(0)], mpf(0)
    for _ in range(40):
        # p - f -+ error / weight = 0 at the points.
        system, right = matrix(size, size), matrix(size, 1)
        for i, x in enumerate(points):
            for j in range(degree + 1):
                system[i, j] = x**j
            system[i, size - 1] = -((-1) ** i) / weight(x)
            right[i] = f(x)
        solution = lu_solve(system, right)
        p, level = list(solution[: degree + 1]), solution[size - 1]
        errors = [w * (value(p, x) - y) for x, y, w in zip(grid, exact, weights, strict=True)]
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
    return p, worst


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


def mills_times_sum(t: mpf) -> mpf:
    """Mills' ratio of a times (a + 4), for a's t = (a - 4) / (a + 4)."""
    a = 4 * (1 + t) / (1 - t)
    return (a + 4) * mills(a)


def a_times_mills(a: mpf) -> mpf:
    return a * mills(a)


def to_float(x: mpf) -> mpf:
    _, exponent = frexp(x)
    return nint(ldexp(x, 24 - exponent)) * ldexp(mpf(1), exponent - 24)


def near_float(f: Function, low: mpf, high: mpf) -> mpf:
    """The float nearest to the middle at which f is almost one itself: the polynomial's constant hardly rounds."""
    step = (high - low) * mpf(2) ** -16
    for i in range(1000):
        for x in (to_float((low + high) / 2 + i * step), to_float((low + high) / 2 - i * step)):
            if abs(to_float(f(x)) - f(x)) < f(x) * mpf(2) ** -31:
                return x
    raise AssertionError("no float is near")


def pieces(f: Function) -> tuple[list[list[mpf]], mpf]:
    """For each interval of 2 + 2 a between the multiples of a quarter of its power of 2, where a number's place is told
    by its leading bits: a point m, and the polynomial in a - m. And the largest error."""
    rows, worst = [], mpf(0)
    for piece in range(16):
        ends = [mpf(2) ** (k // 4) * (1 + mpf(k % 4) / 4) - 1 for k in (piece, piece + 1)]
        m = near_float(f, ends[0], ends[1]) if piece else mpf(0)

        def rest(h: mpf, m: mpf = m) -> mpf:
            return (f(m + h) - f(m)) / h if abs(h) > mpf(10) ** -12 else diff(f, m)

        def weight(h: mpf, m: mpf = m, width: mpf = ends[1] - ends[0]) -> mpf:
            # That of the polynomial with its exact constant; at the point itself the error does not count.
            return max(abs(h), width / 9) / f(m + h) if f(m) else 1 / rest(h)

        low, high = ends[0] - m, min(ends[1], mpf(15)) - m
        c, error = remez(rest, low, high, 5, weight)
        rows.append([m, f(m), *c])
        worst = max(worst, error)
    return rows, worst


REDUCED = log(2) / 2 * mpf("1.005")
TINY = mpf(10) ** -9
# Name: function, interval, degrees for float and double, that of e^x for 16 bits too, weight that makes the error
# relative to what is computed.
APPROXIMATIONS = {
    "expm1_tail": (expm1_tail, -REDUCED, REDUCED, [3, 4, 9], lambda r: max(r * r, abs(r) / 6, TINY)),
    "log1p_exp": (atanh_tail, mpf(0), mpf(4) / 9 * mpf("1.0001"), [3, 10], lambda z: z + mpf(1) / 125),
    "tanh_defect": (tanh_defect, mpf(0), mpf(1), [7, 16], lambda z: 1 / tanh_defect(z)),
    "erf": (erf_over_s, mpf(0), mpf(1), [6, 12], lambda z: 1 / erf_over_s(z)),
    "sin_defect": (sin_defect, mpf(0), pi**2 / 4 * mpf("1.0001"), [3, 7], defect_weight),
    "mills": (
        mills_times_sum,
        mpf(-1),
        (mpf("38.8") - 4) / (mpf("38.8") + 4),
        [23],
        lambda t: 1 / mills_times_sum(t),
    ),
}


def main() -> None:
    for name, (f, low, high, degrees, weight) in APPROXIMATIONS.items():
        for degree in degrees:
            p, error = remez(f, low, high, degree, weight)
            print(f"{name} {degree}: error 2^{float(log(error, 2)):.2f}")
            print("  ", ", ".join(nstr(c, 20) for c in p))
    for f in (mills, a_times_mills):
        rows, error = pieces(f)
        print(f"{f.__name__}, in pieces: error 2^{float(log(error, 2)):.2f}")
        for column in zip(*rows, strict=True):
            print("  ", ", ".join(nstr(c, 12) for c in column))


if __name__ == "__main__":
    main()
