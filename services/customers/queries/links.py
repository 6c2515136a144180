"""Links of members of communities: a link is a merge, which the member's next link takes back."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from asyncpg import Record
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.consumer import StartOver
from chassis.db import driver
from contracts.community import MemberLinked
from contracts.identity import Identity
from services.customers.domain.assignments import edge
from services.customers.domain.duplicates import Edge
from services.customers.queries.assignments import parties_to_change, reassign
from services.customers.queries.identities import have_identities
from services.customers.queries.merges import join, part


async def link_members(session: AsyncSession, told: Sequence[MemberLinked]) -> None:
    """Make what members are linked to one party with them, and undo what they were linked to before.

    Of each member's links the one with the highest version holds, whenever it comes. An identity that nobody knows
    becomes its own party; so does a party id, for it is that of an identity of which another service will tell. Raises
    `StartOver` where an identity came to somebody else before its holder was locked.
    """
    latest = {link.member_id: link for link in sorted(told, key=lambda link: link.version)}
    connection = await driver(session)
    before = {row["member_id"]: row for row in await connection.fetch(_LOCK_LINKS, list(latest))}
    links = [
        link
        for member_id, link in sorted(latest.items())
        if member_id not in before or before[member_id]["version"] < link.version
    ]
    if not links:
        return
    unheard = {
        row["id"] for row in await connection.fetch(_UNKNOWN, [link.party_id for link in links if link.party_id])
    }
    identities = {identity for link in links for identity in (link.subject, link.identity_id) if identity} | unheard
    holders = await _holders(session, identities)
    merged = [before[link.member_id] for link in links if link.member_id in before]
    concerned = {
        *holders.values(),
        *(link.party_id for link in links if link.party_id and link.party_id not in unheard),
        *(row["party_id"] for row in merged if row["party_id"]),
        *(row["other_id"] for row in merged if row["other_id"]),
    }
    if concerned:
        await parties_to_change(session, *sorted(concerned))
    strangers = identities - holders.keys()
    if (
        await _holders(session, identities) != holders
        or await have_identities(session, map(Identity, strangers)) != strangers
    ):
        raise StartOver
    holders |= {identity: identity for identity in strangers}
    connected = await parties_to_change(session, *sorted(concerned | strangers))
    pairs = {link.member_id: _pair(link, holders) for link in links}
    taken_back = {(row["party_id"], row["other_id"]) for row in merged if row["merge_id"]}
    ordered = sorted(taken_back | {pair for pair in pairs.values() if pair})
    # Candidates come before identities, and both each in one order: others lock them without all of these parties.
    await connection.execute(_LOCK_CANDIDATES, [one for one, _ in ordered], [other for _, other in ordered])
    for link in links:
        merge_id = await _moved(session, pairs[link.member_id], before.get(link.member_id))
        await connection.execute(_KEEP, link.member_id, link.version, merge_id)
    await reassign(session, connected)


def _pair(link: MemberLinked, holders: Mapping[UUID, UUID]) -> Edge | None:
    """The parties that a link makes one; none where it links nothing, or a party with itself."""
    own, other = holders[link.subject], link.party_id or (link.identity_id and holders[link.identity_id])
    return edge(own, other) if other and other != own else None


async def _moved(session: AsyncSession, pair: Edge | None, before: Record | None) -> UUID | None:
    """The merge that stands for a link, in the place of the one before."""
    if before and before["merge_id"]:
        merge_id: UUID = before["merge_id"]
        if pair == (before["party_id"], before["other_id"]) and await _counts(session, merge_id):
            return merge_id
        await part(session, merge_id)
    if pair is None:
        return None
    made, fresh = await join(session, pair)
    # One that was there is somebody's own decision, and no link takes it back.
    return made if fresh else None


async def _counts(session: AsyncSession, merge_id: UUID) -> bool:
    return bool(await (await driver(session)).fetchval(_COUNTS, merge_id))


async def _holders(session: AsyncSession, identities: set[UUID]) -> dict[UUID, UUID]:
    rows = await (await driver(session)).fetch(_HOLDERS, list(identities))
    return {row["identity_id"]: row["party_id"] for row in rows}


_LOCK_LINKS = """
SELECT member_id, version, merge_id, party_id, other_id
FROM member_link LEFT JOIN merge ON merge.id = merge_id
WHERE member_id = ANY($1) ORDER BY member_id FOR UPDATE OF member_link
"""

_UNKNOWN = (
    "SELECT id FROM unnest($1::uuid[]) AS named(id) WHERE NOT EXISTS (SELECT FROM party WHERE party.id = named.id)"
)

_HOLDERS = "SELECT identity_id, party_id FROM holding WHERE identity_id = ANY($1) AND until_day IS NULL"

_LOCK_CANDIDATES = """
SELECT FROM candidate
WHERE (party_id, other_id) IN (SELECT * FROM unnest($1::uuid[], $2::uuid[]))
ORDER BY party_id, other_id FOR NO KEY UPDATE
"""

_COUNTS = "SELECT unmerged_at IS NULL FROM merge WHERE id = $1"

_KEEP = """
INSERT INTO member_link (member_id, version, merge_id) VALUES ($1, $2, $3)
ON CONFLICT (member_id) DO UPDATE SET version = excluded.version, merge_id = excluded.merge_id
"""
