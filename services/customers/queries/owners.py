"""Owners and teams of parties: read, and changed under the locks of the parties."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from chassis.auth import OutOfReach, limited
from chassis.clock import now
from chassis.db import driver
from chassis.ids import uuid7
from contracts.customers import PartyOwnerChanged
from contracts.identity import PartyNotFound
from services.customers.domain.owners import NOBODY, Care, OwnerReason, followed, taken_over
from services.customers.models.owners import HandedOver, HandOver, NewOwner, Ownership, PartyOwner
from services.customers.queries.reach import check_reach


class Given(NamedTuple):
    """A locked party, as named, and who takes care of it from now on."""

    party_id: UUID
    care: Care
    note: str | None = None
    said: bool = True
    """Whether somebody decided it, or it follows from automatic merges and goes with them."""


async def owner(session: AsyncSession, party_id: UUID) -> PartyOwner:
    """Who takes care of the party that an id leads to. Raises `PartyNotFound`."""
    row = await (await driver(session)).fetchrow(_OWNER, party_id)
    if row is None:
        raise PartyNotFound("There is no such party.")
    await check_reach(session, [party_id])
    return PartyOwner.model_validate(dict(row))


async def give(session: AsyncSession, present: PartyOwner, wanted: NewOwner) -> None:
    """Have a locked party taken care of by another owner or team; the same again changes nothing.

    What somebody says stays, also where it is no more than what followed from a merge.
    """
    await (await driver(session)).execute(_SAID, present.party_id)
    before = present.owner_id, present.team_id, present.note
    if before != (wanted.owner_id, wanted.team_id, wanted.note):
        given = Given(present.party_id, Care(wanted.owner_id, wanted.team_id), wanted.note)
        await _give(session, [given], OwnerReason.ASSIGNED)


def check_team(session: AsyncSession, wanted: NewOwner) -> None:
    """Raise `OutOfReach` where whoever reaches only a team would give a party away from it."""
    asking = limited(session)
    if asking is not None and wanted.team_id != asking.caller.team_id:
        raise OutOfReach(asking.caller.reach)


async def have_own(session: AsyncSession, party_ids: Sequence[UUID]) -> None:
    """Give parties that were just made to whoever made them, where that one reaches only what is its own or its team's.

    It could not see them otherwise.
    """
    if asking := limited(session):
        caller = asking.caller
        care = Care(caller.user_id, caller.team_id)
        await _give(session, [Given(party_id, care) for party_id in party_ids], OwnerReason.ASSIGNED)


async def hand_over(session: AsyncSession, wanted: HandOver, limit: int) -> HandedOver:
    """Hand over up to `limit` parties of a user, merged ones too: an unmerge must not bring the old owner back."""
    connection = await driver(session)
    found = await connection.fetch(_OWNED, wanted.from_owner_id, limit)
    ids = [row["party_id"] for row in found]
    await connection.execute(_LOCK, ids)
    rows = await connection.fetch(_STILL_OWNED, ids, wanted.from_owner_id)
    given = [
        Given(row["party_id"], Care(wanted.to_owner_id, wanted.to_team_id or row["team_id"]), wanted.note, row["said"])
        for row in rows
    ]
    await _give(session, given, OwnerReason.HANDED_OVER)
    return HandedOver(handed_over=len(given), remaining=await connection.fetchval(_REMAINING, wanted.from_owner_id))


async def take_over(session: AsyncSession, moved: Mapping[UUID, UUID], stood: Mapping[UUID, UUID]) -> None:
    """Give locked survivors without an owner that of a party that people merged into them; see `taken_over`."""
    rows = await (await driver(session)).fetch(_CARE, sorted({*moved, *moved.values()}))
    care = {
        row["party_id"]: Care(row["owner_id"], row["team_id"])
        for row in rows
        # What followed from merges is over where the party does not stand for itself.
        if row["said"] or stood[row["party_id"]] == row["party_id"]
    }
    given = [Given(party_id, taken) for party_id, taken in taken_over(moved, stood, care)]
    await _give(session, given, OwnerReason.MERGED)


async def follow(session: AsyncSession, resolves_to: Mapping[UUID, UUID]) -> None:
    """Give the survivors of whole locked components, where nobody said anything, what follows; see `followed`."""
    said: dict[UUID, Care] = {}
    present: dict[UUID, Care] = {}
    for row in await (await driver(session)).fetch(_CARE, sorted(resolves_to)):
        (said if row["said"] else present)[row["party_id"]] = Care(row["owner_id"], row["team_id"])
    wanted = followed(resolves_to, said).items()
    given = [Given(party, care, said=False) for party, care in wanted if care != present.get(party, NOBODY)]
    await _give(session, given, OwnerReason.MERGED)


async def owners(session: AsyncSession, party_id: UUID, *, before: int, limit: int) -> list[Ownership]:
    """The owners that the party had, the latest first."""
    rows = await (await driver(session)).fetch(_OWNERS, party_id, before, limit)
    return [Ownership.model_validate(dict(row)) for row in rows]


async def _give(session: AsyncSession, given: Sequence[Given], reason: OwnerReason) -> None:
    if not given:
        return
    columns = [
        [uuid7() for _ in given],
        [row.party_id for row in given],
        [row.care.owner_id for row in given],
        [row.care.team_id for row in given],
        [row.note for row in given],
        [row.said for row in given],
    ]
    rows = await (await driver(session)).fetch(_GIVE, *columns, reason, now())
    outbox.append(
        session,
        *(
            PartyOwnerChanged(
                subject=row["party_id"],
                occurred_at=row["changed_at"],
                version=row["version"],
                owner_id=row["owner_id"],
                team_id=row["team_id"],
            )
            for row in rows
        ),
        event_ids=[row["id"] for row in rows],
    )


_OWNER = """
SELECT party.resolves_to AS party_id, owner_id, team_id, note, coalesce(party_owner.version, 0) AS version, changed_at
FROM party LEFT JOIN party_owner ON party_owner.party_id = party.resolves_to
WHERE party.id = $1
"""

_OWNED = "SELECT party_id FROM party_owner WHERE owner_id = $1 ORDER BY party_id LIMIT $2"

_LOCK = "SELECT FROM party WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE"

_STILL_OWNED = """
SELECT party_id, team_id, said FROM party_owner WHERE party_id = ANY($1) AND owner_id = $2 ORDER BY party_id
"""

_REMAINING = "SELECT count(*) FROM party_owner WHERE owner_id = $1"

_SAID = "UPDATE party_owner SET said = true WHERE party_id = $1 AND NOT said"

_CARE = "SELECT party_id, owner_id, team_id, said FROM party_owner WHERE party_id = ANY($1)"

_OWNERS = """
SELECT ownership.* FROM ownership JOIN party ON party.resolves_to = ownership.party_id
WHERE party.id = $1 AND ownership.version < $2 ORDER BY ownership.version DESC LIMIT $3
"""

_GIVE = """
WITH new AS (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::boolean[])
        AS new(id, party_id, owner_id, team_id, note, said)
),
given AS (
    INSERT INTO party_owner (party_id, owner_id, team_id, note, said, version, changed_at)
    SELECT party_id, owner_id, team_id, note, said, 1, $8 FROM new ORDER BY party_id
    ON CONFLICT (party_id) DO UPDATE SET owner_id = excluded.owner_id, team_id = excluded.team_id,
        note = excluded.note, said = excluded.said, version = party_owner.version + 1, changed_at = excluded.changed_at
    RETURNING *
),
kept AS (
    INSERT INTO ownership (id, party_id, version, owner_id, team_id, note, reason, changed_at)
    SELECT new.id, given.party_id, given.version, given.owner_id, given.team_id, given.note, $7, given.changed_at
    FROM given JOIN new USING (party_id)
    RETURNING *
)
SELECT * FROM kept ORDER BY party_id
"""
