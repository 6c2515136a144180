"""The same measures of everybody, of groups and of each party: as stored, or as of a day."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from chassis.conditions import Conditions
from contracts.scoring import Band
from services.scoring.domain.days import start_of_day
from services.scoring.domain.grades import Grades
from services.scoring.domain.history import History
from services.scoring.domain.moment import Care
from services.scoring.domain.reports.zoom import NONE, Measures, ZoomBy, group, measured
from services.scoring.domain.standing import Standing
from services.scoring.domain.together import assess_together
from services.scoring.queries.reading import by_party, moment
from services.scoring.queries.rulings import Connection, present
from services.scoring.queries.standings import FALLEN


class Part(NamedTuple):
    """One party, with the group that it is in."""

    party_id: UUID
    segment: str
    measures: Measures


class Zoomed(NamedTuple):
    """What is looked at, and from when it is seen."""

    by: ZoomBy
    as_of: date | None
    """None where stored standings are told, each as of its own last assessment."""
    within_days: int
    """At risk is whose stage falls within so many local days."""
    now: datetime
    care: Care | None = None
    """Whose parties alone are looked at; None looks at everybody."""

    @property
    def stored(self) -> bool:
        """Whether the rows of parties have all that is asked for."""
        return self.as_of is None and self.by is not ZoomBy.KIND


async def segments(connection: Connection, zoomed: Zoomed) -> dict[str, Measures]:
    """Every group that has a party, with the sums over its parties.

    As stored, one statement reads all rows of parties (about half a second for a million). As of a day, and by kind,
    every calendar is assessed.
    """
    if not zoomed.stored:
        found: defaultdict[str, Measures] = defaultdict(Measures)
        async for part in _assessed(connection, zoomed):
            found[part.segment] += part.measures
        return dict(found)
    conditions = await _asked(connection, zoomed)
    query = f"SELECT {SEGMENT[zoomed.by]} AS segment, {_SUMS} FROM party WHERE stage IS NOT NULL{conditions} GROUP BY 1"
    rows = await connection.fetch(query, *conditions.arguments)
    return {row["segment"]: _measures(row) for row in rows}


async def members(
    connection: Connection, zoomed: Zoomed, segment: str | None, after: UUID | None, limit: int
) -> list[Part]:
    """The parties of a group (None: all), in id order behind an id."""
    if not zoomed.stored:
        found: list[Part] = []
        async for part in _assessed(connection, zoomed, after):
            if segment in (None, part.segment):
                found.append(part)
                if len(found) == limit:
                    break
        return found
    key = SEGMENT[zoomed.by]
    conditions = await _asked(connection, zoomed)
    conditions.add(f"{key} = {{}}", segment)
    conditions.add("party_id > {}", after)
    query = (
        f"SELECT party_id, {key} AS segment, {_SUMS} FROM party WHERE stage IS NOT NULL{conditions}"
        f" GROUP BY party_id ORDER BY party_id LIMIT {int(limit)}"
    )
    rows = await connection.fetch(query, *conditions.arguments)
    return [Part(row["party_id"], row["segment"], _measures(row)) for row in rows]


async def _asked(connection: Connection, zoomed: Zoomed) -> Conditions:
    conditions = Conditions(FALLEN, await _until(connection, zoomed))
    if zoomed.care is not None:
        conditions.either(owner_id=zoomed.care[0], team_id=zoomed.care[1])
    return conditions


async def _until(connection: Connection, zoomed: Zoomed) -> datetime:
    ruling = (await present(connection)).ruling
    return start_of_day(ruling.day(zoomed.now) + zoomed.within_days, ruling.zone)


async def _assessed(connection: Connection, zoomed: Zoomed, after: UUID | None = None) -> AsyncIterator[Part]:
    owners = await _owners(connection, zoomed.by)
    then = msgspec.structs.replace(await moment(connection, zoomed.as_of, zoomed.now), care=zoomed.care)
    async for reads in by_party(connection, after):
        found = [
            (read, seen)
            for read in reads
            if then.looks_at(read.row["owner_id"], read.row["team_id"])
            and (seen := then.seen(read.calendar, read.row["assessed_at"]))
        ]
        standings = assess_together([seen for _, seen in found], then.ruling)
        for (read, (calendar, at)), standing in zip(found, standings, strict=True):
            if standing.stage is not None:
                party_id, day = read.row["party_id"], then.ruling.day(at)
                by_kind = zoomed.by is ZoomBy.KIND
                said = (
                    History(calendar, then.ruling).kind(day)
                    if by_kind
                    else _said(zoomed.by, party_id, standing, owners)
                )
                soon = start_of_day(day + zoomed.within_days, then.ruling.zone)
                yield Part(party_id, str(said), _measured(standing, soon))
        # Others want a turn.
        await asyncio.sleep(0)


def _measured(standing: Standing, soon: datetime) -> Measures:
    return measured(
        bought=standing.purchase_days > 0,
        value_minor=standing.value_minor,
        turnover_minor=standing.turnover_minor,
        p=standing.p,
        satisfaction=None if standing.satisfaction_band is Band.UNKNOWN else standing.satisfaction,
        at_risk=standing.next_stage in FALLEN and standing.next_stage_at is not None and standing.next_stage_at <= soon,
    )


def _said(by: ZoomBy, party_id: UUID, standing: Standing, owners: Mapping[UUID, str]) -> str:
    """The group of a party, as its standing has it."""
    if by in (ZoomBy.OWNER, ZoomBy.TEAM):
        return owners.get(party_id, NONE)
    of = standing
    return group(
        by,
        Grades(
            of.stage, of.tier, of.satisfaction_band, of.loyalty_band, of.level, of.posture, of.treatment, of.flags,
            of.vip, of.potential,
        ),
    )  # fmt: skip


async def _owners(connection: Connection, by: ZoomBy) -> dict[UUID, str]:
    if by not in (ZoomBy.OWNER, ZoomBy.TEAM):
        return {}
    query = f"SELECT party_id, {SEGMENT[by]} AS segment FROM party WHERE {by}_id IS NOT NULL"
    return {row["party_id"]: row["segment"] for row in await connection.fetch(query)}


def _measures(row: asyncpg.Record) -> Measures:
    return Measures(*(row[name] for name in Measures.__struct_fields__))


SEGMENT: Mapping[ZoomBy, str] = {
    ZoomBy.STAGE: "stage",
    ZoomBy.TIER: "tier",
    ZoomBy.LEVEL: f"coalesce(level, '{NONE}')",
    ZoomBy.SATISFACTION: f"coalesce(satisfaction_band, '{NONE}')",
    ZoomBy.LOYALTY: f"coalesce(loyalty_band, '{NONE}')",
    ZoomBy.POSTURE: f"coalesce(posture, '{NONE}')",
    ZoomBy.TREATMENT: f"coalesce(treatment, '{NONE}')",
    ZoomBy.VIP: "CASE WHEN vip THEN 'vip' ELSE 'other' END",
    ZoomBy.OWNER: f"coalesce('user_' || replace(owner_id::text, '-', ''), '{NONE}')",
    ZoomBy.TEAM: f"coalesce('team_' || replace(team_id::text, '-', ''), '{NONE}')",
}
"""The group of a stored standing."""

_AT_RISK = "FILTER (WHERE next_stage = ANY($1) AND next_stage_at <= $2)"
_SATISFIED = "FILTER (WHERE satisfaction_band <> 'unknown')"

_SUMS = f"""
    count(*) AS count,
    count(*) FILTER (WHERE purchase_days > 0) AS customers,
    coalesce(sum(value_minor), 0)::bigint AS value_minor,
    coalesce(sum(turnover_minor), 0)::bigint AS turnover_minor,
    coalesce(sum(round(p * 1000000)), 0)::bigint AS p_millionths,
    count(p) AS p_known,
    coalesce(sum(round(satisfaction * 10)) {_SATISFIED}, 0)::bigint AS satisfaction_tenths,
    count(satisfaction) {_SATISFIED} AS satisfaction_known,
    count(*) {_AT_RISK} AS at_risk,
    coalesce(sum(value_minor) {_AT_RISK}, 0)::bigint AS at_risk_value_minor
"""
