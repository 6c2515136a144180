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
from services.customers.queries.reach import within

PARTY_ID = re.compile(r"party_[0-9a-f]{32}")
FEWEST_DIGITS = 4
"""A phone number is looked for by no fewer of its last digits."""
RANKED = 1_000
"""Of so many parties of a name the shortest name comes first; then follow the next so many."""
LOOKED_AT = 2_000
"""Hits that a page takes at most, of which its reader may reach few."""
NOBODY = UUID(int=0)


class Place(NamedTuple):
    """How far somebody has read: the way by which parties are looked for, and in it a key and an id."""

    way: int
    key: str
    id: UUID


BEFORE_ALL = Place(0, "", NOBODY)


class Way(NamedTuple):
    """What a text is taken for, and the statement that gives parties behind a key and an id."""

    by: FoundBy
    statement: str
    argument: object


class Spelled(NamedTuple):
    """A way that leads to identifiers of a scheme which begin with a text, spelled in small letters or backwards."""

    by: FoundBy
    statement: str
    scheme: Scheme
    text: str
    spelling: Callable[[str], str] = str.lower

    @property
    def argument(self) -> str:
        """The text as a pattern."""
        return re.sub(r"([\\%_])", r"\\\1", self.text) + "%"


async def found(
    session: AsyncSession, text: str, here: Installation, *, contact: bool, after: Place, limit: int
) -> Found:
    """Parties that a text leads to: by id, e-mail address, phone number, number elsewhere, or name, in this order.

    Each once, of those that the caller reaches; by e-mail address and phone number only where `contact` data is not
    hidden. Where few are reached a page may hold less than `limit` and others follow.
    """
    ways = [way for way in _ways(text.strip(), here) if contact or way.by not in (FoundBy.EMAIL, FoundBy.PHONE)]
    connection, asking = await driver(session), limited(session)
    at_once = limit + 1 if asking is None else max(limit + 1, LOOKED_AT // 4)
    hits: list[tuple[Place, Party]] = []
    place, looked_at = after, 0
    while place.way < len(ways) and len(hits) <= limit and looked_at < LOOKED_AT:
        way = ways[place.way]
        rows = await connection.fetch(way.statement, way.argument, place.key, place.id, at_once)
        tops = {row["party_id"] for row in rows} - {None}
        reached = tops if asking is None else await within(session, asking.caller, tops)
        parties = {party.id: party for party in await shown(session, list(reached))}
        for row in rows:
            place = Place(place.way, row["key"], row["id"])
            party = parties.get(row["party_id"])
            if party is not None and not _found_before(place, party, ways):
                hits.append((place, party))
        looked_at += len(rows)
        if not rows or (len(rows) < at_once and place.key):
            place = Place(place.way + 1, "", NOBODY)
    if len(hits) > limit:
        place, _ = hits[limit - 1]
    has_more = place.way < len(ways)
    return Found(
        tried=list(dict.fromkeys(way.by for way in ways)),
        has_more=has_more,
        next_cursor=encode_cursor(*place) if has_more else None,
        data=[FoundParty(found_by=ways[at.way].by, party=party) for at, party in hits[:limit]],
    )


def _found_before(place: Place, party: Party, ways: Sequence[Way | Spelled]) -> bool:
    """Whether a surer way leads to a party, or another one of its identifiers that comes before this one."""
    return any(
        held.scheme == way.scheme
        and (key := way.spelling(held.value)).startswith(way.text)
        and Place(number, key, held.identity_id) < place
        for number, way in enumerate(ways[: place.way + 1])
        if isinstance(way, Spelled)
        for held in party.identifiers
    )


def _ways(text: str, here: Installation) -> list[Way | Spelled]:
    if PARTY_ID.fullmatch(text.lower()):
        return [Way(FoundBy.ID, _BY_ID, UUID(text.lower().removeprefix("party_")))]
    ways: list[Way | Spelled] = []
    if " " not in text and re.search(r"[\w@]", text):
        ways.append(_beginning(FoundBy.EMAIL, Scheme.EMAIL, text))
    digits = re.sub(r"[\s().\-/]", "", text)
    if re.fullmatch(r"\+?[0-9]+", digits) and len(digits) >= FEWEST_DIGITS:
        if (phone := _phone(text, here)) is not None:
            ways.append(_beginning(FoundBy.PHONE, Scheme.PHONE, phone))
        ending = digits.removeprefix("+").lstrip("0") or digits
        ways.append(Spelled(FoundBy.PHONE, _BY_ENDING, Scheme.PHONE, ending[::-1], _backwards))
    ways.append(_beginning(FoundBy.NUMBER, Scheme.EXTERNAL, text))
    if (wanted := condition(text)) is not None:
        ways.append(Way(FoundBy.NAME, _BY_NAME, wanted))
    return ways


def _beginning(by: FoundBy, scheme: Scheme, text: str) -> Spelled:
    return Spelled(by, _BY_SPELLING.format(spelled="lower(value)", scheme=scheme.value), scheme, text.lower())


def _backwards(value: str) -> str:
    return value[::-1]


def _phone(text: str, here: Installation) -> str | None:
    try:
        return here.identity(Scheme.PHONE, text).value
    except BadIdentifier:
        return None


_BY_ID = """
SELECT resolves_to AS party_id, 'id' AS key, id FROM party
WHERE id = $1 AND $2::text = '' AND id > $3::uuid LIMIT $4
"""

# Bytes order it, so that what is typed exactly comes first. What nobody holds any more is told too: a page goes on
# behind it.
_BY_SPELLING = """
WITH spelled AS (
    SELECT id, {spelled} AS key FROM identity
    WHERE scheme = '{scheme}' AND {spelled} LIKE $1 AND value IS NOT NULL
        AND {spelled} ~>=~ $2 AND ({spelled} ~>~ $2 OR id > $3)
    ORDER BY {spelled} USING ~<~, id LIMIT $4
)
SELECT resolves_to AS party_id, key, spelled.id FROM spelled
LEFT JOIN holding ON holding.identity_id = spelled.id AND until_day IS NULL
LEFT JOIN party ON party.id = holding.party_id
ORDER BY key USING ~<~, spelled.id
"""

_BY_ENDING = _BY_SPELLING.format(spelled="reverse(value)", scheme="phone")

# Of all who bear a name none could be ranked without reading everybody: so many in the order of their ids at a time,
# whose last one is told with an empty key where more may follow. Who was merged is found once, by the first name.
_BY_NAME = f"""
WITH named AS MATERIALIZED (
    SELECT id, resolves_to, (lpad(length(name)::text, 5, '0') || name || id) COLLATE "C" AS key FROM party
    WHERE name IS NOT NULL AND name_tokens @@ $1::tsquery AND id > $3
    ORDER BY id LIMIT {RANKED}
), ranked AS MATERIALIZED (
    SELECT resolves_to, key FROM named
    WHERE key > $2 AND CASE WHEN id = resolves_to THEN true ELSE id = (
        SELECT other.id FROM party AS other
        WHERE other.name IS NOT NULL AND other.name_tokens @@ $1::tsquery AND (
            other.id = named.resolves_to OR (other.resolves_to = named.resolves_to AND other.resolves_to <> other.id)
        )
        ORDER BY other.id LIMIT 1
    ) END
    ORDER BY key LIMIT $4
)
SELECT resolves_to AS party_id, key, $3 AS id, false AS last FROM ranked
UNION ALL
SELECT NULL, '', (SELECT id FROM named ORDER BY id DESC LIMIT 1), true
WHERE (SELECT count(*) FROM named) = {RANKED} AND (SELECT count(*) FROM ranked) < $4
ORDER BY last, key
"""
