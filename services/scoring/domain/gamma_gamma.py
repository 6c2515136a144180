"""How much a purchase day brings: Gamma-Gamma.

The amounts of one party are Gamma(p, nu), and nu, which sets the mean of its amounts, is spread over the population as
Gamma(q, v). How much somebody pays is taken to be independent of how often they buy.
Fader, Hardie (2013), "The Gamma-Gamma Model of Monetary Value", http://brucehardie.com/notes/025/.

`n` counts the days on which somebody paid more than nothing, `paid` is the sum of these amounts. `paid` and v are in
one unit, here minor units of the reporting currency.
"""

from typing import NamedTuple

import numpy as np

from services.scoring.domain.likelihood import FEWEST, LogLikelihood, Numbers, Observed, Whole, dot, maximum


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
    """Too few who paid on several days: their parties are worth their turnover."""

    payers: int
    needed: int


def expected_amount(of: Parameters, n: Whole, paid: Whole) -> Numbers:
    """The amount to expect of one more purchase day, for q above 1: the mean of all where n is 0.

    p (v + paid) / (p n + q - 1), eq. (5) of the note: the mean of all and the own one, weighted by (q - 1) and p n.
    """
    p, q, v = of
    return np.asarray(p * (v + paid) / (p * n + q - 1))


class Rows(NamedTuple):
    """A population with identical rows merged, in one order whatever that of the people is."""

    n: Whole
    paid: Whole
    number: Whole
    """How many people there are of each row."""


def merged(n: Whole, paid: Whole) -> Rows:
    """Each different row once; those who paid nothing are left out."""
    payers = (n > 0) & (paid > 0)
    n, paid = n[payers], paid[payers]
    span = int(paid.max(initial=0)) + 1
    if (int(n.max(initial=0)) + 1) * span < 2**63:
        keys, number = np.unique(n * span + paid, return_counts=True)
        return Rows(*np.divmod(keys, span), number)
    # Sums so large that no number holds both: slower, and never met among people.
    (n, paid), number = np.unique(np.stack((n, paid)), axis=1, return_counts=True)
    return Rows(n, paid, number)


def log_likelihood(of: Rows) -> LogLikelihood:
    """The function from (p, q, v) to the log-likelihood of amounts and its gradient by these.

    The logarithm of eq. (1a) of the note, the density of the mean paid / n.
    """
    from scipy.special import digamma, gammaln

    n, money, number = (column.astype(np.float64) for column in of)
    parties, days = number.sum(), number * n
    times = np.arange(int(n.max()) + 1)[1:]
    by_n = np.bincount(of.n, weights=number)[1:]
    sum_n_log, sum_log_mean = dot(days, np.log(money)), dot(number, np.log(money / n))

    def at(parameters: Numbers) -> tuple[float, Numbers]:
        p, q, v = parameters
        both = v + money
        log_both, inverse = np.log(both), 1 / both
        sum_log, sum_n_log_both = dot(number, log_both), dot(days, log_both)
        value = (
            dot(by_n, gammaln(p * times + q) - gammaln(p * times))
            + parties * (q * np.log(v) - gammaln(q))
            + p * (sum_n_log - sum_n_log_both)
            - sum_log_mean
            - q * sum_log
        )
        pull = digamma(p * times + q)
        gradient = (
            dot(by_n * times, pull - digamma(p * times)) + sum_n_log - sum_n_log_both,
            dot(by_n, pull) + parties * (np.log(v) - digamma(q)) - sum_log,
            parties * q / v - p * dot(days, inverse) - q * dot(number, inverse),
        )
        return float(value), np.array(gradient)

    return at


SAMPLE = 10_000
"""Different rows on which the search begins, before it goes on with all."""


def fit(n: Whole, paid: Whole, fewest: int = FEWEST) -> Fit | NotEnough:
    """The likeliest parameters for a population: one row for each; those who paid nothing are left out.

    It takes so many that paid on several days.
    """
    rows = merged(n, paid)
    several = int(rows.number[rows.n > 1].sum())
    if several < fewest:
        return NotEnough(several, fewest)
    mean = float((rows.number * rows.paid).sum() / (rows.number * rows.n).sum())
    bounds = np.array([(1e-2, 1e4), (1e-2, 1e4), (mean * 1e-4, mean * 1e4)])
    every = max(1, len(rows.n) // SAMPLE)
    some = Rows(*(column[::every] for column in rows))
    starts = ((1, 2, mean), (5, 4, mean / 2))
    best = maximum(_observed(rows), _observed(some), starts, bounds)
    found = Parameters(*best.parameters)
    flags = best.at_bounds(Parameters._fields)
    if found.q <= 1:
        flags.append("amounts_without_mean")
    return Fit(found, best.log_likelihood, tuple(flags))


def _observed(of: Rows) -> Observed:
    return Observed(log_likelihood(of), float(of.number.sum()))
