"""How far whoever asks reaches: to the parties that it, or its team, takes care of."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.auth import Caller, OutOfReach, limited
from chassis.db import driver
from contracts.identity import PartyNotFound
from contracts.problems import Problem

CARED_FOR = "(party_owner.owner_id = {} OR party_owner.team_id = {})"
"""Whether the caller or its team takes care of a party; for `str.format` with the places of `Caller.care`."""


async def within(session: AsyncSession, caller: Caller, party_ids: Iterable[UUID]) -> set[UUID]:
    """Those parties that the caller reaches, whatever they are merged into."""
    rows = await (await driver(session)).fetch(_WITHIN, list(party_ids), *caller.care)
    return {row["id"] for row in rows}


async def check_reach(
    session: AsyncSession, party_ids: Sequence[UUID], missing: Problem | None = None, *, reads: bool | None = None
) -> None:
    """Raise where the caller does not reach all of these parties; who reaches every party pays nothing.

    What is read is `missing`, as if it were not there. What is changed is `OutOfReach`. Which of both it is, the
    request says, where `reads` does not.
    """
    asking = limited(session)
    if asking is None or set(party_ids) <= await within(session, asking.caller, party_ids):
        return
    if asking.reads if reads is None else reads:
        raise missing or PartyNotFound("There is no such party.")
    raise OutOfReach(asking.caller.reach)


_WITHIN = f"""
SELECT party.id FROM party JOIN party_owner ON party_owner.party_id = party.resolves_to
WHERE party.id = ANY($1) AND {CARED_FOR.format("$2", "$3")}
"""
