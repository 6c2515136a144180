"""The other processes of the gateway: what is told to them and heard from them, by PostgreSQL's notifications."""

import asyncio
import time
from typing import Never

import asyncpg
import structlog

from chassis.db import KEEPALIVE, SILENCE_S, Database, database_is_away, plain_url
from chassis.rest import rest
from gateway.queries.keyring import Keyring, note_uses
from gateway.queries.meter import Meter

log = structlog.get_logger()

KEYS = "api_key"
"""Channel on which the tables of keys, people and sessions tell of every change (migrations 0002 and 0004)."""
SPENT = "api_spent"
"""Channel on which processes tell what they let through."""
TELL_S = 0.25
"""Seconds between two tellings: how long processes may each let through what only one may."""
USES_S = 10.0
"""Seconds between two notes of when keys were used and sessions seen."""


async def hear_and_tell(keyring: Keyring, meter: Meter, database: Database) -> Never:
    """Keep in touch until cancelled. While the database is away nothing is heard, and keys are asked for anew."""
    while True:
        try:
            await _in_touch(keyring, meter, database)
        except Exception as error:
            if not database_is_away(error):
                raise
            log.warning("gateway hears nothing of its neighbours", error=str(error))
            await rest(1)


async def _in_touch(keyring: Keyring, meter: Meter, database: Database) -> Never:
    connection = await asyncpg.connect(
        plain_url(database.url),
        timeout=10,
        command_timeout=SILENCE_S,
        server_settings={"timezone": "UTC", "jit": "off", **KEEPALIVE},
    )
    try:
        await connection.add_listener(KEYS, lambda *_: keyring.doubt())
        await connection.add_listener(SPENT, lambda *heard: meter.hear(heard[3]))
        # Whatever was told before this moment was told to nobody here.
        keyring.doubt()
        noted = time.monotonic()
        while True:
            await asyncio.sleep(TELL_S)
            if connection.is_closed():
                raise ConnectionError("the database closed the connection")
            await connection.executemany("SELECT pg_notify($1, $2)", [(SPENT, news) for news in meter.news()])
            if (keyring.used or keyring.seen_at) and time.monotonic() - noted > USES_S:
                used, keyring.used = keyring.used, {}
                seen_at = dict(keyring.seen_at)
                async with database.transaction() as session:
                    await note_uses(session, used, seen_at)
                keyring.written(seen_at)
                noted = time.monotonic()
    finally:
        connection.terminate()
