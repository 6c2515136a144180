"""How far whoever asks reaches: to the parties that it, or its team, takes care of today."""

from collections.abc import Collection
from uuid import UUID

from chassis.conditions import Conditions
from services.scoring.domain.moment import Care
from services.scoring.queries.rulings import Connection


async def reached(connection: Connection, care: Care | None, party_ids: Collection[UUID]) -> set[UUID]:
    """Those parties that a caller reaches, whatever they are merged into; without `care` all of them."""
    if care is None:
        return set(party_ids)
    rows = await connection.fetch(_REACHED, list(party_ids), *care)
    return {row["party_id"] for row in rows}


def keep_to(care: Care | None, conditions: Conditions) -> None:
    """Of the table `party`, ask for those of an owner or a team alone, where `care` names them."""
    if care is not None:
        conditions.either(**{"party.owner_id": care[0], "party.team_id": care[1]})


_REACHED = """
SELECT asked.party_id FROM party AS asked JOIN party ON party.party_id = asked.resolves_to
WHERE asked.party_id = ANY($1) AND (party.owner_id = $2 OR party.team_id = $3)
"""
