"""The outbox: an event leaves if and only if the transaction that recorded it commits."""

import json
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from struct import unpack_from
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from structlog.contextvars import get_contextvars

from chassis.clock import now
from chassis.ids import uuid7
from chassis.writes import put_off
from contracts.event import Event
from contracts.topics import TOPICS, Topic

LARGEST_PAYLOAD = 900_000
"""Bytes; below the 1 MB that a broker takes by default."""

_KNOWN_TOPICS = frozenset(topic.name for topic in TOPICS)


class UnpublishableEvent(Exception):
    """An event that no broker would take: it must not enter the outbox."""


class OriginUnknown(Exception):
    """An event of a transaction that carries out several commands, appended without saying for which."""


Origin = str
"""Of which command an event comes: members of its envelope."""
Origins = Sequence[Origin] | None
"""Of each row of several commands; None where all is one command, that of the context."""


class Row(NamedTuple):
    """An outbox row before it has an id."""

    event_id: UUID
    topic: str
    key: str
    key_hash: int
    """Of which the sequencer makes the partition."""
    type: str
    payload: bytes | None
    occurred_at: datetime


def append(
    session: AsyncSession,
    *events: Event,
    caused_by: UUID | None = None,
    event_ids: Sequence[UUID] | None = None,
    origins: Origins = None,
) -> tuple[UUID, ...]:
    """Publish events with this transaction, in this order; return their event ids.

    `event_ids` are given where rows written before had to name them, and `origins` where the transaction carries out
    several commands (`chassis.joining`); else all come of the one of this context.
    Raises `UnpublishableEvent` for an undeclared topic or a payload over 900 kB, `OriginUnknown`.
    """
    if origins is None:
        if session.info.get("joint"):
            raise OriginUnknown
        origins = [origin(caused_by)] * len(events)
    created = now().isoformat()
    ids = event_ids or [uuid7() for _ in events]
    rows = [_row(event, id, created, tail) for event, id, tail in zip(events, ids, origins, strict=True)]
    session.info.setdefault("outbox", []).extend(rows)
    return tuple(row.event_id for row in rows)


def origin(caused_by: UUID | None = None, *, traceparent: str | None = None) -> Origin:
    """The command that is carried out in this context, as what comes of it names it.

    With `traceparent` in that trace: of a batch of events each may have its own.
    """
    context = get_contextvars()
    extensions = {
        "correlationid": context.get("request_id"),
        "causationid": str(caused_by) if caused_by else None,
        "traceparent": traceparent or context.get("traceparent"),
    }
    return "".join(f',"{name}":{json.dumps(value)}' for name, value in extensions.items() if value)


def tombstone(session: AsyncSession, topic: Topic, key: UUID) -> None:
    """Publish with this transaction that a key of a compacted topic has no value any more."""
    session.info.setdefault("outbox", []).append(
        Row(uuid7(), topic.name, str(key), key_hash(str(key)), "tombstone", None, now())
    )


def appended(session: AsyncSession) -> list[Row]:
    """What this transaction appended and nobody has written yet. The edge takes it, nobody else."""
    rows: list[Row] = session.info.pop("outbox", [])
    return rows


def write(session: AsyncSession, rows: Sequence[Row]) -> None:
    """Have what was appended written. The edge calls it, nobody else."""
    put_off(session, _INSERT, *zip(*rows, strict=True))


def _row(event: Event, event_id: UUID, created: str, tail: str) -> Row:
    if event.topic.name not in _KNOWN_TOPICS:
        raise UnpublishableEvent(f"No topic {event.topic.name} is declared.")
    subject = str(event.subject)
    head = (
        f'{{"specversion":"1.0","id":"{event_id}","source":"/{event.topic.service}","type":"{event.wire_type}",'
        f'"time":"{created}","subject":"{subject}","partitionkey":"{subject}",'
        f'"datacontenttype":"application/json","dataschema":"urn:shuke:{event.wire_type}"{tail},"data":'
    )
    payload = head.encode() + event.encode() + b"}"
    if len(payload) > LARGEST_PAYLOAD:
        raise UnpublishableEvent(f"A {event.wire_type} of {len(payload)} bytes is over {LARGEST_PAYLOAD}.")
    return Row(event_id, event.topic.name, subject, key_hash(subject), event.wire_type, payload, event.occurred_at)


@lru_cache(maxsize=65_536)
def key_hash(key: str) -> int:
    """The hash whose remainder by the number of partitions is the partition, as every Kafka client has it by default.

    Murmur2 with the sign bit off (Apache Kafka, org.apache.kafka.common.utils.Utils.murmur2).
    """
    data = key.encode()
    whole = len(data) // 4
    h = 0x9747B28C ^ len(data)
    for k in unpack_from(f"<{whole}I", data):
        k = k * 0x5BD1E995 & 0xFFFFFFFF
        h = (h * 0x5BD1E995 & 0xFFFFFFFF) ^ ((k ^ k >> 24) * 0x5BD1E995 & 0xFFFFFFFF)
    rest = data[whole * 4 :]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * 0x5BD1E995 & 0xFFFFFFFF
    h = (h ^ h >> 13) * 0x5BD1E995 & 0xFFFFFFFF
    return (h ^ h >> 15) & 0x7FFFFFFF


_INSERT = """
announced AS (
    INSERT INTO outbox (event_id, topic, key, key_hash, type, payload, occurred_at)
    SELECT event_id, topic, key, key_hash, type, payload, occurred_at
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::int[], $5::text[], $6::bytea[], $7::timestamptz[])
        WITH ORDINALITY AS row(event_id, topic, key, key_hash, type, payload, occurred_at, place) ORDER BY place
)
"""
