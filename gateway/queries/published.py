"""What an outside issuer publishes: fetched again every hour, and the last good of it believed for a day.

All processes believe what any of them got last, and those that start while the issuer is away what was got before.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, Generic, TypeVar

import httpx
import structlog
from joserfc.errors import JoseError

from chassis.db import Database, database_is_away, driver
from gateway.domain.tokens import ASKED_EVERY_S, FRESH_S, KEPT_S, LOOKED_EVERY_S, IssuerAway

log = structlog.get_logger()

T = TypeVar("T")

UNREADABLE = JoseError, ValueError, KeyError, TypeError, AttributeError
"""What goes wrong where a document is not what it should be."""
SILENT = "The outside issuer does not answer."
UNCLEAR = "What the outside issuer publishes cannot be read."


class Published(Generic[T]):
    """A document under an address. `read` makes of it what is asked for; `clock` gives seconds that never go back."""

    def __init__(
        self, url: str, read: Callable[[dict[str, Any]], T], client: httpx.AsyncClient, clock: Callable[[], float]
    ) -> None:
        self.url = url
        self._read = read
        self._client = client
        self._clock = clock
        self._held: T | None = None
        self._got_at: datetime | None = None
        """When it was asked for, by the clock of the database: that of one machine for all processes."""
        self._good_at = self._asked_at = self._looked_at = float("-inf")
        self._away = SILENT
        self._asking = asyncio.Lock()

    async def held(self, database: Database, fits: Callable[[T], bool] = lambda _: True) -> T:
        """What was got last; asked for again where it is stale, or does not fit. Raises `IssuerAway`.

        Whoever finds what fits does not wait for what somebody else asks for.
        """
        if (self._looks() or self._asks(fits)) and not (self._asking.locked() and self._usable(fits)):
            async with self._asking:
                if self._looks():
                    await self._look(database)
                if self._asks(fits):
                    await self._ask(database)
        if self._held is None or self._age_s() > KEPT_S:
            raise IssuerAway(self._away, retry_after_s=int(ASKED_EVERY_S))
        return self._held

    def _usable(self, fits: Callable[[T], bool]) -> bool:
        return self._held is not None and self._age_s() <= KEPT_S and fits(self._held)

    def _age_s(self) -> float:
        return self._clock() - self._good_at

    def _looks(self) -> bool:
        return self._clock() - self._looked_at >= LOOKED_EVERY_S

    def _asks(self, fits: Callable[[T], bool]) -> bool:
        if self._clock() - self._asked_at < ASKED_EVERY_S:
            return False
        return self._held is None or self._age_s() > FRESH_S or not fits(self._held)

    async def _look(self, database: Database) -> None:
        """Take over what another process has got since, or this one before it was started anew."""
        self._looked_at = self._clock()
        row = None
        with _without(self.url):
            async with database.transaction() as session:
                row = await (await driver(session)).fetchrow(_KEPT, self.url, self._got_at)
        # Of a clock that was set back, what it said before is as old as it now lies ahead.
        if row is not None and abs(row["age_s"]) < self._age_s():
            # What was got under another name of the issuer, or by another version, may be unreadable.
            with suppress(IssuerAway, *UNREADABLE):
                self._held, self._got_at = self._read(json.loads(row["content"])), row["got_at"]
                self._good_at = self._clock() - abs(row["age_s"])

    async def _ask(self, database: Database) -> None:
        self._asked_at = self._clock()
        try:
            answer = await self._client.get(self.url, headers={"Accept": "application/json"})
            answer.raise_for_status()
            self._held = self._read(answer.json())
        except IssuerAway as wrong:
            self._stays(wrong.detail, wrong)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            self._stays(SILENT, error)
        except UNREADABLE as error:
            self._stays(UNCLEAR, error)
        else:
            self._good_at = self._asked_at
            with _without(self.url):
                async with database.transaction() as session:
                    took_s = self._clock() - self._asked_at
                    self._got_at = await (await driver(session)).fetchval(_KEEP, self.url, answer.text, took_s)

    def _stays(self, why: str, error: Exception) -> None:
        self._away = why
        log.warning("what the outside issuer publishes stays as it was", url=self.url, error=str(error))


@contextmanager
def _without(url: str) -> Iterator[None]:
    """Go on where the database is away: what this process holds is as good as before."""
    try:
        yield
    except Exception as error:
        if not database_is_away(error):
            raise
        log.warning("what the outside issuer publishes is not shared just now", url=url, error=str(error))


_KEPT = """
SELECT content, got_at, extract(epoch FROM clock_timestamp() - got_at)::float AS age_s FROM issuer_document
WHERE url = $1 AND got_at IS DISTINCT FROM $2
"""

# What another process has asked for later stays, unless a clock that was set back since says so.
_KEEP = """
INSERT INTO issuer_document (url, content, got_at) VALUES ($1, $2, clock_timestamp() - make_interval(secs => $3))
ON CONFLICT (url) DO UPDATE SET content = excluded.content, got_at = excluded.got_at
WHERE issuer_document.got_at <= excluded.got_at OR issuer_document.got_at > clock_timestamp()
RETURNING got_at
"""
