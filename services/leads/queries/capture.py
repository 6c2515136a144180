"""Capturing leads: one set-based way for one lead, a bulk and an import."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from asyncpg import Record
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from chassis.clock import now
from chassis.db import driver
from chassis.ids import uuid7
from contracts.event import Event
from contracts.identity import Identity, given
from contracts.leads import LeadAssigned, LeadCaptured, LeadGraded
from contracts.telling import Outcome, Status
from services.leads.domain.leads import LeadConflict, NewLead
from services.leads.domain.rubrics import Graded, Rubric, Seen, grade
from services.leads.queries.rubrics import in_force


async def capture_leads(
    session: AsyncSession, rows: Sequence[NewLead], origins: outbox.Origins = None
) -> list[Outcome]:
    """Capture and grade leads, and publish them; return what became of each, in the order of the rows.

    The first telling under an id in a source is accepted, every other one compared with it.
    """
    outcomes: dict[int, Outcome] = {}
    rubric = await in_force(session) if rows else None
    while rubric and (waiting := [place for place in range(len(rows)) if place not in outcomes]):
        # Keys told twice are inserted once; a lead without an id in its source is like no other.
        first = {_key(rows[place]) or place: place for place in reversed(waiting)}
        fresh = {place: rows[place] for place in sorted(first.values())}
        outcomes |= await _insert(session, fresh, rubric, origins)
        waiting = [place for place in waiting if place not in outcomes]
        present = await _present(session, [rows[place] for place in waiting])
        # Not there any more: it was withdrawn between both statements, so it is tried again.
        outcomes |= {place: _compared(row, rows[place]) for place in waiting if (row := present.get(_key(rows[place])))}
    return [outcomes[place] for place in range(len(rows))]


def _key(row: NewLead) -> tuple[str, str] | None:
    return (row.system, row.source_id) if row.source_id is not None else None


async def _insert(
    session: AsyncSession, told: Mapping[int, NewLead], rubric: Rubric, origins: outbox.Origins
) -> dict[int, Outcome]:
    at, ids = now(), {place: (uuid7(), uuid7(), uuid7()) for place in told}
    # In a thread: under a large rubric a bulk takes seconds.
    grades = await asyncio.to_thread(_grades, told, rubric) if len(told) > 100 else _grades(told, rubric)
    values = [
        (*ids[place], *_values(lead, lead.occurred_at or at, grades[place], rubric)) for place, lead in told.items()
    ]
    found = await (await driver(session)).fetch(_INSERT, *map(list, zip(*values, strict=True)), at)
    inserted = {row["lead_id"] for row in found}
    accepted = [place for place in told if ids[place][0] in inserted]
    events: list[Event] = []
    event_ids: list[UUID] = []
    named: list[outbox.Origin] = []
    for place in accepted:
        lead_id, *its_events = ids[place]
        made = _events(told[place], lead_id, told[place].occurred_at or at, grades[place], rubric)
        events += made
        event_ids += [*its_events, *(uuid7() for _ in made[2:])]
        named += [origins[place]] * len(made) if origins else []
    outbox.append(session, *events, event_ids=event_ids, origins=origins and named)
    return {place: Outcome(Status.ACCEPTED, ids[place][0]) for place in accepted}


def _grades(told: Mapping[int, NewLead], rubric: Rubric) -> dict[int, Graded]:
    return {
        place: grade(rubric, Seen(lead.source, lead.medium, lead.campaign, lead.attributes))
        for place, lead in told.items()
    }


def _values(lead: NewLead, occurred_at: datetime, graded: Graded, rubric: Rubric) -> list[Any]:
    subject, *others = lead.identities
    return [
        subject.id,
        f"{{{','.join(str(other.id) for other in others)}}}",
        json.dumps([_identifier(identity) for identity in lead.identities]),
        lead.system,
        lead.source_id,
        lead.content_hash,
        occurred_at,
        lead.source,
        lead.medium,
        lead.campaign,
        json.dumps(dict(lead.attributes)),
        lead.note,
        graded.grade,
        graded.points,
        f"{{{','.join(graded.met)}}}",
        rubric.content_hash,
        lead.owner_id,
        lead.team_id,
        lead.import_id,
    ]


def _identifier(identity: Identity) -> dict[str, str | None]:
    return {"scheme": identity.scheme, "system": identity.system, "value": identity.value}


def _events(lead: NewLead, lead_id: UUID, occurred_at: datetime, graded: Graded, rubric: Rubric) -> list[Event]:
    subject, *others = lead.identities
    about: dict[str, Any] = {"subject": subject.id, "occurred_at": occurred_at, "lead_id": lead_id}
    captured = LeadCaptured(
        **about,
        source=lead.source,
        medium=lead.medium,
        campaign=lead.campaign,
        other_identities=tuple(other.id for other in others),
        given=tuple(map(given, lead.identities)),
    )
    told = LeadGraded(**about, grade=graded.grade, points=graded.points, rubric=rubric.content_hash)
    if lead.owner_id is None and lead.team_id is None:
        return [captured, told]
    return [captured, told, LeadAssigned(**about, version=1, owner_id=lead.owner_id, team_id=lead.team_id)]


async def _present(session: AsyncSession, rows: Sequence[NewLead]) -> dict[tuple[str, str] | None, Record]:
    keys = sorted({key for row in rows if (key := _key(row))})
    if not keys:
        return {}
    found = await (await driver(session)).fetch(_PRESENT, *map(list, zip(*keys, strict=True)))
    return {(row["system"], row["source_id"]): row for row in found}


def _compared(row: Record, told: NewLead) -> Outcome:
    if row["content_hash"] == told.content_hash and told.occurred_at in (None, row["occurred_at"]):
        return Outcome(Status.DUPLICATE, row["id"])
    outer = f"lead_{row['id'].hex}"
    problem = LeadConflict(
        "This id of the source was captured before with other content; edit that one, or withdraw it and tell anew.",
        existing_id=outer,
        edit=f"/v1/leads/{outer}",
        withdraw=f"/v1/leads/{outer}/withdraw",
    )
    return Outcome(Status.CONFLICT, row["id"], problem)


_COLUMNS = {
    "id": "uuid",
    "event_id": "uuid",
    "grade_event_id": "uuid",
    "identity_id": "uuid",
    "other_ids": "text",
    "identifiers": "text",
    "system": "text",
    "source_id": "text",
    "content_hash": "bytea",
    "occurred_at": "timestamptz",
    "source": "text",
    "medium": "text",
    "campaign": "text",
    "attributes": "text",
    "note": "text",
    "grade": "text",
    "points": "int",
    "met": "text",
    "rubric": "text",
    "owner_id": "uuid",
    "team_id": "uuid",
    "import_id": "uuid",
}
_CASTS = {"other_ids": "uuid[]", "met": "text[]", "identifiers": "jsonb", "attributes": "jsonb"}
"""Arrays of arrays would be taken apart whole, so they come as text."""
_OWN = [name for name in _COLUMNS if name not in ("event_id", "grade_event_id")]
_ARRAYS = ", ".join(f"${place}::{type_}[]" for place, type_ in enumerate(_COLUMNS.values(), 1))
_AT = f"${len(_COLUMNS) + 1}"

_INSERT = f"""
WITH new AS MATERIALIZED (SELECT * FROM unnest({_ARRAYS}) AS new({", ".join(_COLUMNS)})),
made AS (
    INSERT INTO lead ({", ".join(_OWN)}, status, owner_version, recorded_at, changed_at)
    SELECT {", ".join(f"{name}::{_CASTS[name]}" if name in _CASTS else name for name in _OWN)}, 'new',
           CASE WHEN owner_id IS NULL AND team_id IS NULL THEN 0 ELSE 1 END, {_AT}, {_AT}
    FROM new ORDER BY system, source_id
    ON CONFLICT (system, source_id) WHERE withdrawn_at IS NULL DO NOTHING
    RETURNING *
)
INSERT INTO lead_version (lead_id, version, change, event_id, grade_event_id, occurred_at, recorded_at, status, grade,
                          points, met, rubric, owner_id, team_id, attributes, note, import_id)
SELECT made.id, made.version, 'captured', new.event_id, new.grade_event_id, made.occurred_at, made.recorded_at,
       made.status, made.grade, made.points, made.met, made.rubric, made.owner_id, made.team_id, made.attributes,
       made.note, made.import_id
FROM made JOIN new ON new.id = made.id
RETURNING lead_id
"""

_PRESENT = """
SELECT lead.id, lead.system, lead.source_id, content_hash, occurred_at
FROM unnest($1::text[], $2::text[]) AS asked(system, source_id)
JOIN lead ON lead.system = asked.system AND lead.source_id = asked.source_id
WHERE withdrawn_at IS NULL
"""
