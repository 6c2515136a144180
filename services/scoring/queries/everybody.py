"""What is asked of everybody: few are read here, many in processes of their own, in the same state of the database."""

import asyncio
import gc
import pickle
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import asyncpg
import msgspec

from chassis.db import PATIENCE_S, plain_url
from chassis.processes import Processes
from services.scoring.domain.moment import Moment
from services.scoring.queries.parties import NOBODY
from services.scoring.queries.reading import PAGE, Found, Read, Stretch, found, stretches
from services.scoring.queries.rulings import Connection

MANY = 20_000
"""More parties than these are left to processes, which take a second to begin where none has begun lately."""
LENGTH = 5_000
"""Parties of a stretch that a process is given at once."""

T = TypeVar("T")
Reading = Callable[[Connection, Moment, Stretch], Awaitable[list[Read]]]
"""The parties of a stretch at a moment, in the order in which they are wanted."""
Taking = Callable[[Sequence[Found], Moment], T]
"""What is made of how some parties stand; as everything here a function of a module, for other processes know it by
name."""


class Population(NamedTuple):
    """Everybody in one state of the database."""

    connection: Connection
    """Sees that state."""
    url: str
    processes: Processes


async def of_everybody(population: Population, then: Moment, reading: Reading, taking: Taking[T]) -> AsyncGenerator[T]:
    """What is made of how everybody stands at a moment, stretch by stretch, in order and in flat memory.

    Nothing more is begun than the one who takes the answers has taken, but for a few stretches.
    """
    if await population.connection.fetchval(_MORE_THAN, NOBODY, MANY):
        answers = _apart(population, then, reading, taking)
    else:
        answers = _here(population.connection, then, reading, taking)
    async with aclosing(answers):
        async for answer in answers:
            yield answer


async def _here(connection: Connection, then: Moment, reading: Reading, taking: Taking[T]) -> AsyncGenerator[T]:
    async for stretch in stretches(connection, PAGE):
        yield taking(found(await reading(connection, then, stretch), then), then)


async def _apart(population: Population, then: Moment, reading: Reading, taking: Taking[T]) -> AsyncGenerator[T]:
    connection, url, processes = population
    snapshot: str = await connection.fetchval("SELECT pg_export_snapshot()")
    sent = pickle.dumps(msgspec.structs.replace(then, ruling=then.ruling.unused()))
    under_way: deque[asyncio.Future[T]] = deque()
    try:
        async for stretch in stretches(connection, LENGTH):
            under_way.append(processes.begin(take_apart, plain_url(url), snapshot, sent, stretch, reading, taking))
            if len(under_way) > 2 * processes.count:
                yield await under_way.popleft()
        while under_way:
            yield await under_way.popleft()
    finally:
        for each in under_way:
            each.cancel()


def take_apart(url: str, snapshot: str, sent: bytes, stretch: Stretch, reading: Reading, taking: Taking[T]) -> T:
    """In a process of its own: what is made of the parties of a stretch, in the state that a snapshot shows."""
    then = _moment(sent)
    taken = taking(found(_loop().run(_read(url, snapshot, then, stretch, reading)), then), then)
    # Behind what was read, which is no more looked through.
    gc.collect()
    return taken


async def _read(url: str, snapshot: str, then: Moment, stretch: Stretch, reading: Reading) -> list[Read]:
    connection = await _connected(url)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        # The word of the database, no text of anybody: the statement takes no arguments.
        await connection.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
        return await reading(connection, then, stretch)


@lru_cache(maxsize=1)
def _loop() -> asyncio.Runner:
    # What is loaded by now stays. Looked through again and again, it would cost as much as the parties do; and these
    # come and go without circles, so that once behind each stretch is enough.
    gc.freeze()
    gc.disable()
    return asyncio.Runner()


@lru_cache(maxsize=4)
def _moment(sent: bytes) -> Moment:
    # Kept, so that what its model has remembered serves the stretches that follow.
    then: Moment = pickle.loads(sent)
    return then


_connections: dict[str, Connection] = {}


async def _connected(url: str) -> Connection:
    known = _connections.get(url)
    if known is None or known.is_closed():
        known = _connections[url] = await asyncpg.connect(
            url, timeout=10, command_timeout=PATIENCE_S, server_settings=_SESSION
        )
    return known


_SESSION: dict[str, Any] = {
    "application_name": "shuke",
    "timezone": "UTC",
    "jit": "off",
    # Stretches of the first ids and of the last ones are not as long as any other.
    "plan_cache_mode": "force_custom_plan",
}

_MORE_THAN = "SELECT EXISTS (SELECT FROM party WHERE party_id > $1 OFFSET $2)"
