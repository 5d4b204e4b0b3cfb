#!/usr/bin/env python3
"""Paired tests as scipy 1.17.1 with numpy 2.4.6 makes them, and Student's tail by mpmath 1.4.1: tests/significance_test.c.

    pip install scipy==1.17.1 numpy==2.4.6 mpmath==1.4.1
    python tests/golden/significance_scipy.py tests/golden          # rewrites significance.tsv

A line of significance.tsv: "pair", kind, seed, n, c, then the statistic and the p of ttest_rel and of wilcoxon. The test draws the same
figures: u is a linear congruential generator's high 53 bits, x = 6364136223846793005 x + 1442695040888963407 mod 2^64 from x = seed, over
2^53; for each pair two draws u, v, and by the kind
    0  a = u, b = v + c                                          unrelated, without ties
    1  a = u + c, b = u + (v - 0.5)                              related, shifted by c
    2  a = floor(20 u) / 20, b = floor(20 v + c) / 20            many ties and zeros, as Recall
    3  a = 1 where u < 0.5, b = 1 where v < 0.5 + c, else 0      as HR
    4  a = c, b = 0                                              constant differences
Or "tail", df, t and the p of both sides. Where scipy's own p is further than 1e-12 from mpmath's, the script stops; |t| < 1e-4 is left to
mpmath, since scipy takes 1 - x of a rounded x there. Where all differences are 0, scipy's wilcoxon gives 1 for n <= 13 and nan above; the
test expects nan.
"""
import sys
import warnings

import mpmath
import numpy as np
import scipy
from scipy import special, stats

assert (scipy.__version__, np.__version__, mpmath.__version__) == ("1.17.1", "2.4.6", "1.4.1")
warnings.simplefilter("ignore")
mpmath.mp.dps = 50


def draws(seed, n):
    x, out = seed, np.empty(n)
    for i in range(n):
        x = (6364136223846793005 * x + 1442695040888963407) % 2**64
        out[i] = (x >> 11) / 2.0**53
    return out


def pair(kind, seed, n, c):
    w = draws(seed, 2 * n)
    u, v = w[0::2], w[1::2]
    if kind == 0:
        return u, v + c
    if kind == 1:
        return u + c, u + (v - 0.5)
    if kind == 2:
        return np.floor(20 * u) / 20, np.floor(20 * v + c) / 20
    if kind == 3:
        return np.where(u < 0.5, 1.0, 0.0), np.where(v < 0.5 + c, 1.0, 0.0)
    return np.full(n, float(c)), np.zeros(n)


def tail(df, t):
    df, t = mpmath.mpf(df), mpmath.mpf(t)
    if t * t > 0.5:
        return mpmath.betainc(df / 2, 0.5, 0, df / (df + t * t), regularized=True)
    return 1 - mpmath.betainc(0.5, df / 2, 0, t * t / (df + t * t), regularized=True)


def check(ours, exact, what):
    assert abs(mpmath.mpf(float(ours)) - exact) <= 1e-12 * exact, what


CASES = [(0, 1, n, 0) for n in (2, 3, 5, 13, 14, 20, 49, 50, 51, 100, 101, 127, 128, 129, 1000, 4097, 100000)]
CASES += [(0, 2, n, 0.2) for n in (2, 7, 30, 50, 60, 600, 100000)]
CASES += [(1, 3, n, c) for n, c in ((2, 0.4), (10, 0.3), (50, 0.2), (50, 0.5), (200, 0.1), (1000, 0.3), (2000, 0.2), (3000, -0.16),
                                    (20000, 0.05), (99999, 0.025), (100000, 0.02), (100000, 0.03), (100000, 1e-4), (100001, 1e-6))]
CASES += [(2, 4, n, c) for n in (3, 8, 13, 14, 40, 50, 51, 632, 9999, 50000) for c in (0, 1, 5)]
CASES += [(3, 5, n, c) for n in (4, 13, 14, 50, 51, 700, 20000, 100000) for c in (0, 0.1)]
CASES += [(4, 6, n, c) for n in (2, 3, 7, 13, 14, 60, 1000) for c in (0.25, 0.1, -0.7)]
CASES += [(4, 6, n, 0) for n in (2, 13, 14, 60)]
with open(sys.argv[1] + "/significance.tsv", "w") as f:
    f.write("# tests/golden/significance_scipy.py: scipy 1.17.1, numpy 2.4.6, mpmath 1.4.1\n")
    smallest = 1
    for kind, seed, n, c in CASES:
        a, b = pair(kind, seed, n, c)
        t, w = stats.ttest_rel(a, b), stats.wilcoxon(a, b)
        if np.isfinite(t.statistic) and t.pvalue > 0 and abs(t.statistic) >= 1e-4:
            check(t.pvalue, tail(n - 1, t.statistic), (kind, n, c))
            smallest = min(smallest, t.pvalue)
        p = w.pvalue if np.any(a != b) else float("nan")
        f.write(f"pair\t{kind}\t{seed}\t{n}\t{c!r}\t{t.statistic:.17g}\t{t.pvalue:.17g}\t{w.statistic:.17g}\t{p:.17g}\n")
    assert smallest < 1e-200
    for df in (1, 2, 3, 4, 5, 10, 20, 31, 32, 33, 50, 100, 317, 1000, 3162, 10000, 31623, 99999, 100000):
        for t in (0, 1e-12, 1e-4, 0.01, 0.5, 1, 1.414, 1.415, 1.7, 2, 3, 5, 10, 20, 30, 31.5, 36.5, 1e3, 1e8, 1e120):
            p = tail(df, t)
            if p > 1e-300:
                if t >= 1e-3:
                    check(2 * special.stdtr(df, -t), p, (df, t))
                f.write(f"tail\t{df}\t{t!r}\t{float(p):.17g}\n")
