"""A ruling that reaches everybody by stretches says and tells the same as one that reaches each alone."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from multiprocessing import get_context
from random import Random
from typing import Any, cast
from uuid import UUID

import asyncpg
import httpx
import pytest
from sqlalchemy.pool import QueuePool

from chassis.db import Database, connect, database_is_away, driver, plain_url
from chassis.pressure import Backlogged
from services.scoring.domain.model import Model
from services.scoring.domain.policy import Policy
from services.scoring.domain.presets import DEFAULT_1, RETENTION_FIRST
from services.scoring.domain.quiet import Quiet, quiet
from services.scoring.domain.stages import ByDays, Stages
from services.scoring.handlers import renewing, sweeping
from services.scoring.handlers.assessing import assess_again, assess_rows
from services.scoring.handlers.renewing import renew, renew_stretch
from services.scoring.handlers.sweeping import sweep_once
from services.scoring.queries.reading import Stretch
from services.scoring.queries.renewing import kept, write_quiet
from services.scoring.queries.rulings import BARRIER, new_ruling, present
from tests.scoring.feeding import JUNE, Feeding
from tests.scoring.handmade import MODEL
from tests.scoring.stories import Story, give
from tests.scoring.test_domain_plain_agrees import some_model, some_policy
from tests.scoring.test_known import have_model
from tests.scoring.test_routes_proof import verified
from tests.scoring.test_sweeping import GROUPED, rows, summed

MakeScoring = Callable[..., Awaitable[Database]]
EVERYBODY = Stretch()
OTHER = MODEL.model_copy(update={"r": MODEL.r * 1.05})
"""As a later fit may give it."""


async def decided(database: Database, policy: Policy, model: Model | None) -> int:
    """Another policy and another model are in force from now on."""
    async with database.transaction() as session:
        connection = await driver(session)
        await connection.execute("SELECT pg_advisory_xact_lock($1)", BARRIER)
        await connection.execute("UPDATE policy SET state = 'retired' WHERE state = 'active'")
        await connection.execute(
            "INSERT INTO policy (hash, document, state) VALUES ($1, $2::text::jsonb, 'active')"
            " ON CONFLICT (hash) DO UPDATE SET state = 'active'",
            policy.content_hash,
            policy.model_dump_json(),
        )
        if model:
            await have_model(connection, model)
        hashes = {"policy": policy.content_hash, "model": model.content_hash if model else None}
        return await new_ruling(connection, "policy", JUNE, **hashes)


async def stored(database: Database) -> tuple[list[Any], list[Any]]:
    """How everybody stands, and what was told."""
    parties = await rows(database, "SELECT * FROM party ORDER BY party_id")
    moved = await rows(database, "SELECT * FROM lived_move ORDER BY party_id, revision")
    return [dict(row) for row in parties], [dict(row) for row in moved]


@pytest.mark.parametrize("seed", range(6))
async def test_everybody_stands_and_is_told_as_each_is_alone(
    make_scoring: MakeScoring, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    random = Random(seed)
    before, after = ((some_policy(random), some_model(random)) for _ in range(2))
    if seed % 2:
        before, after = (DEFAULT_1, MODEL), (random.choice([DEFAULT_1, RETENTION_FIRST]), OTHER)
    stories = [Story(random) for _ in range(5)]
    for story in stories:
        story.go_on(60)
    latest = max(delivery.recorded_at for story in stories for delivery in story.told)
    feeding = Feeding(await make_scoring(), latest)
    buyers = [
        feeding.delivered(feeding.purchase(feeding.identity(), latest - timedelta(days=days), random.randrange(30_000)))
        for days in (random.randrange(900) for _ in range(80))
    ]
    until = random.choice([None, latest, latest + timedelta(days=30)])
    found = []
    for each_alone in (True, False):
        database = await make_scoring()
        await decided(database, *before)
        for story in stories:
            await give(database, story.told)
        await give(database, buyers)
        ruling = await decided(database, *after)
        if each_alone:
            people = [row["party_id"] for row in await rows(database, "SELECT party_id FROM party")]
            async with database.transaction() as session:
                await assess_again(session, people, until)
        else:
            await renew_stretch(database, until, EVERYBODY)
        assert not await rows(database, "SELECT FROM party WHERE ruling < $1", ruling)
        grouped = {(row[0], row[1]): (row[2], row[3]) for row in await rows(database, GROUPED)}
        assert await summed(database) == grouped
        found.append(await stored(database))

    assert found[0] == found[1]


@pytest.fixture
async def known(scoring: Database, feed: Feeding) -> list[UUID]:
    """Buyers of one day and of several, of whom some come to stand otherwise by the other ruling."""
    await decided(scoring, DEFAULT_1, MODEL)
    people = sorted(feed.identity() for _ in range(60))
    bought = [
        feed.purchase(each, JUNE - timedelta(days=days), 2_000)
        for place, each in enumerate(people)
        for days in {4 * place, 4 * place + 9 * (place % 5)}
    ]
    await feed.tell(*bought)
    return people


async def test_most_are_written_without_a_lock_and_who_stands_otherwise_is_told_once(
    scoring: Database, known: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[int] = []

    async def counted(session: Any, taken: list[asyncpg.Record], until: Any) -> None:
        looked_at.append(len(taken))
        await assess_rows(session, taken, until)

    monkeypatch.setattr(renewing, "assess_rows", counted)
    ruling = await decided(scoring, RETENTION_FIRST, OTHER)

    await renew_stretch(scoring, None, EVERYBODY)

    told = await rows(scoring, "SELECT cause, count(*) AS n FROM lived_move WHERE ruling = $1 GROUP BY cause", ruling)
    assert [(row["cause"], row["n"]) for row in told] == [("policy", sum(looked_at))]
    assert 0 < sum(looked_at) < len(known)
    await renew_stretch(scoring, None, EVERYBODY)
    assert sum(looked_at) == told[0]["n"]


READ = (
    "SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relname = 'calendar'"
)


async def test_each_calendar_is_read_once_though_statistics_expect_nobody(scoring: Database, known: list[UUID]) -> None:
    await decided(scoring, RETENTION_FIRST, OTHER)
    connection = await asyncpg.connect(plain_url(scoring.url))
    here = await present(connection)
    await connection.execute(
        "ALTER TABLE party SET (autovacuum_enabled = off); UPDATE party SET ruling = ruling + 1; ANALYZE;"
        " UPDATE party SET ruling = ruling - 1;"
        # As is then chosen at times, of large tables by their indexes.
        " SET enable_mergejoin = off; SET enable_hashjoin = off; SET enable_seqscan = off; SET enable_bitmapscan = off"
    )
    before = await connection.fetchval(READ)
    found = await kept(connection, EVERYBODY, here)
    await connection.execute("SELECT pg_stat_force_next_flush()")
    read = await connection.fetchval(READ) - before
    years = await connection.fetchval("SELECT count(*) FROM calendar")
    await connection.close()

    assert sorted(party.party_id for party in found) == known
    assert years <= read < 2 * years


async def test_whoever_is_held_keeps_nobody_waiting_and_is_left_over_alone(
    scoring: Database, known: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[int] = []
    open_meanwhile: list[int] = []

    async def counted(session: Any, taken: list[asyncpg.Record], until: Any) -> None:
        looked_at.append(len(taken))
        await assess_rows(session, taken, until)

    def watched(*what: Any) -> Quiet | None:
        open_meanwhile.append(cast(QueuePool, scoring.engine.pool).checkedout())
        return quiet(*what)

    monkeypatch.setattr(renewing, "assess_rows", counted)
    monkeypatch.setattr(renewing, "quiet", watched)
    ruling = await decided(scoring, RETENTION_FIRST, OTHER)
    connection = await asyncpg.connect(plain_url(scoring.url))
    async with connection.transaction():
        await connection.execute("SELECT FROM party WHERE party_id = $1 FOR UPDATE", known[-1])
        await renew_stretch(scoring, None, EVERYBODY)
        left = await rows(scoring, "SELECT party_id FROM party WHERE ruling < $1", ruling)
    await connection.close()

    assert open_meanwhile == [0]
    assert [row["party_id"] for row in left] == [known[-1]]
    (told,) = await rows(scoring, "SELECT count(*) FROM lived_move WHERE ruling = $1", ruling)
    assert sum(looked_at) == told["count"] < len(known) - 1
    await sweep_once(scoring)
    assert not await rows(scoring, "SELECT FROM party WHERE ruling < $1", ruling)


async def test_a_stretch_whose_database_is_away_keeps_no_other_from_being_renewed(
    scoring: Database, known: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewing, "LENGTH", 10)
    ruling = await decided(scoring, RETENTION_FIRST, OTHER)
    connection = await asyncpg.connect(plain_url(scoring.url))
    await connection.execute(
        "CREATE FUNCTION away() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE SQLSTATE '57P01'; END $$;"
        f" CREATE TRIGGER away BEFORE UPDATE ON party FOR EACH ROW WHEN (OLD.party_id = '{known[0]}')"
        " EXECUTE FUNCTION away()"
    )
    with pytest.raises(ExceptionGroup) as failed:
        await renew(scoring, None)
    assert database_is_away(failed.value)
    left = await rows(scoring, "SELECT party_id FROM party WHERE ruling < $1 ORDER BY party_id", ruling)
    assert 0 < len(left) <= 10
    assert left[-1]["party_id"] < known[10]
    await connection.execute("DROP TRIGGER away ON party")
    await connection.close()
    await sweep_once(scoring)
    assert not await rows(scoring, "SELECT FROM party WHERE ruling < $1", ruling)


async def test_nobody_is_renewed_for_as_long_as_nothing_may_be_announced(
    scoring: Database, known: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewing, "LENGTH", 10)
    ruling = await decided(scoring, RETENTION_FIRST, OTHER)
    scoring.refusal = Backlogged(2, 1)
    renewed = asyncio.create_task(renew(scoring, None))
    await asyncio.sleep(3)
    left = await rows(scoring, "SELECT FROM party WHERE ruling < $1", ruling)
    scoring.refusal = None
    await renewed

    assert len(left) == len(known)
    assert not await rows(scoring, "SELECT FROM party WHERE ruling < $1", ruling)


def sweep_in_tens(url: str) -> None:
    renewing.LENGTH, sweeping.MANY = 10, 1
    asyncio.run(sweep_once(connect(url)))


async def test_who_is_killed_with_all_processes_in_the_midst_of_it_leaves_the_rest_to_the_next(
    scoring: Database, known: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    ruling = await decided(scoring, RETENTION_FIRST, OTHER)
    connection = await asyncpg.connect(plain_url(scoring.url))
    held = connection.transaction()
    await held.start()
    await connection.execute(HOLD_WHO_IS_TOLD, known[len(known) // 2])
    killed = get_context("spawn").Process(target=sweep_in_tens, args=(scoring.url,))
    killed.start()
    async with asyncio.timeout(300):
        while not await rows(scoring, SOME_WAIT_AND_SOME_ARE_DONE, ruling):
            await asyncio.sleep(0.05)
    killed.kill()
    await asyncio.to_thread(killed.join)
    await held.rollback()
    await connection.close()
    async with asyncio.timeout(300):
        while await rows(scoring, OTHERS_ARE_THERE):
            await asyncio.sleep(0.05)

    left = await rows(scoring, "SELECT FROM party WHERE ruling < $1", ruling)
    monkeypatch.setattr(sweeping, "MANY", 1)
    monkeypatch.setattr(renewing, "LENGTH", 10)
    await sweep_once(scoring)
    assert len(left) > sweeping.MANY
    assert not await rows(scoring, "SELECT FROM party WHERE ruling < $1", ruling)
    assert not await rows(scoring, "SELECT FROM ruling WHERE applied_at IS NULL")
    told = await rows(scoring, "SELECT party_id FROM lived_move WHERE ruling = $1", ruling)
    assert len(told) == len({row["party_id"] for row in told}) > 0
    grouped = {(row[0], row[1]): (row[2], row[3]) for row in await rows(scoring, GROUPED)}
    assert await summed(scoring) == grouped


HOLD_WHO_IS_TOLD = """
INSERT INTO lived_move (party_id, revision, cause, kind, value_minor, occurred_at, assessed_at, ruling)
SELECT party_id, revision + 1, '', '', 0, now(), now(), 0 FROM party WHERE party_id > $1
"""
"""Whoever tells of one of them waits for it to be undone."""
SOME_WAIT_AND_SOME_ARE_DONE = """
SELECT FROM party WHERE ruling = $1 AND EXISTS (
    SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
) LIMIT 1
"""
OTHERS_ARE_THERE = """
SELECT FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle' AND backend_type = 'client backend'
"""


async def test_an_event_between_reading_and_writing_is_not_undone(
    scoring: Database, feed: Feeding, known: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    buyers = known[::7]

    async def late(*what: Any) -> None:
        for each in buyers:
            await feed.bought(each, JUNE, 70_000)
        await write_quiet(*what)

    monkeypatch.setattr(renewing, "write_quiet", late)
    await decided(scoring, RETENTION_FIRST, OTHER)

    await renew_stretch(scoring, None, EVERYBODY)

    after = await rows(scoring, "SELECT spend_minor, last_day FROM party WHERE party_id = ANY($1)", buyers)
    assert [(row["spend_minor"] >= 70_000, row["last_day"]) for row in after] == [(True, JUNE.date())] * len(buyers)
    before = await stored(scoring)
    async with scoring.transaction() as session:
        await assess_again(session, known, None)
    assert await stored(scoring) == before


async def test_a_pass_that_was_killed_within_a_stretch_is_gone_on_with(
    scoring: Database, known: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    ruling = await decided(scoring, RETENTION_FIRST, OTHER)
    first, second = Stretch(until=known[29]), Stretch(known[29])

    async def killed(*what: Any) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as patched:
        patched.setattr(renewing, "assess_rows", killed)
        with pytest.raises(ConnectionResetError):
            await renew_stretch(scoring, None, first)
    done = "SELECT count(*) FROM party WHERE ruling = $1"
    (row,) = await rows(scoring, done, ruling)
    assert 0 < row["count"] < 30
    await renew_stretch(scoring, None, second)
    await renew_stretch(scoring, None, first)
    await sweep_once(scoring)

    (row,) = await rows(scoring, done, ruling)
    assert row["count"] == len(known)
    assert not await rows(scoring, "SELECT FROM ruling WHERE applied_at IS NULL")
    moved = await rows(scoring, "SELECT party_id FROM lived_move WHERE ruling = $1", ruling)
    assert len(moved) == len({row["party_id"] for row in moved}) > 0


async def test_two_passes_and_buyers_at_once_tell_everybody_once(
    scoring: Database, feed: Feeding, known: list[UUID]
) -> None:
    ruling = await decided(scoring, RETENTION_FIRST, OTHER)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(renew_stretch(scoring, None, EVERYBODY))
        tasks.create_task(renew_stretch(scoring, None, EVERYBODY))
        for each in known[:20]:
            tasks.create_task(feed.bought(each, JUNE, 1_000))
    await sweep_once(scoring)

    assert not await rows(scoring, "SELECT FROM party WHERE ruling < $1", ruling)
    told = await rows(scoring, "SELECT party_id FROM lived_move WHERE ruling = $1 AND cause = 'policy'", ruling)
    assert len(told) == len({row["party_id"] for row in told}) > 0
    before = await stored(scoring)
    async with scoring.transaction() as session:
        await assess_again(session, known, None)
    assert await stored(scoring) == before


@pytest.mark.parametrize("days", [-1, 0, 1])
async def test_first_days_are_those_that_verification_has_whenever_all_is_read_up_to_an_activation(
    scoring: Database, feed: Feeding, api: httpx.AsyncClient, days: int
) -> None:
    slow, quick = (
        DEFAULT_1.model_copy(update={"name": name, "persons": Stages(customers=ByDays(dormant_after_days=dormant))})
        for name, dormant in (("slow", 90), ("quick", 30))
    )
    people = [feed.identity() for _ in range(60)]
    await decided(scoring, slow, None)
    for nth, person in enumerate(people):
        await feed.bought(person, JUNE - timedelta(days=40 + 3 * nth), 1_000)
        if nth % 3:
            await feed.bought(person, JUNE - timedelta(days=nth), 1_000)
    await feed.reached(JUNE)
    await sweep_once(scoring)
    await decided(scoring, quick, None)
    until = JUNE + timedelta(days=days)
    await feed.reached(until)

    await renew_stretch(scoring, until, EVERYBODY)

    assert (await verified(api))[0] == []
    late = feed.purchase(people[1], JUNE + timedelta(hours=9), 500)
    feed.at = JUNE + timedelta(hours=10)
    await feed.tell(late)
    await feed.reached(JUNE + timedelta(days=60))
    await sweep_once(scoring)
    assert (await verified(api))[0] == []
