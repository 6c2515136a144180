"""How far scoring is in the chain: behind its sources, with time, with a new ruling."""

from collections.abc import Sequence
from typing import Any

import asyncpg

from chassis.db import KEEPALIVE, plain_url
from services.scoring.queries.rulings import Connection


async def heads(url: str) -> list[asyncpg.Record] | None:
    """Topic, partition, epoch and seq of the last event of every stream of a source; None where it is away."""
    try:
        connection = await asyncpg.connect(plain_url(url), timeout=2, command_timeout=2, server_settings=KEEPALIVE)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return None
    try:
        return await connection.fetch(
            "SELECT topic, partition, epoch, last_seq FROM event_stream ORDER BY topic, partition"
        )
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return None
    finally:
        connection.terminate()


async def lag(connection: Connection, heads: Sequence[asyncpg.Record]) -> list[dict[str, Any]]:
    """What of each stream is not read yet, and why where it has stopped."""
    marks = {
        (row["topic"], row["partition"]): row
        for row in await connection.fetch(
            "SELECT topic, partition, epoch, seq, stopped_reason FROM consumer_offset WHERE consumer = 'scoring'"
        )
    }
    told = []
    for head in heads:
        mark = marks.get((head["topic"], head["partition"]))
        seq = mark["seq"] if mark and mark["epoch"] == head["epoch"] else 0
        told.append(
            {
                **head,
                "seq": seq,
                "behind": max(0, head["last_seq"] - seq),
                "stopped_reason": mark["stopped_reason"] if mark else None,
            }
        )
    return told


async def progress(connection: Connection) -> dict[str, Any]:
    """Until when time may pass and what holds it, who takes part, how many stand under an older ruling."""
    rows = {name: [dict(row) for row in await connection.fetch(query)] for name, query in _PROGRESS.items()}
    applied, reassessing = await connection.fetchrow(_APPLYING) or (True, 0)
    return {**rows, "ruling_applied": applied, "reassessing": reassessing}


_PROGRESS = {
    "watermark": "SELECT source, reached, checked_at, held_by FROM watermark ORDER BY source",
    "members": "SELECT consumer, member, seen_at FROM consumer_member ORDER BY consumer, member",
}

_APPLYING = """
SELECT applied_at IS NOT NULL,
       CASE WHEN applied_at IS NULL THEN (SELECT count(*) FROM party WHERE party.ruling < newest.id) ELSE 0 END
FROM (SELECT id, applied_at FROM ruling ORDER BY id DESC LIMIT 1) AS newest
"""
