"""Replay: the consumer of a service is handed once more what it has read."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Annotated, TypeAlias
from uuid import UUID

import asyncpg
import msgspec
import structlog
from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import Field

from chassis.acts import administrative
from chassis.auth import Actor
from chassis.consumer import Delivery, Handler, StartOver
from chassis.db import KEEPALIVE, Database, database_is_away, driver, plain_url
from chassis.envelope import Unreadable, finish, open_envelope
from chassis.fields import Body, Instant
from chassis.letters import delivery_of
from chassis.portions import BYTES, portion
from chassis.writes import carry_out
from contracts.problems import Invalid

log = structlog.get_logger()
router = APIRouter(prefix="/internal/replays", include_in_schema=False)

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

BATCH = 500
"""Events handled in one transaction: few enough that the service goes on answering meanwhile."""


class NothingToReplay(Invalid):
    """The service reads no such topic, or a sequence is given without the partition that it counts in."""


class FromWhere(Body):
    """From where on to read again, at most up to where the consumer is."""

    topic: Annotated[str, Field(max_length=200)] | None = None
    partition: Annotated[int, Field(ge=0, le=100_000)] | None = None
    since: Instant | None = None
    epoch: Annotated[int, Field(ge=1, le=2**31 - 1)] = 1
    seq: Annotated[int, Field(ge=1, le=2**62)] | None = None
    key: UUID | None = None
    dry_run: bool = False


class _OnlyTried(Exception):
    """Rolls back what a dry run has handled."""


@router.post("")
async def replay_for_service(body: FromWhere, request: Request, actor: Actor) -> StreamingResponse:
    """Hand the events of the log to the handler again; lines tell how far it is.

    What was let pass, or lost with a database that was restored, takes effect; all else is known and changes nothing.
    Nothing does where it is only tried.
    """
    state = request.app.state
    database: Database = state.database
    if body.seq is not None and (body.topic is None or body.partition is None):
        raise NothingToReplay("A sequence counts within a partition: name topic and partition.")
    async with database.transaction() as session:
        marks = await (await driver(session)).fetch(_MARKS, state.name, body.topic, body.partition)
    known = state.source_urls
    places = [mark for mark in marks if mark["topic"].partition(".")[0] in known]
    if not places or state.handler is None:
        heard = sorted(topic.name for topic in state.hears)
        raise NothingToReplay(f"{state.name} reads nothing of that.", topics=heard)
    administrative("replay", actor.key_id, consumer=state.name, **body.model_dump(mode="json", exclude_none=True))
    lines = _replayed(database, state.handler, known, places, body)
    return StreamingResponse(lines, media_type="application/x-ndjson")


async def _replayed(
    database: Database,
    handler: Handler,
    source_urls: Mapping[str, str],
    marks: Sequence[asyncpg.Record],
    asked: FromWhere,
) -> AsyncIterator[bytes]:
    total: Counter[str] = Counter()
    connections: dict[str, Connection] = {}
    try:
        for mark in marks:
            source = mark["topic"].partition(".")[0]
            if source not in connections:
                connections[source] = await asyncpg.connect(
                    plain_url(source_urls[source]),
                    timeout=10,
                    command_timeout=60,
                    server_settings={"jit": "off", **KEEPALIVE},
                )
            place = {"topic": mark["topic"], "partition": mark["partition"]}
            async for count in _partition(database, handler, connections[source], mark, asked):
                total += count
                yield msgspec.json.encode({**place, **_told(total), "done": False}) + b"\n"
        log.info("replayed", **_told(total))
        yield msgspec.json.encode({**_told(total), "done": True}) + b"\n"
    finally:
        for connection in connections.values():
            connection.terminate()


def _told(total: Counter[str]) -> dict[str, int]:
    return {name: total[name] for name in ("events", "unreadable", "refused")}


async def _partition(
    database: Database, handler: Handler, log_of_source: Connection, mark: asyncpg.Record, asked: FromWhere
) -> AsyncIterator[Counter[str]]:
    """What a partition has from where it is asked up to the mark, batch by batch."""
    epoch, seq = asked.epoch, (asked.seq or 1) - 1
    until, key = (mark["epoch"], mark["seq"]), asked.key and str(asked.key)
    while rows := await log_of_source.fetch(
        _READ, mark["topic"], mark["partition"], epoch, seq, *until, asked.since, key, BATCH, BYTES
    ):
        count: Counter[str] = Counter()
        deliveries = []
        for row in rows:
            try:
                value = finish(row["payload"], row["recorded_at"], row["epoch"], row["seq"])
                deliveries.append(delivery_of(mark["topic"], mark["partition"], open_envelope(value)))
            except Unreadable:
                count["unreadable"] += 1
        count["refused"] += await _hand(database, handler, deliveries, keep=not asked.dry_run)
        count["events"] += len(rows)
        epoch, seq = rows[-1]["epoch"], rows[-1]["seq"]
        yield count
        # Others of this process have their turn.
        await asyncio.sleep(0)


async def _hand(database: Database, handler: Handler, deliveries: Sequence[Delivery], *, keep: bool) -> int:
    """Hand events over in one transaction or, where that fails, one by one; how many were refused.

    Unless their effects are to be kept they are rolled back.
    """
    if not deliveries:
        return 0
    try:
        while True:
            try:
                async with database.transaction() as session:
                    await handler(session, deliveries)
                    if not keep:
                        await carry_out(session, await driver(session))
                        raise _OnlyTried
                return 0
            except StartOver:
                continue
            except _OnlyTried:
                return 0
    except Exception as error:
        if database_is_away(error):
            raise
        if len(deliveries) == 1:
            log.warning("event refused again", event_id=str(deliveries[0].event_id), exc_info=error)
            return 1
    return sum([await _hand(database, handler, [delivery], keep=keep) for delivery in deliveries])


_MARKS = """
SELECT topic, partition, epoch, seq FROM consumer_offset
WHERE consumer = $1 AND ($2::text IS NULL OR topic = $2) AND ($3::int IS NULL OR partition = $3)
ORDER BY topic, partition
"""

_READ = portion(
    """
        SELECT epoch, seq, payload, recorded_at FROM event_log
        WHERE topic = $1 AND partition = $2 AND (epoch, seq) > ($3, $4) AND (epoch, seq) <= ($5, $6)
            AND ($7::timestamptz IS NULL OR recorded_at >= $7) AND ($8::text IS NULL OR key = $8)
            AND payload IS NOT NULL
        ORDER BY epoch, seq LIMIT $9
    """,
    most="$10",
)
