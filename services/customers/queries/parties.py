"""Parties as they are shown, and the changes of who belongs to whom."""

from collections.abc import Mapping, Sequence
from datetime import date
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.auth import limited
from chassis.clock import now
from chassis.db import driver
from chassis.external_ids import ExternalId
from chassis.ids import uuid7
from contracts.customers import Holding, PartyKind
from contracts.identity import Identity, PartyNotFound, Scheme
from services.customers.domain.assignments import IdentifierTaken, NotTheHolder, apart, released
from services.customers.domain.registrations import Holder
from services.customers.models.parties import HeldIdentifier, Party
from services.customers.queries.assignments import Connected, parties_to_change, reassign
from services.customers.queries.identities import hand_over, have_party, hold, holdings_of, introduce
from services.customers.queries.merges import keep_apart
from services.customers.queries.owners import have_own
from services.customers.queries.pairs import Evidence, Together, look_again, see
from services.customers.queries.reach import CARED_FOR, check_reach
from services.customers.queries.tellings import Telling, lock, tell


async def register(
    session: AsyncSession, kind: PartyKind, identities: Sequence[Identity], evidence: Evidence | None = None
) -> tuple[UUID, bool]:
    """The party that holds all the identities, and whether it was made now. It is known from now on at the latest.

    That they came together is kept as `evidence`. Raises `IdentifierTaken` where others hold some of them.
    """
    identities = list(dict.fromkeys(identities)) or [Identity(uuid7())]
    ids = [identity.id for identity in identities]
    fresh = await introduce(session, identities)
    evidence = evidence or _said("party_registered", ids[0])
    await see(session, [Together(ids, evidence)])
    if made := fresh.issuperset(ids):
        await have_party(session, ids[0], kind)
        await hold(session, dict.fromkeys(ids, ids[0]))
        await reassign(session, await parties_to_change(session, ids[0]), ids[1:])
        await have_own(session, [ids[0]])
    holders = await _holders(session, ids)
    await check_reach(session, [holder.top for holder in holders.values()])
    _of_all(holders, ids)
    if kind is PartyKind.ORGANISATION:
        await parties_to_change(session, holders[ids[0]].party_id)
    await lock(session, ids)
    holders = await _holders(session, ids)
    party_id = _of_all(holders, ids)
    named = holders[ids[0]].party_id
    told = [id for id in ids if holders[id].party_id == named]
    await tell(session, [Telling(named, ids[0], told, [], kind, now())])
    return party_id, made


async def _holders(session: AsyncSession, identities: Sequence[UUID]) -> dict[UUID, Holder]:
    rows = await (await driver(session)).fetch(_HOLDERS, identities)
    return {row["identity_id"]: Holder(row["party_id"], row["resolves_to"]) for row in rows}


def _of_all(holders: Mapping[UUID, Holder], identities: Sequence[UUID]) -> UUID:
    tops = {holder.top for holder in holders.values()}
    if len(holders) < len(identities) or len(tops) > 1:
        raise IdentifierTaken(
            "Some of these identifiers belong to a party already, and not all of them to the same one.",
            party_ids=[f"party_{top.hex}" for top in sorted(tops)],
        )
    return tops.pop()


async def add_identifier(session: AsyncSession, connected: Connected, party_id: UUID, identity: Identity) -> bool:
    """Give a locked party an identity that is new; false if it holds it already. Raises `IdentifierTaken`."""
    added = await _add(session, connected, party_id, identity)
    if added:
        held = await (await driver(session)).fetch(_HELD_BY, party_id)
        evidence = _said("identifier_added", identity.id)
        await see(session, [Together([identity.id, row["identity_id"]], evidence) for row in held])
        await reassign(session, connected, [identity.id])
    return added


def _said(what: str, fact_id: UUID) -> Evidence:
    return Evidence(fact_id, "customers", what, now())


async def release(
    session: AsyncSession,
    connected: Connected,
    party_id: UUID,
    identity_id: UUID,
    from_day: date,
    *,
    told_by: str | None = None,
) -> None:
    """Take an identity from a locked party; from a local day on a fresh party holds it. Raises `NotTheHolder`.

    Nothing makes the fresh one and who held it before one again by itself.
    """
    holdings = await _held_by(session, connected, party_id, identity_id)
    await _release(session, connected, party_id, identity_id, holdings, from_day, told_by)
    await reassign(session, connected, [identity_id])


async def correct_identifier(
    session: AsyncSession,
    connected: Connected,
    party_id: UUID,
    *,
    wrong: UUID,
    right: Identity,
    from_day: date,
    told_by: str | None = None,
) -> None:
    """Have a locked party hold the right identity, and from a day on not the wrong one any more."""
    holdings = await _held_by(session, connected, party_id, wrong)
    if right.id == wrong:
        return
    # Both belong to the party as named that held the wrong one, so that an unmerge moves them together.
    added = await _add(session, connected, holdings[-1].party_id, right)
    await _release(session, connected, party_id, wrong, holdings, from_day, told_by)
    await reassign(session, connected, [right.id, wrong] if added else [wrong])


async def _held_by(
    session: AsyncSession, connected: Connected, party_id: UUID, identity_id: UUID
) -> tuple[Holding, ...]:
    holdings = await holdings_of(session, identity_id)
    if not holdings or holdings[-1].party_id not in connected.together(party_id):
        raise NotTheHolder("This party does not hold the identity now.")
    return holdings


async def _add(session: AsyncSession, connected: Connected, party_id: UUID, identity: Identity) -> bool:
    if await introduce(session, [identity]):
        await hold(session, {identity.id: party_id})
        return True
    holder = _of_all(await _holders(session, [identity.id]), [identity.id])
    await check_reach(session, [holder])
    if holder != connected.survivor(party_id):
        raise IdentifierTaken("Another party holds this identifier.", party_ids=[f"party_{holder.hex}"])
    return False


async def _release(
    session: AsyncSession,
    connected: Connected,
    party_id: UUID,
    identity_id: UUID,
    holdings: Sequence[Holding],
    from_day: date,
    told_by: str | None,
) -> None:
    successor, by = uuid7(), connected.together(party_id)
    longer = released(holdings, by=by, to=successor, from_day=from_day)
    await have_party(session, successor)
    # All that are one by now, since what made them so may be the very identity that is not theirs. Nobody else sees
    # the successor yet, so that former holders need no lock.
    former = by | {held.party_id for held in holdings}
    await keep_apart(session, apart([former, {successor}]), told_by)
    await hand_over(session, identity_id, longer)
    await look_again(session, identity_id)


async def identity_named(session: AsyncSession, identity_id: UUID) -> Identity:
    """An identity with its identifier. Raises `NotTheHolder` where there is none to be written otherwise."""
    row = await (await driver(session)).fetchrow(
        "SELECT scheme, system, value FROM identity WHERE id = $1 AND scheme IS NOT NULL", identity_id
    )
    if row is None:
        raise NotTheHolder("This party does not hold the identity now.")
    return Identity(identity_id, Scheme(row["scheme"]), row["system"], row["value"])


async def party(session: AsyncSession, party_id: UUID) -> Party:
    """The party that an id leads to. Raises `PartyNotFound`."""
    top = await (await driver(session)).fetchval("SELECT resolves_to FROM party WHERE id = $1", party_id)
    if top is None:
        raise PartyNotFound("There is no such party.")
    await check_reach(session, [top])
    return (await shown(session, [top]))[0]


async def parties(
    session: AsyncSession,
    *,
    held: Identity | None = None,
    owner_id: UUID | None = None,
    team_id: UUID | None = None,
    ids: Sequence[UUID] = (),
    after: UUID,
    limit: int,
) -> list[Party]:
    """Surviving parties behind an id, in id order: all, or who holds an identity now, has an owner, a team, or all.

    With `ids`, only those that one of them leads to. Of whoever reaches only some, these alone.
    """
    wanted = {_HOLDS_NOW: held and held.id, " AND owner_id = ${}": owner_id, " AND team_id = ${}": team_id}
    said: dict[str, object] = {text: id for text, id in wanted.items() if id}
    if ids:
        said[_LED_TO] = list(ids)
    conditions = "".join(text.format(place) for place, text in enumerate(said, 3))
    statement = _OWNED if owner_id or team_id else _SURVIVING
    values: list[object] = list(said.values())
    if asking := limited(session):
        statement, place = _OWNED, len(values) + 3
        conditions += " AND " + CARED_FOR.format(f"${place}", f"${place + 1}")
        values += asking.caller.care
    rows = await (await driver(session)).fetch(statement.format(conditions=conditions), after, limit, *values)
    return await shown(session, [row["id"] for row in rows])


async def shown(session: AsyncSession, tops: Sequence[UUID]) -> list[Party]:
    """Surviving parties as they are shown, in id order."""
    connection = await driver(session)
    merged: dict[UUID, list[UUID]] = {}
    for row in await connection.fetch(_MERGED, tops):
        merged.setdefault(row["resolves_to"], []).append(row["id"])
    held: dict[UUID, list[HeldIdentifier]] = {}
    for row in await connection.fetch(_IDENTIFIERS, tops):
        held.setdefault(row["party_id"], []).append(HeldIdentifier.model_validate(dict(row)))
    return [
        Party(identifiers=held.get(row["id"], []), merged_ids=merged.get(row["id"], []), **row)
        for row in await connection.fetch(_PARTIES, tops)
    ]


async def external_ids(session: AsyncSession, party_ids: Sequence[UUID | str]) -> list[ExternalId]:
    """The external ids that surviving parties hold now, the oldest of each first."""
    rows = await (await driver(session)).fetch(f"{_IDENTIFIERS_OF} AND scheme = 'external' {_OLDEST_FIRST}", party_ids)
    return [ExternalId.of(row["party_id"], row["system"], row["value"]) for row in rows]


_HOLDERS = """
SELECT identity_id, party_id, party.resolves_to FROM holding JOIN party ON party.id = holding.party_id
WHERE identity_id = ANY($1) AND until_day IS NULL
"""

_HELD_BY = """
SELECT identity_id FROM holding JOIN identity ON identity.id = identity_id
WHERE party_id = $1 AND until_day IS NULL AND scheme IS NOT NULL
ORDER BY assigned_at, identity_id LIMIT 50
"""

_HOLDS_NOW = """ AND party.id = (
    SELECT holder.resolves_to FROM holding JOIN party AS holder ON holder.id = holding.party_id
    WHERE identity_id = ${} AND until_day IS NULL
)"""

_LED_TO = " AND party.id IN (SELECT resolves_to FROM party AS named WHERE named.id = ANY(${}))"

_SURVIVING = "SELECT id FROM party WHERE id > $1 AND resolves_to = id{conditions} ORDER BY id LIMIT $2"

_OWNED = """
SELECT party.id FROM party_owner JOIN party ON party.id = party_owner.party_id
WHERE party.id > $1 AND resolves_to = party.id{conditions} ORDER BY party.id LIMIT $2
"""

_PARTIES = """
SELECT id, kind, version, created_at, coalesce(name, (
    SELECT name FROM party AS merged WHERE merged.resolves_to = party.id AND merged.resolves_to <> merged.id
    AND name IS NOT NULL ORDER BY merged.id LIMIT 1
)) AS name
FROM party WHERE id = ANY($1) ORDER BY id
"""

_MERGED = "SELECT id, resolves_to FROM party WHERE resolves_to = ANY($1) AND resolves_to <> id ORDER BY id"

_IDENTIFIERS_OF = """
SELECT member.top AS party_id, identity_id, scheme, system, value, from_day
FROM (
    SELECT id, id AS top FROM party WHERE id = ANY($1)
    UNION ALL
    SELECT id, resolves_to FROM party WHERE resolves_to = ANY($1) AND resolves_to <> id
) AS member
JOIN holding ON holding.party_id = member.id AND until_day IS NULL
JOIN identity ON identity.id = holding.identity_id
WHERE scheme IS NOT NULL
"""
_OLDEST_FIRST = "ORDER BY member.top, assigned_at, identity_id <> holding.party_id, identity_id"

_IDENTIFIERS = f"{_IDENTIFIERS_OF} {_OLDEST_FIRST}"
