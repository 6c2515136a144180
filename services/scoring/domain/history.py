"""A calendar read under a ruling: what it says of any day."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from heapq import merge

from contracts.loss import LossReason
from contracts.scoring import Stage, Tier
from services.scoring.domain.calendar import Calendar
from services.scoring.domain.course import Course, Phase, earliest, last
from services.scoring.domain.declared import Declared
from services.scoring.domain.facts import DECLARATIONS, Kind
from services.scoring.domain.ruling import Ruling

Outcome = tuple[Stage | None, Tier | None]
"""The discrete part of a standing, whose change is a move."""
NOWHERE: Outcome = (None, None)
"""No standing."""

PROSPECTS: Mapping[Phase, Stage] = {
    Phase.ACTIVE: Stage.PROSPECT,
    Phase.DORMANT: Stage.DORMANT_PROSPECT,
    Phase.LOST: Stage.LOST_PROSPECT,
}
"""The stage of a party without a purchase, by its course of interest."""
CUSTOMERS: Mapping[Phase, Stage] = {
    Phase.ACTIVE: Stage.CUSTOMER,
    Phase.DORMANT: Stage.DORMANT_CUSTOMER,
    Phase.LOST: Stage.LOST_CUSTOMER,
}
"""The stage of a party with a purchase, by its course of purchases."""
LOST = frozenset({Stage.LOST_PROSPECT, Stage.LOST_CUSTOMER})
"""Stages that have a loss reason."""


class History:
    """Days are ordinals. What happens on a day holds on that whole day; days after the one asked for do not count.

    Of the facts of one day a purchase comes before a declaration, and that before a sign of interest.
    """

    __slots__ = (
        "_interest", "_net", "_purchases", "_spend", "days", "declared", "declined", "money_days", "policy",
        "purchase_days", "ruling", "sign_days", "stages", "unconverted",
    )  # fmt: skip

    def __init__(self, calendar: Calendar, ruling: Ruling) -> None:
        self.ruling = ruling
        self.policy = ruling.policy
        self.stages = ruling.policy.persons
        self.days: list[int] = []
        """Days on which anything happened."""
        self.purchase_days: list[int] = []
        self.sign_days: list[int] = []
        """Days with a sign of interest."""
        self.declared = Declared()
        """By anybody, also by us about a lead."""
        self.declined = Declared()
        """By the party itself, which alone loses a customer."""
        self.unconverted: dict[tuple[int, str], int] = {}
        """Net amounts by day and currency for which there is no rate: they are left out."""
        self.money_days: list[int] = []
        """Days with money that counts."""
        self._net = [0]
        self._spend = [0]
        self._read(calendar)
        self._interest = Course(
            self._without(self.sign_days, self.declared.days),
            self.declared.days,
            dormant_after_days=self.stages.prospects.active_days,
            lost_after_days=self.stages.prospects.lost_after_days,
        )
        self._purchases = Course(
            self.purchase_days,
            self._without(self.declined.days, self.purchase_days),
            dormant_after_days=self.stages.by_days.dormant_after_days,
            lost_after_days=self.stages.by_days.lost_after_days,
        )

    def _read(self, calendar: Calendar) -> None:
        # One pass with names bound once: this runs for every party that an event touches.
        rates, reporting = self.ruling.rates, self.ruling.rates.currency
        purchase, returned, signs = int(Kind.PURCHASE), int(Kind.RETURN), self.stages.prospects.sign_numbers
        days, purchase_days, sign_days, money_days = self.days, self.purchase_days, self.sign_days, self.money_days
        nets, spends = self._net, self._spend
        net = spend = last_day = last_bought = last_sign = last_money = 0
        for day, kind, detail, _, amount in calendar.entries:
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
                if kind in signs:
                    if day != last_sign:
                        sign_days.append(day)
                        last_sign = day
                elif kind in DECLARATIONS:
                    self._declare(day, kind, detail)
                continue
            worth = amount if detail == reporting else rates.converted(amount, detail, day)
            if worth is None:
                self.unconverted[day, detail] = self.unconverted.get((day, detail), 0) + sign * amount
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

    def _declare(self, day: int, kind: int, detail: str) -> None:
        reason = LossReason(detail)
        self.declared.add(day, reason)
        if kind == Kind.DECLINED:
            self.declined.add(day, reason)

    @staticmethod
    def _without(days: list[int], gone: list[int]) -> list[int]:
        if not (days and gone):
            return days
        out = set(gone)
        return [day for day in days if day not in out]

    def outcome(self, day: int, known: int | None = None) -> Outcome:
        """Stage and tier on a day, if nothing happened after the day `known`."""
        return self.stage(day, known), self.tier(day, known)

    def stage(self, day: int, known: int | None = None) -> Stage | None:
        """The stage on a day, if nothing happened after the day `known`; None before anything happened."""
        known = day if known is None else known
        course, stages = (self._purchases, CUSTOMERS) if self.has_bought(known) else (self._interest, PROSPECTS)
        phase = course.phase(day, known)
        if phase is not None:
            return stages[phase]
        return Stage.STRANGER if self._is_known(known) else None

    def tier(self, day: int, known: int | None = None) -> Tier | None:
        """The tier on a day, if nothing happened after the day `known`; None before anything happened."""
        if self.has_bought(day if known is None else known):
            return self.ruling.cuts.tier(self.value(day, known))
        return Tier.UNPROVEN if self._is_known(day if known is None else known) else None

    def has_bought(self, day: int) -> bool:
        """Whether there was a purchase up to the day."""
        return bool(self.purchase_days) and self.purchase_days[0] <= day

    def _is_known(self, day: int) -> bool:
        return bool(self.days) and self.days[0] <= day

    def loss_reason(self, day: int, known: int | None = None) -> LossReason | None:
        """Why a lost party is lost: the declaration that decides or, after mere silence, one since the last act."""
        known = day if known is None else known
        told: tuple[tuple[Declared, int], ...]
        match self.stage(day, known):
            case Stage.LOST_PROSPECT:
                told = ((self.declared, self.last_sign(known) or 0),)
            case Stage.LOST_CUSTOMER:
                bought = self.last_purchase(known) or 0
                told = (self.declined, bought + 1), (self.declared, bought)
            case _:
                return None
        for declared, least in told:
            found = declared.last(known)
            if found is not None and found[0] >= least:
                return found[1]
        return LossReason.UNKNOWN

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
        return last(self.purchase_days, day)

    def last_sign(self, day: int) -> int | None:
        """The last day up to the day with a sign of interest."""
        return last(self.sign_days, day)

    def purchases(self, day: int) -> int:
        """How many days up to the day had a purchase."""
        return bisect_right(self.purchase_days, day)

    def since(self, day: int) -> int | None:
        """The first day of the stage that holds on the day."""
        if self.has_bought(day):
            return self._purchases.since(day)
        shown = self._interest.since(day)
        return self.days[0] if shown is None and self._is_known(day) else shown

    def next_turn(self, day: int) -> int | None:
        """The first later day on which stage or tier differs if nothing else happens; None if they stay for ever."""
        stage_turn = self.next_stage_turn(day)
        return earliest(self.next_tier_turn(day, stage_turn), stage_turn)

    def next_tier_turn(self, day: int, until: int | None) -> int | None:
        """The first later day, before `until`, on which the tier of whoever bought differs if nothing else happens."""
        if not self.has_bought(day):
            return None
        tier = self.tier(day)
        return next((later for later in self._money_turns(day, until) if self.tier(later) is not tier), None)

    def next_stage_turn(self, day: int) -> int | None:
        """The first later day on which the stage differs if nothing else happens."""
        if self.has_bought(day):
            return self._purchases.next_turn(day)
        if not self._is_known(day):
            return self.days[0] if self.days else None
        return earliest(self._interest.next_turn(day), self.purchase_days[0] if self.purchase_days else None)

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
        turning = [self._later(self.days, 0, after), self._later(self.money_days, self.policy.turnover_days, after)]
        for course in (self._interest, self._purchases):
            # Of the two courses most parties have one alone.
            if course.acts:
                turning += [self._later(course.acts, offset, after) for offset in (course.dormant_in, course.lost_in)]
        return merge(*(days for days in turning if days))

    @staticmethod
    def _later(days: Sequence[int], offset: int, after: int) -> list[int]:
        return [day + offset for day in days[bisect_left(days, after + 1 - offset) :]]
