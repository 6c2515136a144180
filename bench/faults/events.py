"""Events that nobody can handle: one that is no event, and one that says what cannot be."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaProducer

from bench.faults.commands import identity_of
from bench.faults.ground import Ground
from chassis.ids import uuid7
from chassis.outbox import key_hash
from contracts.topics import PARTIES, PURCHASES


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


class Unthinkable(NamedTuple):
    """What no event may say, and yet one does that was recorded and numbered."""

    topic: str
    type: str
    data: Mapping[str, Any]
    letter: str
    """As what a consumer sets it aside."""


UNTHINKABLE = (
    # Found when it is decoded.
    Unthinkable(
        PURCHASES.name,
        "customers.purchase_completed.v1",
        {"purchase_id": str(UUID(int=1)), "amount_minor": "all of it"},
        "Unreadable",
    ),
    # Found when it is written, in a transaction with everything that was read beside it; by the feed, too, which so
    # tells nobody of it.
    Unthinkable(PARTIES.name, "customers.party_owner_changed.v1", {"version": 2**70}, "DataError"),
)


@dataclass
class Impossible:
    """An event that was recorded and numbered like any other, and that nobody can take in."""

    whose: str
    says: Unthinkable
    kind: str = "impossible event"
    lasts_s: float = 0.0
    from_beginning: bool = True

    @property
    def what(self) -> str:
        """The topic that it comes to stand on."""
        return self.says.topic

    async def begin(self, ground: Ground) -> None:
        """Write it into the outbox of the service that tells of purchases and parties."""
        id, subject, type = uuid7(), str(identity_of(self.whose)), self.says.type
        at = "2025-06-01T12:00:00+00:00"
        document = {
            "specversion": "1.0", "id": str(id), "source": "/customers", "type": type, "time": at,
            "subject": subject, "partitionkey": subject, "datacontenttype": "application/json",
            "dataschema": f"urn:shuke:{type}", "data": {"occurred_at": at, **self.says.data},
        }  # fmt: skip
        payload = json.dumps(document, separators=(",", ":")).encode()
        connection = await asyncpg.connect(ground.database("customers"))
        try:
            await connection.execute(_RECORD, id, self.says.topic, subject, key_hash(subject), type, payload)
        finally:
            await connection.close()
        ground.expected_letters.append(self.says.letter)
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
