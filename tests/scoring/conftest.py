from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import httpx
import pytest

from chassis.db import Database, declare_topics, driver
from contracts.topics import topics_of
from services.scoring.queries.rulings import open_installation
from tests.scoring.feeding import Feeding, served

MakeDatabase = Callable[[str | None], Awaitable[Database]]
MakeScoring = Callable[..., Awaitable[Database]]


@pytest.fixture
async def make_scoring(make_database: MakeDatabase) -> MakeScoring:
    """Make a database of the scoring service, its installation opened."""

    async def make(time_zone: str = "UTC", currency: str | None = "EUR") -> Database:
        database = await make_database("services.scoring")
        await declare_topics(database, topics_of("scoring"))
        async with database.transaction() as session:
            connection = await driver(session)
            await open_installation(connection, time_zone, currency, datetime(2026, 1, 1, tzinfo=UTC))
        return database

    return make


@pytest.fixture
async def scoring(make_scoring: MakeScoring) -> Database:
    return await make_scoring()


@pytest.fixture
def feed(scoring: Database) -> Feeding:
    return Feeding(scoring)


@pytest.fixture
async def api(scoring: Database) -> AsyncIterator[httpx.AsyncClient]:
    """The API in this process, without anything that runs beside it."""
    async with served(scoring) as client:
        yield client
