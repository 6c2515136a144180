"""After a restore: how every party stands is told anew, above all that was told in the life that is given up."""

import asyncpg

from chassis import outbox
from chassis.db import Database, driver
from contracts.scoring import StandingRecorded
from contracts.topics import STANDINGS
from services.scoring.queries.parties import NOBODY
from services.scoring.queries.standings import raised

REVISIONS = 1_000_000
"""Of an epoch: more changes than a party has until the next restore begins one."""


async def tell_again(database: Database, epoch: int, *, batch: int = 2_000) -> int:
    """Tell the standing of each party of which anything was ever told; return of how many.

    A revision says which of two records holds. Those of the restored parties have been given once more in the life that
    is given up, so all go on from the epoch that the restore began. Nothing may run on the database meanwhile.
    """
    told, after = 0, NOBODY
    while True:
        async with database.transaction() as session:
            rows = await raised(await driver(session), after, above=epoch * REVISIONS, limit=batch)
            for row in rows:
                if row["stage"] is None:
                    outbox.tombstone(session, STANDINGS, row["party_id"])
                else:
                    outbox.append(session, _recorded(row))
        if not rows:
            return told
        told, after = told + len(rows), rows[-1]["party_id"]


def _recorded(row: asyncpg.Record) -> StandingRecorded:
    told = {name: row[name] for name in _FIELDS}
    return StandingRecorded(subject=row["party_id"], occurred_at=row["assessed_at"], **told)


_FIELDS = StandingRecorded.model_fields.keys() - {"subject", "occurred_at"}
