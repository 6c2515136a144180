"""How a party under its lock comes to stand otherwise: the row, its revision, and what others are told."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import NamedTuple, cast
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from contracts.customers import Resolution
from contracts.event import Event
from contracts.scoring import Cause, MoveKind, Stage, StandingChanged, StandingRecorded, Tier
from contracts.topics import STANDINGS
from services.scoring.domain.calendar import Calendar, fold
from services.scoring.domain.days import start_of_day
from services.scoring.domain.facts import Fact, Kind
from services.scoring.domain.history import NOWHERE, History, Outcome
from services.scoring.domain.policy import Ruling
from services.scoring.domain.standing import Standing, standing
from services.scoring.domain.trajectory import kind_of, moves
from services.scoring.queries.rulings import Connection, Present
from services.scoring.queries.standings import append_moves, write_standings


class Change(NamedTuple):
    """One step that is told to others."""

    cause: Cause
    kind: MoveKind
    from_stage: Stage | None
    to_stage: Stage | None
    from_tier: Tier | None
    to_tier: Tier | None
    value_minor: int
    occurred_at: datetime
    fact_id: UUID | None = None


@dataclass(slots=True)
class Assessed:
    """A party as its locked row has it, and what its calendar says now."""

    row: asyncpg.Record
    calendar: Calendar
    first_identity: UUID | None
    at: datetime
    corrected: Cause | None = None
    """Why the days up to the last assessment look different now, where another ruling is not all."""
    late: Fact | None = None
    """The new fact that corrects these days, where it is one."""
    facts: Sequence[Fact] = ()
    """New ones that say what the party did on the day of the last assessment or later."""
    redirect: Resolution | None = None
    """Where its id leads from now on; None as before."""
    survives: bool = False
    """Others were merged into it just now, which is told in any case."""

    @property
    def party_id(self) -> UUID:
        """Which party."""
        party_id: UUID = self.row["party_id"]
        return party_id

    @property
    def merged_into(self) -> UUID | None:
        """The other party that its id leads to from just now on."""
        if self.redirect is None or self.redirect.resolves_to in (self.row["party_id"], self.row["resolves_to"]):
            return None
        return self.redirect.resolves_to


async def record(session: AsyncSession, connection: Connection, here: Present, parties: Sequence[Assessed]) -> None:
    """Write how locked parties stand, and tell others what became different.

    The last change of a party merged into another comes before that of the other, whose revision is above both.
    """
    revisions = _revisions(parties)
    rows: list[tuple[object, ...]] = []
    lived: list[tuple[object, ...]] = []
    events: list[Event | UUID] = []
    for party in sorted(parties, key=lambda party: party.merged_into is None):
        history = History(party.calendar, here.ruling)
        now = standing(history, party.at)
        steps = list(_steps(party, history, now, here))
        if not steps and _must_be_told(party, now):
            kind = MoveKind.VANISHED if now.stage is None else MoveKind.REVISED
            stays = now.stage, now.stage, now.tier, now.tier
            steps = [Change(Cause.ASSIGNMENT, kind, *stays, now.value_minor, party.at)]
        revision = revisions[party.party_id]
        for step in steps:
            revision += 1
            into = party.merged_into if step is steps[-1] else None
            events.append(_changed(party, step, revision, now if step is steps[-1] else None, into, here))
            lived.append((party.party_id, revision, *step[:8], party.at, step.fact_id, into, here.ruling_id))
        if steps:
            events.append(_state(party, revision, steps[-1], now, here) or party.party_id)
        if party.merged_into is not None:
            revisions[party.merged_into] = max(revision, revisions[party.merged_into])
        rows.append(
            (
                party.party_id, party.redirect.resolves_to if party.redirect else party.row["resolves_to"],
                party.redirect.version if party.redirect else party.row["resolution_version"],
                revision, party.first_identity,
                now.stage, now.tier, now.since, now.value_minor, now.spend_minor, now.purchase_days, now.first_day,
                now.last_day, now.next_change_at, party.at, here.ruling_id,
            )
        )  # fmt: skip
    _tell(session, events)
    await write_standings(connection, rows)
    if lived:
        await append_moves(connection, lived)


def _revisions(parties: Sequence[Assessed]) -> dict[UUID, int]:
    """The revision that each party goes on from: of those that come together, the highest."""
    revisions: dict[UUID, int] = {party.party_id: party.row["revision"] for party in parties}
    for party in parties:
        if party.merged_into is not None:
            revisions[party.party_id] = max(revisions[party.party_id], revisions[party.merged_into])
    return revisions


def _steps(party: Assessed, history: History, now: Standing, here: Present) -> Iterator[Change]:
    """What became different: what was thought of the past, then what each day brought, on its own."""
    row, ruling = party.row, here.ruling
    before: Outcome = row["stage"] and Stage(row["stage"]), row["tier"] and Tier(row["tier"])
    if row["assessed_at"] is None:
        if now.stage is not None:
            yield _appearance(party, history, now, ruling)
        return
    corrected = party.corrected or (None if row["ruling"] == here.ruling_id else Cause.POLICY)
    day, until = ruling.day(row["assessed_at"]), ruling.day(party.at)
    facts = _by_day(party.facts, ruling)
    known, value = history.outcome(day), history.value(day)
    if day in facts:
        known = before
        if corrected:
            without = History(party.calendar - fold(facts[day], ruling.zone), ruling)
            known, value = without.outcome(day), without.value(day)
    if known != before:
        yield _step(corrected or Cause.LATE_FACT, before, known, value, party.late, party.at)
    if history.outcome(day) != known:
        fact = _deciding(facts[day])
        yield _step(Cause.FACT, known, history.outcome(day), history.value(day), fact, fact.occurred_at)
    for move in moves(history, day, until) if until > day else ():
        turned = move.day.toordinal()
        by = _deciding(facts[turned]) if move.cause is Cause.FACT and turned in facts else None
        yield Change(
            move.cause, move.kind, move.from_stage, move.to_stage, move.from_tier, move.to_tier, move.value_minor,
            by.occurred_at if by else start_of_day(turned, ruling.zone), by.fact_id if by else None,
        )  # fmt: skip


def _appearance(party: Assessed, history: History, now: Standing, ruling: Ruling) -> Change:
    """The first standing: the doing of the first day if it is still what that day made it, else learned of late."""
    facts, first = _by_day(party.facts, ruling), history.days[0]
    outcome = now.stage, now.tier
    if party.corrected is None and first in facts and history.outcome(first) == outcome:
        fact = _deciding(facts[first])
        return _step(Cause.FACT, NOWHERE, outcome, now.value_minor, fact, fact.occurred_at)
    past = [fact for fact in party.facts if ruling.day(fact.occurred_at) <= ruling.day(party.at)]
    latest = _deciding(past) if past else None
    return _step(party.corrected or Cause.LATE_FACT, NOWHERE, outcome, now.value_minor, latest, party.at)


def _by_day(facts: Sequence[Fact], ruling: Ruling) -> dict[int, list[Fact]]:
    days: dict[int, list[Fact]] = {}
    for fact in facts:
        days.setdefault(ruling.day(fact.occurred_at), []).append(fact)
    return days


def _deciding(facts: Sequence[Fact]) -> Fact:
    """The one to be named of several: the last, and none that only says that the party is there, if it can be."""
    return max(facts, key=lambda fact: (fact.kind is not Kind.REGISTERED, fact.occurred_at))


def _step(cause: Cause, before: Outcome, after: Outcome, value_minor: int, fact: Fact | None, at: datetime) -> Change:
    named = fact.fact_id if fact and cause in (Cause.FACT, Cause.LATE_FACT) else None
    kind = kind_of(before[0], after[0], cause)
    return Change(cause, kind, before[0], after[0], before[1], after[1], value_minor, at, named)


def _must_be_told(party: Assessed, now: Standing) -> bool:
    """A merge is told even where stage and tier stay, unless nobody ever heard of the party."""
    if party.merged_into is not None:
        return bool(party.row["revision"])
    return party.survives and now.stage is not None


def _changed(
    party: Assessed, step: Change, revision: int, now: Standing | None, merged_into: UUID | None, here: Present
) -> StandingChanged:
    # Not validated: every value comes from our own arithmetic, and this runs for every move.
    return StandingChanged.model_construct(
        _CHANGE_FIELDS,
        subject=party.party_id,
        occurred_at=step.occurred_at,
        revision=revision,
        cause=step.cause,
        kind=step.kind,
        from_stage=step.from_stage,
        to_stage=step.to_stage,
        from_tier=step.from_tier,
        to_tier=step.to_tier,
        value_minor=None if step.to_stage is None else step.value_minor,
        currency=here.currency,
        fact_id=step.fact_id,
        next_change_at=now.next_change_at if now else None,
        merged_into=merged_into,
        policy=here.ruling.policy.content_hash,
    )


def _state(party: Assessed, revision: int, step: Change, now: Standing, here: Present) -> StandingRecorded | None:
    if now.stage is None:
        return None
    assert now.tier is not None
    assert now.since is not None
    return StandingRecorded.model_construct(
        _STATE_FIELDS,
        subject=party.party_id,
        occurred_at=step.occurred_at,
        revision=revision,
        stage=now.stage,
        tier=now.tier,
        since=now.since,
        value_minor=now.value_minor,
        currency=here.currency,
        purchase_days=now.purchase_days,
        next_change_at=now.next_change_at,
        policy=here.ruling.policy.content_hash,
    )


def _tell(session: AsyncSession, events: Sequence[Event | UUID]) -> None:
    """Publish events and tombstones (given as the party) in order."""
    for are_events, run in groupby(events, key=lambda event: isinstance(event, Event)):
        if are_events:
            outbox.append(session, *cast("Iterator[Event]", run))
        else:
            for party_id in cast("Iterator[UUID]", run):
                outbox.tombstone(session, STANDINGS, party_id)


_CHANGE_FIELDS = set(StandingChanged.model_fields)
_STATE_FIELDS = set(StandingRecorded.model_fields)
