"""Shares of a whole, with the uncertainty that their size leaves."""

from math import sqrt

import msgspec
import numpy as np
from numpy.typing import NDArray

Z = 1.959963984540054
"""The normal quantile of an interval that holds in 95 of 100 cases."""


class Rate(msgspec.Struct, frozen=True):
    """So many of so many, and between what the true share lies in 95 of 100 cases."""

    hits: int
    of: int
    share: float | None
    """Rounded to 4 decimals, as the interval is; None of nobody."""
    low: float | None
    high: float | None


def rate(hits: int, of: int) -> Rate:
    """A share with its score interval (Wilson 1927), which holds for few and for shares near 0 and 1 too."""
    if of == 0:
        return Rate(0, 0, None, None, None)
    low, high = wilson(hits, of)
    return Rate(hits, of, round(hits / of, 4), round(low, 4), round(high, 4))


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The score interval of a share of at least one (Wilson 1927)."""
    share, square = hits / of, Z * Z
    middle = (share + square / (2 * of)) / (1 + square / of)
    half = Z / (1 + square / of) * sqrt(share * (1 - share) / of + square / (4 * of * of))
    # Of all and of none the bound is the share itself, which sums of floats miss by a hair.
    return (0.0 if hits == 0 else middle - half), (1.0 if hits == of else middle + half)


class Comparison(msgspec.Struct, frozen=True):
    """How much larger one share is than another."""

    difference: float
    """The first less the second, rounded to 4 decimals, as the interval is."""
    low: float
    high: float
    p_value: float
    """How often chance alone makes a difference that is as unlikely as this one or more so (Fisher's exact test)."""


def compared(hits: int, of: int, other_hits: int, other_of: int) -> Comparison | None:
    """Two independent shares, with the interval of their difference from their score intervals (Newcombe 1998).

    None where one of them is of nobody.
    """
    if not (of and other_of):
        return None
    one, other = hits / of, other_hits / other_of
    (low, high), (other_low, other_high) = wilson(hits, of), wilson(other_hits, other_of)
    return Comparison(
        difference=round(one - other, 4),
        low=round(one - other - sqrt((one - low) ** 2 + (other_high - other) ** 2), 4),
        high=round(one - other + sqrt((high - one) ** 2 + (other - other_low) ** 2), 4),
        p_value=round(fisher(hits, of, other_hits, other_of), 6),
    )


def fisher(hits: int, of: int, other_hits: int, other_of: int) -> float:
    """How likely all tables with these margins are that are no likelier than this one: Fisher's exact test."""
    total, both = of + other_of, hits + other_hits
    possible = np.arange(max(0, both - other_of), min(both, of) + 1)
    likelihood = _chosen(of, possible) + _chosen(other_of, both - possible) - _chosen(total, np.asarray([both]))
    here = likelihood[hits - possible[0]]
    # Tables that are equally likely differ by rounding alone.
    return float(min(1.0, np.exp(likelihood[likelihood <= here + 1e-7]).sum()))


def _chosen(of: int, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
    from scipy.special import gammaln

    ways: NDArray[np.float64] = gammaln(of + 1) - gammaln(chosen + 1) - gammaln(of - chosen + 1)
    return ways


def at_least(hits: int, of: int, share: float) -> float:
    """How likely so many of so many or more are where each comes with a probability (binomial distribution)."""
    # Not with the module: a process that answers no report needs none of it, and it takes a while to load.
    from scipy.special import bdtrc

    return 1.0 if hits == 0 else float(bdtrc(hits - 1, of, share))


def median(counts: dict[int, int]) -> float | None:
    """The middle of whole numbers, of which is told how often each occurs; None of none."""
    of = sum(counts.values())
    if of == 0:
        return None
    low, high = _nth(counts, (of - 1) // 2), _nth(counts, of // 2)
    return (low + high) / 2


def _nth(counts: dict[int, int], place: int) -> int:
    for number in sorted(counts):
        place -= counts[number]
        if place < 0:
            return number
    raise AssertionError("unreachable")
