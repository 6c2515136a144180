"""Standings that hold more than they did are assessed again once nobody writes less any more."""

from datetime import date, timedelta

import httpx
import pytest
from asyncpg import Record

from chassis import migrations
from chassis.db import Database, driver
from chassis.presence import own_name
from services.scoring.handlers.sweeping import sweep_once
from services.scoring.queries.rulings import open_installation
from tests.scoring.conftest import MakeDatabase
from tests.scoring.feeding import JUNE, Feeding
from tests.scoring.test_routes_proof import verified
from tests.scoring.test_sweeping import rows

OLDER = "INSERT INTO process VALUES ('older', 'scoring-worker', '0.1.0', now() - interval '1 hour', now())"
OTHER = "INSERT INTO process VALUES ('other', 'scoring-worker', '0.0.9', now() + interval '1 s', now())"
YOUNGER = "INSERT INTO process VALUES ('younger', 'scoring-worker', '0.1.0', now() + interval '1 s', now())"
OWN = f"INSERT INTO process VALUES ('{own_name()}', 'scoring-sweeper', '0.1.0', now() + interval '1 s', now())"
GROWN = "UPDATE installation SET grown_at = now()"


async def grown(scoring: Database) -> list[Record]:
    return await rows(scoring, "SELECT grown_at FROM installation WHERE grown_at IS NOT NULL")


async def contacts(scoring: Database) -> list[date | None]:
    return [row[0] for row in await rows(scoring, "SELECT last_contact_day FROM party ORDER BY party_id")]


async def test_everybody_is_assessed_again_once_nobody_runs_who_writes_less(
    api: httpx.AsyncClient, scoring: Database, feed: Feeding
) -> None:
    for _ in range(3):
        await feed.bought(feed.identity(), JUNE, 1_000)
    told = await rows(scoring, "SELECT count(*) FROM lived_move")
    # As the migration leaves it, and the version before goes on writing.
    for statement in (
        "UPDATE party SET last_contact_day = NULL", GROWN, OWN, OLDER, YOUNGER,
    ):  # fmt: skip
        await rows(scoring, statement)

    await sweep_once(scoring)

    assert await contacts(scoring) == [None] * 3
    found, last = await verified(api)
    assert (found, last["waiting"]) == ([], 3)

    await rows(scoring, "DELETE FROM process WHERE name = 'older'")
    await sweep_once(scoring)

    assert await contacts(scoring) == [JUNE.date()] * 3
    found, last = await verified(api)
    assert (found, last["waiting"]) == ([], 0)
    assert await rows(scoring, "SELECT count(*) FROM lived_move") == told
    assert not await grown(scoring)


async def test_another_version_keeps_everybody_waiting_however_late_it_began(scoring: Database, feed: Feeding) -> None:
    await feed.bought(feed.identity(), JUNE, 1_000)
    for statement in (GROWN, OTHER):
        await rows(scoring, statement)

    # Until the sweeper has told its version, the only one that is told may be another.
    await sweep_once(scoring)
    assert await grown(scoring)

    await rows(scoring, OWN)
    await sweep_once(scoring)
    assert await grown(scoring)

    await rows(scoring, "DELETE FROM process WHERE name = 'other'")
    await sweep_once(scoring)
    assert not await grown(scoring)


@pytest.mark.parametrize("to", ["0018", "0020"])
async def test_an_installation_that_is_there_is_told_so_by_the_migration(make_database: MakeDatabase, to: str) -> None:
    database = await make_database(None)
    async with database.transaction() as session:
        await (await driver(session)).execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await migrations.migrate(database.url, "services.scoring", to=to)
    async with database.transaction() as session:
        await open_installation(await driver(session), "UTC", "EUR", JUNE)

    await migrations.migrate(database.url, "services.scoring")

    assert await grown(database)
    assert [row["reason"] for row in await rows(database, "SELECT reason FROM ruling")] == ["first"]
    indexes = {row[0] for row in await rows(database, "SELECT indexname FROM pg_indexes WHERE tablename = 'party'")}
    assert indexes & {"party_ranked", "party_contacted", "party_standing"} == {"party_ranked", "party_contacted"}


async def test_who_went_away_without_a_word_keeps_nobody_waiting(scoring: Database, feed: Feeding) -> None:
    await feed.bought(feed.identity(), JUNE - timedelta(days=1), 1_000)
    for statement in (GROWN, OLDER, OTHER, "UPDATE process SET seen_at = now() - interval '1 minute'", OWN):
        await rows(scoring, statement)

    await sweep_once(scoring)

    assert not await grown(scoring)


async def test_a_new_installation_has_nobody_to_assess_again(scoring: Database) -> None:
    await sweep_once(scoring)

    assert not await grown(scoring)
    assert [row["reason"] for row in await rows(scoring, "SELECT reason FROM ruling")] == ["first"]
