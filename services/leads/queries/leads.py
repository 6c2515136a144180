"""Leads as they are shown: one, lists, the versions of one, counts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from asyncpg import Record
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.assignments import HOLDER, columns, identities_of, narrow
from chassis.conditions import Conditions
from chassis.db import driver
from chassis.external_ids import ExternalId
from chassis.ids import outer
from chassis.timelines import Asked, Entry
from contracts.identity import Installation
from contracts.leads import Grade
from contracts.telling import Outcome, ids_of
from services.leads.domain.leads import Change, LeadNotFound
from services.leads.domain.moves import FACTS, LeadStatus
from services.leads.models.leads import Conversion, Lead, LeadCount, LeadSummary, LeadVersion
from services.leads.queries.reach import check_reach, narrow_to_reach

CLOSED = (LeadStatus.WON, LeadStatus.LOST, LeadStatus.DISQUALIFIED)

TOLD = {Change.CAPTURED: "lead_captured", Change.REOPENED: "lead_reopened", Change.ASSIGNED: "lead_assigned"} | {
    change: f"lead_{change}" for change in (Change.QUALIFIED, Change.DISQUALIFIED, Change.WON, Change.LOST)
}
"""What of a lead's history stands in the life of its party, and under which name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which leads are wanted; without any, all that are not withdrawn."""

    status: LeadStatus | None = None
    grade: Grade | None = None
    owner_id: UUID | None = None
    team_id: UUID | None = None
    source: str | None = None
    campaign: str | None = None
    system: str | None = None
    source_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    """Up to, not including."""
    identity_id: UUID | None = None
    """Captured with this identity, as the subject or beside it."""

    def narrow(self, conditions: Conditions) -> None:
        """Ask for those among leads, in SQL over `lead`."""
        for name in ("status", "grade", "owner_id", "team_id", "source", "campaign", "system", "source_id"):
            conditions.equal(**{f"lead.{name}": getattr(self, name)})
        conditions.add("lead.occurred_at >= {}", self.since)
        conditions.add("lead.occurred_at < {}", self.until)
        if self.identity_id is not None:
            place = conditions.place(self.identity_id)
            conditions.add(f"(lead.identity_id = {place} OR lead.other_ids @> ARRAY[{place}::uuid])")


async def lead(session: AsyncSession, lead_id: UUID, installation: Installation) -> Lead:
    """The lead as it is shown, also one that was withdrawn. Raises `LeadNotFound`."""
    await session.flush()
    row = await (await driver(session)).fetchrow(f"{_SHOWN} WHERE lead.id = $2", installation.zone.key, lead_id)
    if row is None:
        raise LeadNotFound("There is no such lead.")
    check_reach(session, row["owner_id"], row["team_id"])
    return _lead(row)


async def recorded_leads(
    session: AsyncSession, outcomes: Iterable[Outcome], installation: Installation
) -> dict[UUID, Lead]:
    """Those that now stand for what was told, as they are shown."""
    query = f"{_SHOWN} WHERE lead.id = ANY($2)"
    rows = await (await driver(session)).fetch(query, installation.zone.key, ids_of(outcomes))
    for row in rows:
        check_reach(session, row["owner_id"], row["team_id"])
    return {row["id"]: _lead(row) for row in rows}


async def leads(
    session: AsyncSession,
    wanted: Filter,
    installation: Installation,
    *,
    party_id: UUID | None = None,
    before: tuple[datetime, UUID],
    limit: int,
) -> list[Lead]:
    """Leads that a filter wants, the latest first; of a party, those that it had on the day of their capture."""
    conditions = Conditions(installation.zone.key, *before, limit)
    wanted.narrow(conditions)
    narrow_to_reach(session, conditions)
    if party_id is not None:
        await narrow(conditions, session, party_id, identity="lead.identity_id", day=_DAY)
    rows = await (await driver(session)).fetch(_LEADS.format(conditions=conditions), *conditions.arguments)
    return [_lead(row) for row in rows]


def _lead(row: Record) -> Lead:
    shown: dict[str, Any] = dict(row)
    ids = [row["identity_id"], *row["other_ids"]]
    shown["identifiers"] = [{"identity_id": id, **given} for id, given in zip(ids, row["identifiers"], strict=True)]
    return Lead.model_validate(shown)


async def versions(session: AsyncSession, lead_id: UUID, *, before: int, limit: int) -> list[LeadVersion]:
    """The versions of a lead, the last one first. Raises `LeadNotFound`."""
    connection = await driver(session)
    lead = await connection.fetchrow("SELECT owner_id, team_id FROM lead WHERE id = $1", lead_id)
    if lead is None:
        raise LeadNotFound("There is no such lead.")
    check_reach(session, *lead)
    rows = await connection.fetch(_VERSIONS, lead_id, before, limit, list(FACTS))
    return [LeadVersion.model_validate(dict(row)) for row in rows]


async def summary(session: AsyncSession, wanted: Filter) -> LeadSummary:
    """How many leads there are of each status and grade, and how many were won."""
    conditions = Conditions()
    wanted.narrow(conditions)
    narrow_to_reach(session, conditions)
    rows = await (await driver(session)).fetch(_SUMMARY.format(conditions=conditions), *conditions.arguments)
    counts = [LeadCount.model_validate(dict(row)) for row in rows]
    conversion = [_conversion(counts, grade) for grade in (None, *Grade)]
    return LeadSummary(count=sum(each.count for each in counts), data=counts, conversion=conversion)


def _conversion(counts: Sequence[LeadCount], grade: Grade | None) -> Conversion:
    those = [each for each in counts if grade is None or each.grade is grade]
    count = sum(each.count for each in those)
    won = sum(each.count for each in those if each.status is LeadStatus.WON)
    closed = sum(each.count for each in those if each.status in CLOSED)
    return Conversion(
        grade=grade,
        count=count,
        won=won,
        closed=closed,
        won_of_all=round(won / count, 4) if count else None,
        won_of_closed=round(won / closed, 4) if closed else None,
    )


async def entries(
    session: AsyncSession, party_id: UUID, installation: Installation, asked: Asked, limit: int
) -> list[Entry]:
    """What happened with the leads of a party while it had them, the latest first, behind an entry of any service.

    What was taken back says so: a move when it was undone, all of a lead when that was withdrawn. Nothing of it
    is with a department.
    """
    wanted = asked.among(list(TOLD.values()))
    changes = [change for change, kind in TOLD.items() if kind in wanted and not asked.departments]
    held = columns(await identities_of(session, party_id))
    conditions = Conditions(installation.zone.key, *held, changes, *asked.place, limit)
    narrow_to_reach(session, conditions)
    query = _TIMELINE.format(conditions=conditions)
    rows = await (await driver(session)).fetch(query, *conditions.arguments)
    return [
        Entry(
            at=row["occurred_at"],
            id=row["outer_id"],
            kind=TOLD[Change(row["change"])],
            service="leads",
            recorded_at=row["recorded_at"],
            detail={name: value for name, value in row["detail"].items() if value is not None},
        )
        for row in rows
    ]


async def external_ids(
    session: AsyncSession, party_ids: Sequence[UUID | str], installation: Installation
) -> list[ExternalId]:
    """The ids of the leads that parties had on the day of their capture, the oldest of each first."""
    rows = await (await driver(session)).fetch(_EXTERNAL_IDS, installation.zone.key, party_ids)
    return [ExternalId.of(row["party_id"], row["system"], row["value"]) for row in rows]


_DAY = "(lead.occurred_at AT TIME ZONE $1)::date"

_SHOWN = f"SELECT lead.*, {HOLDER.format(identity='lead.identity_id', day=_DAY)} AS party_id FROM lead"

_LEADS = f"""
{_SHOWN} WHERE lead.withdrawn_at IS NULL AND (lead.occurred_at, lead.id) < ($2, $3){{conditions}}
ORDER BY lead.occurred_at DESC, lead.id DESC LIMIT $4
"""

# One look into the index for each party and identity: for many at once whole tables would be read.
_EXTERNAL_IDS = f"""
WITH asked AS (SELECT DISTINCT unnest($2::uuid[]) AS party_id),
held AS (
    SELECT assigned.identity_id FROM asked CROSS JOIN LATERAL (
        SELECT identity_id FROM known_assignment WHERE parties @> ARRAY[asked.party_id] OFFSET 0
    ) AS assigned
    UNION
    SELECT party_id FROM asked
),
told AS MATERIALIZED (
    SELECT lead.system, lead.source_id, lead.occurred_at, lead.id,
           {HOLDER.format(identity="lead.identity_id", day=_DAY)} AS party_id
    FROM held CROSS JOIN LATERAL (
        SELECT * FROM lead
        WHERE lead.identity_id = held.identity_id AND withdrawn_at IS NULL AND source_id IS NOT NULL OFFSET 0
    ) AS lead
)
SELECT party_id, system, source_id AS value FROM told JOIN asked USING (party_id) ORDER BY party_id, occurred_at, id
"""

_VERSIONS = """
SELECT made.version, made.change, made.occurred_at, made.recorded_at, made.status, made.grade, made.points, made.met,
       made.rubric, made.owner_id, made.team_id, told.attributes, told.note, made.reason, made.competitor,
       made.amount_minor, made.currency, made.undoes, made.import_id,
       CASE WHEN made.change = ANY($4) THEN made.event_id END AS fact_id
FROM lead_version AS made
CROSS JOIN LATERAL (
    SELECT attributes, note FROM lead_version AS before
    WHERE before.lead_id = made.lead_id AND before.version <= made.version AND before.attributes IS NOT NULL
    ORDER BY before.version DESC LIMIT 1
) AS told
WHERE made.lead_id = $1 AND made.version < $2
ORDER BY made.version DESC LIMIT $3
"""

_SUMMARY = """
SELECT status, grade, count(*) AS count FROM lead WHERE withdrawn_at IS NULL{conditions}
GROUP BY status, grade ORDER BY 1, 2
"""

_TIMELINE = f"""
SELECT told.change, told.occurred_at, told.recorded_at, outer_id,
       jsonb_build_object(
           'lead_id', {outer("lead", "lead.id")},
           'grade', CASE WHEN told.change = 'captured' THEN told.grade END,
           'source', CASE WHEN told.change = 'captured' THEN lead.source END,
           'medium', CASE WHEN told.change = 'captured' THEN lead.medium END,
           'campaign', CASE WHEN told.change = 'captured' THEN lead.campaign END,
           'owner_id', CASE WHEN told.change IN ('captured', 'assigned')
                       THEN {outer("user", "told.owner_id")} END,
           'team_id', CASE WHEN told.change IN ('captured', 'assigned')
                      THEN {outer("team", "told.team_id")} END,
           'reason', told.reason, 'competitor', told.competitor,
           'amount_minor', told.amount_minor, 'currency', told.currency,
           'undone_at', (
               SELECT recorded_at FROM lead_version AS undone
               WHERE undone.lead_id = told.lead_id AND undone.undoes = told.version
           ),
           'withdrawn_at', lead.withdrawn_at
       ) AS detail
FROM unnest($2::uuid[], $3::date[], $4::date[]) AS held(identity_id, from_day, until_day)
JOIN lead ON lead.identity_id = held.identity_id
JOIN lead_version AS told ON told.lead_id = lead.id AND told.change = ANY($5)
CROSS JOIN LATERAL (
    SELECT {outer("event", "told.event_id")} COLLATE "C" AS outer_id,
           (told.occurred_at AT TIME ZONE $1)::date AS day
) AS shown
WHERE (held.from_day IS NULL OR held.from_day <= day) AND (held.until_day IS NULL OR day < held.until_day)
  AND (told.occurred_at, outer_id) < ($6, $7){{conditions}}
ORDER BY told.occurred_at DESC, outer_id DESC LIMIT $8
"""
