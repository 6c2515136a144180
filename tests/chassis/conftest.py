from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import pytest

from chassis.db import Database, declare_topics, plain_url
from chassis.gate import gate
from contracts.customers import PurchaseCompleted
from contracts.topics import PURCHASES, topics_of
from tests.chassis.chain import Bus, fetch

MakeDatabase = Callable[[str | None], Awaitable[Database]]


@pytest.fixture
async def database(make_database: MakeDatabase) -> Database:
    """A database with the chassis's tables and the purchase topic declared."""
    made = await make_database(None)
    await declare_topics(made, [PURCHASES])
    return made


@pytest.fixture
async def connection(database: Database) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection of its own, as the sequencer has one."""
    opened = await asyncpg.connect(plain_url(database.url))
    yield opened
    opened.terminate()


@pytest.fixture
async def bus(make_database: MakeDatabase, kafka: str) -> Bus:
    """A publishing and a consuming database on either side of a broker."""
    source, target = await make_database(None), await make_database(None)
    await declare_topics(source, topics_of("customers"))
    await fetch(target, "CREATE TABLE handled (id bigserial, key uuid, event_id uuid)")
    # What other tests left on this broker is not from this database: it begins an epoch of its own.
    await gate(source, "customers", kafka)
    return Bus(source, target, f"kafka://{kafka}")


@pytest.fixture
def purchase() -> Callable[..., PurchaseCompleted]:
    """Make a purchase of an identity."""

    def make(subject: UUID | None = None, amount_minor: int = 100) -> PurchaseCompleted:
        return PurchaseCompleted(
            subject=subject or uuid4(),
            occurred_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
            purchase_id=uuid4(),
            amount_minor=amount_minor,
            currency="EUR",
            source="shop",
        )

    return make
