"""Since when standings hold more than the version before writes, which may still run beside this one."""

from datetime import datetime

from chassis.presence import SEEN
from services.scoring.queries.rulings import Connection, new_ruling


async def grown(connection: Connection) -> bool:
    """Whether standings hold more than they did, and nobody runs any more who began before that and writes less."""
    return bool(await connection.fetchval(_GROWN))


async def assess_as_grown(connection: Connection, at: datetime) -> None:
    """A ruling that changes nothing has everybody assessed again. The caller holds the barrier."""
    await new_ruling(connection, "rebuild", at)
    await connection.execute("UPDATE installation SET grown_at = NULL")


_GROWN = f"""
SELECT grown_at IS NOT NULL
    AND NOT EXISTS (SELECT FROM ({SEEN}) AS process WHERE state = 'running' AND since < grown_at)
FROM installation
"""
