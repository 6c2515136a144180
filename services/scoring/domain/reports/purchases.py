"""What kind each purchase day is, and who comes back to buy a second time."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from enum import StrEnum

from services.scoring.domain.reports.proportions import Rate, rate

ADD_ON_DAYS = 30


class PurchaseKind(StrEnum):
    """What a purchase day is. The first that fits, in this order, is it; every purchase day is exactly one."""

    REFERRED = "referred"
    """The first one of somebody who was recommended to us up to that day."""
    FIRST = "first"
    """The first one of anybody else."""
    UPGRADE = "upgrade"
    """Worth more than every one before it."""
    ADD_ON = "add_on"
    """Again within so many days after the one before it."""
    REPEAT = "repeat"
    """Any other."""


def purchase_kinds(
    days: Sequence[int], gross: Mapping[int, int], referred: Sequence[int], add_on_days: int = ADD_ON_DAYS
) -> list[PurchaseKind]:
    """The kind of each purchase day (ordinals, rising).

    `gross` has what was bought on a day, in the reporting currency: a day that it does not have, as there is no rate,
    is never an upgrade. `referred` are the days on which the party was recommended to us, rising.
    """
    found: list[PurchaseKind] = []
    most: int | None = None
    for place, day in enumerate(days):
        worth = gross.get(day)
        if place == 0:
            found.append(PurchaseKind.REFERRED if bisect_right(referred, day) else PurchaseKind.FIRST)
        elif worth is not None and most is not None and worth > most:
            found.append(PurchaseKind.UPGRADE)
        elif day - days[place - 1] <= add_on_days:
            found.append(PurchaseKind.ADD_ON)
        else:
            found.append(PurchaseKind.REPEAT)
        if worth is not None:
            most = worth if most is None else max(most, worth)
    return found


class KindsByMonth:
    """How many purchase days of each kind a month had, and what was bought on them."""

    def __init__(self, since: date, until: date, add_on_days: int = ADD_ON_DAYS) -> None:
        """Both days are counted."""
        self.since, self.until, self.add_on_days = since.toordinal(), until.toordinal(), add_on_days
        self.count: defaultdict[tuple[date, PurchaseKind], int] = defaultdict(int)
        self.amount_minor: defaultdict[tuple[date, PurchaseKind], int] = defaultdict(int)

    def take(self, days: Sequence[int], gross: Mapping[int, int], referred: Sequence[int]) -> None:
        """One party more; its days are those of `purchase_kinds`, also the ones before `since`."""
        if not days or days[-1] < self.since or days[0] > self.until:
            return
        kinds = purchase_kinds(days, gross, referred, self.add_on_days)
        for place in range(bisect_left(days, self.since), bisect_right(days, self.until)):
            key = month(days[place]), kinds[place]
            self.count[key] += 1
            self.amount_minor[key] += gross.get(days[place], 0)

    def months(self) -> list[date]:
        """The first days of the months that have any, rising."""
        return sorted({month for month, _ in self.count})

    def shares(self, of: date) -> dict[PurchaseKind, Rate]:
        """The share of each kind in the purchase days of a month, every kind named."""
        total = sum(self.count[of, kind] for kind in PurchaseKind)
        return {kind: rate(self.count[of, kind], total) for kind in PurchaseKind}


class SecondPurchases:
    """Of those who bought for the first time in a month, who bought again within so many days.

    Only who could be watched for all these days counts: whoever bought first so late that they are not over is young.
    """

    def __init__(self, since: date, until: date, *, within_days: int, known: int) -> None:
        """First purchases from one day up to and including another; nothing after the day `known` is known."""
        self.since, self.until, self.within_days, self.known = since.toordinal(), until.toordinal(), within_days, known
        self.first: defaultdict[date, int] = defaultdict(int)
        self.young: defaultdict[date, int] = defaultdict(int)
        self.again: defaultdict[date, int] = defaultdict(int)

    def take(self, days: Sequence[int]) -> None:
        """One party more, by its purchase days (ordinals, rising)."""
        if not days or not self.since <= days[0] <= self.until:
            return
        cohort = month(days[0])
        self.first[cohort] += 1
        if days[0] + self.within_days > self.known:
            self.young[cohort] += 1
        elif len(days) > 1 and days[1] - days[0] <= self.within_days:
            self.again[cohort] += 1

    def rate(self, cohort: date) -> Rate:
        """The second-purchase rate of a month."""
        return rate(self.again[cohort], self.first[cohort] - self.young[cohort])

    def whole(self) -> Rate:
        """That of all months together."""
        return rate(sum(self.again.values()), sum(self.first.values()) - sum(self.young.values()))


def month(day: int) -> date:
    """The first day of the month of a day."""
    return date.fromordinal(day).replace(day=1)
