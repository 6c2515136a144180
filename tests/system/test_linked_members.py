"""A member linked later brings the past along, through the logs of three services, and takes it back when unlinked."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Never
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from chassis import consumer, sequencer
from chassis.assignments import learn
from chassis.bus import connect_bus
from chassis.clock import now
from chassis.consumer import Handler
from chassis.db import Database, declare_topics, driver
from contracts.customers import PartyKind
from contracts.identity import Identity, Installation, Scheme
from contracts.topics import Topic, topics_of
from services.community.app import HEARD as HEARD_BY_COMMUNITY
from services.community.domain.members import MemberKey, NewMember
from services.community.domain.posts import NewPost
from services.community.queries.members import link, member_to_change, record_member
from services.community.queries.posts import posts, record_posts
from services.customers.app import HEARD as HEARD_BY_CUSTOMERS
from services.customers.handlers.hearing import hear
from services.customers.queries.parties import register
from services.scoring.app import TOPICS as HEARD_BY_SCORING
from services.scoring.handlers.batches import apply
from services.scoring.queries.rulings import open_installation
from tests.scoring.feeding import served

HERE = Installation(bytes(range(32)), ZoneInfo("UTC"))
ENOUGH_S = 60
PUBLISHERS = ("community", "customers", "leads")

MakeDatabase = Callable[[str | None], Awaitable[Database]]
Databases = Mapping[str, Database]


@pytest.fixture
async def databases(make_database: MakeDatabase) -> Databases:
    """Of the services that take part; of leads, whose log is read too, an empty one."""
    packages = {"leads": None} | {name: f"services.{name}" for name in ("community", "customers", "scoring")}
    made = {name: await make_database(package) for name, package in packages.items()}
    for name, database in made.items():
        await declare_topics(database, topics_of(name))
    async with made["scoring"].transaction() as session:
        await open_installation(await driver(session), "UTC", "EUR", datetime(2026, 1, 1, tzinfo=UTC))
    return made


@asynccontextmanager
async def running(databases: Databases) -> AsyncIterator[None]:
    """Everything that carries events between them."""
    urls = {name: databases[name].url for name in PUBLISHERS}

    async def read(name: str, topics: list[str], handler: Handler) -> Never:
        database = databases[name]
        await consumer.run(name, database, connect_bus("log://", database, urls), topics, handler, urls)

    def names(topics: tuple[Topic, ...]) -> list[str]:
        return [topic.name for topic in topics]

    tasks = [asyncio.create_task(sequencer.run(databases[name])) for name in ("community", "customers")]
    tasks += [
        asyncio.create_task(read("customers", names(HEARD_BY_CUSTOMERS), hear)),
        asyncio.create_task(read("community", names(HEARD_BY_COMMUNITY), learn)),
        asyncio.create_task(read("scoring", list(HEARD_BY_SCORING), apply)),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(ENOUGH_S):
        while not await holds():
            await asyncio.sleep(0.05)


async def test_a_member_linked_later_brings_the_past_along_and_takes_it_back(databases: Databases) -> None:
    community = databases["community"]
    written_at = now() - timedelta(days=3)
    mail = HERE.identity(Scheme.EMAIL, "ann@example.org")

    async with community.transaction() as session:
        key = MemberKey("forum", "ann")
        member_id, _ = await record_member(session, NewMember(key=key, joined_at=written_at), HERE)
        post = NewPost(member=key, source="forum", source_id="p1", occurred_at=written_at, text="Which tea?")
        await record_posts(session, [post], HERE)
    async with databases["customers"].transaction() as session:
        known, _ = await register(session, PartyKind.PERSON, [mail])
    member = HERE.identity(Scheme.EXTERNAL, "ann", system="forum").id

    async def linked(identity: Identity | None) -> None:
        async with community.transaction() as session:
            row = await member_to_change(session, member_id)
            link(session, row, party_id=None, identity_id=identity.id if identity else None)

    async def written_by(party_id: UUID) -> int:
        async with community.transaction() as session:
            return len(await posts(session, HERE, party_id=party_id, limit=9))

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(databases))
        scoring = await stack.enter_async_context(served(databases["scoring"]))

        async def standing(party_id: UUID) -> dict[str, Any]:
            answer = await scoring.get(f"/v1/standings/party_{party_id.hex}")
            return dict(answer.json()) if answer.status_code == 200 else {}

        async def apart() -> bool:
            stages = [(await standing(party)).get("stage") for party in (member, known)]
            return stages == ["prospect", "stranger"]

        async def together() -> bool:
            shown = [await standing(party) for party in (member, known)]
            return all(row.get("stage") == "prospect" for row in shown) and len({r["party_id"] for r in shown}) == 1

        await until(apart)
        assert (await written_by(member), await written_by(known)) == (1, 0)

        await linked(mail)
        await until(together)

        async def learnt() -> bool:
            return await written_by(known) == await written_by(member) == 1

        await until(learnt)

        await linked(None)
        await until(apart)

        async def forgotten() -> bool:
            return (await written_by(member), await written_by(known)) == (1, 0)

        await until(forgotten)
