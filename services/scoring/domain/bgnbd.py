"""How often customers buy, and whether they still do: BG/NBD.

While active a customer buys as a Poisson process of a rate of their own, which is spread over the population as
Gamma(r, alpha); after each purchase they leave for good with a probability of their own, spread as Beta(a, b).
Fader, Hardie, Lee (2005), "Counting Your Customers" the Easy Way, Marketing Science 24(2), 275-284.

`x` counts the purchase days after the first. `tx` is the time from the first purchase day to the last, `T` the time
from the first purchase day to the day asked, `t` and `h` are times from that day on; all these are whole days. The
parameters are in weeks, as they are published. Arrays are of one shape.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from services.scoring.domain.likelihood import FEWEST, Numbers, Observed, Whole, dot, maximum

DAYS_PER_WEEK = 7
NODES = ((1.0, 16), (4.0, 32), (32.0, 64), (128.0, 128), (512.0, 256), (float("inf"), 512))
"""How many points a mean over who leaves takes, up to so many times `alpha + T` of `t`.

Measured against the sum of the series, relative errors stay below 1e-12 up to 2,000 times, below 1e-8 up to 5,000."""
AT_ONCE = 4_096
"""Means that are taken at once: their points stay in the cache of a processor."""
DENSE = 10_000_000
"""Up to so many pairs of x and T are looked up in a table of all."""
SPARSE = 64
"""Where there are more pairs than so many times the parties, sorting these is quicker."""


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
    return np.asarray(np.where(x > 0, np.exp(-np.logaddexp(0, odds)), 1.0))


def p_buys(of: Parameters, x: Whole, tx: Whole, T: Whole, h: int) -> Numbers:
    """The probability of a purchase within h days after T.

    P(alive) * (1 - ((alpha + T) / (alpha + T + h))^(r + x)): alive, and not silent as an active customer may be.
    """
    in_h = -np.expm1(-(of.r + x) * np.log1p(h / (DAYS_PER_WEEK * of.alpha + T)))
    return np.asarray(p_alive(of, x, tx, T) * in_h)


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
    return mean_if_alive(of, bought, age, t)[place]


def mean_if_alive(of: Parameters, x: Whole, T: Whole | Numbers, t: int) -> Numbers:
    """`if_alive` of each pair of x and T."""
    share, above = t / (DAYS_PER_WEEK * of.alpha + T), 0.0
    means = np.empty(len(T))
    for most, nodes in NODES:
        those = np.flatnonzero((share > above) & (share <= most))
        above = most
        for begin in range(0, len(those), AT_ONCE):
            some = those[begin : begin + AT_ONCE]
            different, row = np.unique(x[some], return_inverse=True)
            rules = [leaving_rule(of.a, of.b + float(purchases), nodes) for purchases in different]
            leaving, weight = (np.stack(column) for column in zip(*rules, strict=True))
            silent = (of.r + x[some])[:, None] * np.log1p(share[some][:, None] * leaving[row])
            means[some] = (-np.expm1(-silent) * (weight / leaving)[row]).sum(axis=1)
    return means


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
    if not len(keys) or keys.max() >= min(DENSE, SPARSE * len(keys)):
        return np.unique(keys, return_inverse=True)
    there = np.zeros(keys.max() + 1, dtype=bool)
    there[keys] = True
    return np.flatnonzero(there), (np.cumsum(there) - 1)[keys]


class Rows(NamedTuple):
    """A population with identical rows merged."""

    x: Whole
    tx: Whole
    T: Whole
    number: Whole


class Fit(NamedTuple):
    """The parameters under which the population is likeliest."""

    parameters: Parameters
    log_likelihood: float
    """With times in weeks."""
    flags: tuple[str, ...]
    """`nobody_leaves` (a -> 0, the limit of the NBD), or `r_at_bound` and the like: no maximum inside the bounds."""


class NotEnough(NamedTuple):
    """Too few bought again to tell one kind of silence from the other: the days of the policy decide."""

    parties: int
    repeaters: int
    needed: int


def merged(x: Whole, tx: Whole, T: Whole) -> Rows:
    """Each different row once, with how many there are of it."""
    days = int(T.max(initial=0)) + 1
    keys, number = np.unique((x * days + tx) * days + T, return_counts=True)
    rest, age = np.divmod(keys, days)
    return Rows(*np.divmod(rest, days), age, number)


def sample(of: Rows, size: int) -> Rows:
    """So many parties at even distances in the order of the rows; all of them where there are no more."""
    upto = np.cumsum(of.number)
    if not len(upto) or upto[-1] <= size:
        return of
    places, number = np.unique(np.searchsorted(upto, np.arange(size) * upto[-1] // size, "right"), return_counts=True)
    return Rows(of.x[places], of.tx[places], of.T[places], number)


def log_likelihood(of: Rows) -> Callable[[Numbers], tuple[float, Numbers]]:
    """The function from (r, alpha, a, b) to the log-likelihood of a population and its gradient by these.

    The logarithm of eq. (6) of the paper, with the part that whoever bought again may have left taken together with
    that they did not (log(1 + e^odds)), so that nothing overflows. x, tx and T are looked up in tables by whole days
    and purchases: one logarithm and one exponential are taken per row.
    """
    from scipy.special import digamma, gammaln

    x, tx, T, number = of
    times, purchases = np.arange(int(T.max()) + 1) / DAYS_PER_WEEK, np.arange(int(x.max()) + 1)
    by_x = np.bincount(x, weights=number)
    by_T, x_by_T = np.bincount(T, weights=number), np.bincount(T, weights=number * x)
    again = x > 0
    x, tx, T, weight = x[again], tx[again], T[again], number[again].astype(np.float64)
    parties = by_x.sum()

    def at(parameters: Numbers) -> tuple[float, Numbers]:
        r, alpha, a, b = parameters
        log_time, inverse = np.log(alpha + times), 1 / (alpha + times)
        silent = log_time[T] - log_time[tx]
        left = np.log(a) - np.log(b + purchases - 1, where=purchases > 0, out=np.zeros(len(purchases)))
        odds = left[x] + (r + x) * silent
        small = np.exp(-np.abs(odds))
        gone = weight * np.where(odds > 0, 1, small) / (1 + small)
        rx, bx, abx = r + purchases, b + purchases, a + b + purchases
        value = (
            dot(by_x, gammaln(rx) + gammaln(bx) - gammaln(abx))
            + parties * (r * np.log(alpha) - gammaln(r) + gammaln(a + b) - gammaln(b))
            - dot(r * by_T + x_by_T, log_time)
            + dot(weight, np.maximum(odds, 0) + np.log1p(small))
        )
        gone_by_x = np.bincount(x, weights=gone, minlength=len(purchases))
        gradient = (
            dot(by_x, digamma(rx)) + parties * (np.log(alpha) - digamma(r)) - dot(by_T, log_time) + dot(gone, silent),
            parties * r / alpha - dot(r * by_T + x_by_T, inverse) + dot(gone * (r + x), inverse[T] - inverse[tx]),
            parties * digamma(a + b) - dot(by_x, digamma(abx)) + gone_by_x.sum() / a,
            dot(by_x, digamma(bx) - digamma(abx))
            + parties * (digamma(a + b) - digamma(b))
            - dot(gone_by_x[1:], 1 / (b + purchases[1:] - 1)),
        )
        return float(value), np.array(gradient)

    return at


SAMPLE = 10_000
"""Parties on which the search begins, before it goes on with all."""
NOBODY = 1e-4
"""Below so small a mean probability of leaving the likelihood is flat in a, and a search ends anywhere."""
BOUNDS = np.array([(1e-3, 1e3), (1e-2, 1e5), (1e-6, 1e3), (1e-3, 1e5)])
"""Of r, alpha (weeks), a and b."""


def fit(x: Whole, tx: Whole, T: Whole, fewest: int = FEWEST) -> Fit | NotEnough:
    """The likeliest parameters for a population: one row for each who bought. Always finite numbers.

    It takes so many repeat buyers.
    """
    parties, repeaters = len(x), int(np.count_nonzero(x))
    if repeaters < fewest:
        return NotEnough(parties, repeaters, fewest)
    rows = merged(x, tx, T)
    some = sample(rows, SAMPLE)
    typical = max(float(np.median(T)) / DAYS_PER_WEEK, 1)
    starts = ((1, typical / 4, 1, 1), (0.25, typical / 8, 0.5, 2.5))
    best = maximum(
        Observed(log_likelihood(rows), parties),
        Observed(log_likelihood(some), float(some.number.sum())),
        starts,
        BOUNDS,
    )
    found = Parameters(*best.parameters)
    flags = best.at_bounds(Parameters._fields)
    if found.a / (found.a + found.b) < NOBODY:
        flags = ["nobody_leaves", *(flag for flag in flags if flag != "a_at_bound")]
    return Fit(found, best.log_likelihood, tuple(flags))
