"""The audit trail: one chain that every process of the gateway adds to, in batches."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Never
from uuid import UUID

import asyncpg
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Database, database_is_away, driver
from chassis.rest import rest
from gateway.domain.audit import GENESIS, Entry, Kind, Link, grouped, linked

log = structlog.get_logger()

LOCK = 6_283_185
"""The advisory lock of whoever adds to the chain."""
READS_S = 1.0
"""Seconds for which readings are gathered: what a kill may lose of them."""
HELD = 10_000
"""Readings that wait at most. Then whoever reads waits too, until they are written."""
PART = 1_000
"""Rows that one transaction adds at most."""


class Trail:
    """What this process has to write down. Acts are written before they are answered, readings within `READS_S`."""

    def __init__(self) -> None:
        self._waiting: list[Entry] = []
        self._due = asyncio.Event()
        self._writing = asyncio.Lock()

    async def have_room(self, database: Database) -> None:
        """Return when there is room for what a request will have to tell: ask before it is passed on.

        Raises what the database does. So a trail that cannot be written refuses, and holds no more than `HELD` and what
        is told of the requests under way.
        """
        while self.full:
            await self.flush(database)

    async def tell(self, database: Database, entry: Entry) -> None:
        """Add an entry. An act, and whatever waits before it, is in the database on return.

        An act that cannot be written stays, as it was done; a reading then is refused, and is not held.
        """
        if entry.kind is not Kind.ACT:
            await self.have_room(database)
        self._waiting.append(entry)
        self._due.set()
        if entry.kind is Kind.ACT:
            await self._flush_to(database, entry)

    def note(self, reading: Entry) -> None:
        """Add a reading, where the trail is not full."""
        self._waiting.append(reading)
        self._due.set()

    @property
    def full(self) -> bool:
        """Whether so much waits that whoever reads has to wait too."""
        return len(self._waiting) >= HELD

    async def flush(self, database: Database) -> None:
        """Write down all that waits. What cannot be written stays."""
        async with self._writing:
            while self._waiting:
                part = self._waiting[:PART]
                async with database.transaction() as session:
                    await append(session, grouped(part))
                del self._waiting[: len(part)]

    async def _flush_to(self, database: Database, entry: Entry) -> None:
        if any(entry is each for each in self._waiting):
            await self.flush(database)

    async def run(self, database: Database) -> Never:
        """Write readings down, about once a second, until cancelled; what is left then is flushed by whoever stops."""
        while True:
            await self._due.wait()
            await rest(READS_S)
            self._due.clear()
            try:
                await self.flush(database)
            except Exception as error:
                if not database_is_away(error):
                    raise
                self._due.set()
                log.warning("readings are written down later", waiting=len(self._waiting), error=str(error))

    async def close(self, database: Database) -> None:
        """Write down what is left, at an orderly stop."""
        try:
            await self.flush(database)
        except Exception as error:
            if not database_is_away(error):
                raise
            log.error("readings are not written down", lost=len(self._waiting), error=str(error))


async def append(session: AsyncSession, entries: Sequence[Entry]) -> None:
    """Add rows to the chain, one transaction after the other whichever process it is of."""
    connection = await driver(session)
    await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
    # A statement of its own: it has to see what was committed while the lock was waited for.
    head = await connection.fetchrow("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")
    seq, previous = (head["seq"], head["hash"]) if head else (0, GENESIS)
    await connection.executemany(_INSERT, [_row(link) for link in linked(entries, seq, previous)])


async def page_of_trail(
    session: AsyncSession,
    *,
    who: str | None,
    what: str | None,
    party: str | None,
    since: datetime | None,
    until: datetime | None,
    after: int | None,
    oldest_first: bool,
    limit: int,
) -> list[Link]:
    """Rows that fit, the latest first unless asked otherwise, beyond the row of number `after`."""
    order, beyond = ("ASC", ">") if oldest_first else ("DESC", "<")
    rows = await (await driver(session)).fetch(
        f"""
        SELECT * FROM audit
        WHERE ($1::text IS NULL OR who = $1) AND ($2::text IS NULL OR operation = $2 OR kind = $2)
            AND ($3::text IS NULL OR ids @> ARRAY[$3]) AND ($4::timestamptz IS NULL OR at >= $4)
            AND ($5::timestamptz IS NULL OR at < $5) AND ($6::bigint IS NULL OR seq {beyond} $6)
        ORDER BY seq {order} LIMIT $7
        """,
        who,
        what,
        party,
        since,
        until,
        after,
        limit,
    )
    return [_link(row) for row in rows]


async def forget_old(connection: "asyncpg.Connection[asyncpg.Record]", at: datetime, *, days: int) -> None:
    """Let rows go that are older than so many days."""
    await forget(connection, at - timedelta(days=days), at)


async def forget(connection: "asyncpg.Connection[asyncpg.Record]", until: datetime, at: datetime) -> int:
    """Let rows go that are older, up to the first that is not, and write down that it was done; how many went.

    The row that tells of it names number and hash of the last one that went: with it the rest can be verified.
    """
    await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
    last = await connection.fetchrow(_LAST_OLD, until)
    if last is None:
        return 0
    entry = Entry(
        at, Kind.RETENTION, "gateway", None, "", "", "", (str(last["seq"]), last["hash"].hex()), "", 0, "", ""
    )
    head = await connection.fetchrow("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")
    assert head is not None, "there is a last old row"
    await connection.executemany(_INSERT, [_row(link) for link in linked([entry], head["seq"], head["hash"])])
    await connection.execute("SELECT set_config('shuke.audit_retention', 'on', true)")
    gone = await connection.fetch("DELETE FROM audit WHERE seq <= $1 RETURNING seq", last["seq"])
    await connection.execute("SELECT set_config('shuke.audit_retention', '', true)")
    return len(gone)


def _row(link: Link) -> tuple[Any, ...]:
    each = link.entry
    told = (link.seq, each.at, str(each.kind), each.who, each.team_id, each.operation, each.method, each.path)
    return (
        *told,
        *(list(each.ids), each.query, each.outcome, each.address, each.request_id, each.requests),
        *(link.previous, link.hash),
    )


def _link(row: asyncpg.Record) -> Link:
    entry = Entry(
        row["at"],
        Kind(row["kind"]),
        row["who"],
        None if row["team_id"] is None else UUID(str(row["team_id"])),
        *(row["operation"], row["method"], row["path"], tuple(row["ids"])),
        *(row["query"], row["outcome"], row["address"], row["request_id"], row["requests"]),
    )
    return Link(row["seq"], entry, row["previous"], row["hash"])


_INSERT = """
INSERT INTO audit VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
"""

_LAST_OLD = """
SELECT seq, hash FROM audit
WHERE at < $1 AND seq < (SELECT coalesce(min(seq), 9223372036854775807) FROM audit WHERE at >= $1)
ORDER BY seq DESC LIMIT 1
"""
