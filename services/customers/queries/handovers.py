"""Identities that change hands: who holds them from which day on, told late or early, once or again."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.clock import now
from chassis.db import driver
from contracts.customers import Holding
from contracts.identity import Identity, PartyRef
from services.customers.domain.assignments import NotTheHolder, apart, handed_over
from services.customers.queries.assignments import MADE_ONE_BY_PEOPLE, Connected, parties_to_change, reassign
from services.customers.queries.identities import have_identities, holdings_of
from services.customers.queries.merges import keep_apart
from services.customers.queries.pairs import look_again


async def holders_to_change(
    session: AsyncSession, party_id: UUID, identity_id: UUID, to: PartyRef
) -> tuple[Connected, UUID]:
    """The party, the one that an identity shall go to and all that ever held it, locked; and the second of them.

    An identifier that nobody has becomes its own party. The parties come first, as they do for everybody who gives a
    party an identity; where others hold them by then, all is given back and taken anew.
    """
    while True:
        attempt = await (await session.connection()).begin_nested()
        connected = await parties_to_change(session, party_id, *await _concerned(session, identity_id, to))
        if isinstance(to, Identity) and await have_identities(session, [to]):
            # Nobody else sees its party yet, so that its lock needs no place in the order.
            connected = await parties_to_change(session, *connected.resolves_to, to.id)
        concerned = await _concerned(session, identity_id, to)
        if connected.resolves_to.keys() >= set(concerned):
            await attempt.commit()
            return connected, concerned[-1]
        await attempt.rollback()


async def _concerned(session: AsyncSession, identity_id: UUID, to: PartyRef) -> list[UUID]:
    """All who ever held an identity; last whom it shall go to, where anybody is that."""
    holders = [held.party_id for held in await holdings_of(session, identity_id)]
    if isinstance(to, Identity):
        return holders + [held.party_id for held in (await holdings_of(session, to.id))[-1:]]
    return [*holders, to]


async def hand_over_identifier(
    session: AsyncSession,
    connected: Connected,
    party_id: UUID,
    identity_id: UUID,
    *,
    to: UUID,
    from_day: date,
    told_by: str | None = None,
) -> list[Holding]:
    """Give an identity of a locked party to another one, from a local day on; return all its holders after that.

    Nothing makes its holders, with those that people made one with them, one again by itself. Raises what
    `handed_over` raises.
    """
    holdings = await holdings_of(session, identity_id)
    if not holdings or any(held.party_id not in connected.resolves_to for held in holdings):
        raise NotTheHolder("This party does not hold the identity.")
    by, like = connected.together(party_id), await _made_one_by_people(session, to)
    right = handed_over(holdings, by=by, to=to, like=like, from_day=from_day)
    if right != holdings:
        # Not all that are one by now, as in a release: that would depend on what was decided before.
        await keep_apart(session, apart({held.party_id} for held in right), told_by)
        await _keep_holdings(session, identity_id, holdings, right)
        await look_again(session, identity_id)
        await reassign(session, connected, [identity_id])
    # Not `resolved`: neighbours that are one party by now held it in turn all the same.
    return [Holding(party_id=connected.survivor(held.party_id), from_day=held.from_day) for held in right]


async def _made_one_by_people(session: AsyncSession, party_id: UUID) -> frozenset[UUID]:
    rows = await (await driver(session)).fetch(_ALIKE, party_id)
    return frozenset(row["alike_id"] for row in rows)


async def _keep_holdings(
    session: AsyncSession, identity_id: UUID, before: Sequence[Holding], after: Sequence[Holding]
) -> None:
    connection = await driver(session)
    kept = next(n for n, held in enumerate(after) if n >= len(before) or held != before[n])
    since = await connection.fetch(_CUT_HOLDINGS, identity_id, kept)
    assigned = {row["party_id"]: row["assigned_at"] for row in since}
    until = [held.from_day for held in after[1:]] + [None]
    await connection.execute(
        "UPDATE holding SET until_day = $3 WHERE identity_id = $1 AND nth = $2", identity_id, kept - 1, until[kept - 1]
    )
    await connection.executemany(
        _KEEP_HOLDING,
        [
            (identity_id, n, held.party_id, held.from_day, until[n], assigned.get(held.party_id, now()))
            for n, held in enumerate(after)
            if n >= kept
        ],
    )


_ALIKE = f"""
WITH RECURSIVE asked AS (SELECT $1::uuid AS id), alike AS ({MADE_ONE_BY_PEOPLE.format(asked="asked")})
SELECT alike_id FROM alike
"""

_CUT_HOLDINGS = "DELETE FROM holding WHERE identity_id = $1 AND nth >= $2 RETURNING party_id, assigned_at"

_KEEP_HOLDING = """
INSERT INTO holding (identity_id, nth, party_id, from_day, until_day, assigned_at) VALUES ($1, $2, $3, $4, $5, $6)
"""
