"""Win-back programmes: who was drawn for them, and what came of it."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from chassis.conditions import Conditions
from contracts.scoring import Stage
from services.scoring.domain.facts import Kind
from services.scoring.domain.reports.doings import days_with, gross, purchase_days
from services.scoring.domain.reports.winback import NobodyLost, ProgrammeNotFound, WinBack
from services.scoring.models.programmes import NewProgramme
from services.scoring.queries.reports.seeing import survivors, those
from services.scoring.queries.rulings import Connection


async def begin_programme(
    connection: Connection, programme_id: UUID, asked: NewProgramme, *, today: date, at: datetime, by: str
) -> asyncpg.Record:
    """Draw by lot whom of the lost customers, as they are stored, to contact. Raises `NobodyLost`."""
    conditions = Conditions(Stage.LOST_CUSTOMER, programme_id, asked.share)
    conditions.add("loss_reason = ANY({})", list(asked.reasons) or None)
    conditions.add("tier = ANY({})", list(asked.tiers) or None)
    leads = await survivors(connection, asked.party_ids or ())
    listed = None if asked.party_ids is None else set(leads.values())
    conditions.add("party_id = ANY({})", None if listed is None else sorted(listed))
    await connection.execute(
        _BEGIN, programme_id, asked.name, today, asked.within_days, asked.share, list(asked.reasons),
        list(asked.tiers), at, by,
    )  # fmt: skip
    await connection.execute(_DRAW.format(conditions=conditions), *conditions.arguments)
    lost = {row["party_id"] for row in await connection.fetch(_LOST, sorted(listed or ()), Stage.LOST_CUSTOMER)}
    not_lost = sum(leads.get(id) not in lost for id in set(asked.party_ids or ()))
    row = await connection.fetchrow(_COUNT, programme_id, not_lost)
    if row is None or not row["contacted"]:
        raise NobodyLost("No customer that is asked for stands lost now. `GET /v1/losses` lists who does.")
    return row


async def programme(connection: Connection, programme_id: UUID) -> asyncpg.Record:
    """A programme. Raises `ProgrammeNotFound`."""
    row = await connection.fetchrow("SELECT * FROM programme WHERE id = $1", programme_id)
    if row is None:
        raise ProgrammeNotFound("There is no such programme. `GET /v1/win-back` lists them.")
    return row


async def programmes(connection: Connection, before: tuple[datetime, UUID], limit: int) -> list[asyncpg.Record]:
    """Programmes before a place, the last that began first."""
    return await connection.fetch(
        "SELECT * FROM programme WHERE (begun_at, id) < ($1, $2) ORDER BY begun_at DESC, id DESC LIMIT $3",
        *before, limit,
    )  # fmt: skip


async def members_of(
    connection: Connection, programme_id: UUID, *, contact: bool | None, after: UUID | None, limit: int
) -> Sequence[asyncpg.Record]:
    """Who was drawn, or was not, by the parties that they lead to today, in id order behind one."""
    conditions = Conditions(programme_id)
    conditions.add("party.party_id > {}", after)
    drawn = "bool_or(contact)"
    kept = "" if contact is None else f" HAVING {drawn} = {str(contact).lower()}"
    return await connection.fetch(
        f"SELECT party.party_id, {drawn} AS contact, party.stage, party.tier, party.last_day {_MEMBERS}{conditions}"
        f" GROUP BY party.party_id{kept} ORDER BY party.party_id LIMIT {int(limit)}",
        *conditions.arguments,
    )


class Came(NamedTuple):
    """What came of a programme."""

    back: WinBack
    contacted_reached: int
    others_reached: int


async def what_came(connection: Connection, programme_id: UUID, known: date, now: datetime) -> Came:
    """Who came back of those who were drawn and of the others, by what is known up to a whole local day.

    Each stays in the group that it was drawn into, whatever became of it (intention to treat). Of parties that were
    merged since, of which one was to be contacted, the whole was.
    """
    row = await programme(connection, programme_id)
    back = WinBack(row["lost_on"].toordinal(), contact_days=0, within_days=row["within_days"], listed=True)
    drawn = {
        member["party_id"]: member["contact"]
        for member in await members_of(connection, programme_id, contact=None, after=None, limit=2**31)
    }
    reached, unseen = {True: 0, False: 0}, set(drawn)
    last = min(known, date.fromordinal(back.until))
    async for seen in those(connection, drawn, last, now):
        contact, called = drawn[seen.party_id], days_with(seen.calendar, Kind.REACHED)
        reached[contact] += any(back.lost_on < day <= back.until for day in called)
        back.take(purchase_days(seen.calendar), gross(seen.history), called, on_list=contact)
        unseen.discard(seen.party_id)
    for party_id in unseen:
        # Nothing is left of them; they count as not back all the same.
        back.take((), {}, (), on_list=drawn[party_id])
    return Came(back, reached[True], reached[False])


_BEGIN = """
INSERT INTO programme (
    id, name, lost_on, within_days, share, reasons, tiers, not_lost, contacted, others, begun_at, begun_by
) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, 0, $8, $9)
"""

_DRAW = """
INSERT INTO programme_member (programme_id, party_id, contact)
SELECT $2::uuid, party_id, row_number() OVER (ORDER BY random()) <= greatest(1, least(
    round($3::float8 * count(*) OVER ()), count(*) OVER () - CASE WHEN $3::float8 < 1 THEN 1 ELSE 0 END
))
FROM party WHERE stage = $1{conditions}
"""

_LOST = "SELECT party_id FROM party WHERE party_id = ANY($1) AND stage = $2"

_COUNT = """
UPDATE programme SET not_lost = $2, contacted = counted.contacted, others = counted.others
FROM (
    SELECT count(*) FILTER (WHERE contact) AS contacted, count(*) FILTER (WHERE NOT contact) AS others
    FROM programme_member WHERE programme_id = $1
) AS counted
WHERE id = $1 RETURNING programme.*
"""

_MEMBERS = """
FROM programme_member AS member
JOIN party AS drawn ON drawn.party_id = member.party_id
JOIN party ON party.party_id = drawn.resolves_to
WHERE programme_id = $1"""
