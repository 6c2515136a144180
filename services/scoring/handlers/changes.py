"""What became different for a party: what was thought of the past, then what each day brought, on its own."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple, Self
from uuid import UUID

import asyncpg

from contracts.customers import Resolution
from contracts.loss import LossReason
from contracts.scoring import Cause, MoveKind, Stage, Tier
from services.scoring.domain.calendar import Calendar, fold
from services.scoring.domain.days import start_of_day
from services.scoring.domain.facts import ABOUT, DECLARATIONS, MONEY, Fact, Kind
from services.scoring.domain.history import NOWHERE, History, Outcome
from services.scoring.domain.ruling import Ruling
from services.scoring.domain.stages import Stages
from services.scoring.domain.standing import Standing, standing
from services.scoring.domain.trajectory import Regrading, kind_of, moves
from services.scoring.queries.rulings import Present

NAMING = frozenset({Cause.FACT, Cause.LATE_FACT, Cause.OVERRIDE})
"""Causes that are a fact, which is named."""


class Change(NamedTuple):
    """One step that is told to others."""

    cause: Cause
    kind: MoveKind | Regrading
    from_stage: Stage | None
    to_stage: Stage | None
    from_tier: Tier | None
    to_tier: Tier | None
    value_minor: int
    loss_reason: LossReason | None
    occurred_at: datetime
    fact_id: UUID | None = None
    late_s: int | None = None
    """Of a late fact, and of one that was put right."""
    then: Standing | None = None
    """Of other grades that were not the last, how the party stood with them."""

    @classmethod
    def made(
        cls,
        cause: Cause,
        *,
        kind: MoveKind | Regrading,
        before: Outcome,
        after: Outcome,
        value_minor: int,
        loss_reason: LossReason | None,
        at: datetime,
        fact: Fact | None = None,
        late_s: int | None = None,
    ) -> Self:
        """The step between two outcomes, with the fact where that is its cause.

        How late is told of a late fact, and of one that was put right: it is as late as it was before.
        """
        (from_stage, from_tier), (to_stage, to_tier) = before, after
        named = fact.fact_id if fact and cause in NAMING else None
        if cause is not Cause.LATE_FACT:
            late_s = fact.late_s if fact and named and fact.first_late_s is not None else None
        return cls(cause, kind, from_stage, to_stage, from_tier, to_tier, value_minor, loss_reason, at, named, late_s)


@dataclass(slots=True)
class Assessed:
    """A party as its row has it, and what its calendar says now."""

    row: asyncpg.Record
    calendar: Calendar
    first_identity: UUID | None
    at: datetime
    corrected: Cause | None = None
    """Why the days up to the last assessment look different now, where another ruling is not all."""
    late: Fact | None = None
    """The new fact that corrects these days, where it is one."""
    late_s: int | None = None
    """How late what corrects them was recorded, where that is facts: of all of them, the least."""
    facts: Sequence[Fact] = ()
    """New ones that say what the party did on the day of the last assessment or later."""
    redirect: Resolution | None = None
    """Where its id leads from now on; None as before."""
    survives: bool = False
    """Others were merged into it just now, which is told in any case."""
    history: History | None = None
    """What the calendar says under the present ruling, where that is known without reading it."""
    traceparent: str | None = None
    """The trace of the event for which it is assessed; None where that is none, or a command of this context."""

    @property
    def party_id(self) -> UUID:
        """Which party."""
        party_id: UUID = self.row["party_id"]
        return party_id

    @property
    def stood(self) -> Outcome:
        """Stage and tier at the last assessment."""
        return self.row["stage"] and Stage(self.row["stage"]), self.row["tier"] and Tier(self.row["tier"])

    @property
    def merged_into(self) -> UUID | None:
        """The other party that its id leads to from just now on."""
        if self.redirect is None or self.redirect.resolves_to in (self.row["party_id"], self.row["resolves_to"]):
            return None
        return self.redirect.resolves_to


def regraded(party: Assessed, now: Standing, here: Present, reruled: Cause | None = None) -> list[Change]:
    """Where neither stage nor tier became another but anything else that is graded did: one step, or two.

    First what is thought of the past, then what came behind it. `reruled` is what the ruling changed since the last
    assessment.
    """
    row, ruling = party.row, here.ruling
    # Who was stored before anything but stage and tier was graded has no treatment, and nothing to compare.
    if not (now.stage and row["treatment"]) or _graded(now) == _graded_before(row):
        return []
    before, corrected = _graded_before(row), party.corrected or reruled
    course, due = _Course(party, ruling), row["next_change_at"]
    if not corrected:
        return [_regraded(party, now, *course.first(before, due and ruling.day(due)))]
    if course.facts or (corrected is not Cause.ASSIGNMENT and course.days[0] < course.today):
        past, day = course.before(0), course.days[0]
        known = _graded_on(past, day)
        if known == before:
            return [_regraded(party, now, *course.first(before, past.next_turn(day)))]
        if known != _graded(now):
            then = standing(past, row["assessed_at"])
            step = _regraded(party, then, corrected, party.at, party.late)
            return [step._replace(then=then), _regraded(party, now, *course.first(known, past.next_turn(day)))]
    return [_regraded(party, now, corrected, party.at, party.late)]


def _regraded(party: Assessed, then: Standing, cause: Cause, at: datetime, fact: Fact | None) -> Change:
    stays = then.stage, then.tier
    return Change.made(
        cause,
        kind=Regrading.REGRADED,
        before=stays,
        after=stays,
        value_minor=then.value_minor,
        loss_reason=then.loss_reason,
        at=at,
        fact=fact,
        late_s=party.late_s,
    )


def _graded(now: Standing) -> tuple[object, ...]:
    return (
        now.satisfaction_band, now.loyalty_band, now.level, now.posture, now.treatment, list(now.flags), now.vip,
        now.loss_reason, now.potential,
    )  # fmt: skip


def _graded_on(history: History, day: int) -> tuple[object, ...]:
    grades = history.grades(day)
    return (
        grades.satisfaction, grades.loyalty, grades.level, grades.posture, grades.treatment, list(grades.flags),
        grades.vip, history.loss_reason(day), grades.potential,
    )  # fmt: skip


def _graded_before(row: asyncpg.Record) -> tuple[object, ...]:
    return tuple(row[name] for name in _GRADED)


_GRADED = (
    "satisfaction_band", "loyalty_band", "level", "posture", "treatment", "flags", "vip", "loss_reason", "potential",
)  # fmt: skip


_Graded = tuple[object, ...]
_STEPS = 16
"""Into so many parts new facts are divided at most, until one of them is found."""


class _Course:
    """What came since the last assessment: the new facts up to this one, in the order in which they happened."""

    def __init__(self, party: Assessed, ruling: Ruling) -> None:
        self.party, self.ruling, self.today = party, ruling, ruling.day(party.at)
        days = [(ruling.day(fact.occurred_at), fact) for fact in party.facts]
        self.facts = [fact for day, fact in days if day <= self.today]
        self.days = [ruling.day(party.row["assessed_at"]), *(day for day, _ in days if day <= self.today)]
        """That of the last assessment, and of each fact."""

    def before(self, place: int) -> History:
        """The history without the fact at a place and those behind it."""
        return History(self.party.calendar - fold(self.facts[place:], self.ruling.zone), self.ruling)

    def first(self, before: _Graded, due: int | None) -> tuple[Cause, datetime, Fact | None]:
        """What made other grades first, and when: a fact, or the clock, which begins a day.

        `due` is the day on which the clock does so if none of the facts happens.
        """
        place = self._place(before)
        fact = self.facts[place] if place < len(self.facts) else None
        begin, end = self.days[place], self.days[place + 1] if fact else self.today
        turn = due if not place else self.before(place).next_turn(begin) if begin < end else None
        if turn is not None and (turn < end or (turn == end and (fact is None or self._is_idle(place)))):
            return self._due(before, turn), start_of_day(turn, self.ruling.zone), None
        if fact is None:
            return Cause.CLOCK, self.party.at, None
        return Cause.OVERRIDE if fact.kind is Kind.OVERRIDDEN else Cause.FACT, fact.occurred_at, fact

    def _place(self, before: _Graded) -> int:
        """Of the first fact with which the grades are others; behind the last one where that is none.

        One of today that is alone is not looked at: if anything does, it does so or the clock. Of so many that not each
        is looked at one may be missed whose doing another one took back.
        """
        low, high = 0, len(self.facts)
        if self.days[-1] < self.today and self.facts and self._with(high) == before:
            return high
        while high - low > 1:
            step = -(-(high - low) // _STEPS)
            for place in range(low + step, high, step):
                if self._with(place) != before:
                    high = place
                    break
                low = place
        return max(high - 1, 0)

    def _with(self, number: int) -> _Graded:
        """The grades on the day of the last of the first so many facts."""
        return _graded_on(self.before(number), self.days[number])

    def _is_idle(self, place: int) -> bool:
        return self._with(place + 1) == _graded_on(self.before(place), self.days[place + 1])

    def _due(self, before: _Graded, day: int) -> Cause:
        """What does it on a day: a fact dated ahead of its time, unless the clock does so without."""
        start, calendar = date.fromordinal(day), self.party.calendar
        if not calendar.between(start, date.fromordinal(day + 1)):
            return Cause.CLOCK
        silent = _graded_on(History(calendar.between(None, start), self.ruling), day)
        return Cause.FACT if silent == before else Cause.CLOCK


def moved(
    party: Assessed, history: History, now: Standing, here: Present, reruled: Cause | None = None
) -> Iterator[Change]:
    """The changes of stage and tier: what was thought of the past, then what each day brought, on its own.

    `reruled` is what the ruling changed since the last assessment.
    """
    row, ruling = party.row, here.ruling
    before = party.stood
    if row["assessed_at"] is None:
        if now.stage is not None:
            yield _appearance(party, history, now, ruling)
        return
    corrected = party.corrected or reruled
    day, until = ruling.day(row["assessed_at"]), ruling.day(party.at)
    facts = _by_day(party.facts, ruling)
    known, past = history.outcome(day), history
    if day in facts:
        known = before
        if corrected:
            past = History(party.calendar - fold(facts[day], ruling.zone), ruling)
            known = past.outcome(day)
    if known != before:
        yield _step(corrected or Cause.LATE_FACT, before, past, day, party.late, party.at, party.late_s)
    set_now = [fact for fact in facts.get(day, ()) if fact.kind is Kind.OVERRIDDEN]
    unset = History(party.calendar - fold(set_now, ruling.zone), ruling) if set_now else history
    if unset.outcome(day) != known:
        fact = deciding(facts[day], known, unset.outcome(day), unset.stages_on(day))
        yield _step(Cause.FACT, known, unset, day, fact, fact.occurred_at)
    if set_now and history.outcome(day) != unset.outcome(day):
        fact = max(set_now, key=lambda fact: fact.occurred_at)
        yield _step(Cause.OVERRIDE, unset.outcome(day), history, day, fact, fact.occurred_at)
    for move in moves(history, day, until) if until > day else ():
        turned, by = move.day.toordinal(), None
        left, reached = (move.from_stage, move.from_tier), (move.to_stage, move.to_tier)
        if move.cause in NAMING and turned in facts:
            override = move.cause is Cause.OVERRIDE
            by = deciding(facts[turned], left, reached, history.stages_on(turned), override=override)
        at = by.occurred_at if by else start_of_day(turned, ruling.zone)
        yield Change.made(
            move.cause,
            kind=move.kind,
            before=left,
            after=reached,
            value_minor=move.value_minor,
            loss_reason=move.loss_reason,
            at=at,
            fact=by,
        )


def _appearance(party: Assessed, history: History, now: Standing, ruling: Ruling) -> Change:
    """The first standing: the doing of the first day if it is still what that day made it, else learned of late."""
    facts, first, day = _by_day(party.facts, ruling), history.days[0], ruling.day(party.at)
    outcome = now.stage, now.tier
    if party.corrected is None and first in facts and history.outcome(first) == outcome:
        fact = deciding(facts[first], NOWHERE, outcome, history.stages_on(first))
        return _step(Cause.FACT, NOWHERE, history, day, fact, fact.occurred_at)
    past = [fact for fact in party.facts if ruling.day(fact.occurred_at) <= day]
    latest = deciding(past, NOWHERE, outcome, history.stages_on(day)) if past else None
    return _step(party.corrected or Cause.LATE_FACT, NOWHERE, history, day, latest, party.at, least_late(past))


def least_late(facts: Iterable[Fact]) -> int | None:
    """Seconds after it happened at which the one that was recorded soonest was; None where there is none."""
    return min((fact.late_s for fact in facts), default=None)


def _by_day(facts: Sequence[Fact], ruling: Ruling) -> dict[int, list[Fact]]:
    days: dict[int, list[Fact]] = {}
    for fact in facts:
        days.setdefault(ruling.day(fact.occurred_at), []).append(fact)
    return days


def deciding(facts: Sequence[Fact], before: Outcome, after: Outcome, stages: Stages, *, override: bool = False) -> Fact:
    """The one to be named of several: the last of a kind that can make the change, or the last of all."""
    kinds = (Kind.OVERRIDDEN,) if override else _making(before, after, stages)
    return max(facts, key=lambda fact: (fact.kind in kinds, fact.kind not in ABOUT, fact.occurred_at))


def _making(before: Outcome, after: Outcome, stages: Stages) -> Collection[int]:
    if before[0] == after[0]:
        return MONEY
    match after[0]:
        case Stage.CUSTOMER:
            return (Kind.PURCHASE,)
        case Stage.PROSPECT:
            return stages.prospects.sign_numbers
        case Stage.LOST_PROSPECT | Stage.LOST_CUSTOMER:
            return DECLARATIONS
        case _:
            return ()


def _step(
    cause: Cause,
    before: Outcome,
    history: History,
    day: int,
    fact: Fact | None,
    at: datetime,
    late_s: int | None = None,
) -> Change:
    """The change to what a history says of a day."""
    after = history.outcome(day)
    return Change.made(
        cause,
        kind=kind_of(before[0], after[0], cause),
        before=before,
        after=after,
        value_minor=history.worth(day),
        loss_reason=history.loss_reason(day),
        at=at,
        fact=fact,
        late_s=late_s,
    )
