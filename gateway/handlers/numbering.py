"""What waits in the feed gets its number, one after the other."""

import asyncio
from typing import Never

import asyncpg
import structlog
from prometheus_client import Gauge

from chassis.clock import now
from chassis.db import KEEPALIVE, SILENCE_S, Database, database_is_away, plain_url
from chassis.rest import rest
from gateway.queries import feed
from gateway.queries.head import Connection, Head, Scoring, is_read

log = structlog.get_logger()

IDLE_REST_S = 0.5
BUSY_REST_S = 0.02

WAITING = Gauge("shuke_feed_waiting_seconds", "Age of the oldest event that the feed has read and not yet told.")


async def number_feed(database: Database, scoring_url: str | None) -> Never:
    """Number what consumers have staged until cancelled; any number of these may run.

    Without `scoring_url` nothing of scoring is read either, and nothing waits.
    """
    scoring = Scoring(scoring_url) if scoring_url else None
    while True:
        try:
            connection = await asyncpg.connect(
                plain_url(database.url),
                timeout=10,
                command_timeout=SILENCE_S,
                # A statement planned while nothing waited would be a slow one when much does.
                server_settings={
                    "application_name": "shuke-feed",
                    "plan_cache_mode": "force_custom_plan",
                    "timezone": "UTC",
                    "jit": "off",
                    **KEEPALIVE,
                },
            )
            try:
                await _follow(connection, scoring)
            finally:
                connection.terminate()
                if scoring is not None:
                    scoring.close()
        except Exception as error:
            if not database_is_away(error):
                raise
            log.warning("the feed is numbered later", error=str(error), error_class=type(error).__name__)
            await rest(1)


async def _follow(connection: Connection, scoring: Scoring | None) -> Never:
    staged = asyncio.Event()
    await connection.add_listener(feed.STAGED, lambda *_: staged.set())
    head: Head | None = None
    while True:
        staged.clear()
        waiting_since = await feed.oldest_staged(connection)
        WAITING.set(0 if waiting_since is None else max(0.0, (now() - waiting_since).total_seconds()))
        numbered: int | None = 0
        if waiting_since is not None:
            if scoring is not None and head is None:
                # Read again only when all of the last one has come: one that moves on would never be reached.
                head = await scoring.head()
            reached = head is not None and await is_read(connection, head)
            numbered = await feed.number(connection, head.recorded_at if head and reached else None, now())
            if reached and numbered != feed.AT_ONCE:
                head = None
            if numbered:
                continue
        if connection.is_closed():
            raise ConnectionError("the database closed the connection")
        try:
            async with asyncio.timeout(BUSY_REST_S if waiting_since is not None else IDLE_REST_S):
                await staged.wait()
        except TimeoutError:
            continue
