"""A person sets a part of a standing: a fact that no log brings, recorded and assessed in one transaction."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.clock import now
from chassis.db import driver
from chassis.ids import uuid7
from chassis.writes import carry_out
from contracts.scoring import Cause
from services.scoring.domain.calendar import fold
from services.scoring.domain.facts import Fact, Kind
from services.scoring.domain.history import History
from services.scoring.domain.overridden import (
    NoIdentity,
    OverrideSuperseded,
    State,
    UntilPassed,
    in_one_spelling,
)
from services.scoring.domain.overrides import AMOUNTS, Field, detail
from services.scoring.domain.standing import NoStanding
from services.scoring.handlers.changes import Assessed
from services.scoring.handlers.standings import record
from services.scoring.models.overrides import NewOverride
from services.scoring.queries.overrides import (
    Concerned,
    append_override,
    concerned,
    fates_of,
    oldest_identity,
    overrides_of,
    party_overridden,
    take_instant,
)
from services.scoring.queries.parties import (
    EMPTY,
    calendars,
    opened,
    party_calendar,
    pass_barrier,
    standings_to_change,
    write_calendars,
)
from services.scoring.queries.rebuilds import touch
from services.scoring.queries.recording import recording_instant
from services.scoring.queries.rulings import keep_currency, present


class Act(NamedTuple):
    """What is said of a field, and why."""

    field: Field
    value: str
    until: date | None
    why: str | None
    by: str
    ends: UUID | None = None
    """The override that it ends."""
    ended: Mapping[UUID, datetime] | None = None
    """When it and those that would hold again behind it were set."""


async def set_override(session: AsyncSession, party_id: UUID, given: NewOverride, by: str) -> UUID:
    """Set a part of the standing of the party that an id leads to, and assess it anew; return the override.

    Raises `NoStanding`, `NoIdentity`, `UnknownValue`, `NoSuchNumber`, `UntilPassed`, `NoReportingCurrency`.
    """
    connection = await driver(session)

    async def named() -> UUID:
        return party_id

    whom, row = await _party_to_override(session, named)
    value = in_one_spelling(given.field, given.value, (await present(connection)).ruling.policy)
    if given.field in AMOUNTS:
        await keep_currency(connection)
    act = Act(given.field, value, given.until, given.why, by)
    return await _record(session, whom, row, party_id, act)


async def end_override(session: AsyncSession, override_id: UUID, *, why: str | None, by: str) -> None:
    """Leave a part of a standing to the facts from today on, with all that was set for it before; twice is once.

    Raises `OverrideNotFound`, and `OverrideSuperseded` for one that does not hold now and may again.
    """
    connection = await driver(session)

    async def having_it() -> UUID:
        return await party_overridden(connection, override_id)

    whom, row = await _party_to_override(session, having_it)
    ruling = (await present(connection)).ruling
    rows = await overrides_of(connection, whom.members.of((whom.party_id,))[whom.party_id], ruling.zone)
    fates = fates_of(rows, ruling.zone, ruling.day(now()))
    fate = fates[override_id]
    if fate.state is State.SUPERSEDED:
        assert fate.by is not None
        raise OverrideSuperseded(
            "Another one was set later and holds. Ending that one ends this one too.", holds=f"override_{fate.by.hex}"
        )
    if fate.state is State.HOLDS:
        ended = next(each for each in rows if each["fact_id"] == override_id)
        lasting = {
            id: each["set_at"]
            for each in rows
            if each["field"] == ended["field"]
            and (id := each["fact_id"]) in fates
            and fates[id].state in (State.HOLDS, State.SUPERSEDED)
        }
        act = Act(Field(ended["field"]), "", None, why, by, ends=override_id, ended=lasting)
        await _record(session, whom, row, ended["identity_id"], act)


async def _party_to_override(
    session: AsyncSession, named: Callable[[], Awaitable[UUID]]
) -> tuple[Concerned, asyncpg.Record]:
    """Whom it concerns, all of them locked in id order, and the row of the party that is `named` at that time.

    Where others were concerned by the time of the locks, all are given back and taken anew: one that comes after would
    break the order.
    """
    connection = await driver(session)
    while True:
        attempt = await (await session.connection()).begin_nested()
        await pass_barrier(connection)
        guess = await concerned(connection, await named())
        rows = await standings_to_change(connection, guess.parties)
        whom = await concerned(connection, await named())
        if whom.parties <= guess.parties:
            await attempt.commit()
            return whom, rows[whom.party_id]
        await attempt.rollback()


async def _record(session: AsyncSession, whom: Concerned, row: asyncpg.Record, named: UUID, act: Act) -> UUID:
    """Record it under an identity that the party was `named` by, or else its oldest; return the fact."""
    connection = await driver(session)
    here = await present(connection)
    ruling, members = here.ruling, whom.members.of((whom.party_id,))[whom.party_id]
    last = next((each["set_at"] for each in await overrides_of(connection, members, ruling.zone)), None)
    # An end names what it ends by when that was set: of no two overrides it is the same instant.
    at = await take_instant(connection, await recording_instant(connection, now(), after=last))
    day = ruling.day(at)
    if act.until and act.until.toordinal() < day:
        raise UntilPassed("Its last day is today or later.", today=date.fromordinal(day).isoformat())
    stored = await calendars(connection, [identity for identity, _ in members])
    known = opened(stored)
    if not History(party_calendar(members, known)[0], ruling).is_known(day):
        raise NoStanding
    identity = await oldest_identity(connection, whom, named, day)
    if identity is None:
        raise NoIdentity("The party holds no identity any more. Give it an identifier first.")

    ended = act.ended or {}
    said = detail(at, act.field, act.value, act.until, sorted(ended.values()))
    fact = Fact(uuid7(), identity, Kind.OVERRIDDEN, at, at, detail=said)
    new = fold([fact], ruling.zone)
    known[identity] = known.get(identity, EMPTY) + new
    write_calendars(session, {identity: (stored.get(identity, {}), known[identity], new.years())})
    await append_override(
        session,
        fact,
        field=act.field,
        value=act.value,
        until=act.until,
        why=act.why,
        by=act.by,
        ends=act.ends,
        ended=sorted(ended) or None,
    )
    if here.rebuilding:
        await touch(connection, [identity])

    # The clock of another machine may have brought the party to a later day already.
    assessed_at = max(at, row["assessed_at"] or at)
    late = ruling.day(assessed_at) > day
    assessed = Assessed(
        row,
        *party_calendar(members, known),
        at=assessed_at,
        corrected=Cause.OVERRIDE if late else None,
        late=fact if late else None,
        facts=() if late else (fact,),
    )
    await record(session, connection, here, [assessed])
    await carry_out(session, connection)
    return fact.fact_id
