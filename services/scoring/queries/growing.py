"""Since when standings hold more than the version before writes, which may still run beside this one."""

from datetime import datetime

from chassis.presence import SEEN, own_name
from services.scoring.queries.rulings import Connection, new_ruling


async def grown(connection: Connection) -> bool:
    """Whether standings hold more than they did, and nobody runs any more who may write less.

    That may be whoever began before it or has another version than this process, however late it began. A process that
    has not yet told its version waits until it has.
    """
    return bool(await connection.fetchval(_GROWN, own_name()))


async def assess_as_grown(connection: Connection, at: datetime) -> None:
    """A ruling that changes nothing has everybody assessed again. The caller holds the barrier."""
    await new_ruling(connection, "rebuild", at)
    await connection.execute("UPDATE installation SET grown_at = NULL")


_GROWN = f"""
WITH running AS (SELECT * FROM ({SEEN}) AS process WHERE state = 'running')
SELECT grown_at IS NOT NULL
    AND EXISTS (SELECT FROM running WHERE name = $1)
    AND NOT EXISTS (
        SELECT FROM running
        WHERE since < grown_at OR version <> ALL (SELECT version FROM running AS own WHERE own.name = $1)
    )
FROM installation
"""
