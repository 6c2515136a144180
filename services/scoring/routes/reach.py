"""How far whoever asks reaches."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends

from chassis.auth import Actor, OutOfReach, Reach
from services.scoring.domain.moment import Care
from services.scoring.domain.standing import NoStanding
from services.scoring.queries.reach import reached
from services.scoring.queries.rulings import Connection


async def _care(actor: Actor) -> Care | None:
    return None if actor.reach is Reach.ALL else actor.care


CareOf = Annotated[Care | None, Depends(_care)]
"""Whose parties alone the caller reaches, by owner or team; None for who reaches every party."""


async def check_read(
    connection: Connection, care: Care | None, party_id: UUID, missing: Exception | None = None
) -> None:
    """Raise `missing` where a caller does not reach a party, as if nothing were known of it."""
    if care is not None and not await reached(connection, care, [party_id]):
        raise missing or NoStanding


async def check_change(connection: Connection, actor: Actor, party_id: UUID) -> None:
    """Raise `OutOfReach` where a caller does not reach a party that it wants to change."""
    if actor.reach is not Reach.ALL and not await reached(connection, actor.care, [party_id]):
        raise OutOfReach(actor.reach)
