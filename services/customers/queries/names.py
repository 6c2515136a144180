"""What parties are called."""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import driver
from contracts.identity import PartyNotFound
from services.customers.domain.names import tokens
from services.customers.queries.reach import check_reach


async def give_name(session: AsyncSession, party_id: UUID, name: str | None) -> None:
    """Call the party that an id leads to by a name, or by none any more. Raises `PartyNotFound`."""
    connection = await driver(session)
    top = await connection.fetchval("SELECT resolves_to FROM party WHERE id = $1", party_id)
    if top is None:
        raise PartyNotFound("There is no such party.")
    await check_reach(session, [top])
    # Of those merged into it too: a name that is taken away does not come back as theirs.
    await connection.fetch(_LOCK, top)
    await connection.execute(_NO_NAME, top)
    if name is not None:
        await connection.execute(_NAME, [top], [name], [" ".join(map(_quoted, tokens(name)))])


async def name_unnamed(session: AsyncSession, names: Mapping[UUID, str]) -> None:
    """Give names to those parties, as named, that have none."""
    if names:
        ids = sorted(names)
        spelled = [" ".join(map(_quoted, tokens(names[id]))) for id in ids]
        await (await driver(session)).execute(
            f"{_NAME} AND party.name IS NULL", ids, [names[id] for id in ids], spelled
        )


def _quoted(token: str) -> str:
    return f"'{token}'"


_LOCK = "SELECT FROM party WHERE resolves_to = $1 OR id = $1 ORDER BY id FOR NO KEY UPDATE"

_NO_NAME = """
UPDATE party SET name = NULL, name_tokens = NULL
WHERE name IS NOT NULL AND (id = $1 OR (resolves_to = $1 AND resolves_to <> id))
"""

_NAME = """
UPDATE party SET name = new.name, name_tokens = new.tokens::tsvector
FROM unnest($1::uuid[], $2::text[], $3::text[]) AS new(id, name, tokens) WHERE party.id = new.id
"""
