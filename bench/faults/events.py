"""Events that nobody can handle: one that is no event, and one that says what cannot be."""

import json
from dataclasses import dataclass
from random import Random

import asyncpg
from aiokafka import AIOKafkaProducer

from bench.faults.commands import identity_of
from bench.faults.ground import Ground
from chassis.ids import uuid7
from chassis.outbox import key_hash
from contracts.topics import PURCHASES


@dataclass
class Poison:
    """Bytes on a topic that are no event, put there past the product."""

    partition: int
    kind: str = "poison event"
    what: str = PURCHASES.name
    lasts_s: float = 0.0
    from_beginning: bool = True

    async def begin(self, ground: Ground) -> None:
        """Produce it."""
        producer = AIOKafkaProducer(bootstrap_servers=ground.servers, acks="all")
        await producer.start()
        try:
            await producer.send_and_wait(self.what, b"\xff no event", key=b"nobody", partition=self.partition)
        finally:
            await producer.stop()
        ground.expected_letters.append("Unreadable")

    async def end(self, ground: Ground) -> None:
        """Nothing is left to be done."""


@dataclass
class Impossible:
    """An event that was recorded and numbered, and whose amount nobody can pay."""

    whose: str
    kind: str = "impossible event"
    what: str = PURCHASES.name
    lasts_s: float = 0.0
    from_beginning: bool = True

    async def begin(self, ground: Ground) -> None:
        """Write it into the outbox of the service that tells of purchases."""
        id, subject, type = uuid7(), str(identity_of(self.whose)), "customers.purchase_completed.v1"
        at = "2025-06-01T12:00:00+00:00"
        data = {"occurred_at": at, "purchase_id": str(uuid7()), "amount_minor": "all of it"}
        document = {
            "specversion": "1.0", "id": str(id), "source": "/customers", "type": type, "time": at,
            "subject": subject, "partitionkey": subject, "datacontenttype": "application/json",
            "dataschema": f"urn:shuke:{type}", "data": data,
        }  # fmt: skip
        payload = json.dumps(document, separators=(",", ":")).encode()
        connection = await asyncpg.connect(ground.database("customers"))
        try:
            await connection.execute(_RECORD, id, self.what, subject, key_hash(subject), type, payload)
        finally:
            await connection.close()
        ground.expected_letters.append("Unreadable")
        ground.planted.add(id)

    async def end(self, ground: Ground) -> None:
        """Nothing is left to be done."""


def anybody(chance: Random) -> str:
    """Somebody of whom nothing else is told."""
    return f"nobody {chance.randrange(1_000)}"


_RECORD = """
INSERT INTO outbox (event_id, topic, key, key_hash, type, payload, occurred_at)
VALUES ($1, $2, $3, $4, $5, $6, '2025-06-01T12:00:00Z')
"""
