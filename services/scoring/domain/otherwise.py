"""What would hold with other facts: a standing explained by what would change it."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from math import ceil, isfinite

from contracts.scoring import Band, Stage
from services.scoring.domain.calendar import Calendar
from services.scoring.domain.earnings import Piece, gross
from services.scoring.domain.evidence import ASKING, COUNTED
from services.scoring.domain.facts import DECLARATIONS, DERIVED, Kind
from services.scoring.domain.grades import Grades
from services.scoring.domain.grounds import Change, Otherwise
from services.scoring.domain.history import History
from services.scoring.domain.indexes import Evidence
from services.scoring.domain.model import Model
from services.scoring.domain.policy import ByProbability, Index, Policy

MOST = 10**13
"""Nobody is told to spend more minor units than these."""


def otherwise(calendar: Calendar, history: History, pieces: Sequence[Piece], day: int) -> Iterator[Otherwise]:
    """What makes another standing: going without the facts that keep it, one more fact, or one before it falls.

    `pieces` are all evidence of the calendar.
    """
    return (other for other in _Others(calendar, history, pieces, day).thought_of() if other.changes)


def changes(before: Grades, after: Grades) -> Iterator[Change]:
    """The parts of a standing that differ."""
    for field, was, becomes in zip(Grades._fields, before, after, strict=True):
        if was != becomes:
            yield Change(field=field, before=was, after=becomes)


def with_fact(calendar: Calendar, day: int, kind: Kind, detail: str = "", amount_minor: int = 0) -> Calendar:
    """The calendar with one more fact on a day."""
    return calendar + Calendar(((day, int(kind), detail, 1, amount_minor),))


def without_facts(calendar: Calendar, kinds: Collection[Kind], days: Iterable[date]) -> Calendar:
    """The calendar without any fact of some kinds on some days."""
    gone = {day.toordinal() for day in days}
    return Calendar(tuple(entry for entry in calendar.entries if not (entry[1] in kinds and entry[0] in gone)))


class _Others:
    """What comes to mind about one party on one day."""

    def __init__(self, calendar: Calendar, history: History, pieces: Sequence[Piece], day: int) -> None:
        self.calendar, self.history, self.pieces, self.day = calendar, history, pieces, day
        self.policy, self.ruling = history.policy, history.ruling
        self.stages = history.stages_on(day)
        self.bought = history.purchases(day)

    def thought_of(self) -> Iterator[Otherwise]:
        """Each whether or not it changes anything."""
        for kinds, days in self._keeping():
            yield self._without(kinds, days)
        sign = likely_sign(self.stages.prospects.signs)
        if not self.bought and sign is not None:
            yield self._with(sign, self.day, self.day)
        if self.ruling.rates.currency is not None:
            yield self._with(Kind.PURCHASE, self.day, self.day, self._to_the_next_tier())
        yield from self._on_the_eve(sign)
        for index, band in zip((self.policy.satisfaction, self.policy.loyalty), self._bands(), strict=True):
            if (strongest := self._strongest(index, band)) is not None:
                yield self._without(*strongest)
        for kind in (Kind.COMPLAINED, Kind.PRAISED):
            if kind != sign or self.bought:
                yield self._with(kind, self.day, self.day)

    def _bands(self) -> tuple[Band, Band]:
        satisfaction, loyalty = self.history.indexes
        return satisfaction.band(self.day), loyalty.band(self.day)

    def _without(self, kinds: Collection[Kind], days: Collection[int]) -> Otherwise:
        taken, on = tuple(date.fromordinal(of_day) for of_day in days), set(days)
        there = {Kind(entry[1]) for entry in self.calendar.entries if entry[0] in on}
        # What was stated in a contact goes with it.
        kinds = {*kinds, *(there & DERIVED if there & {*kinds} - DERIVED - {Kind.PURCHASE} else ())}
        then = History(without_facts(self.calendar, kinds, taken), self.ruling).grades(self.day)
        return Otherwise(
            without=taken,
            without_kinds=tuple(kind.code for kind in sorted(kinds & there)),
            added=None,
            added_on=None,
            added_minor=None,
            on=date.fromordinal(self.day),
            stage=then.stage,
            tier=then.tier,
            changes=tuple(changes(self.history.grades(self.day), then)),
        )

    def _with(self, kind: Kind, day: int, on: int, amount_minor: int = 0) -> Otherwise:
        bought = kind is Kind.PURCHASE
        then = self._history_with(kind, day, amount_minor).grades(on)
        return Otherwise(
            without=(),
            without_kinds=(),
            added=kind.code,
            added_on=date.fromordinal(day),
            added_minor=amount_minor if bought else None,
            on=date.fromordinal(on),
            stage=then.stage,
            tier=then.tier,
            changes=tuple(changes(self.history.grades(on), then)),
        )

    def _history_with(self, kind: Kind, day: int, amount_minor: int) -> History:
        detail = self.ruling.rates.currency or "" if kind is Kind.PURCHASE else ""
        return History(with_fact(self.calendar, day, kind, detail, amount_minor), self.ruling)

    def _on_the_eve(self, sign: Kind | None) -> Iterator[Otherwise]:
        """One purchase, or one sign of interest, on the day before the stage falls; and what the same does now.

        If one now keeps the stage on the day on which it falls, so does one on any day in between.
        """
        turn, stage = self.history.next_stage_turn(self.day), self.history.stage(self.day)
        if turn is None or self.history.stage(turn) not in FALLS.get(stage, ()):
            return
        if self.bought and self.ruling.rates.currency is not None:
            for day in dict.fromkeys((turn - 1, self.day)):
                yield self._with(Kind.PURCHASE, day, turn, self._usual_minor())
        elif not self.bought and sign is not None:
            for day in dict.fromkeys((turn - 1, self.day)):
                yield self._with(sign, day, turn)

    def _usual_minor(self) -> int:
        """What a purchase day of the party was worth on average."""
        return self.history.spend(self.day) // self.bought if self.bought else 0

    def _to_the_next_tier(self) -> int:
        """The least amount of a purchase on the day that makes a higher tier; the usual one where none would."""
        cuts, value = self.ruling.cuts, self.history.value(self.day)
        above = [least for least in (cuts.mid, cuts.high, cuts.top) if least > value]
        if not above:
            return self._usual_minor()
        if self.ruling.model is None or not self.history.expects:
            return above[0] - value
        amount = self._expecting(self.ruling.model, above[0])
        return self._usual_minor() if amount is None else amount

    def _expecting(self, model: Model, least: int) -> int | None:
        """The amount of a purchase on the day with which so much is expected; None where no amount of it would do."""
        if model.p is None or model.q is None or model.v is None or model.q <= 1:
            return None
        first = self.history.purchase_days[0] if self.bought else self.day
        again = self.bought and self.history.last_purchase(self.day) == self.day
        x, age = (self.bought - 1 if again else self.bought), self.day - first
        purchases = model.expected_purchases(x, age, age, self.policy.turnover_days)
        worth = gross(self.calendar, self.history.purchase_days[: self.bought], self.ruling)
        paid = [each for each in worth if each > 0]
        paid_days = len(paid) + (0 if again and worth[-1] > 0 else 1)
        if purchases <= 0:
            return None
        exact = least / purchases * (model.p * paid_days + model.q - 1) / model.p - model.v - sum(paid)
        if not isfinite(exact) or exact > MOST:
            return None
        amount = max(1, ceil(exact))
        amounts = range(max(1, amount - 1), amount + 2)
        return next(
            (each for each in amounts if self._history_with(Kind.PURCHASE, self.day, each).value(self.day) >= least),
            None,
        )

    def _keeping(self) -> Iterator[tuple[frozenset[Kind], list[int]]]:
        """The facts that keep the stage, all of the kinds on all of the days together; silence may keep it without."""
        history, day, prospects = self.history, self.day, self.stages.prospects
        signs = frozenset(Kind(number) for number in prospects.sign_numbers)
        bought, sign = history.last_purchase(day), history.last_sign(day)
        match history.stage(day):
            case Stage.PROSPECT:
                yield signs, _within(history.sign_days, day, prospects.active_days)
            case Stage.DORMANT_PROSPECT:
                yield signs, _within(history.sign_days, day, prospects.lost_after_days)
            case Stage.CUSTOMER | Stage.DORMANT_CUSTOMER:
                yield frozenset({Kind.PURCHASE}), self._last_purchases()
            case Stage.LOST_PROSPECT:
                if days := [of_day for of_day in history.declared.days if (sign or 0) <= of_day <= day]:
                    yield DECLARATIONS, days
            case Stage.LOST_CUSTOMER:
                if days := [of_day for of_day in history.declined.days if (bought or 0) < of_day <= day]:
                    yield frozenset({Kind.DECLINED}), days

    def _last_purchases(self) -> list[int]:
        """The fewest last purchase days without which the stage is a lower one."""
        days, fallen = self.history.purchase_days[: self.bought], self._fallen
        phase = fallen(self.bought)
        left = next((left for left in range(self.bought - 1, 0, -1) if fallen(left) > phase), 0)
        return days[left:]

    def _fallen(self, bought: int) -> int:
        """How far silence has taken whoever bought on the first so many days and not after: 0, 1 or 2 stages."""
        days, customers, model = self.history.purchase_days, self.stages.customers, self.ruling.model
        silent = self.day - days[bought - 1]
        if model is None or not isinstance(customers, ByProbability):
            by_days = self.stages.by_days
            return (silent > by_days.dormant_after_days) + (silent > by_days.lost_after_days)
        if silent <= customers.fresh_days:
            return 0
        p = model.p_buys(*self.history.asked(self.day, bought), self.policy.horizon_days)
        return (p < customers.dormant_below) + (p < customers.lost_below)

    def _strongest(self, index: Index, band: Band) -> tuple[Collection[Kind], Collection[int]] | None:
        """The facts of the one kind of evidence that does most for a low or for a high band."""
        if band not in (Band.LOW, Band.HIGH):
            return None
        sums: dict[Evidence, float] = {}
        counted = [piece for piece in self.pieces if piece.day <= self.day and piece.what in index.weights]
        for of_day, what, count in counted:
            faded = count * 2.0 ** (-(self.day - of_day) / index.half_life_days)
            sums[what] = sums.get(what, 0.0) + index.weights[what] * faded
        if not sums:
            return None
        what = min(sums, key=lambda each: (sums[each] if band is Band.LOW else -sums[each], each))
        kinds, back = _facts_behind(what, self.policy)
        if what is Evidence.ANNIVERSARY:
            return kinds, self.history.purchase_days[: self.bought]
        return kinds, sorted({of_day - back for of_day, of, _ in counted if of is what})


FALLS: Mapping[Stage | None, Collection[Stage]] = {
    Stage.PROSPECT: (Stage.DORMANT_PROSPECT, Stage.LOST_PROSPECT),
    Stage.DORMANT_PROSPECT: (Stage.LOST_PROSPECT,),
    Stage.CUSTOMER: (Stage.DORMANT_CUSTOMER, Stage.LOST_CUSTOMER),
    Stage.DORMANT_CUSTOMER: (Stage.LOST_CUSTOMER,),
}
"""Where silence leads to."""


def likely_sign(signs: tuple[str, ...]) -> Kind | None:
    """The sign of interest to think of: an inquiry, or else the first of the policy."""
    codes = (Kind.INQUIRED.code, *signs) if Kind.INQUIRED.code in signs else signs
    return Kind[codes[0].upper()] if codes else None


def _facts_behind(what: Evidence, policy: Policy) -> tuple[frozenset[Kind], int]:
    """The kinds of facts that are evidence of a kind, and how many days before it enters they lie."""
    match what:
        case Evidence.PROBLEM_OVERDUE:
            return frozenset({Kind.PROBLEM_OPENED}), policy.problem_limit_days + 1
        case Evidence.LATE_ANSWER:
            return frozenset(Kind(number) for number in ASKING), policy.answer_within_days + 1
        case Evidence.REPEAT_PURCHASE | Evidence.UPGRADE | Evidence.ANNIVERSARY:
            return frozenset({Kind.PURCHASE}), 0
    return frozenset(Kind(number) for number, of in COUNTED.items() if of is what), 0


def _within(days: list[int], day: int, silent_days: int) -> list[int]:
    return [of_day for of_day in days if day - silent_days <= of_day <= day]
