"""Standings: bulk writes of what was decided, and what was announced of them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import driver
from chassis.writes import put_off
from contracts.scoring import Stage, Tier
from services.scoring.domain.lifecycle import LOST
from services.scoring.domain.moment import Care
from services.scoring.queries.copying import MANY, append, copied
from services.scoring.queries.rulings import Connection

MOST_CHANGES = 1_000
"""So many changes are added up in a millisecond."""


async def write_standings(session: AsyncSession, rows: Sequence[tuple[object, ...]]) -> None:
    """Store how locked parties stand: many at once, few with the last statement (`chassis.writes`)."""
    if len(rows) < MANY:
        put_off(session, _WRITE_FEW, *zip(*rows, strict=True))
    else:
        connection = await driver(session)
        await copied(connection, "decided", _DECIDED, rows)
        await connection.execute(_WRITE_MANY)


async def sum_cells(connection: Connection) -> None:
    """Put the sum in the place of the changes of who stands where, where there are many."""
    if await connection.fetchval("SELECT count(*) > $1 FROM cell_change", MOST_CHANGES):
        await connection.execute(_SUM_CELLS)


async def count_cells(connection: Connection) -> None:
    """Count who stands where anew, in the place of all changes; whoever writes standings waits (0.5 s of a million)."""
    await connection.execute("LOCK TABLE cell_change IN EXCLUSIVE MODE")
    await connection.execute(_COUNT_CELLS)


async def append_moves(session: AsyncSession, rows: Sequence[tuple[object, ...]]) -> None:
    """Keep what was announced (see `append`)."""
    await append(session, "lived_move", _MOVE, rows)


FALLEN: Sequence[Stage] = (Stage.DORMANT_PROSPECT, Stage.DORMANT_CUSTOMER, *sorted(LOST))
"""Stages that a fall leads to."""


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

STORED = """party_id, revision, stage, tier, since, value_minor, spend_minor, purchase_days, first_day, last_day,
    last_sign_day, last_contact_day, loss_reason, next_change_at, next_stage_at, next_stage, p, turnover_minor, level,
    satisfaction, satisfaction_band, loyalty, loyalty_band, posture, treatment, flags, vip, potential, assessed_at,
    ruling.currency, policy.document ->> 'name' AS policy, ruling.policy AS policy_hash, ruling.model, owner_id,
    team_id"""
"""A standing as it is stored, with what it was assessed under."""

STORED_FROM = "party JOIN ruling ON ruling.id = party.ruling JOIN policy ON policy.hash = ruling.policy"

_LIVED = """
SELECT party_id, revision, cause, kind, from_stage, to_stage, from_tier, to_tier, value_minor, loss_reason,
       occurred_at, assessed_at, fact_id, merged_into
FROM lived_move
WHERE party_id IN (
    SELECT party_id FROM party WHERE party_id = $1 OR (resolves_to = $1 AND resolves_to <> party_id)
) AND (assessed_at, party_id, revision) > ($2, $3, $4)
ORDER BY assessed_at, party_id, revision LIMIT $5
"""

_MOVE: Mapping[str, str] = {
    "party_id": "uuid", "revision": "bigint", "cause": "text", "kind": "text", "from_stage": "text",
    "to_stage": "text", "from_tier": "text", "to_tier": "text", "value_minor": "bigint", "loss_reason": "text",
    "occurred_at": "timestamptz", "assessed_at": "timestamptz", "fact_id": "uuid", "merged_into": "uuid",
    "ruling": "int",
}  # fmt: skip

_RAISE = """
UPDATE party SET revision = greatest(party.revision, $2) + 1
FROM (
    SELECT party_id, ruling.currency, ruling.policy, ruling.model FROM party JOIN ruling ON ruling.id = party.ruling
    WHERE party_id > $1 AND revision > 0 ORDER BY party_id LIMIT $3
) AS next
WHERE party.party_id = next.party_id
RETURNING party.party_id, party.revision, stage, tier, since, value_minor, purchase_days, loss_reason, next_change_at,
    level, satisfaction_band, loyalty_band, posture, treatment, flags, vip, potential, assessed_at,
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

_COUNT_CELLS = """
WITH gone AS (DELETE FROM cell_change)
INSERT INTO cell_change
SELECT stage, tier, count(*), sum(value_minor) FROM party WHERE stage IS NOT NULL GROUP BY stage, tier
"""

_DECIDED: Mapping[str, str] = {
    "party_id": "uuid", "resolves_to": "uuid", "resolution_version": "bigint", "revision": "bigint",
    "first_identity": "uuid", "stage": "text", "tier": "text", "since": "date", "value_minor": "bigint",
    "spend_minor": "bigint", "purchase_days": "int", "first_day": "date", "last_day": "date", "last_sign_day": "date",
    "last_contact_day": "date", "loss_reason": "text", "next_change_at": "timestamptz",
    "next_stage_at": "timestamptz", "next_stage": "text", "p": "float8", "turnover_minor": "bigint",
    "level": "text", "satisfaction": "float8", "satisfaction_band": "text", "loyalty": "float8",
    "loyalty_band": "text", "posture": "text", "treatment": "text", "flags": "text",
    "vip": "boolean", "potential": "text", "assessed_at": "timestamptz", "ruling": "int",
}  # fmt: skip
"""What is written of a party, and its types."""

_WRITE = f"""
written AS (
UPDATE party SET
    {", ".join(f"{name} = new.{name}" for name in _DECIDED if name not in ("party_id", "flags"))},
    flags = string_to_array(new.flags, ' ')
FROM {{decided}}
WHERE party.party_id = new.party_id
RETURNING WITH (OLD AS before, NEW AS after)
    before.stage AS from_stage, before.tier AS from_tier, before.value_minor AS from_minor,
    after.stage AS to_stage, after.tier AS to_tier, after.value_minor AS to_minor
), changed_cells AS (
INSERT INTO cell_change
SELECT change.stage, change.tier, sum(change.count), sum(change.value_minor)
FROM written CROSS JOIN LATERAL (
    VALUES (from_stage, from_tier, -1, -from_minor), (to_stage, to_tier, 1, to_minor)
) AS change(stage, tier, count, value_minor)
WHERE change.stage IS NOT NULL
GROUP BY change.stage, change.tier
HAVING sum(change.count) <> 0 OR sum(change.value_minor) <> 0
)
"""
_ARRAYS = ", ".join(f"${place}::{type}[]" for place, type in enumerate(_DECIDED.values(), 1))
_WRITE_FEW = _WRITE.format(decided=f"unnest({_ARRAYS}) AS new({', '.join(_DECIDED)})")
_WRITE_MANY = f"WITH {_WRITE.format(decided='pg_temp.decided AS new')} SELECT"
