"""A calendar read under a ruling: what it says of any day."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import accumulate

from contracts.scoring import Stage, Tier
from services.scoring.domain.calendar import Calendar
from services.scoring.domain.facts import Kind
from services.scoring.domain.policy import Ruling


class History:
    """Days are ordinals. What happens on a day holds on that whole day; days after the one asked for do not count."""

    __slots__ = ("_money_days", "_net", "_spend", "days", "policy", "purchase_days", "ruling", "unconverted")

    def __init__(self, calendar: Calendar, ruling: Ruling) -> None:
        self.ruling = ruling
        self.policy = ruling.policy
        self.days = sorted({day for day, *_ in calendar.entries})
        """Days on which anything happened."""
        self.purchase_days = sorted({day for day, kind, *_ in calendar.entries if kind == Kind.PURCHASE})
        self.unconverted: dict[tuple[int, str], int] = {}
        """Net amounts by day and currency for which there is no rate: they are left out."""
        net: dict[int, int] = {}
        spend: dict[int, int] = {}
        for day, kind, currency, _, amount in calendar.entries:
            if kind not in (Kind.PURCHASE, Kind.RETURN):
                continue
            sign = 1 if kind == Kind.PURCHASE else -1
            converted = ruling.rates.converted(amount, currency, day)
            if converted is None:
                self.unconverted[day, currency] = self.unconverted.get((day, currency), 0) + sign * amount
                continue
            net[day] = net.get(day, 0) + sign * converted
            spend[day] = spend.get(day, 0) + (converted if sign > 0 else 0)
        self._money_days = sorted(net)
        self._net = [0, *accumulate(net[day] for day in self._money_days)]
        self._spend = [0, *accumulate(spend[day] for day in self._money_days)]

    def stage(self, day: int) -> Stage | None:
        """The stage on a day; None before anything happened."""
        last = self.last_purchase(day)
        if last is None:
            return Stage.STRANGER if self.days and self.days[0] <= day else None
        silent = day - last
        if silent > self.policy.lost_after_days:
            return Stage.LOST_CUSTOMER
        return Stage.DORMANT_CUSTOMER if silent > self.policy.dormant_after_days else Stage.CUSTOMER

    def tier(self, day: int) -> Tier | None:
        """The tier on a day; None before anything happened."""
        if self.last_purchase(day) is not None:
            return self.ruling.cuts.tier(self.value(day))
        return Tier.UNPROVEN if self.days and self.days[0] <= day else None

    def value(self, day: int) -> int:
        """Net turnover of the window that ends with the day."""
        low = bisect_right(self._money_days, day - self.policy.turnover_days)
        return self._net[max(bisect_right(self._money_days, day), low)] - self._net[low]

    def spend(self, day: int) -> int:
        """Gross purchases up to the day."""
        return self._spend[bisect_right(self._money_days, day)]

    def last_purchase(self, day: int) -> int | None:
        """The last purchase day up to the day."""
        count = self.purchases(day)
        return self.purchase_days[count - 1] if count else None

    def purchases(self, day: int) -> int:
        """How many days up to the day had a purchase."""
        return bisect_right(self.purchase_days, day)

    def since(self, day: int) -> int | None:
        """The first day of the stage that holds on the day."""
        count = self.purchases(day)
        match self.stage(day):
            case None:
                return None
            case Stage.STRANGER:
                return self.days[0]
            case Stage.DORMANT_CUSTOMER:
                return self.purchase_days[count - 1] + self.policy.dormant_after_days + 1
            case Stage.LOST_CUSTOMER:
                return self.purchase_days[count - 1] + self.policy.lost_after_days + 1
            case _:
                first = count - 1
                # Whoever buys on the very day of turning dormant never was.
                bridged = self.policy.dormant_after_days + 1
                while first and self.purchase_days[first] - self.purchase_days[first - 1] <= bridged:
                    first -= 1
                return self.purchase_days[first]

    def turning_days(self, after: int | None = None) -> Iterator[int]:
        """The days on which stage or tier may change, in order: what happens, what falls silent, what falls out."""
        if after is None:
            after = self.days[0] - 1 if self.days else 0
        turning = set(self.days[bisect_right(self.days, after) :])
        for offset, days in (
            (self.policy.dormant_after_days + 1, self.purchase_days),
            (self.policy.lost_after_days + 1, self.purchase_days),
            (self.policy.turnover_days, self._money_days),
        ):
            turning.update(day + offset for day in days[bisect_left(days, after + 1 - offset) :])
        return iter(sorted(turning))
