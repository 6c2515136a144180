"""What was put right stays readable: the former versions of facts."""

from uuid import UUID

from asyncpg import Record
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.clock import now
from chassis.db import driver
from contracts.identity import Installation
from services.customers.queries.facts import HOLDER


async def keep(session: AsyncSession, table: str, id: UUID) -> None:
    """Keep the stored row of a locked fact as a former version, before it is changed."""
    await session.flush()
    await (await driver(session)).execute(_KEEP.format(table=table), id, now())


async def versions(
    session: AsyncSession, table: str, id: UUID, installation: Installation, *, before: int, limit: int
) -> list[Record]:
    """The versions of a fact, the latest first, each with `changed_at`, when it came to be, and its `party_id`."""
    statement = _VERSIONS.format(table=table)
    return await (await driver(session)).fetch(statement, installation.zone.key, id, before, limit)


_KEEP = """
INSERT INTO former_version (of_id, version, content, replaced_at)
SELECT id, version, to_jsonb({table}), $2 FROM {table} WHERE id = $1
"""

_HOLDER = HOLDER.format(identity="shown.identity_id", day="(shown.occurred_at AT TIME ZONE $1)::date")

# A withdrawal changes nothing but that it is one: the version before it is read off the row and not kept twice.
_VERSIONS = f"""
WITH version AS (
    SELECT fact.*, former.replaced_at FROM former_version AS former
    CROSS JOIN LATERAL jsonb_populate_record(NULL::{{table}}, former.content) AS fact
    WHERE former.of_id = $2
    UNION ALL
    SELECT fact.*, present.withdrawn_at FROM {{table}} AS present
    CROSS JOIN LATERAL jsonb_populate_record(
        NULL::{{table}},
        to_jsonb(present) || jsonb_build_object('version', present.version - 1, 'withdrawn_at', NULL)
    ) AS fact
    WHERE present.id = $2 AND present.withdrawn_at IS NOT NULL
    UNION ALL
    SELECT present.*, NULL FROM {{table}} AS present WHERE present.id = $2
)
SELECT shown.*, {_HOLDER} AS party_id
FROM (
    SELECT version.*, coalesce(lag(replaced_at) OVER (ORDER BY version.version), recorded_at) AS changed_at FROM version
) AS shown
WHERE shown.version < $3 ORDER BY shown.version DESC LIMIT $4
"""
