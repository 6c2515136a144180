"""A calendar read once: on which days what happened, and what it came to in the reporting currency."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

from contracts.customers import PartyKind
from contracts.loss import LossReason
from services.scoring.domain.calendar import Calendar, Entry
from services.scoring.domain.course import last
from services.scoring.domain.declared import Declared
from services.scoring.domain.facts import ABOUT, DECLARATIONS, DERIVED, Kind
from services.scoring.domain.overrides import Overrides
from services.scoring.domain.ruling import Ruling

TOUCHING = frozenset(
    int(kind)
    for kind in (
        Kind.PURCHASE,
        Kind.INQUIRED,
        Kind.CONTACTED,
        Kind.REACHED,
        Kind.COMPLAINED,
        Kind.PRAISED,
        Kind.POSTED,
        Kind.REPLIED,
        Kind.REACTED,
        Kind.LEAD_CAPTURED,
    )
)
"""Contact or purchase: days with one of these say which way a relationship goes."""
CONTACT = TOUCHING | {
    int(kind)
    for kind in (
        Kind.RETURN,
        Kind.VISITED,
        Kind.DECLINED,
        Kind.PROBLEM_OPENED,
        Kind.JOINED,
        Kind.REFERRED,
    )
}
"""Whatever passes between a party and us, whoever began: what others do about it, and what we do alone, is none."""
REGISTERED, OVERRIDDEN = int(Kind.REGISTERED), int(Kind.OVERRIDDEN)
GRADED = int(Kind.LEAD_GRADED)
SAYING = frozenset({*map(int, DECLARATIONS), REGISTERED, OVERRIDDEN, GRADED})
"""Kinds of facts whose detail says something about the standing."""
ALONE = frozenset(map(int, DERIVED | ABOUT))
"""Entries that do not make a party known."""


Some = TypeVar("Some")


def cut(rows: list[Some], place: int, *, spent: bool) -> list[Some]:
    """The rows before a place: of those that nobody else asks for the list itself, cut there."""
    if not spent:
        return rows[:place]
    del rows[place:]
    return rows


class Earned(NamedTuple):
    """Of one day, in minor units of the reporting currency, at the rates of the day."""

    day: int
    bought_minor: int
    returned_minor: int


class Reading:
    """Days are ordinals, in order; those after the one asked for do not count."""

    __slots__ = (
        "_costs", "_net", "_spend", "calendar", "days", "declared", "declined", "graded", "gross", "money_days",
        "organised", "overrides", "policy", "purchase_days", "ruling", "signs_of_persons", "touching_days",
        "unconverted",
    )  # fmt: skip

    def __init__(
        self, calendar: Calendar, ruling: Ruling, like: "Reading | None" = None, since: int = 0, *, spent: bool = False
    ) -> None:
        """`like` is a reading, under the same ruling, of a calendar that is the same on the days before `since`.

        Where it is `spent` its own lists go on in this one, and it is not asked again.
        """
        self.ruling = ruling
        self.policy = ruling.policy
        self.calendar = calendar
        self.days: list[int] = []
        """Days on which anything happened."""
        self.purchase_days: list[int] = []
        self.declared = Declared()
        """By anybody, also by us about a lead."""
        self.declined = Declared()
        """By the party itself, which alone loses a customer."""
        self.unconverted: dict[tuple[int, int, str], int] = {}
        """Amounts by day, kind and currency for which there is no rate: they are left out."""
        self.money_days: list[int] = []
        """Days with money that counts."""
        self.organised: int | None = None
        """The day from which the party is known to be an organisation."""
        self.overrides: Overrides | None = None
        self.graded: list[tuple[int, str]] = []
        """Day and detail of each grade of a lead, in the order of time."""
        self._net = [0]
        self._spend = [0]
        self.gross: list[int] = []
        """What each purchase day was worth, returns aside."""
        self.touching_days: list[int] = []
        """Days with contact or purchase."""
        self._costs: tuple[list[int], list[int]] | None = None
        self.signs_of_persons: list[int] = []
        """Days with what a person shows interest by."""
        if like is None:
            self._read(calendar.entries)
        else:
            self._take_over(like, since, spent=spent)
            self._read(calendar.entries[bisect_left(calendar.entries, (since,)) :])

    def _take_over(self, like: "Reading", since: int, *, spent: bool) -> None:
        """What another reading says of the days before one."""
        for name in ("days", "purchase_days", "money_days", "touching_days", "signs_of_persons"):
            days = getattr(like, name)
            setattr(self, name, cut(days, bisect_left(days, since), spent=spent))
        self.gross = cut(like.gross, len(self.purchase_days), spent=spent)
        self._net, self._spend = (cut(sums, len(self.money_days) + 1, spent=spent) for sums in (like._net, like._spend))
        self.declared, self.declined = like.declared.before(since), like.declined.before(since)
        self.unconverted = {key: amount for key, amount in like.unconverted.items() if key[0] < since}
        self.organised = None if like.organised is None or like.organised >= since else like.organised
        self.graded = cut(like.graded, bisect_left(like.graded, (since,)), spent=spent)
        if like.overrides and (earlier := [entry for entry in like.overrides.entries if entry[0] < since]):
            self.overrides = Overrides(earlier)

    def _read(self, entries: Sequence[Entry]) -> None:
        # One pass with names bound once: this runs for every party that an event touches.
        rates, reporting = self.ruling.rates, self.ruling.rates.currency
        purchase, returned, signs = int(Kind.PURCHASE), int(Kind.RETURN), self.policy.persons.prospects.sign_numbers
        days, purchase_days, money_days, sign_days = (
            self.days,
            self.purchase_days,
            self.money_days,
            self.signs_of_persons,
        )
        nets, spends, gross = self._net, self._spend, self.gross
        overridden: list[tuple[int, str]] = []
        touching, net, spend = self.touching_days, nets[-1], spends[-1]
        last_day = last_bought = last_sign = last_money = last_touched = 0
        for day, kind, detail, _, amount in entries:
            if day != last_day and kind not in ALONE:
                days.append(day)
                last_day = day
            if day != last_touched and kind in TOUCHING:
                touching.append(day)
                last_touched = day
            if kind == purchase:
                if day != last_bought:
                    purchase_days.append(day)
                    gross.append(0)
                    last_bought = day
                sign = 1
            elif kind == returned:
                sign = -1
            else:
                if day != last_sign and kind in signs:
                    sign_days.append(day)
                    last_sign = day
                if kind in SAYING:
                    if kind == OVERRIDDEN:
                        overridden.append((day, detail))
                    elif kind == GRADED:
                        self.graded.append((day, detail))
                    elif kind != REGISTERED:
                        self._declare(day, kind, detail)
                    elif self.organised is None and detail == PartyKind.ORGANISATION:
                        self.organised = day
                continue
            worth = amount if detail == reporting else rates.converted(amount, detail, day)
            if worth is None:
                self.unconverted[day, kind, detail] = amount
                continue
            net += sign * worth
            if sign > 0:
                spend += worth
                gross[-1] += worth
            if day == last_money:
                nets[-1], spends[-1] = net, spend
            else:
                money_days.append(day)
                nets.append(net)
                spends.append(spend)
                last_money = day
        if overridden:
            self.overrides = Overrides((*self.overrides.entries, *overridden) if self.overrides else overridden)

    def _declare(self, day: int, kind: int, detail: str) -> None:
        reason = LossReason(detail)
        self.declared.add(day, reason)
        if kind == Kind.DECLINED:
            self.declined.add(day, reason)

    def _sign_days(self, signs: frozenset[int]) -> list[int]:
        return list(dict.fromkeys(day for day, kind, *_ in self.calendar.entries if kind in signs))

    def kind(self, day: int) -> PartyKind:
        """What the party is known to be on a day."""
        organised = self.organised is not None and self.organised <= day
        return PartyKind.ORGANISATION if organised else PartyKind.PERSON

    def is_known(self, day: int) -> bool:
        """Whether anything happened up to the day."""
        return bool(self.days) and self.days[0] <= day

    def happened(self, day: int) -> bool:
        """Whether anything happened on the day itself."""
        place = bisect_left(self.days, day)
        return place < len(self.days) and self.days[place] == day

    def has_bought(self, day: int) -> bool:
        """Whether there was a purchase up to the day."""
        return bool(self.purchase_days) and self.purchase_days[0] <= day

    def purchases(self, day: int) -> int:
        """How many days up to the day had a purchase."""
        return bisect_right(self.purchase_days, day)

    def last_purchase(self, day: int) -> int | None:
        """The last purchase day up to the day."""
        return last(self.purchase_days, day)

    def turnover(self, day: int, known: int | None = None) -> int:
        """Net turnover of the window that ends with the day, of which only days up to `known` count."""
        days = self.money_days
        low = bisect_right(days, day - self.policy.turnover_days)
        return self._net[max(bisect_right(days, day if known is None else known), low)] - self._net[low]

    def earned(self, first: int, until: int) -> Iterator[Earned]:
        """What came and went on each of the days from one up to another with money that counts."""
        days, net, spend = self.money_days, self._net, self._spend
        for place in range(bisect_left(days, first), bisect_right(days, until)):
            bought = spend[place + 1] - spend[place]
            yield Earned(days[place], bought, bought - (net[place + 1] - net[place]))

    def spend(self, day: int) -> int:
        """Gross purchases up to the day."""
        return self._spend[bisect_right(self.money_days, day)]

    def cost(self, day: int) -> int:
        """What the facts of the window that ends with a day cost, in minor units of the reporting currency."""
        if not self.policy.profit.cost_minor:
            return 0
        days, sums = self._costs_by_day
        return sums[bisect_right(days, day)] - sums[bisect_right(days, day - self.policy.turnover_days)]

    @property
    def _costs_by_day(self) -> tuple[list[int], list[int]]:
        """The days of facts that cost something, and what they cost up to each, begun with nothing."""
        if self._costs is None:
            by_kind = {int(Kind[code.upper()]): price for code, price in self.policy.profit.cost_minor.items()}
            days, sums = list[int](), [0]
            for on_day, kind, _, count, _ in self.calendar.entries if by_kind else ():
                if kind in by_kind:
                    days.append(on_day)
                    sums.append(sums[-1] + by_kind[kind] * count)
            self._costs = days, sums
        return self._costs

    def makes_profit(self, turnover_minor: int, day: int) -> bool:
        """Whether the margin of the turnover of the window that ends with a day is more than what its facts cost."""
        return self.policy.profit.of(turnover_minor) > self.cost(day)
