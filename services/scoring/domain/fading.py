"""What evidence comes to on any day.

index(day) = 100 * sigmoid(sum over earlier days and the day itself of weight * count * 2^(-age / half-life))
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from math import exp, exp2, inf, log, log2

from contracts.scoring import Band
from services.scoring.domain.evidence import Piece
from services.scoring.domain.indexes import Index
from services.scoring.domain.reading import cut

NOISE = 9
"""Decimals that are exact whatever the order in which a sum was made; what is shown is rounded from these."""
NEVER = 10_000_000
"""Days that do not come."""
FARTHEST = 36_500
"""So many days ahead it is looked for what fades."""


class Fading:
    """One index of one party: running sums over the days on which evidence enters, faded to the day that is asked."""

    __slots__ = ("_amounts", "_log_odds", "days", "index")

    def __init__(
        self,
        pieces: Sequence[Piece],
        index: Index,
        like: "Fading | None" = None,
        since: int = 0,
        *,
        spent: bool = False,
    ) -> None:
        """`like` is what comes of pieces that are the same on the days before `since`; see `Reading`."""
        self.index = index
        self.days: list[int] = []
        """The days on which evidence enters."""
        self._log_odds: list[float] = []
        self._amounts: list[float] = []
        if like is not None:
            place = bisect_left(like.days, since)
            self.days, pieces = cut(like.days, place, spent=spent), pieces[bisect_left(pieces, (since,)) :]
            self._log_odds, self._amounts = (cut(sums, place, spent=spent) for sums in (like._log_odds, like._amounts))
        if pieces:
            self._sum(pieces)

    def _sum(self, pieces: Iterable[Piece]) -> None:
        weights, half_life_days = self.index.by_place, self.index.half_life_days
        days, sums, amounts = self.days, self._log_odds, self._amounts
        log_odds = amount = 0.0
        eve = 0
        if days:
            eve, log_odds, amount = days.pop(), sums.pop(), amounts.pop()
        for day, place, count in pieces:
            weight = weights[place]
            if weight is None:
                continue
            if day != eve:
                if eve:
                    days.append(eve)
                    sums.append(log_odds)
                    amounts.append(amount)
                    left = exp2((eve - day) / half_life_days)
                    log_odds *= left
                    amount *= left
                eve = day
            log_odds += weight * count
            amount += count
        if eve:
            days.append(eve)
            sums.append(log_odds)
            amounts.append(amount)

    def value(self, day: int) -> float:
        """The index on a day, from 0 to 100, to one decimal; 50 without evidence."""
        place = bisect_right(self.days, day) - 1
        return 50.0 if place < 0 else _value(self._log_odds[place] * self._left(day - self.days[place]))

    def amount(self, day: int) -> float:
        """How much evidence is left on a day, to three decimals."""
        place = bisect_right(self.days, day) - 1
        return 0.0 if place < 0 else _amount(self._amounts[place] * self._left(day - self.days[place]))

    def band(self, day: int) -> Band:
        """Where the index lies on a day; unknown where too little evidence is left."""
        place = bisect_right(self.days, day) - 1
        if place >= 0:
            return self._band(place, day)
        return Band.UNKNOWN if self.index.min_evidence > 0 else self.index.graded(50.0)

    def _band(self, place: int, day: int) -> Band:
        """The same, if nothing enters behind an entry of evidence."""
        index, left = self.index, self._left(day - self.days[place])
        if _amount(self._amounts[place] * left) < index.min_evidence:
            return Band.UNKNOWN
        return index.graded(_value(self._log_odds[place] * left))

    def fades(self, day: int, until: int) -> int | None:
        """The first day between two on which the band is another, where no evidence enters; None where it stays."""
        place = bisect_right(self.days, day) - 1
        if place < 0 or until - day <= 1:
            return None
        begun = self._band(place, day)
        if begun is Band.UNKNOWN:
            return None

        def faded(day: int) -> bool:
            return self._band(place, day) is not begun

        # Looked for about the day that exact arithmetic gives; the rounded one decides.
        low, high = day + 1, until
        likely = self.days[place] + self._lasts(place, begun)
        for near in (likely - 1, likely + 2):
            if low <= near < high:
                low, high = (low, near) if faded(near) else (near + 1, high)
        found = bisect_left(range(high), True, low, high, key=faded)
        return found if found < until else None

    def _lasts(self, place: int, band: Band) -> int:
        """About how many days after an entry of evidence the band ends; `NEVER` where it does not."""
        index, said = self.index, abs(self._log_odds[place])
        left = index.min_evidence / self._amounts[place]
        if band is not Band.MIDDLE:
            share = (index.high_from if band is Band.HIGH else index.low_below) / 100
            left = max(left, abs(log(share / (1 - share))) / said if said else 0.0)
        return int(index.half_life_days * -log2(left)) if 0 < left < inf else NEVER

    def _left(self, days: int) -> float:
        return exp2(-days / self.index.half_life_days)


def _value(log_odds: float) -> float:
    return round(round(100.0 * _sigmoid(log_odds), NOISE), 1)


def _amount(evidence: float) -> float:
    return round(round(evidence, NOISE), 3)


def _sigmoid(log_odds: float) -> float:
    if log_odds >= 0:
        return 1 / (1 + exp(-log_odds))
    return exp(max(log_odds, -700.0)) / (1 + exp(max(log_odds, -700.0)))
