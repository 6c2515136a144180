from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime

import numpy as np
import pytest
from sqlalchemy import text

from bench import population
from bench.population import identity, load, simulated
from bench.product import CURRENCY
from chassis.db import Database, driver, plain_url
from services.scoring.queries.rulings import open_installation

PARTIES, ON = 230, date(2026, 6, 1)


async def test_a_population_of_many_pages_is_written_as_it_was_simulated(
    make_database: Callable[[str | None], Awaitable[Database]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(population, "PAGE", 50)
    monkeypatch.setattr(population, "AHEAD", 2)
    database = await make_database("services.scoring")
    async with database.transaction() as session:
        await open_installation(await driver(session), "UTC", CURRENCY, datetime(2026, 1, 1, tzinfo=UTC))

    count = await load(plain_url(database.url), PARTIES, ON, due=True)

    bought = simulated(PARTIES, date(2026, 5, 31))
    spend = np.bincount(bought.party, bought.amount_minor).astype(int).tolist()
    days = [len(set(bought.day[bought.party == party].tolist())) for party in range(PARTIES)]
    async with database.transaction() as session:
        facts = await session.scalar(text("SELECT count(*) FROM fact"))
        rows = (await session.execute(text("SELECT party_id, spend_minor, purchase_days FROM party"))).all()
    assert facts == count == len(bought.day)
    assert {row.party_id: (row.spend_minor, row.purchase_days) for row in rows} == {
        identity(party): (spend[party], days[party]) for party in range(PARTIES)
    }
