"""What a party did, by the identities that were its own on the days on which they did it."""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.assignments import columns, identities_of
from chassis.db import driver
from chassis.ids import outer
from chassis.timelines import Asked, Entry
from contracts.identity import Installation
from services.community.models.parties import Counts, PartyInCommunity
from services.community.queries.groups import groups
from services.community.queries.lists import day_of
from services.community.queries.members import members
from services.community.queries.posts import posts
from services.community.queries.referrals import referrals


async def in_community(session: AsyncSession, party_id: UUID, here: Installation, *, limit: int) -> PartyInCommunity:
    """A party as its communities know it, with the latest of each; empty where it has nothing to do with any."""
    return PartyInCommunity(
        members=await members(session, here, party_id=party_id, limit=limit),
        groups=await groups(session, here, party_id=party_id, limit=limit),
        counts=await _counts(session, party_id, here),
        posts=await posts(session, here, party_id=party_id, limit=limit),
        referrals=await referrals(session, here, party_id=party_id, limit=limit),
        referred_by=await referrals(session, here, referred_party_id=party_id, limit=limit),
    )


async def _counts(session: AsyncSession, party_id: UUID, here: Installation) -> Counts:
    rows = await (await driver(session)).fetch(_COUNTS, here.zone.key, *columns(await identities_of(session, party_id)))
    counted = {(row["what"], row["kind"]): row["counted"] for row in rows}
    return Counts(
        reactions={kind: count for (what, kind), count in counted.items() if what == "reaction"},
        **{kind: count for (what, kind), count in counted.items() if what != "reaction"},
    )


async def entries(session: AsyncSession, party_id: UUID, here: Installation, asked: Asked, limit: int) -> list[Entry]:
    """What a party did, the latest first, behind an entry of any service. Nothing of it is with a department."""
    if asked.departments:
        return []
    held, kinds = columns(await identities_of(session, party_id)), list(asked.kinds) or None
    rows = await (await driver(session)).fetch(_TIMELINE, here.zone.key, *held, *asked.place, kinds, limit)
    return [Entry(service="community", **row) for row in rows]


_HELD = """held AS (
    SELECT * FROM unnest($2::uuid[], $3::date[], $4::date[]) AS held(identity_id, from_day, until_day)
)"""


def _in_its_time(identity: str, at: str) -> str:
    """Rows of an identity that the party held on their local day."""
    day = day_of(at)
    return (
        f"held.identity_id = {identity} AND (from_day IS NULL OR from_day <= {day})"
        f" AND (until_day IS NULL OR {day} < until_day)"
    )


_COUNTS = f"""
WITH {_HELD}
SELECT 'written' AS what, CASE WHEN post_id IS NULL THEN 'posts' ELSE 'replies' END AS kind, count(*) AS counted
FROM held JOIN post ON {_in_its_time("post.identity_id", "occurred_at")} WHERE withdrawn_at IS NULL GROUP BY kind
UNION ALL
SELECT 'reaction', reaction, count(*)
FROM held JOIN reaction ON {_in_its_time("reaction.identity_id", "occurred_at")} WHERE withdrawn_at IS NULL
GROUP BY reaction
UNION ALL
SELECT 'referred', unnest(ARRAY['referrals', 'converted']), unnest(ARRAY[count(*), count(converted_at)])
FROM held JOIN referral ON {_in_its_time("referrer_id", "occurred_at")} WHERE withdrawn_at IS NULL
"""


def _branch(
    kind: str, source: str, *, identity: str, at: str, id: str, said: Mapping[str, str], recorded: str = "recorded_at"
) -> str:
    detail = ", ".join(f"'{name}', {value}" for name, value in said.items())
    table = source.split()[0]
    return f"""
        SELECT {at} AS at, {id} AS id, {kind} AS kind, {table}.{recorded} AS recorded_at,
            jsonb_build_object({detail}) AS detail
        FROM held JOIN {source} ON {_in_its_time(identity, at)}
        WHERE {at} <= $5
    """


_IN_GROUP = "group_member JOIN member ON member.id = group_member.member_id"
_OF_MEMBER = {"member_id": outer("member", "member.id"), "community": "member.community"}
_OF_GROUP = _OF_MEMBER | {"group_id": outer("group", "group_member.group_id")}
_OF_REFERRAL = {
    "referral_id": outer("referral", "referral.id"),
    "code": "code",
    "referrer_id": outer("identity", "referrer_id"),
    "referred_id": outer("identity", "referred_id"),
    "withdrawn_at": "withdrawn_at",
}

_BRANCHES = (
    *(
        branch
        for table, source in (
            ("member", "member"),
            ("membership", "membership JOIN member ON member.id = membership.member_id"),
        )
        for branch in (
            _branch(
                "'member_joined'",
                source,
                identity="member.identity_id",
                at=f"{table}.joined_at",
                id=outer("membership", f"{table}.fact_id"),
                said=_OF_MEMBER | {"source_id": "source_id", "withdrawn_at": "withdrawn_at"},
                recorded="joining_recorded_at",
            ),
            _branch(
                "'member_left'",
                source,
                identity="member.identity_id",
                at=f"{table}.left_at",
                id=outer("leaving", f"{table}.fact_id"),
                said=_OF_MEMBER | {"source_id": "source_id"},
                recorded="left_recorded_at",
            ),
        )
    ),
    _branch(
        "'group_joined'",
        _IN_GROUP,
        identity="member.identity_id",
        at="group_member.joined_at",
        id=outer("joining", "group_member.id"),
        said=_OF_GROUP,
    ),
    _branch(
        "'group_left'",
        _IN_GROUP,
        identity="member.identity_id",
        at="group_member.left_at",
        id=outer("leaving", "group_member.id"),
        said=_OF_GROUP,
        recorded="left_recorded_at",
    ),
    _branch(
        "CASE WHEN post_id IS NULL THEN 'post_published' ELSE 'reply_published' END",
        "post",
        identity="post.identity_id",
        at="post.occurred_at",
        id=outer("post", "post.id"),
        said={
            "member_id": outer("member", "member_id"),
            "community": "community",
            "group_id": outer("group", "group_id"),
            "post_id": outer("post", "post_id"),
            "excerpt": "left(text, 280)",
            "source": "source",
            "source_id": "source_id",
            "version": "version",
            "versions": f"'/v1/posts/' || {outer('post', 'post.id')} || '/versions'",
            "withdrawn_at": "withdrawn_at",
        },
    ),
    _branch(
        "'reaction_given'",
        "reaction",
        identity="reaction.identity_id",
        at="reaction.occurred_at",
        id=outer("reaction", "reaction.id"),
        said={
            "member_id": outer("member", "member_id"),
            "post_id": outer("post", "post_id"),
            "reaction": "reaction",
            "withdrawn_at": "withdrawn_at",
        },
    ),
    _branch(
        "'referral_made'",
        "referral",
        identity="referrer_id",
        at="referral.occurred_at",
        id=outer("referral", "referral.id"),
        said=_OF_REFERRAL,
    ),
    _branch(
        "'person_referred'",
        "referral",
        identity="referred_id",
        at="referral.named_at",
        id=outer("naming", "referral.id"),
        said=_OF_REFERRAL,
        recorded="named_recorded_at",
    ),
    _branch(
        "'referral_converted'",
        "referral",
        identity="referrer_id",
        at="referral.converted_at",
        id=outer("conversion", "referral.id"),
        said=_OF_REFERRAL | {"amount_minor": "amount_minor", "currency": "currency"},
        recorded="converted_recorded_at",
    ),
)

_TIMELINE = f"""
WITH {_HELD}
SELECT at, id, kind, recorded_at, jsonb_strip_nulls(detail) AS detail
FROM ({" UNION ALL ".join(_BRANCHES)}) AS entry
WHERE (at, id COLLATE "C") < ($5, $6) AND ($7::text[] IS NULL OR kind = ANY($7))
ORDER BY at DESC, id COLLATE "C" DESC LIMIT $8
"""
