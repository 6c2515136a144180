"""Rebuilding the calendars from the facts, beside the worker that goes on writing."""

from collections.abc import Iterable
from uuid import UUID

from services.scoring.queries.rulings import Connection


async def touch(connection: Connection, identities: Iterable[UUID]) -> None:
    """Tell the rebuild that the calendars of identities change while it runs."""
    await connection.execute(
        "INSERT INTO touched_identity SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING", sorted(identities)
    )
