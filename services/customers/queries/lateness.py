"""How late facts were recorded, by which the feed judges what is long past."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import driver
from chassis.ids import made_ms
from contracts.event import seconds_late


async def least_late(session: AsyncSession, table: str, ids: Sequence[UUID]) -> dict[UUID, int]:
    """Seconds after it happened at which each stored fact was recorded: of its versions, those of the soonest."""
    rows = await (await driver(session)).fetch(_LEAST_LATE.format(table=table), ids)
    return {row["id"]: row["late_s"] for row in rows}


def published_late(fact_id: UUID, occurred_at: datetime) -> int | None:
    """Seconds after it happened at which a fact was given its id; None where the id does not say when."""
    made = made_ms(fact_id)
    return None if made is None else seconds_late(occurred_at, datetime.fromtimestamp(made / 1_000, UTC))


# A version was recorded when the one before it was replaced, the first one with its row.
_LEAST_LATE = """
WITH version AS (
    SELECT of_id AS id, (content ->> 'occurred_at')::timestamptz AS occurred_at, coalesce(
        lag(replaced_at) OVER (PARTITION BY of_id ORDER BY version), (content ->> 'recorded_at')::timestamptz
    ) AS recorded_at
    FROM former_version WHERE of_id = ANY($1)
    UNION ALL
    SELECT id, occurred_at, coalesce(
        (SELECT max(replaced_at) FROM former_version WHERE of_id = {table}.id), recorded_at
    )
    FROM {table} WHERE id = ANY($1)
)
SELECT id, greatest(0, trunc(extract(epoch FROM min(recorded_at - occurred_at))))::bigint AS late_s
FROM version GROUP BY id
"""
