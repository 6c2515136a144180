"""The bands of satisfaction and loyalty of many parties, each on the day on which it is looked at; see `evidence`."""

from typing import NamedTuple

import numpy as np

from contracts.scoring import Band
from services.scoring.domain.crowd.columns import DAYS, Columns, distinct, starts, sums
from services.scoring.domain.crowd.falls import near
from services.scoring.domain.crowd.paths import last, taken
from services.scoring.domain.evidence import (
    ANNIVERSARY,
    ASKING,
    LATE,
    OVERDUE,
    PLACE_OF_KIND,
    REACHED,
    REPEATED,
    UPGRADE,
    YEAR,
)
from services.scoring.domain.facts import Kind
from services.scoring.domain.likelihood import Numbers, Whole
from services.scoring.domain.policy import Index, Policy
from services.scoring.domain.rounding import Holds, edge

BANDS = tuple(Band)
"""By their codes."""
LOW, MIDDLE, HIGH, UNKNOWN = (BANDS.index(band) for band in (Band.LOW, Band.MIDDLE, Band.HIGH, Band.UNKNOWN))
FARTHEST = 700
"""Log-odds beyond which the index is 0 or 100 to many more decimals than are shown."""
EPOCH = 719_163
"""The ordinal of 1970-01-01."""


class Pieces(NamedTuple):
    """Pieces of evidence in any order: the day on which each enters, its place in `Evidence`, how often."""

    keys: Whole
    places: Whole
    counts: Whole


def pieces(columns: Columns, policy: Policy) -> Pieces:
    """All evidence that has entered by the day on which each party is looked at."""
    place_of = np.full(len(Kind) + 1, -1)
    place_of[list(PLACE_OF_KIND)] = list(PLACE_OF_KIND.values())
    places = place_of[columns.kinds]
    told = places >= 0
    again = columns.nth > 0
    found = [
        (columns.keys[told], places[told], columns.counts[told]),
        *(
            (keys, np.full(len(keys), place), np.ones_like(keys))
            for keys, place in (
                (columns.bought[again], REPEATED),
                (columns.bought[again & _more_than_before(columns)], UPGRADE),
                (_anniversaries(columns), ANNIVERSARY),
                (_late(columns, policy.answer_within_days), LATE),
            )
        ),
        _overdue(columns, policy.problem_limit_days),
    ]
    keys, places, counts = (np.concatenate(column) for column in zip(*found, strict=True))
    entered = keys <= columns.until[keys // DAYS]
    return Pieces(keys[entered], places[entered], counts[entered])


def bands(columns: Columns, of: Pieces, index: Index) -> tuple[Whole, Holds]:
    """The code of the band of each party at the end, and where that is unsure."""
    weights = np.array([np.nan if weight is None else weight for weight in index.by_place])[of.places]
    counting = ~np.isnan(weights)
    parties, parts = (of.keys // DAYS)[counting], len(columns.until)
    left = of.counts[counting] * np.exp2((of.keys - columns.until[of.keys // DAYS])[counting] / index.half_life_days)
    amount: Numbers = np.bincount(parties, left, parts).astype(np.float64)
    log_odds = np.clip(np.bincount(parties, left * weights[counting], parts), -FARTHEST, FARTHEST)
    said: Numbers = 100 / (1 + np.exp(-log_odds))
    least = edge(index.min_evidence, 3)
    low, high = edge(index.low_below, 1), edge(index.high_from, 1)
    found = np.where(said < low, LOW, np.where(said < high, MIDDLE, HIGH))
    unsure = near(said, low) | near(said, high) | near(amount, least)
    return np.where(amount < least, UNKNOWN, found), unsure


def _more_than_before(columns: Columns) -> Holds:
    """Which purchase days are worth more than every one before them; the first one of a party is."""
    _, ranks = np.unique(columns.gross, return_inverse=True)
    parties = columns.bought // DAYS
    most = np.maximum.accumulate(parties * (len(ranks) + 1) + ranks)
    return np.diff(most, prepend=-1) > 0


def _anniversaries(columns: Columns) -> Whole:
    bought = columns.bought
    firsts, parties = np.flatnonzero(columns.nth == 0), np.unique(bought // DAYS)
    latest = bought[np.append(firsts[1:], len(bought)) - 1] if len(bought) else bought
    ends = np.minimum(latest + YEAR, columns.until[parties])
    years = np.maximum((ends - bought[firsts]) // YEAR, 0)
    whose = np.repeat(np.arange(len(firsts)), years)
    nth = np.arange(len(whose)) - starts(whose * DAYS) + 1
    keys = parties[whose] * DAYS + _after_years(bought[firsts][whose] % DAYS, nth)
    place = last(bought, keys - 1)
    return np.asarray(keys[(keys <= ends[whose]) & (taken(bought, place, 0) >= keys - YEAR)])


def _after_years(days: Whole, years: Whole) -> Whole:
    """The same days so many years later; of a leap day the first of March where there is none."""
    dates = (days - EPOCH).astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    in_month = (dates - months.astype("datetime64[D]")).astype(np.int64)
    begins = (months + 12 * years).astype("datetime64[D]").astype(np.int64)
    return np.asarray(begins + in_month + EPOCH)


def _late(columns: Columns, within_days: int) -> Whole:
    asked, reached = columns.of_kinds(ASKING), columns.of_kinds((REACHED,))
    # Nobody's days reach so far that an answer to somebody else could be taken for one to them.
    answer = np.append(reached, np.iinfo(np.int64).max)[np.searchsorted(reached, asked)]
    return asked[answer > asked + within_days] + within_days + 1


def _overdue(columns: Columns, limit_days: int) -> tuple[Whole, Whole, Whole]:
    opens, solves = columns.kinds == Kind.PROBLEM_OPENED, columns.opened >= 0
    days = distinct(columns.keys[opens])
    in_time = solves & (columns.keys <= columns.opened + limit_days)
    order = np.argsort(columns.opened[in_time])
    left = sums(days, columns.keys[opens], columns.counts[opens]) - sums(
        days, columns.opened[in_time][order], columns.counts[in_time][order]
    )
    return days[left > 0] + limit_days + 1, np.full(np.count_nonzero(left > 0), OVERDUE), left[left > 0]
