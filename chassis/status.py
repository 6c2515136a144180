"""How far a service is with its events, for the gateway, which puts the reports of all services together."""

from typing import Any

from fastapi import APIRouter, Request

from chassis.db import Database, driver
from chassis.health import oldest_outbox_s, oldest_unpublished_s

router = APIRouter(prefix="/internal", include_in_schema=False)


@router.get("/status")
async def read_service_status(request: Request) -> dict[str, Any]:
    """What it has written, read and set aside."""
    database: Database = request.app.state.database
    # Before the streams, which then hold all that waits no more: the other way round it could be in neither.
    oldest_s = await oldest_outbox_s(database)
    async with database.transaction() as session:
        connection = await driver(session)
        rows = {name: await connection.fetch(query) for name, query in _REPORT.items()}
    return {
        "service": request.app.state.name,
        "oldest_unsequenced_s": oldest_s,
        "oldest_unpublished_s": await oldest_unpublished_s(database),
        **{name: [dict(row) for row in found] for name, found in rows.items()},
    }


_REPORT = {
    # Never acknowledged by a broker: there is none, or nothing has reached it yet.
    "streams": """
        SELECT topic, partition, epoch, last_seq,
               CASE WHEN published_offset >= 0 THEN published_seq END AS published_seq
        FROM event_stream ORDER BY topic, partition
    """,
    "consumers": """
        SELECT consumer, topic, partition, epoch, seq, next_offset, stopped_reason
        FROM consumer_offset ORDER BY consumer, topic, partition
    """,
    "dead_letters": """
        SELECT consumer, topic, count(*) AS letters, min(first_failed_at) AS oldest
        FROM dead_letter WHERE status = 'open' GROUP BY consumer, topic ORDER BY consumer, topic
    """,
}
