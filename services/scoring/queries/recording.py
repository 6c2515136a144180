"""From when what no log has counts, so that what was answered as known at an instant stays so."""

from datetime import datetime, timedelta

from services.scoring.queries.rulings import BARRIER, Connection

LEAST = timedelta(microseconds=1)


async def recording_instant(connection: Connection, now: datetime, *, after: datetime | None = None) -> datetime:
    """The instant at which something is recorded that no log has, later than `after`. Asked under the other locks.

    What was answered as known at an instant stays so. Such a question is refused for a time later than the watermark,
    which the clocks of other machines set and which goes on while this transaction is under way. So it is kept from
    moving until the end, and the instant lies behind it: no answer that was ever given should have had it, and whoever
    may ask for the instant sees it, as the watermark passes it only after it is there, however late the commit is.
    To the watermark itself nothing is owed: what is unread still waits for its turn.
    """
    await connection.execute("LOCK TABLE watermark IN SHARE MODE")
    reached = await connection.fetchval("SELECT max(reached) FROM watermark")
    return max([now, *(before + LEAST for before in (reached, after) if before)])


async def deciding_instant(connection: Connection, now: datetime) -> datetime:
    """The instant from which on what is decided now is in force: likewise, under the barrier, which it takes first.

    An activation that is planned has to lie behind it too.
    """
    await connection.execute("SELECT pg_advisory_xact_lock($1)", BARRIER)
    return await recording_instant(connection, now)
