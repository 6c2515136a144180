"""The least that reads purchases into one row per party: consume, decode, one upsert from arrays per batch.

`python -m bench.raw BUS_URL LOG_URL TABLE_URL RANK OF` takes the partitions whose number leaves RANK when
divided by OF. It says `ready`, waits for a line, and says `done` when it has read what was there.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition

from chassis.envelope import finish, open_data, open_envelope
from contracts.customers import PurchaseCompleted
from contracts.topics import PURCHASES

BATCH = 2_000
TABLE = """
CREATE TABLE raw_party (
    party_id uuid PRIMARY KEY, purchases int NOT NULL, spend_minor bigint NOT NULL, last_at timestamptz NOT NULL
)
"""

Values = Sequence[bytes]


async def _of_log(url: str, partitions: Sequence[int]) -> AsyncIterator[Values]:
    connection = await asyncpg.connect(url, server_settings={"jit": "off"})
    yield ()
    async with connection.transaction():
        cursor = await connection.cursor(_READ, PURCHASES.name, partitions)
        while rows := await cursor.fetch(BATCH):
            yield [finish(row["payload"], row["recorded_at"], row["epoch"], row["seq"]) for row in rows]
    await connection.close()


async def _of_kafka(servers: str, partitions: Sequence[int]) -> AsyncIterator[Values]:
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    own = [TopicPartition(PURCHASES.name, number) for number in partitions]
    left = sum((await consumer.end_offsets(own)).values())
    yield ()
    # Not before: from here on it fetches in the background.
    consumer.assign(own)
    while left > 0:
        fetched = await consumer.getmany(timeout_ms=200, max_records=BATCH)
        values = [record.value for records in fetched.values() for record in records]
        left -= len(values)
        yield values
    await consumer.stop()


async def _read(bus_url: str, log_url: str, table_url: str, rank: str, of: str) -> None:
    partitions = range(int(rank), PURCHASES.partitions, int(of))
    scheme, _, servers = bus_url.partition("://")
    batches = _of_kafka(servers, partitions) if scheme == "kafka" else _of_log(log_url, partitions)
    table = await asyncpg.connect(table_url, server_settings={"jit": "off"})
    await anext(batches)
    _say("ready")
    await asyncio.to_thread(sys.stdin.readline)
    # The next batch is read while this one is written.
    following = asyncio.ensure_future(anext(batches, None))
    while (values := await following) is not None:
        following = asyncio.ensure_future(anext(batches, None))
        if values:
            await table.execute(_UPSERT, *_folded(values))
    _say("done")
    await asyncio.to_thread(sys.stdin.readline)
    await table.close()


def _folded(values: Values) -> tuple[list[object], ...]:
    parties: dict[UUID, tuple[int, int, datetime]] = {}
    for value in values:
        event = open_data(open_envelope(value))
        assert isinstance(event, PurchaseCompleted)
        purchases, spend_minor, last_at = parties.get(event.subject, (0, 0, event.occurred_at))
        parties[event.subject] = (
            purchases + 1,
            spend_minor + event.amount_minor,
            max(last_at, event.occurred_at),
        )
    return list(parties), *map(list, zip(*parties.values(), strict=True))


def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


_READ = """
SELECT payload, recorded_at, epoch, seq FROM event_log WHERE topic = $1 AND partition = ANY($2)
ORDER BY partition, epoch, seq
"""
_UPSERT = """
INSERT INTO raw_party SELECT * FROM unnest($1::uuid[], $2::int[], $3::bigint[], $4::timestamptz[])
ON CONFLICT (party_id) DO UPDATE SET purchases = raw_party.purchases + excluded.purchases,
    spend_minor = raw_party.spend_minor + excluded.spend_minor, last_at = greatest(raw_party.last_at, excluded.last_at)
"""

if __name__ == "__main__":
    uvloop.run(_read(*sys.argv[1:]))
