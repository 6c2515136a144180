"""The standing check: a few parties at a time, round and round, are compared with what their facts give.

A disagreement is an alarm and stays as it is, for a repair would hide what brought it about.
"""

from typing import Never

import structlog

from chassis.clock import now
from chassis.db import Database, database_is_away, driver
from chassis.rest import rest
from services.scoring.domain.verdict import Difference
from services.scoring.queries.parties import NOBODY
from services.scoring.queries.proof import Judge, evidence_behind, last_rebuild, missummed, note_verified, verified
from services.scoring.queries.reading import snapshot

log = structlog.get_logger()

BATCH = 20
"""Parties of one look; comparing so many plainly takes about a tenth of a second."""


async def keep_verifying(database: Database, every_s: float) -> Never:
    """Verify the next parties every so many seconds until cancelled."""
    while True:
        await rest(every_s)
        try:
            await verify_some(database)
        except Exception as error:
            if not database_is_away(error):
                raise
            log.warning("verification interrupted", error=str(error), error_class=type(error).__name__)


async def verify_some(database: Database) -> None:
    """Verify the parties behind those of the last time, in the order of ids, and tell what disagrees.

    Behind the last of all the sums of the summary are verified, too.
    """
    found: list[Difference] = []
    async with snapshot(database) as connection:
        judge = Judge(connection, await last_rebuild(connection))
        stored = await evidence_behind(connection, (await verified(connection)).behind, BATCH)
        for each in stored:
            found += (await judge.judge(each))[1]
        behind = stored[-1].row["party_id"] if len(stored) == BATCH else NOBODY
        if behind == NOBODY:
            found += await missummed(connection)
    for difference in found:
        log.error(
            "standing disagrees with its facts" if difference.party_id else "summary disagrees with its standings",
            party_id=difference.party_id and f"party_{difference.party_id.hex}",
            identity_id=difference.identity_id and f"identity_{difference.identity_id.hex}",
            field=difference.field,
            stored=difference.stored,
            computed=difference.computed,
        )
    async with database.transaction() as session:
        await note_verified(await driver(session), behind, len(stored), len(found), now())
