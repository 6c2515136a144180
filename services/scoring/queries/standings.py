"""Standings: bulk writes of what was decided, and reads of what stands."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from chassis.conditions import Conditions
from contracts.loss import LossReason
from contracts.scoring import Band, Posture, Stage, Tier
from services.scoring.domain.lifecycle import LOST
from services.scoring.domain.moment import Care
from services.scoring.models.standings import Order
from services.scoring.queries.copying import copied
from services.scoring.queries.reach import keep_to
from services.scoring.queries.rulings import Connection

MOST_CHANGES = 1_000
"""So many changes are added up in a millisecond."""
MANY = 100
"""From so many rows on they are copied to a table: as arrays each takes twice the time, on either side."""


async def write_standings(connection: Connection, rows: Sequence[tuple[object, ...]]) -> None:
    """Store how locked parties stand."""
    if len(rows) < MANY:
        await connection.execute(_WRITE_FEW, *map(list, zip(*rows, strict=True)))
        return
    await copied(connection, "decided", _DECIDED, rows)
    await connection.execute(_WRITE_MANY)


async def sum_cells(connection: Connection) -> None:
    """Put the sum in the place of the changes of who stands where, where there are many."""
    if await connection.fetchval("SELECT count(*) > $1 FROM cell_change", MOST_CHANGES):
        await connection.execute(_SUM_CELLS)


async def append_moves(connection: Connection, rows: Sequence[tuple[object, ...]]) -> None:
    """Keep what was announced."""
    await connection.copy_records_to_table("lived_move", records=rows, columns=_MOVE)


FALLEN: Sequence[Stage] = (Stage.DORMANT_PROSPECT, Stage.DORMANT_CUSTOMER, *sorted(LOST))
"""Stages that a fall leads to."""


class Filter(NamedTuple):
    """Which standings are listed; None takes all."""

    stages: Sequence[Stage] | None = None
    tier: Tier | None = None
    min_value_minor: int | None = None
    max_value_minor: int | None = None
    loss_reason: LossReason | None = None
    owner_id: UUID | None = None
    team_id: UUID | None = None
    vip: bool | None = None
    treatment: str | None = None
    flag: str | None = None
    """One that they have among others."""
    satisfaction_band: Band | None = None
    loyalty_band: Band | None = None
    posture: Posture | None = None
    level: str | None = None
    min_p: float | None = None
    max_p: float | None = None
    seen_since: date | None = None
    """Who bought or showed interest on this day or later."""
    seen_until: date | None = None
    """Whose last purchase or sign of interest lies on this day or earlier."""
    in_stage_since: date | None = None
    """Who came to the stage on this day or later."""
    in_stage_until: date | None = None
    falls_until: datetime | None = None
    """Whose stage falls up to this instant if nothing happens."""
    changes_until: datetime | None = None
    """What will be graded otherwise up to this instant if nothing happens."""
    care: Care | None = None
    """Those of an owner or a team, which is all that the caller reaches."""
    party_ids: Sequence[UUID] | None = None


async def standings(
    connection: Connection, wanted: Filter, order: Order, *, after: Sequence[object] | None, limit: int
) -> list[asyncpg.Record]:
    """Stored standings in an order, behind a place in it (the values of `keyset`)."""
    # Each once: some lists look into each stage by itself.
    conditions = Conditions(sorted(set(wanted.stages or Stage)), [wanted.tier] if wanted.tier else list(Tier))
    conditions.equal(
        loss_reason=wanted.loss_reason, owner_id=wanted.owner_id, team_id=wanted.team_id, treatment=wanted.treatment,
        posture=wanted.posture, level=wanted.level,
    )  # fmt: skip
    # Written out, so that a plan knows when an index of these parties alone is of use.
    if wanted.vip is not None:
        conditions.add("vip" if wanted.vip else "NOT vip")
    if wanted.satisfaction_band:
        conditions.add(f"satisfaction_band = '{wanted.satisfaction_band}'")
    if wanted.loyalty_band:
        conditions.add(f"loyalty_band = '{wanted.loyalty_band}'")
    conditions.add("{} = ANY(flags)", wanted.flag)
    conditions.add("value_minor >= {}", wanted.min_value_minor)
    conditions.add("value_minor <= {}", wanted.max_value_minor)
    conditions.add("p >= {}", wanted.min_p)
    conditions.add("p <= {}", wanted.max_p)
    conditions.add(f"{SEEN} >= {{}}", wanted.seen_since)
    conditions.add(f"{SEEN} <= {{}}", wanted.seen_until)
    conditions.add("since >= {}", wanted.in_stage_since)
    conditions.add("since <= {}", wanted.in_stage_until)
    conditions.add("next_change_at <= {}", wanted.changes_until)
    if wanted.falls_until is not None:
        conditions.add("next_stage = ANY({}) AND next_stage_at <= {}", FALLEN, wanted.falls_until)
    conditions.add("party_id = ANY({})", wanted.party_ids)
    keep_to(wanted.care, conditions)
    if after is not None:
        conditions.add(_BEHIND[order], *after)
    query = _list(wanted, order).format(conditions=conditions, limit=int(limit))
    return await connection.fetch(query, *conditions.arguments)


def _list(wanted: Filter, order: Order) -> str:
    """The list whose index has the fewest to look at."""
    if order is Order.VALUE and (wanted.care is not None or wanted.party_ids is not None):
        return _BY_VALUE_OF_FEW
    if order is Order.VALUE and not (wanted.stages and wanted.tier):
        if wanted.vip or Band.LOW in (wanted.satisfaction_band, wanted.loyalty_band):
            return _BY_VALUE_OF_FEW
        if wanted.treatment:
            return _BY_VALUE_TREATED
    return _LISTS[order]


def keyset(row: asyncpg.Record, order: Order) -> list[object]:
    """The place of a standing in an order."""
    return [row["party_id"]] if order is Order.PARTY else [_KEYS[order](row), row["party_id"]]


async def summary(connection: Connection, care: Care | None = None) -> dict[tuple[Stage, Tier], tuple[int, int]]:
    """How many parties stand where, and what they are worth, as stored: all, or those of an owner or a team."""
    rows = await (connection.fetch(_CELLS) if care is None else connection.fetch(_CELLS_OF, *care))
    return {(Stage(row["stage"]), Tier(row["tier"])): (row["count"], row["value_minor"]) for row in rows}


async def lived_moves(
    connection: Connection, party_id: UUID, *, after: tuple[datetime, UUID, int] | None, limit: int
) -> list[asyncpg.Record]:
    """What was announced of a party and of those merged into it since, oldest first."""
    return await connection.fetch(_LIVED, party_id, *(after or (_BEGINNING, UUID(int=0), 0)), limit)


async def raised(connection: Connection, after: UUID, *, above: int, limit: int) -> list[asyncpg.Record]:
    """The next parties of which anything was ever told, in their order, with a revision above a number from here on."""
    rows = await connection.fetch(_RAISE, after, above, limit)
    return sorted(rows, key=lambda row: row["party_id"])


_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)

SEEN = "greatest(last_day, last_sign_day)"
"""The last day with a purchase or a sign of interest."""

_BEHIND = {
    Order.LAST_SEEN: f"({SEEN}, party_id) < ({{}}, {{}})",
    Order.SILENT: f"({SEEN}, party_id) > ({{}}, {{}})",
    Order.VALUE: "(value_minor, party_id) < ({}, {})",
    Order.NEXT_CHANGE_AT: "(next_change_at, party_id) > ({}, {})",
    Order.PARTY: "party_id > {}",
}
"""What lies behind a place."""

_KEYS: Mapping[Order, Callable[[asyncpg.Record], object]] = {
    Order.VALUE: lambda row: row["value_minor"],
    Order.NEXT_CHANGE_AT: lambda row: row["next_change_at"],
    Order.LAST_SEEN: lambda row: _seen(row["last_day"], row["last_sign_day"]),
    Order.SILENT: lambda row: _seen(row["last_day"], row["last_sign_day"]),
}


def _seen(*days: date | None) -> date:
    return max(day for day in days if day is not None)


STORED = """party_id, revision, stage, tier, since, value_minor, spend_minor, purchase_days, first_day, last_day,
    last_sign_day, loss_reason, next_change_at, next_stage_at, next_stage, p, turnover_minor, level, satisfaction,
    satisfaction_band, loyalty, loyalty_band, posture, treatment, flags, vip, assessed_at, ruling.currency,
    policy.document ->> 'name' AS policy, ruling.model, owner_id, team_id"""
"""A standing as it is stored, with what it was assessed under."""

STORED_FROM = "party JOIN ruling ON ruling.id = party.ruling JOIN policy ON policy.hash = ruling.policy"

_SHOWN = f"SELECT {STORED} FROM {STORED_FROM}"

# The highest of each stage and tier lie side by side in the index, so that no list is ever sorted as a whole.
_BY_VALUE = f"""
WITH party AS (
    SELECT highest.*
    FROM unnest($1::text[]) AS at_stage CROSS JOIN unnest($2::text[]) AS at_tier CROSS JOIN LATERAL (
        SELECT * FROM party WHERE stage = at_stage AND tier = at_tier{{conditions}}
        ORDER BY value_minor DESC, party_id DESC LIMIT {{limit}}
    ) AS highest
)
{_SHOWN} ORDER BY value_minor DESC, party_id DESC LIMIT {{limit}}
"""

# Likewise those of one treatment in each tier.
_BY_VALUE_TREATED = f"""
WITH party AS (
    SELECT highest.*
    FROM unnest($2::text[]) AS at_tier CROSS JOIN LATERAL (
        SELECT * FROM party WHERE tier = at_tier AND stage IS NOT NULL AND stage = ANY($1){{conditions}}
        ORDER BY value_minor DESC, party_id DESC LIMIT {{limit}}
    ) AS highest
)
{_SHOWN} ORDER BY value_minor DESC, party_id DESC LIMIT {{limit}}
"""

# Those whom an index of their own has by value: looked for in each cell, few would be found late.
_BY_VALUE_OF_FEW = f"""
{_SHOWN} WHERE stage = ANY($1) AND tier = ANY($2){{conditions}}
ORDER BY value_minor DESC, party_id DESC LIMIT {{limit}}
"""

_LISTS = {
    Order.VALUE: _BY_VALUE,
    Order.NEXT_CHANGE_AT: f"""
        {_SHOWN} WHERE next_change_at IS NOT NULL AND stage = ANY($1) AND tier = ANY($2){{conditions}}
        ORDER BY next_change_at, party_id LIMIT {{limit}}
    """,
    Order.LAST_SEEN: f"""
        {_SHOWN} WHERE {SEEN} IS NOT NULL AND stage IS NOT NULL AND stage = ANY($1) AND tier = ANY($2){{conditions}}
        ORDER BY {SEEN} DESC, party_id DESC LIMIT {{limit}}
    """,
    Order.SILENT: f"""
        {_SHOWN} WHERE {SEEN} IS NOT NULL AND stage IS NOT NULL AND stage = ANY($1) AND tier = ANY($2){{conditions}}
        ORDER BY {SEEN}, party_id LIMIT {{limit}}
    """,
    Order.PARTY: f"""
        {_SHOWN} WHERE stage = ANY($1) AND tier = ANY($2){{conditions}} ORDER BY party_id LIMIT {{limit}}
    """,
}

_LIVED = """
SELECT party_id, revision, cause, kind, from_stage, to_stage, from_tier, to_tier, value_minor, loss_reason,
       occurred_at, assessed_at, fact_id, merged_into
FROM lived_move
WHERE party_id IN (
    SELECT party_id FROM party WHERE party_id = $1 OR (resolves_to = $1 AND resolves_to <> party_id)
) AND (assessed_at, party_id, revision) > ($2, $3, $4)
ORDER BY assessed_at, party_id, revision LIMIT $5
"""

_MOVE = [
    "party_id", "revision", "cause", "kind", "from_stage", "to_stage", "from_tier", "to_tier", "value_minor",
    "loss_reason", "occurred_at", "assessed_at", "fact_id", "merged_into", "ruling",
]  # fmt: skip

_RAISE = """
UPDATE party SET revision = greatest(party.revision, $2) + 1
FROM (
    SELECT party_id, ruling.currency, ruling.policy, ruling.model FROM party JOIN ruling ON ruling.id = party.ruling
    WHERE party_id > $1 AND revision > 0 ORDER BY party_id LIMIT $3
) AS next
WHERE party.party_id = next.party_id
RETURNING party.party_id, party.revision, stage, tier, since, value_minor, purchase_days, loss_reason, next_change_at,
    level, satisfaction_band, loyalty_band, posture, treatment, flags, vip, assessed_at,
    next.currency, next.policy, next.model
"""

_CELLS = """
SELECT stage, tier, sum(count)::bigint AS count, sum(value_minor)::bigint AS value_minor FROM cell_change
GROUP BY stage, tier HAVING sum(count) <> 0
"""

_CELLS_OF = """
SELECT stage, tier, count(*) AS count, sum(value_minor)::bigint AS value_minor FROM party
WHERE stage IS NOT NULL AND (owner_id = $1 OR team_id = $2) GROUP BY stage, tier
"""

_SUM_CELLS = """
WITH gone AS (DELETE FROM cell_change RETURNING stage, tier, count, value_minor)
INSERT INTO cell_change
SELECT stage, tier, sum(count), sum(value_minor) FROM gone GROUP BY stage, tier
HAVING sum(count) <> 0 OR sum(value_minor) <> 0
"""

_DECIDED: Mapping[str, str] = {
    "party_id": "uuid", "resolves_to": "uuid", "resolution_version": "bigint", "revision": "bigint",
    "first_identity": "uuid", "stage": "text", "tier": "text", "since": "date", "value_minor": "bigint",
    "spend_minor": "bigint", "purchase_days": "int", "first_day": "date", "last_day": "date", "last_sign_day": "date",
    "loss_reason": "text", "next_change_at": "timestamptz", "next_stage_at": "timestamptz", "next_stage": "text",
    "p": "float8", "turnover_minor": "bigint", "level": "text", "satisfaction": "float8", "satisfaction_band": "text",
    "loyalty": "float8", "loyalty_band": "text", "posture": "text", "treatment": "text", "flags": "text",
    "vip": "boolean", "assessed_at": "timestamptz", "ruling": "int",
}  # fmt: skip
"""What is written of a party, and its types."""

_WRITE = f"""
WITH written AS (
UPDATE party SET
    {", ".join(f"{name} = new.{name}" for name in _DECIDED if name not in ("party_id", "flags"))},
    flags = string_to_array(new.flags, ' ')
FROM {{decided}}
WHERE party.party_id = new.party_id
RETURNING WITH (OLD AS before, NEW AS after)
    before.stage AS from_stage, before.tier AS from_tier, before.value_minor AS from_minor,
    after.stage AS to_stage, after.tier AS to_tier, after.value_minor AS to_minor
)
INSERT INTO cell_change
SELECT change.stage, change.tier, sum(change.count), sum(change.value_minor)
FROM written CROSS JOIN LATERAL (
    VALUES (from_stage, from_tier, -1, -from_minor), (to_stage, to_tier, 1, to_minor)
) AS change(stage, tier, count, value_minor)
WHERE change.stage IS NOT NULL
GROUP BY change.stage, change.tier
HAVING sum(change.count) <> 0 OR sum(change.value_minor) <> 0
"""
_ARRAYS = ", ".join(f"${place}::{type}[]" for place, type in enumerate(_DECIDED.values(), 1))
_WRITE_FEW = _WRITE.format(decided=f"unnest({_ARRAYS}) AS new({', '.join(_DECIDED)})")
_WRITE_MANY = _WRITE.format(decided="pg_temp.decided AS new")
