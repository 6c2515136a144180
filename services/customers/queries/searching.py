"""Parties found by whatever somebody types, the surest first, a page at a time."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.auth import limited
from chassis.db import driver
from chassis.http import encode_cursor
from contracts.identity import BadIdentifier, Installation, Scheme
from services.customers.domain.names import condition
from services.customers.models.parties import Found, FoundBy, FoundParty, Party
from services.customers.queries.parties import shown
from services.customers.queries.reach import CARED_FOR

PARTY_ID = re.compile(r"party_[0-9a-f]{32}")
FEWEST_DIGITS = 4
"""A phone number is looked for by no fewer of its last digits."""
RANKED = 1_000
"""Of so many parties of a name the shortest name comes first; then follow the next so many."""
LOOKED_AT = 2_000
"""Hits that a page looks at before it is given as it is: of many, all others may have been found before."""
NOBODY = UUID(int=0)


class Place(NamedTuple):
    """How far somebody has read: the way by which parties are looked for, and in it a key and an id."""

    way: int
    key: str
    id: UUID


BEFORE_ALL = Place(0, "", NOBODY)


class Way(NamedTuple):
    """What a text is taken for, and the statement that gives parties behind a key and an id.

    With a scheme it leads to identifiers that begin with a text, spelled in small letters or backwards.
    """

    by: FoundBy
    statement: str
    arguments: tuple[object, ...]
    scheme: Scheme | None = None
    text: str = ""
    spelling: Callable[[str], str] = str.lower


async def found(
    session: AsyncSession, text: str, here: Installation, *, contact: bool, after: Place, limit: int
) -> Found:
    """Parties that a text leads to: by id, e-mail address, phone number, number elsewhere, or name, in this order.

    Each once, of those that the caller reaches; by e-mail address and phone number only where `contact` data is not
    hidden. Where most were found before a page may hold less than `limit` and others follow.
    """
    ways = [way for way in _ways(text.strip(), here) if contact or way.by not in (FoundBy.EMAIL, FoundBy.PHONE)]
    connection, asking = await driver(session), limited(session)
    care = () if asking is None else asking.caller.care
    hits: list[tuple[Place, Party]] = []
    place, looked_at, at_once = after, 0, limit + 1
    while place.way < len(ways) and len(hits) <= limit and looked_at < LOOKED_AT:
        way = ways[place.way]
        rows = await connection.fetch(_reached(way, care), place.key, place.id, at_once, *way.arguments, *care)
        tops = {row["party_id"] for row in rows} - {None}
        parties = {party.id: party for party in await shown(session, list(tops))}
        for row in rows:
            place = Place(place.way, row["key"], row["id"])
            party = parties.get(row["party_id"])
            if party is not None and not _found_before(place, party, ways):
                hits.append((place, party))
        looked_at += len(rows)
        if not rows or (len(rows) < at_once and place.key):
            place = Place(place.way + 1, "", NOBODY)
        at_once *= 2
    if len(hits) > limit:
        place, _ = hits[limit - 1]
    has_more = place.way < len(ways)
    return Found(
        tried=list(dict.fromkeys(way.by for way in ways)),
        has_more=has_more,
        next_cursor=encode_cursor(*place) if has_more else None,
        data=[FoundParty(found_by=ways[at.way].by, party=party) for at, party in hits[:limit]],
    )


def _reached(way: Way, care: Sequence[UUID | None]) -> str:
    # A place is told to whoever asks, so that no other party than theirs may ever be one.
    first = 4 + len(way.arguments)
    return way.statement.format(reached=_REACHED.format(f"${first}", f"${first + 1}") if care else "")


def _found_before(place: Place, party: Party, ways: Sequence[Way]) -> bool:
    """Whether a surer way leads to a party, or another one of its identifiers that comes before this one."""
    return any(
        held.scheme == way.scheme
        and (key := way.spelling(held.value)).startswith(way.text)
        and Place(number, key, held.identity_id) < place
        for number, way in enumerate(ways[: place.way + 1])
        for held in party.identifiers
    )


def _ways(text: str, here: Installation) -> list[Way]:
    if PARTY_ID.fullmatch(text.lower()):
        return [Way(FoundBy.ID, _BY_ID, (UUID(text.lower().removeprefix("party_")),))]
    ways: list[Way] = []
    if " " not in text and re.search(r"[\w@]", text):
        ways.append(_beginning(FoundBy.EMAIL, Scheme.EMAIL, text))
    digits = re.sub(r"[\s().\-/]", "", text)
    if re.fullmatch(r"\+?[0-9]+", digits) and len(digits) >= FEWEST_DIGITS:
        if (phone := _phone(text, here)) is not None:
            ways.append(_beginning(FoundBy.PHONE, Scheme.PHONE, phone))
        ending = (digits.removeprefix("+").lstrip("0") or digits)[::-1]
        ways.append(Way(FoundBy.PHONE, _BY_ENDING, (_pattern(ending),), Scheme.PHONE, ending, _backwards))
    ways.append(_beginning(FoundBy.NUMBER, Scheme.EXTERNAL, text))
    if (wanted := condition(text)) is not None:
        ways.append(Way(FoundBy.NAME, _BY_NAME, (wanted, RANKED)))
    return ways


def _beginning(by: FoundBy, scheme: Scheme, text: str) -> Way:
    return Way(by, _spelled("lower(value)", scheme), (_pattern(text.lower()),), scheme, text.lower())


def _pattern(text: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", text) + "%"


def _backwards(value: str) -> str:
    return value[::-1]


def _phone(text: str, here: Installation) -> str | None:
    try:
        return here.identity(Scheme.PHONE, text).value
    except BadIdentifier:
        return None


_REACHED = f"JOIN party_owner ON party_owner.party_id = party.resolves_to AND {CARED_FOR}"

_BY_ID = """
SELECT resolves_to AS party_id, 'id' AS key, id FROM party {reached}
WHERE id = $4 AND $1::text = '' AND id > $2::uuid LIMIT $3
"""


def _spelled(spelled: str, scheme: Scheme) -> str:
    # Bytes order it, so that what is typed exactly comes first.
    return f"""
SELECT resolves_to AS party_id, {spelled} AS key, identity.id FROM identity
JOIN holding ON holding.identity_id = identity.id AND until_day IS NULL
JOIN party ON party.id = holding.party_id {{reached}}
WHERE scheme = '{scheme.value}' AND {spelled} LIKE $4 AND value IS NOT NULL
    AND {spelled} ~>=~ $1 AND ({spelled} ~>~ $1 OR identity.id > $2)
ORDER BY {spelled} USING ~<~, identity.id LIMIT $3
"""


_BY_ENDING = _spelled("reverse(value)", Scheme.PHONE)

# Of all who bear a name none could be ranked without reading everybody: so many in the order of their ids at a time,
# whose last one is told with an empty key where more may follow. Who was merged is found once, by the first name.
_BY_NAME = """
WITH named AS MATERIALIZED (
    SELECT id, resolves_to, (lpad(length(name)::text, 5, '0') || name || id) COLLATE "C" AS key FROM party {reached}
    WHERE name IS NOT NULL AND name_tokens @@ $4::tsquery AND id > $2
    ORDER BY id LIMIT $5
), ranked AS MATERIALIZED (
    SELECT resolves_to, key FROM named
    WHERE key > $1 AND CASE WHEN id = resolves_to THEN true ELSE id = (
        SELECT other.id FROM party AS other
        WHERE other.name IS NOT NULL AND other.name_tokens @@ $4::tsquery AND (
            other.id = named.resolves_to OR (other.resolves_to = named.resolves_to AND other.resolves_to <> other.id)
        )
        ORDER BY other.id LIMIT 1
    ) END
    ORDER BY key LIMIT $3
)
SELECT resolves_to AS party_id, key, $2 AS id, false AS last FROM ranked
UNION ALL
SELECT NULL, '', (SELECT id FROM named ORDER BY id DESC LIMIT 1), true
WHERE (SELECT count(*) FROM named) = $5 AND (SELECT count(*) FROM ranked) < $3
ORDER BY last, key
"""
