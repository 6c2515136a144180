"""What many parties did for or against an index, and what it comes to: as `evidence` and `Fading` have it of one."""

from typing import NamedTuple

import numpy as np

from services.scoring.domain.columns import EPOCH, NEVER, SPAN, Columns, Days, TooLarge
from services.scoring.domain.evidence import (
    ANNIVERSARY,
    ASKING,
    BOUGHT,
    COMPLAINED,
    LATE,
    PLACE_OF_KIND,
    REACHED,
    REPEATED,
    UPGRADE,
    YEAR,
)
from services.scoring.domain.fading import FARTHEST
from services.scoring.domain.indexes import Index
from services.scoring.domain.likelihood import Numbers, Whole
from services.scoring.domain.policy import Policy
from services.scoring.domain.rounding import Holds, edge, near_half

LOW, MIDDLE, HIGH, UNKNOWN = range(4)
"""Places in `Band`."""
_PLACES = np.full(64, -1)
_PLACES[list(PLACE_OF_KIND)] = list(PLACE_OF_KIND.values())


class Pieces(NamedTuple):
    """Evidence that enters: of whom, on which day, its place in `Evidence`, how often."""

    party: Whole
    day: Whole
    what: Whole
    times: Whole


def pieces(of: Columns, bought: Days, gross: Whole, policy: Policy) -> Pieces:
    """All evidence, in no order; what follows from problems is left out. Raises `TooLarge`."""
    counted = _PLACES[of.kind] >= 0
    found = [
        Pieces(of.party[counted], of.day[counted], _PLACES[of.kind[counted]], of.times[counted]),
        _once(*_late(of, policy.answer_within_days), LATE),
        *_repeated(bought, gross),
        _once(*_anniversaries(bought), ANNIVERSARY),
    ]
    return Pieces(*(np.concatenate(column) for column in zip(*found, strict=True)))


def _once(party: Whole, day: Whole, what: int) -> Pieces:
    return Pieces(party, day, np.full(len(party), what), np.ones(len(party), np.int64))


def _late(of: Columns, within_days: int) -> tuple[Whole, Whole]:
    complains, reached = of.kind == COMPLAINED, (of.kind == REACHED) & ~of.aside
    asks = np.isin(of.kind, list(ASKING)) & ~complains & ~of.aside
    late = np.union1d(
        _unanswered(of.days(complains).keys, of.days(reached).keys, within_days),
        _unanswered(of.days(asks).keys, of.days(reached | (of.kind == BOUGHT)).keys, within_days),
    )
    return late // SPAN, late % SPAN + within_days + 1


def _unanswered(asked: Whole, answers: Whole, within_days: int) -> Whole:
    answers = np.append(answers, np.iinfo(np.int64).max)
    return asked[answers[np.searchsorted(answers, asked)] > asked + within_days]


def _repeated(bought: Days, gross: Whole) -> tuple[Pieces, Pieces]:
    most = int(gross.max(initial=0)) + 1
    if most * len(bought.begin) >= np.iinfo(np.int64).max:
        raise TooLarge
    # Each party lies above the one before it, so that what accumulates begins anew with it.
    above = bought.party * most
    before = np.maximum.accumulate(gross + above) - above
    again = np.flatnonzero(bought.place > 0)
    upgraded = again[gross[again] > before[again - 1]]
    return (
        _once(bought.party[again], bought.day[again], REPEATED),
        _once(bought.party[upgraded], bought.day[upgraded], UPGRADE),
    )


def _anniversaries(bought: Days) -> tuple[Whole, Whole]:
    party = np.flatnonzero(bought.number)
    first, end = bought.first[party], bought.last[party] + YEAR
    date = (first - EPOCH).astype("datetime64[D]")
    month = date.astype("datetime64[M]")
    # The day behind 28 February is the first of March where there is no 29th.
    within = (date - month.astype("datetime64[D]")).astype(np.int64)
    parties: list[Whole] = [party[:0]]
    days: list[Whole] = [party[:0]]
    year = 0
    while len(party):
        year += 1
        begin = (month.astype(np.int64) + 12 * year).astype("datetime64[M]").astype("datetime64[D]")
        day = begin.astype(np.int64) + within + EPOCH
        left = day <= end
        party, end, month, within, day = party[left], end[left], month[left], within[left], day[left]
        last = bought.day[np.searchsorted(bought.keys, party * SPAN + day) - 1] if len(party) else party
        kept = last >= day - YEAR
        parties.append(party[kept])
        days.append(day[kept])
    return np.concatenate(parties), np.concatenate(days)


class Faded(NamedTuple):
    """An index of each party."""

    value: Numbers
    """From 0 to 100, to one decimal."""
    amount: Numbers
    """How much evidence is left, to three decimals."""
    band: Whole
    """A place in `Band`."""
    turn: Whole
    """The first later day with another band, if nothing happens; `NEVER` where it stays."""
    doubtful: Holds
    """Where noise could turn a rounding."""


class Fadings:
    """One index of parties that are numbered from 0 on."""

    def __init__(self, of: Pieces, index: Index) -> None:
        weights = np.array([np.nan if weight is None else weight for weight in index.by_place])
        weight = weights[of.what]
        counts = ~np.isnan(weight)
        self._party, self._day, self._times = of.party[counts], of.day[counts], of.times[counts].astype(np.float64)
        self._says = weight[counts] * self._times
        self._half = index.half_life_days
        self._least, self._low, self._high = (
            edge(index.min_evidence, 3), edge(index.low_below, 1), edge(index.high_from, 1)
        )  # fmt: skip

    def on(self, day: Whole) -> Faded:
        """The index on a day of each party."""
        known = self._day <= day[self._party]
        said, amount = self._sums(known, day, len(day))
        band, doubtful = self._band(said, amount)
        turn, unsure = self._turn(~known, day, said, amount, band)
        value, left = np.rint(_hundred(said) * 10) / 10, np.rint(amount * 1000) / 1000
        return Faded(value, left, band, turn, doubtful | unsure)

    def band(self, day: Whole) -> tuple[Whole, Holds]:
        """The band on a day of each party, a place in `Band`, and where noise could turn it."""
        return self._band(*self._sums(self._day <= day[self._party], day, len(day)))

    def _sums(self, rows: Holds, day: Whole, parties: int) -> tuple[Numbers, Numbers]:
        party = self._party[rows]
        left = np.exp2((self._day[rows] - day[party]) / self._half)
        sums = (np.bincount(party, says[rows] * left, parties) for says in (self._says, self._times))
        said, amount = (np.asarray(sum_, dtype=np.float64) for sum_ in sums)
        return said, amount

    def _band(self, said: Numbers, amount: Numbers) -> tuple[Whole, Holds]:
        value = _hundred(said)
        band = np.where(value < self._low, LOW, np.where(value < self._high, MIDDLE, HIGH))
        doubtful = near_half(value * 10) | near_half(amount * 1000)
        return np.where(amount < self._least, UNKNOWN, band), doubtful

    def _turn(self, coming: Holds, day: Whole, said: Numbers, amount: Numbers, band: Whole) -> tuple[Whole, Holds]:
        turn, doubtful = np.full(len(day), NEVER), np.zeros(len(day), np.bool_)
        until = day + FARTHEST + 1
        who = np.arange(len(day))
        after, ahead = day, np.flatnonzero(coming)
        while len(who):
            enters = until.copy()
            np.minimum.at(enters, self._party[ahead], self._day[ahead])
            fades, unsure = self._fades(said, amount, band)
            faded = after[who] + fades
            found = faded < enters[who]
            doubtful[who] |= unsure
            turn[who[found]] = faded[found]
            more = ~found & (enters[who] < until[who])
            who, said, amount, band = who[more], said[more], amount[more], band[more]
            if not len(who):
                break
            left = np.exp2((after[who] - enters[who]) / self._half)
            now = ahead[self._day[ahead] == enters[self._party[ahead]]]
            said = said * left + np.bincount(self._party[now], self._says[now], len(day))[who]
            amount = amount * left + np.bincount(self._party[now], self._times[now], len(day))[who]
            then, unsure = self._band(said, amount)
            doubtful[who] |= unsure
            other = then != band
            turn[who[other]] = enters[who[other]]
            after = enters
            who, said, amount, band = who[~other], said[~other], amount[~other], band[~other]
            ahead = ahead[self._day[ahead] > enters[self._party[ahead]]]
        return turn, doubtful

    def _fades(self, said: Numbers, amount: Numbers, band: Whole) -> tuple[Whole, Holds]:
        """So many days on, if no evidence enters, the band is another one; `NEVER` where it stays."""
        low, high = _log_odds(self._low), _log_odds(self._high)
        falls, rises = np.array([0.0, low, high, 0.0])[band], np.array([low, high, 0.0, 0.0])[band]
        # Everything fades toward the middle, where log-odds are zero, and gets to no edge behind it.
        at = np.where(said > 0, np.maximum(falls, 0.0), np.minimum(rises, 0.0))
        with np.errstate(divide="ignore", invalid="ignore"):
            days = np.minimum(self._days_to(said / at), self._days_to(amount / self._least))
        days = np.where((band == UNKNOWN) | ~(days < NEVER), NEVER, days)
        # What is compared is rounded: where little fades in a day, that is days off from where the edge is passed.
        left = np.exp2(-np.rint(days) / self._half)
        _, unsure = self._band(said * left, amount * left)
        doubtful = (days < NEVER) & (unsure | (days < 0))
        return np.where(days < NEVER, np.floor(days) + 1, NEVER).astype(np.int64), doubtful

    def _days_to(self, times: Numbers) -> Numbers:
        """Until so many times what is left is left; infinite where it does not come to that."""
        return np.where(np.isfinite(times) & (times > 0), self._half * np.log2(times), np.inf)


def _hundred(log_odds: Numbers) -> Numbers:
    return np.asarray(100 / (1 + np.exp(-np.clip(log_odds, -700, 700))))


def _log_odds(hundred: float) -> float:
    return float(np.log(hundred / (100 - hundred)))
