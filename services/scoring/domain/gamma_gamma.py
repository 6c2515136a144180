"""How much a purchase day brings: Gamma-Gamma.

The amounts of one party are Gamma(p, nu), and nu, which sets the mean of its amounts, is spread over the population as
Gamma(q, v). How much somebody pays is taken to be independent of how often they buy.
Fader, Hardie (2013), "The Gamma-Gamma Model of Monetary Value", http://brucehardie.com/notes/025/.

`n` counts the days on which somebody paid more than nothing, `paid` is the sum of these amounts. `paid` and v are in
one unit, here minor units of the reporting currency.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from services.scoring.domain.likelihood import Numbers, Observed, Whole, maximum


class Parameters(NamedTuple):
    """Of a population; p and q are numbers, v is money."""

    p: float
    q: float
    v: float


class Fit(NamedTuple):
    """The parameters under which the amounts of the population are likeliest."""

    parameters: Parameters
    log_likelihood: float
    flags: tuple[str, ...]
    """`amounts_without_mean` (q is 1 or less), `p_at_bound` and the like: no maximum inside."""


class NotEnough(NamedTuple):
    """Too few who paid on several days: the mean of all is everybody's."""

    payers: int
    needed: int


def expected_amount(of: Parameters, n: Whole, paid: Whole) -> Numbers:
    """The amount to expect of one more purchase day, for q above 1: the mean of all where n is 0.

    p (v + paid) / (p n + q - 1), eq. (5) of the note: the mean of all and the own one, weighted by (q - 1) and p n.
    """
    p, q, v = of
    return np.asarray(p * (v + paid) / (p * n + q - 1))


def log_likelihood(n: Whole, paid: Whole) -> Callable[[Numbers], tuple[float, Numbers]]:
    """The function from (p, q, v) to the log-likelihood of amounts, all n and paid above 0, and its gradient by these.

    The logarithm of eq. (1a) of the note, the density of the mean paid / n.
    """
    from scipy.special import digamma, gammaln

    parties, money = len(n), paid.astype(np.float64)
    times = np.arange(int(n.max()) + 1)[1:]
    by_n = np.bincount(n, minlength=len(times) + 1)[1:].astype(np.float64)
    number, logs = n.astype(np.float64), np.log(money)
    sum_n_log, sum_log_mean = number @ logs, logs.sum() - np.log(number).sum()

    def at(parameters: Numbers) -> tuple[float, Numbers]:
        p, q, v = parameters
        both = v + money
        log_both, inverse = np.log(both), 1 / both
        sum_log, sum_n_log_both = log_both.sum(), number @ log_both
        value = (
            by_n @ (gammaln(p * times + q) - gammaln(p * times))
            + parties * (q * np.log(v) - gammaln(q))
            + p * (sum_n_log - sum_n_log_both)
            - sum_log_mean
            - q * sum_log
        )
        pull = digamma(p * times + q)
        gradient = (
            (by_n * times) @ (pull - digamma(p * times)) + sum_n_log - sum_n_log_both,
            by_n @ pull + parties * (np.log(v) - digamma(q)) - sum_log,
            parties * q / v - p * (number @ inverse) - q * inverse.sum(),
        )
        return float(value), np.array(gradient)

    return at


FEWEST = 30
"""Parties with several amounts that a fit takes."""
SAMPLE = 10_000
"""Parties on which the search begins, before it goes on with all."""


def fit(n: Whole, paid: Whole) -> Fit | NotEnough:
    """The likeliest parameters for a population: one row for each; those who paid nothing are left out."""
    payers = (n > 0) & (paid > 0)
    n, paid = n[payers], paid[payers]
    several = int(np.count_nonzero(n > 1))
    if several < FEWEST:
        return NotEnough(several, FEWEST)
    mean = float(paid.sum() / n.sum())
    bounds = np.array([(1e-2, 1e4), (1e-2, 1e4), (mean * 1e-4, mean * 1e4)])
    every = max(1, len(n) // SAMPLE)
    some = n[::every], paid[::every]
    starts = ((1, 2, mean), (5, 4, mean / 2))
    best = maximum(
        Observed(log_likelihood(n, paid), len(n)), Observed(log_likelihood(*some), len(some[0])), starts, bounds
    )
    found = Parameters(*best.parameters)
    flags = best.at_bounds(Parameters._fields)
    if found.q <= 1:
        flags.append("amounts_without_mean")
    return Fit(found, best.log_likelihood, tuple(flags))
