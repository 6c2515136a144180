"""What decides besides the facts, as it is shown."""

import asyncpg

from services.scoring.queries.rulings import Connection


async def tiers_now(connection: Connection) -> asyncpg.Record:
    """The cut points in force: the fitted ones, or those of the policy."""
    row = await connection.fetchrow(_TIERS)
    if row is None:
        raise LookupError("the installation was never opened")
    return row


async def rates_before(
    connection: Connection, currency: str | None, before: int, *, limit: int
) -> list[asyncpg.Record]:
    """Rates told before one, the last first."""
    return await connection.fetch(_RATES, currency, before, limit)


_TIERS = """
SELECT coalesce(top_minor, (policy.document #>> '{cuts,top}')::bigint) AS top_minor,
       coalesce(high_minor, (policy.document #>> '{cuts,high}')::bigint) AS high_minor,
       coalesce(mid_minor, (policy.document #>> '{cuts,mid}')::bigint) AS mid_minor,
       ruling.currency, customers, fitted_at, policy.document ->> 'name' AS policy, ruling.id AS ruling
FROM ruling
JOIN policy ON policy.hash = ruling.policy
LEFT JOIN cut_points ON cut_points.id = ruling.cut_points
ORDER BY ruling.id DESC LIMIT 1
"""

_RATES = """
SELECT id, day, currency, rate, reporting AS reporting_currency, added_at FROM rate
WHERE ($1::text IS NULL OR currency = $1) AND id < $2::bigint ORDER BY id DESC LIMIT $3
"""
