"""What parties are called, and parties found by whatever somebody types."""

import re
from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.auth import limited
from chassis.db import driver
from contracts.identity import BadIdentifier, Installation, PartyNotFound, Scheme
from services.customers.domain.names import condition, tokens
from services.customers.models.parties import Found, FoundBy, FoundParty
from services.customers.queries.parties import shown
from services.customers.queries.reach import check_reach, within

PARTY_ID = re.compile(r"party_[0-9a-f]{32}")
FEWEST_DIGITS = 4
"""A phone number is looked for by no fewer of its last digits."""


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
        await (await driver(session)).execute(f"{_NAME} AND name IS NULL", ids, [names[id] for id in ids], spelled)


async def found(session: AsyncSession, text: str, here: Installation, *, contact: bool, limit: int) -> Found:
    """Parties that a text leads to: by id, e-mail address, phone number, number elsewhere, or name, in this order.

    Of those that the caller reaches; by e-mail address and phone number only where `contact` data is not hidden.
    """
    connection, text = await driver(session), text.strip()
    tried: list[FoundBy] = []
    by: dict[UUID, FoundBy] = {}
    for kind, statement, arguments in _ways(text, here):
        if kind in (FoundBy.EMAIL, FoundBy.PHONE) and not contact:
            continue
        if kind not in tried:
            tried.append(kind)
        if len(by) <= limit:
            for row in await connection.fetch(statement, *arguments, limit + 1):
                by.setdefault(row["party_id"], kind)
    if asking := limited(session):
        reached = await within(session, asking.caller, by)
        by = {top: kind for top, kind in by.items() if top in reached}
    tops = list(by)[:limit]
    parties = {party.id: party for party in await shown(session, tops)}
    data = [FoundParty(found_by=by[top], party=parties[top]) for top in tops if top in parties]
    return Found(tried=tried, has_more=len(by) > limit, data=data)


def _ways(text: str, here: Installation) -> list[tuple[FoundBy, str, Sequence[object]]]:
    ways: list[tuple[FoundBy, str, Sequence[object]]] = []
    if PARTY_ID.fullmatch(text.lower()):
        return [(FoundBy.ID, _BY_ID, [UUID(text.lower().removeprefix("party_"))])]
    lowered = text.lower()
    if " " not in text and re.search(r"[\w@]", text):
        ways.append((FoundBy.EMAIL, _BY_SPELLING, [Scheme.EMAIL, lowered, _beginning(lowered)]))
    digits = re.sub(r"[\s().\-/]", "", text)
    if re.fullmatch(r"\+?[0-9]+", digits) and len(digits) >= FEWEST_DIGITS:
        if (phone := _phone(text, here)) is not None:
            ways.append((FoundBy.PHONE, _BY_SPELLING, [Scheme.PHONE, phone, phone]))
        ending = digits.removeprefix("+").lstrip("0") or digits
        ways.append((FoundBy.PHONE, _BY_ENDING, [_beginning(ending[::-1])]))
    ways.append((FoundBy.NUMBER, _BY_SPELLING, [Scheme.EXTERNAL, lowered, _beginning(lowered)]))
    if (wanted := condition(text)) is not None:
        ways.append((FoundBy.NAME, _BY_NAME, [wanted]))
    return ways


def _phone(text: str, here: Installation) -> str | None:
    try:
        return here.identity(Scheme.PHONE, text).value
    except BadIdentifier:
        return None


def _beginning(text: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", text) + "%"


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

_BY_ID = "SELECT resolves_to AS party_id FROM party WHERE id = $1 LIMIT $2"

# Who has exactly what was typed comes first, however many begin with it.
_BY_SPELLING = """
WITH spelled AS (
    (SELECT id, 0 AS rank, value FROM identity
     WHERE scheme = $1 AND lower(value) = $2 AND value IS NOT NULL LIMIT $4)
    UNION ALL
    (SELECT id, 1, value FROM identity
     WHERE scheme = $1 AND lower(value) LIKE $3 AND value IS NOT NULL LIMIT $4)
)
SELECT resolves_to AS party_id FROM spelled
JOIN holding ON holding.identity_id = spelled.id AND until_day IS NULL
JOIN party ON party.id = holding.party_id
GROUP BY resolves_to ORDER BY min(rank), min(length(value)), min(value) LIMIT $4
"""

_BY_ENDING = """
SELECT DISTINCT resolves_to AS party_id FROM (
    SELECT id FROM identity WHERE scheme = 'phone' AND reverse(value) LIKE $1 LIMIT $2
) AS spelled
JOIN holding ON holding.identity_id = spelled.id AND until_day IS NULL
JOIN party ON party.id = holding.party_id
LIMIT $2
"""

_BY_NAME = """
SELECT resolves_to AS party_id FROM (
    SELECT resolves_to, name FROM party WHERE name IS NOT NULL AND name_tokens @@ $1::tsquery LIMIT $2 * 10
) AS named
GROUP BY resolves_to ORDER BY min(length(name)), min(name), resolves_to LIMIT $2
"""
