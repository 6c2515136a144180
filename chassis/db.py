"""One PostgreSQL database per service: sessions, the transaction edge."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from importlib.resources import files
from typing import cast

import asyncpg
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from chassis import outbox, writes
from contracts.problems import Problem, Unavailable
from contracts.topics import Topic

OPERATING = files("chassis").joinpath("operating.sql").read_text()
"""DDL of what those tables got later, for databases that have them already. It may run again."""
PRESENCE = files("chassis").joinpath("presence.sql").read_text()
"""DDL of the table of processes (`chassis.presence`). It may run again."""
TABLES = files("chassis").joinpath("tables.sql").read_text() + OPERATING + PRESENCE
"""DDL of the tables that the chassis needs in every service's database."""

SILENCE_S = 15.0
"""After so long without an answer to a statement that takes milliseconds its connection is given up: the other side
may be gone without a word, which no client of PostgreSQL notices by itself."""
PATIENCE_S = 600.0
"""The same of statements that may take minutes."""
LOOKUPS = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}
"""Settings of sessions whose statements look up rows by what they are given. Planned with its values each time, as
PostgreSQL chooses where these are few, such a statement takes several times what it takes to carry out; planned once it
needs an index and a loop, however empty its tables were at that time."""
KEEPALIVE = {"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "2"}


class Database:
    """A service's database in this process, with the edge at which its transactions commit."""

    def __init__(self, engine: AsyncEngine, lookups: AsyncEngine, url: str) -> None:
        self.engine = engine
        self.url = url
        self.sessions = async_sessionmaker(engine, expire_on_commit=False)
        self._lookups = lookups
        self._lookup_sessions = async_sessionmaker(lookups, expire_on_commit=False)
        self.wake = asyncio.Event()
        """Set after every commit that appended events; the sequencer of this process waits for it."""
        self.appended = 0
        """Events of such commits that the sequencer of this process has not counted so far."""
        self.waits_at_gate = False
        """Whether nothing is numbered by this process before a broker has answered (`chassis.gate`)."""
        self.refusal: Problem | None = None
        """Why nothing may be announced just now (`chassis.pressure`); transactions that would are rolled back by it."""

    @asynccontextmanager
    async def transaction(self, *, lookups: bool = False) -> AsyncIterator[AsyncSession]:
        """Commit on leaving, roll back when the body raises.

        Appended events are written by the last statement, so that their ids are taken after every lock, with what was
        put off (`chassis.writes`). Raises `refusal` where there is one and the transaction has appended any. With
        `lookups`, for statements that are all such (`LOOKUPS`), the connection is of another pool: plans stay with it.
        """
        async with (self._lookup_sessions if lookups else self.sessions)() as session:
            async with session.begin():
                yield session
                if self.refusal is not None and session.info.get("outbox"):
                    raise self.refusal
                if rows := outbox.appended(session):
                    await session.flush()
                    outbox.write(session, rows)
                if session.info.get("writes"):
                    await writes.carry_out(session, await driver(session))
            if rows:
                self.appended += len(rows)
                self.wake.set()

    async def close(self) -> None:
        """Return the connections."""
        await self.engine.dispose()
        await self._lookups.dispose()


def connect(
    url: str, *, pool_size: int = 10, settings: Mapping[str, str] | None = None, silence_s: float = PATIENCE_S
) -> Database:
    """Open a database by URL (`postgresql+asyncpg://user:password@host:port/name`), lazily.

    `settings` are PostgreSQL session settings, for example `idle_in_transaction_session_timeout`. A statement that
    nothing is heard of for `silence_s` is given up with its connection: the other side may be gone without a word.
    """
    given = settings or {}
    engine, lookups = (_engine(url, pool_size, more, silence_s) for more in (given, {**given, **LOOKUPS}))
    return Database(engine, lookups, url)


def _engine(url: str, pool_size: int, settings: Mapping[str, str], silence_s: float) -> AsyncEngine:
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=10,
        connect_args={
            "timeout": 10,
            "command_timeout": silence_s,
            "server_settings": {
                "application_name": "shuke",
                "timezone": "UTC",
                "jit": "off",
                **KEEPALIVE,
                **settings,
            },
        },
    )
    event.listen(engine.sync_engine.pool, "checkout", _refuse_closed)
    event.listen(engine.sync_engine.pool, "checkin", _end_open)
    return engine


def _refuse_closed(connection: DBAPIConnection, *_: object) -> None:
    # A statement sent past SQLAlchemy to the driver can find a connection dead that the pool then believes alive.
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def _end_open(connection: DBAPIConnection | None, *_: object) -> None:
    # One whose BEGIN or ROLLBACK was cancelled may be in a transaction that SQLAlchemy knows nothing of: it would keep
    # its locks, and the next transaction would end as a savepoint of it, never committed.
    if connection is not None:
        raw = connection.driver_connection
        if raw.is_in_transaction() or raw._top_xact is not None:
            raw.terminate()


def plain_url(url: str) -> str:
    """The same database for asyncpg itself, which knows nothing of SQLAlchemy's dialect names."""
    return url.replace("postgresql+asyncpg://", "postgresql://", 1)


async def driver(session: AsyncSession) -> "asyncpg.Connection[asyncpg.Record]":
    """The asyncpg connection inside the session's transaction, for COPY and statements over arrays."""
    transaction = session.sync_session.get_transaction()
    known: tuple[object, asyncpg.Connection[asyncpg.Record]] | None = session.info.get("driver")
    if known is not None and known[0] is transaction:
        return known[1]
    raw = await (await session.connection()).get_raw_connection()
    connection = cast("asyncpg.Connection[asyncpg.Record]", raw.driver_connection)
    if raw.dbapi_connection._transaction is None:  # type: ignore[union-attr]
        # SQLAlchemy begins with its first statement; before that asyncpg would commit each of ours. Not `SELECT 1`:
        # a round trip more, a third of the time of a short transaction.
        # Asked of SQLAlchemy, not of the connection: what it has not begun it does not commit.
        try:
            await raw.dbapi_connection._start_transaction()  # type: ignore[union-attr]
        except Exception as error:
            # In words for SQLAlchemy, which would put it in its own: what the driver said is behind it.
            raise error.__cause__ or error from None
    # Asked for with every statement: to find it again costs more than many a statement.
    session.info["driver"] = session.sync_session.get_transaction(), connection
    return connection


AWAY = ("08", "53", "57", "40", "55P03", "25P03", "25P04")
"""SQLSTATE (classes) after which the same may go through: connection, resources, shutdown and cancellation, deadlock
and serialisation, lock and transaction timeouts (PostgreSQL, appendix A)."""


def database_is_away(error: BaseException | None) -> bool:
    """Whether an error says that the database could not answer, rather than that it refused what was asked.

    So does one that says what may not be announced just now (`Database.refusal`). Of a group, whether each of its
    errors does.
    """
    match error:
        case Unavailable():
            return True
        case BaseExceptionGroup():
            return all(map(database_is_away, error.exceptions))
        case DBAPIError():
            cause = error.orig and error.orig.__cause__
            return error.connection_invalidated or database_is_away(cause or error.orig)
        case asyncpg.InvalidCachedStatementError():
            # A migration has given its table another column meanwhile. Asked again it is prepared anew.
            return True
        case asyncpg.PostgresError():
            return (error.sqlstate or "").startswith(AWAY)
        case asyncpg.InterfaceError():
            # asyncpg's word for a connection lost or not to be used just now, but also for a value that it cannot send.
            return not isinstance(error, ValueError)
    return isinstance(error, OSError | PoolTimeout | asyncpg.InternalClientError)


@contextmanager
def away_told_plainly() -> Iterator[None]:
    """Raise what says that the database is away as an error that says so to another process, too.

    What caused an error of the driver is lost where it is pickled, and with it what it says.
    """
    try:
        yield
    except Exception as error:
        if database_is_away(error):
            raise ConnectionError(str(error)) from None
        raise


async def declare_topics(database: Database, topics: Iterable[Topic]) -> None:
    """Have a stream per partition of each topic. The partition count of a known topic stays what it was."""
    async with database.transaction() as session:
        await (await driver(session)).executemany(
            "INSERT INTO event_stream (topic, partition, partitions) SELECT $1, generate_series(0, $2 - 1), $2"
            " WHERE NOT EXISTS (SELECT FROM event_stream WHERE topic = $1) ON CONFLICT DO NOTHING",
            [(topic.name, topic.partitions) for topic in topics],
        )
