"""How often customers buy, and whether they still do: BG/NBD.

While active a customer buys as a Poisson process of a rate of their own, which is spread over the population as
Gamma(r, alpha); after each purchase they leave for good with a probability of their own, spread as Beta(a, b).
Fader, Hardie, Lee (2005), "Counting Your Customers" the Easy Way, Marketing Science 24(2), 275-284.

`x` counts the purchase days after the first. `tx` is the time from the first purchase day to the last, `T` the time
from the first purchase day to the day asked, `t` and `h` are times from that day on; all these are whole days. The
parameters are in weeks, as they are published. Arrays are of one shape.
"""

from functools import lru_cache
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Numbers: TypeAlias = npt.NDArray[np.float64]
Whole: TypeAlias = npt.NDArray[np.int64]

DAYS_PER_WEEK = 7
NODES = ((1.0, 16), (4.0, 32), (float("inf"), 64))
"""How many points a mean over who leaves takes, up to so many times `alpha + T` of `t`.

Measured against the sum of the series, relative errors stay below 1e-12 up to 8 times, below 1e-3 up to 128 times."""
DENSE = 10_000_000
"""Up to so many pairs of x and T are looked up in a table of all."""


class Parameters(NamedTuple):
    """Of a population; r, a and b are numbers, alpha is weeks."""

    r: float
    alpha: float
    a: float
    b: float


def p_alive(of: Parameters, x: Whole, tx: Whole, T: Whole) -> Numbers:
    """The probability that somebody has not left by T. Whoever bought once has not: they leave only when they buy.

    1 / (1 + [x > 0] * a / (b + x - 1) * ((alpha + T) / (alpha + tx))^(r + x)), after eq. (10) of the paper.
    """
    r, alpha, a, b = of
    silent = np.log1p((T - tx) / (DAYS_PER_WEEK * alpha + tx))
    odds = np.log(a / (b + np.maximum(x, 1) - 1)) + (r + x) * silent
    return np.where(x > 0, np.exp(-np.logaddexp(0, odds)), 1.0)


def p_buys(of: Parameters, x: Whole, tx: Whole, T: Whole, h: int) -> Numbers:
    """The probability of a purchase within h days after T.

    P(alive) * (1 - ((alpha + T) / (alpha + T + h))^(r + x)): alive, and not silent as an active customer may be.
    """
    in_h = -np.expm1(-(of.r + x) * np.log1p(h / (DAYS_PER_WEEK * of.alpha + T)))
    return p_alive(of, x, tx, T) * in_h


def expected_purchases(of: Parameters, x: Whole, tx: Whole, T: Whole, t: int) -> Numbers:
    """How many purchases to expect within t days after T: P(alive) times `if_alive`, eq. (10) of the paper."""
    return p_alive(of, x, tx, T) * if_alive(of, x, T, t)


def if_alive(of: Parameters, x: Whole, T: Whole, t: int) -> Numbers:
    """How many purchases to expect within t days after T of whoever has not left by then.

    The mean of (1 - ((alpha + T) / (alpha + T + p t))^(r + x)) / p over the probability p of leaving, which is
    Beta(a, b + x) by then. Eq. (10) writes this mean as a Gauss hypergeometric function in a difference that cancels
    for a near 1, for a near 0 and for a large b; summed by a Gauss-Jacobi rule every term is positive. Where nobody
    leaves (a -> 0) p is 0, and the mean is that of the NBD: (r + x) / (alpha + T) * t.
    """
    # A population has few pairs of x and T beside its size.
    days = int(T.max(initial=0)) + 1
    pairs, place = _distinct(x * days + T)
    bought, age = np.divmod(pairs, days)
    share = t / (DAYS_PER_WEEK * of.alpha + age)
    means = np.empty(len(pairs))
    for purchases in np.unique(bought):
        above = 0.0
        for most, nodes in NODES:
            those = (bought == purchases) & (share > above) & (share <= most)
            leaving, weight = leaving_rule(of.a, of.b + float(purchases), nodes)
            silent = (of.r + purchases) * np.log1p(np.outer(share[those], leaving))
            means[those] = -np.expm1(-silent) @ (weight / leaving)
            above = most
    return means[place]


def nodes_for(share: float) -> int:
    """How many points the mean takes where `t` is so many times `alpha + T`."""
    return next(nodes for most, nodes in NODES if share <= most)


@lru_cache(maxsize=10_000)
def leaving_rule(a: float, b: float, nodes: int) -> tuple[Numbers, Numbers]:
    """Points and weights of the mean over Beta(a, b) of a smooth function on [0, 1].

    Gauss-Jacobi from the recurrence of the orthogonal polynomials (Golub, Welsch 1969), written for [0, 1] so that
    points near 0 keep their digits where b is large.
    """
    k = np.arange(1, nodes, dtype=np.float64)
    s = a + b - 2
    middle = np.append(a / (a + b), (2 * k * (k + s + 1) + s * a) / ((2 * k + s) * (2 * k + s + 2)))
    beside = k * (k + a - 1) * (k + b - 1) / ((2 * k + s) ** 2 * (2 * k + s + 1))
    beside[1:] *= (k[1:] + s) / (2 * k[1:] + s - 1)
    points, vectors = np.linalg.eigh(np.diag(middle) + np.diag(np.sqrt(beside), -1))
    # Rounding may leave a point at zero or below where nearly nobody leaves.
    return np.maximum(points, 1e-18), np.square(vectors[0])


def _distinct(keys: Whole) -> tuple[Whole, Whole]:
    """The different keys in order, and the place of each in them."""
    if not len(keys) or keys.max() >= DENSE:
        return np.unique(keys, return_inverse=True)
    there = np.zeros(keys.max() + 1, dtype=bool)
    there[keys] = True
    return np.flatnonzero(there), (np.cumsum(there) - 1)[keys]
