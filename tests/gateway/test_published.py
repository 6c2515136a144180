"""What an outside issuer publishes, while it is slow, says something else, or the database is away."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Response

from chassis.db import Database, connect
from gateway.domain.tokens import ASKED_EVERY_S, FRESH_S, LOOKED_EVERY_S, IssuerAway
from gateway.queries.issuer import DISCOVERY, Issuer
from gateway.queries.published import Published

from .conftest import MakeDatabase, serving

PATIENCE_S = 30


@dataclass
class Publisher:
    """Publishes a document, as soon as it may answer."""

    name: str = ""
    document: dict[str, Any] = field(default_factory=dict)
    status: int = 200
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    asked: "asyncio.Queue[None]" = field(default_factory=asyncio.Queue)
    at: float = 0.0
    client: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S))

    def published(self) -> Published[Any]:
        """As a process has it that was just started."""
        return Published(self.name + DISCOVERY, lambda said: said["says"], self.client, lambda: self.at)

    def issuer(self, **more: Any) -> Issuer:
        return Issuer(self.name, clock=lambda: self.at, **more)


@pytest.fixture
async def publisher() -> AsyncIterator[Publisher]:
    made, app = Publisher(), FastAPI()
    made.answers.set()

    @app.get(DISCOVERY)
    async def said(response: Response) -> dict[str, Any]:
        answer, answers, response.status_code = dict(made.document), made.answers, made.status
        made.asked.put_nowait(None)
        await answers.wait()
        return answer

    async with serving(app) as made.name, made.client:
        yield made


@pytest.fixture
async def database(make_database: MakeDatabase) -> Database:
    return await make_database("gateway")


async def test_whoever_finds_what_fits_does_not_wait_for_what_somebody_else_asks_for(
    publisher: Publisher, database: Database
) -> None:
    publisher.document = {"says": "one"}
    keys = publisher.published()
    await keys.held(database)
    await publisher.asked.get()
    publisher.answers.clear()
    publisher.at = ASKED_EVERY_S

    made_up = asyncio.create_task(keys.held(database, lambda said: said == "two"))
    await publisher.asked.get()
    publisher.at += LOOKED_EVERY_S
    another = asyncio.create_task(keys.held(database, lambda said: said == "two"))
    assert await asyncio.wait_for(keys.held(database, lambda said: said == "one"), PATIENCE_S) == "one"
    assert not made_up.done()
    assert not another.done(), "what it looks for may be under way"

    publisher.answers.set()
    assert (await made_up, await another) == ("one", "one")
    assert publisher.asked.empty(), "both asked once"


async def test_a_slow_answer_does_not_take_the_place_of_what_was_asked_for_later(
    publisher: Publisher, database: Database
) -> None:
    one, other = publisher.published(), publisher.published()
    publisher.document = {"says": "old"}
    publisher.answers = held_back = asyncio.Event()
    slow = asyncio.create_task(one.held(database))
    await publisher.asked.get()
    publisher.document, publisher.answers = {"says": "new"}, asyncio.Event()
    publisher.answers.set()
    assert await other.held(database) == "new"
    publisher.at = 5.0
    held_back.set()
    assert await slow == "old"

    publisher.at += LOOKED_EVERY_S
    assert await publisher.published().held(database) == "new"
    assert await one.held(database) == "new"


async def test_what_was_got_is_good_though_the_database_is_away(publisher: Publisher) -> None:
    publisher.document = {"says": "one"}
    away = connect("postgresql+asyncpg://nobody@127.0.0.1:1/nothing")
    keys = publisher.published()
    assert await keys.held(away) == "one"
    publisher.at = FRESH_S + 1
    assert await keys.held(away) == "one"
    assert publisher.asked.qsize() == 2
    await away.close()


async def test_a_description_without_what_is_needed_counts_as_none(publisher: Publisher, database: Database) -> None:
    needed = {"jwks_uri": "any", "authorization_endpoint": "any", "token_endpoint": "any"}
    issuer = publisher.issuer(signs_in=True)
    for missing in needed:
        publisher.document = {"issuer": publisher.name, **needed, missing: None}
        with pytest.raises(IssuerAway, match=f"is without {missing}"):
            await issuer.described(database)
        publisher.at += ASKED_EVERY_S
    good = publisher.document = {"issuer": publisher.name, **needed}
    assert await issuer.described(database) == good
    publisher.document = {"issuer": publisher.name}
    publisher.at += FRESH_S + 1
    assert await issuer.described(database) == good
    await issuer.close()


async def test_of_tokens_alone_only_the_address_of_the_keys_is_needed(publisher: Publisher, database: Database) -> None:
    publisher.document = {"issuer": publisher.name}
    tokens = publisher.issuer()
    with pytest.raises(IssuerAway, match="is without jwks_uri"):
        await tokens.claims(database, "eyJhbGciOiJSUzI1NiJ9.e30.e30", "shuke")
    elsewhere = publisher.issuer(jwks_url=f"{publisher.name}/jwks")
    assert await elsewhere.described(database) == publisher.document
    for each in (tokens, elsewhere):
        await each.close()


async def test_why_it_is_away_is_said_of_the_last_time(publisher: Publisher, database: Database) -> None:
    issuer = publisher.issuer()
    for document, status, why in (
        ({"issuer": "another"}, 200, "another name"),
        ({}, 500, "does not answer"),
        ({"issuer": publisher.name}, 200, "is without jwks_uri"),
    ):
        publisher.document, publisher.status = document, status
        with pytest.raises(IssuerAway, match=why):
            await issuer.described(database)
        publisher.at += ASKED_EVERY_S
    await issuer.close()
