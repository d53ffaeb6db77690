#!/usr/bin/env python3
"""The coefficients of src/embed/kernels.h: exp and erf in float32.  Needs numpy and mpmath.

Each polynomial is fitted at Chebyshev nodes, in 60 digits, with the weights moved towards where
the error is largest (Lawson) until it is level; then the coefficients are rounded to float32, each
time fitting the lower ones again with what was rounded held fixed.
"""

import mpmath as mp
import numpy as np

mp.mp.dps = 60


def solve(xs, values, weights, powers):
    rows, cols = len(xs), len(powers)
    a = mp.matrix(rows, cols)
    b = mp.matrix(rows, 1)
    for i, x in enumerate(xs):
        for j, p in enumerate(powers):
            a[i, j] = weights[i] * x ** p
        b[i] = weights[i] * values[i]
    return list(mp.lu_solve(a.T * a, a.T * b))


def fit(f, lo, hi, degree, relative_to=None, nodes=60, rounds=12):
    xs = [(lo + hi) / 2 + (hi - lo) / 2 * mp.cos(mp.pi * (i + mp.mpf(1) / 2) / nodes)
          for i in range(nodes)]
    values = [f(x) for x in xs]
    scale = [1 / abs(relative_to(x)) if relative_to else mp.mpf(1) for x in xs]
    lawson = [mp.mpf(1)] * nodes
    fixed = {}
    while len(fixed) <= degree:
        powers = [p for p in range(degree + 1) if p not in fixed]
        rest = [v - sum(c * x ** p for p, c in fixed.items()) for x, v in zip(xs, values)]
        for _ in range(rounds):
            weights = [mp.sqrt(w) * s for w, s in zip(lawson, scale)]
            found = solve(xs, rest, weights, powers)
            errors = [abs(v - sum(c * x ** p for p, c in zip(powers, found))) * s
                      for x, v, s in zip(xs, rest, scale)]
            lawson = [w * (e + mp.mpf(10) ** -40) for w, e in zip(lawson, errors)]
            total = sum(lawson)
            lawson = [w / total * nodes for w in lawson]
        p = powers[0]
        fixed[p] = mp.mpf(float(np.float32(float(found[0]))))
    worst = max(abs(v - sum(c * x ** p for p, c in fixed.items())) * s
                for x, v, s in zip(xs, values, scale))
    return [float(fixed[p]).hex() for p in range(degree + 1)], mp.nstr(worst, 3)


def show(name, result):
    print("%s: worst error %s" % (name, result[1]))
    for p, c in enumerate(result[0]):
        print("    [%d] %s (%.9g)" % (p, c, float.fromhex(c)))


if __name__ == "__main__":
    half = mp.log(2) / 2
    # exp(r) = 1 + r + r^2 P(r)
    show("exp: P", fit(lambda r: (mp.exp(r) - 1 - r) / r ** 2 if r else mp.mpf(1) / 2,
                       -half, half, 4))
    # erf(x) = x + x P(x^2), |x| < 1
    show("erf, near: P", fit(lambda s: mp.erf(mp.sqrt(s)) / mp.sqrt(s) - 1, mp.mpf(10) ** -12,
                             mp.mpf(1), 6))
    # erf(x) = 1 - exp(-t Q(t)), t = |x| from 1 to 4: an error of t Q is one of erfc, relative
    show("erf, far: Q", fit(lambda t: -mp.log(mp.erfc(t)) / t, mp.mpf(1), mp.mpf(4), 7,
                            relative_to=lambda t: 1 / (t * mp.erfc(t))))

    # gelu(x) = x (1/2 + c P(c^2)), c = x cut off at 4.25 either way; the error is that of gelu
    show("gelu of fast: P", fit(lambda s: mp.erf(mp.sqrt(s / 2)) / (2 * mp.sqrt(s)),
                                mp.mpf(10) ** -12, mp.mpf("4.25") ** 2, 8,
                                relative_to=lambda s: 1 / s))
