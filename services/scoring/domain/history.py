"""A calendar read under a ruling: what it says of any day."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from heapq import merge

from contracts.scoring import Stage, Tier
from services.scoring.domain.calendar import Calendar
from services.scoring.domain.facts import Kind
from services.scoring.domain.policy import Ruling

Outcome = tuple[Stage | None, Tier | None]
"""The discrete part of a standing, whose change is a move."""
NOWHERE: Outcome = (None, None)
"""No standing."""


class History:
    """Days are ordinals. What happens on a day holds on that whole day; days after the one asked for do not count."""

    __slots__ = ("_net", "_spend", "days", "money_days", "policy", "purchase_days", "ruling", "unconverted")

    def __init__(self, calendar: Calendar, ruling: Ruling) -> None:
        self.ruling = ruling
        self.policy = ruling.policy
        self.days: list[int] = []
        """Days on which anything happened."""
        self.purchase_days: list[int] = []
        self.unconverted: dict[tuple[int, str], int] = {}
        """Net amounts by day and currency for which there is no rate: they are left out."""
        self.money_days: list[int] = []
        """Days with money that counts."""
        self._net = [0]
        self._spend = [0]
        self._read(calendar)

    def _read(self, calendar: Calendar) -> None:
        # One pass with names bound once: this runs for every party that an event touches.
        rates, reporting = self.ruling.rates, self.ruling.rates.currency
        purchase, returned = int(Kind.PURCHASE), int(Kind.RETURN)
        days, purchase_days, money_days = self.days, self.purchase_days, self.money_days
        nets, spends = self._net, self._spend
        net = spend = last_day = last_bought = last_money = 0
        for day, kind, currency, _, amount in calendar.entries:
            if day != last_day:
                days.append(day)
                last_day = day
            if kind == purchase:
                if day != last_bought:
                    purchase_days.append(day)
                    last_bought = day
                sign = 1
            elif kind == returned:
                sign = -1
            else:
                continue
            worth = amount if currency == reporting else rates.converted(amount, currency, day)
            if worth is None:
                self.unconverted[day, currency] = self.unconverted.get((day, currency), 0) + sign * amount
                continue
            net += sign * worth
            if sign > 0:
                spend += worth
            if day == last_money:
                nets[-1], spends[-1] = net, spend
            else:
                money_days.append(day)
                nets.append(net)
                spends.append(spend)
                last_money = day

    def outcome(self, day: int, known: int | None = None) -> Outcome:
        """Stage and tier on a day, if nothing happened after the day `known`."""
        return self.stage(day, known), self.tier(day, known)

    def stage(self, day: int, known: int | None = None) -> Stage | None:
        """The stage on a day, if nothing happened after the day `known`; None before anything happened."""
        last = self.last_purchase(day if known is None else known)
        if last is None:
            return Stage.STRANGER if self.days and self.days[0] <= (day if known is None else known) else None
        silent = day - last
        if silent > self.policy.lost_after_days:
            return Stage.LOST_CUSTOMER
        return Stage.DORMANT_CUSTOMER if silent > self.policy.dormant_after_days else Stage.CUSTOMER

    def tier(self, day: int, known: int | None = None) -> Tier | None:
        """The tier on a day, if nothing happened after the day `known`; None before anything happened."""
        if self.last_purchase(day if known is None else known) is not None:
            return self.ruling.cuts.tier(self.value(day, known))
        return Tier.UNPROVEN if self.days and self.days[0] <= (day if known is None else known) else None

    def value(self, day: int, known: int | None = None) -> int:
        """Net turnover of the window that ends with the day, of which only days up to `known` count."""
        days = self.money_days
        low = bisect_right(days, day - self.policy.turnover_days)
        return self._net[max(bisect_right(days, day if known is None else known), low)] - self._net[low]

    def spend(self, day: int) -> int:
        """Gross purchases up to the day."""
        return self._spend[bisect_right(self.money_days, day)]

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

    def next_turn(self, day: int) -> int | None:
        """The first later day on which stage or tier differs if nothing else happens; None if they stay for ever."""
        stage_turn = self._next_stage_day(day)
        if self.last_purchase(day) is None:
            return stage_turn
        tier = self.tier(day)
        turned = (later for later in self._money_turns(day, stage_turn) if self.tier(later) is not tier)
        return next(turned, stage_turn)

    def _next_stage_day(self, day: int) -> int | None:
        dormant, lost = self.policy.dormant_after_days + 1, self.policy.lost_after_days + 1
        bought, index = self.purchase_days, self.purchases(day)
        coming = bought[index] if index < len(bought) else None
        if index == 0:
            return self.days[0] if self.days and self.days[0] > day else coming
        last = bought[index - 1]
        if day >= last + lost:
            return coming
        if day >= last + dormant:
            return last + lost if coming is None else min(last + lost, coming)
        while coming is not None and coming <= last + dormant:
            index += 1
            last, coming = coming, bought[index] if index < len(bought) else None
        return last + dormant

    def _money_turns(self, day: int, until: int | None) -> list[int]:
        """The days after `day` and before `until` on which money enters the window or leaves it, in order."""
        days, window = self.money_days, self.policy.turnover_days
        end = len(days) if until is None else bisect_left(days, until)
        last_leaving = len(days) if until is None else bisect_left(days, until - window)
        leaving = [money_day + window for money_day in days[bisect_right(days, day - window) : last_leaving]]
        entering = days[bisect_right(days, day) : end]
        return sorted(leaving + entering) if entering else leaving

    def turning_days(self, after: int | None = None) -> Iterator[int]:
        """The days on which stage or tier may change, in order: what happens, what falls silent, what falls out."""
        if after is None:
            after = self.days[0] - 1 if self.days else 0
        happening = self.days[bisect_right(self.days, after) :]
        turning = [
            happening,
            self._later(self.purchase_days, self.policy.dormant_after_days + 1, after),
            self._later(self.purchase_days, self.policy.lost_after_days + 1, after),
            self._later(self.money_days, self.policy.turnover_days, after),
        ]
        return merge(*(days for days in turning if days))

    @staticmethod
    def _later(days: list[int], offset: int, after: int) -> list[int]:
        return [day + offset for day in days[bisect_left(days, after + 1 - offset) :]]
