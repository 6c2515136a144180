"""What would hold with other facts: a standing explained by what would change it."""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date

from contracts.scoring import Band, Stage, Tier
from services.scoring.domain.calendar import Calendar
from services.scoring.domain.evidence import ASKING, COUNTED
from services.scoring.domain.facts import DECLARATIONS, DERIVED, Kind
from services.scoring.domain.indexes import Evidence, Index
from services.scoring.domain.policy import Policy
from services.scoring.domain.reasons.coming import Change, changes
from services.scoring.domain.reasons.ground import Ground, Subject
from services.scoring.domain.reasons.indexes import EVIDENCE
from services.scoring.domain.reasons.raising import history_with, to_the_next_tier, usual_minor
from services.scoring.domain.stages import ByProbability


class Otherwise(Ground):
    """What would hold with other facts: without some of those there are, or with one more."""

    without: tuple[date, ...]
    """Days from which facts are taken away together."""
    without_kinds: tuple[str, ...]
    """The kinds that are taken away from these days."""
    added: str | None
    """Kind of one more fact."""
    added_on: date | None
    """Its day."""
    added_minor: int | None
    """Its amount, where that is a purchase."""
    on: date
    """The day of which the rest is told."""
    stage: Stage | None
    tier: Tier | None
    changes: tuple[Change, ...]
    """Against what holds on that day if nothing else happens."""


def otherwise(of: Subject) -> Iterator[Otherwise]:
    """What makes another standing: going without the facts that keep it, one more fact, or one before it falls."""
    return (other for other in _Others(of).thought_of() if other.changes)


def without_facts(calendar: Calendar, kinds: Collection[Kind], days: Iterable[date]) -> Calendar:
    """The calendar without any fact of some kinds on some days."""
    gone, entries = {day.toordinal() for day in days}, calendar.entries
    begin = bisect_left(entries, (min(gone, default=0),))
    left = (entry for entry in entries[begin:] if not (entry[1] in kinds and entry[0] in gone))
    return Calendar((*entries[:begin], *left))


class _Others:
    """What comes to mind about one party on one day."""

    def __init__(self, of: Subject) -> None:
        self.of, self.calendar, self.history, self.day = of, of.calendar, of.history, of.day
        self.policy, self.ruling, self.bought = of.policy, of.ruling, of.bought
        self.stages = of.history.stages_on(of.day)
        # The same facts may keep the stage and both bands.
        self._told: dict[tuple[frozenset[Kind], tuple[int, ...]], Otherwise] = {}

    def thought_of(self) -> Iterator[Otherwise]:
        """Each whether or not it changes anything."""
        for kinds, days in self._keeping():
            if days:
                yield self._without(kinds, days)
        sign = likely_sign(self.stages.prospects.signs)
        if not self.bought and sign is not None:
            yield self._with(sign, self.day, self.day)
        if self.ruling.rates.currency is not None:
            yield self._with(Kind.PURCHASE, self.day, self.day, to_the_next_tier(self.of))
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

    def _without(self, kinds: frozenset[Kind], days: Sequence[int]) -> Otherwise:
        which = kinds, tuple(days)
        if which not in self._told:
            self._told[which] = self._taken_away(*which)
        return self._told[which]

    def _taken_away(self, kinds: Collection[Kind], days: Sequence[int]) -> Otherwise:
        taken, on, entries = tuple(date.fromordinal(of_day) for of_day in days), set(days), self.calendar.entries
        there = {*map(Kind, {entry[1] for entry in entries[bisect_left(entries, (days[0],)) :] if entry[0] in on})}
        # What was stated in a contact goes with it.
        kinds = {*kinds, *(there & DERIVED if there & {*kinds} - DERIVED - {Kind.PURCHASE} else ())}
        then = self.history.changed(without_facts(self.calendar, kinds, taken), days[0]).grades(self.day)
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
        then = history_with(self.of, kind, day, amount_minor).grades(on)
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

    def _on_the_eve(self, sign: Kind | None) -> Iterator[Otherwise]:
        """One purchase, or one sign of interest, on the day before the stage falls; and what the same does now.

        If one now keeps the stage on the day on which it falls, so does one on any day in between.
        """
        turn, stage = self.history.next_stage_turn(self.day), self.history.stage(self.day)
        if turn is None or self.history.stage(turn) not in FALLS.get(stage, ()):
            return
        if self.bought and self.ruling.rates.currency is not None:
            for day in dict.fromkeys((turn - 1, self.day)):
                yield self._with(Kind.PURCHASE, day, turn, usual_minor(self.of))
        elif not self.bought and sign is not None:
            for day in dict.fromkeys((turn - 1, self.day)):
                yield self._with(sign, day, turn)

    def _keeping(self) -> Iterator[tuple[frozenset[Kind], Sequence[int]]]:
        """The facts that keep the stage, all of the kinds on all of the days together; silence may keep it without."""
        history, day, prospects = self.history, self.day, self.stages.prospects
        signs = frozenset(Kind(number) for number in prospects.sign_numbers)
        bought, sign = history.last_purchase(day), history.last_sign(day)
        match history.stage(day):
            case Stage.PROSPECT:
                yield signs, _within(history.sign_days, day, prospects.active_days)
            case Stage.DORMANT_PROSPECT:
                yield signs, _within(history.sign_days, day, prospects.lost_after_days)
            case Stage.CUSTOMER | Stage.DORMANT_CUSTOMER if self.bought:
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

    def _strongest(self, index: Index, band: Band) -> tuple[frozenset[Kind], Sequence[int]] | None:
        """The facts of the one kind of evidence that does most for a low or for a high band."""
        if band not in (Band.LOW, Band.HIGH):
            return None
        weights, half_life_days, pieces = index.by_place, index.half_life_days, self.history.pieces
        sums: dict[int, float] = {}
        for of_day, place, count in pieces[: bisect_left(pieces, (self.day + 1,))]:
            if (weight := weights[place]) is not None:
                faded = count * 2.0 ** (-(self.day - of_day) / half_life_days)
                sums[place] = sums.get(place, 0.0) + weight * faded
        if not sums:
            return None
        most = min(sums, key=lambda each: (sums[each] if band is Band.LOW else -sums[each], EVIDENCE[each]))
        kinds, back = _facts_behind(EVIDENCE[most], self.policy)
        if EVIDENCE[most] is Evidence.ANNIVERSARY:
            return kinds, self.history.purchase_days[: self.bought]
        days = dict.fromkeys(of_day for of_day, place, _ in pieces if place == most and of_day <= self.day)
        return kinds, [of_day - back for of_day in days]


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
