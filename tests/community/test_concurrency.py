"""Writers at once: none deadlocks, each thing is recorded once, and what is published is what is stored."""

import asyncio
import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chassis.db import driver
from chassis.ids import uuid7
from contracts.community import Reaction
from contracts.telling import Status
from services.community.domain.groups import GroupKey
from services.community.domain.members import MemberKey
from services.community.domain.posts import NewPost
from services.community.queries.posts import record_posts, withdraw_posts

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def wrote(number, *, answers=None, group=None, import_id=None):
    return NewPost(
        member=MemberKey("forum", f"m{number % 20}"),
        source="forum",
        source_id=f"p{number}",
        occurred_at=NOON,
        text=f"t{number}",
        in_reply_to=f"p{answers}" if answers is not None else None,
        group=GroupKey("forum", f"g{group}") if group is not None else None,
        import_id=import_id,
    )


@pytest.fixture
def stored(database):
    async def read(query):
        async with database.transaction() as session:
            return await (await driver(session)).fetch(query)

    return read


async def test_writers_of_the_same_conversations_in_any_order_accept_each_post_once(database, here, published, stored):
    rows = [wrote(n, answers=None if n % 4 == 0 else (n * 7) % 160, group=n % 5) for n in range(160)]

    async def write(seed):
        mine = random.Random(seed).sample(rows, len(rows))
        found = []
        for start in range(0, len(mine), 40):
            async with database.transaction() as session:
                found += await record_posts(session, mine[start : start + 40], here)
        return found

    found = await asyncio.gather(*map(write, range(5)))
    statuses = Counter(outcome.status for outcomes in found for outcome in outcomes)
    assert statuses == {Status.ACCEPTED: 160, Status.DUPLICATE: 640}
    events = await published()
    kinds = Counter(kind for kind, _, _ in events)
    assert kinds == {"member_joined": 20, "post_published": 40, "reply_published": 120}
    ids = {str(row["source_id"]): str(row["id"]) for row in await stored("SELECT id, source_id FROM post")}
    told = {data["reply_id"]: data["post_id"] for kind, _, data in events if kind == "reply_published"}
    assert told == {ids[row.source_id]: ids[row.in_reply_to] for row in rows if row.in_reply_to}
    assert len(await stored("SELECT FROM community_group")) == 5


async def test_an_import_taken_back_while_it_is_told_again_loses_and_doubles_nothing(database, here, published, stored):
    old, new = uuid7(), uuid7()
    async with database.transaction() as session:
        await record_posts(session, [wrote(n, answers=(n + 1) % 60, import_id=old) for n in range(60)], here)

    async def undo():
        while True:
            async with database.transaction() as session:
                if not await withdraw_posts(session, old, 7):
                    return

    async def tell(seed):
        rows = [wrote(n, answers=(n + 1) % 60, import_id=new) for n in range(60)]
        random.Random(seed).shuffle(rows)
        for start in range(0, 60, 10):
            async with database.transaction() as session:
                await record_posts(session, rows[start : start + 10], here)

    await asyncio.gather(undo(), tell(1), tell(2))
    await undo()
    await tell(3)
    [counted] = await stored("SELECT count(*), count(DISTINCT source_id) FROM post WHERE withdrawn_at IS NULL")
    assert tuple(counted) == (60, 60)
    events = await published()
    facts = {data["_id"] for kind, _, data in events if kind in ("post_published", "reply_published", "member_joined")}
    gone = [data["fact_id"] for kind, _, data in events if kind == "fact_withdrawn"]
    assert len(gone) == len(set(gone))
    counting = await stored(
        "SELECT fact_id FROM post WHERE withdrawn_at IS NULL"
        " UNION ALL SELECT fact_id FROM member WHERE withdrawn_at IS NULL"
    )
    assert facts - set(gone) == {str(row["fact_id"]) for row in counting}
    orphans = await stored(
        "SELECT FROM post JOIN member ON member.id = member_id"
        " WHERE post.withdrawn_at IS NULL AND member.withdrawn_at IS NOT NULL"
    )
    assert orphans == []


async def test_reactions_given_changed_and_taken_back_at_once_are_told_as_they_stand(api, post, published, stored):
    begun = await post("ann")
    path = f"/v1/posts/{begun['id']}/reactions"
    await published()

    async def react(seed):
        mine = random.Random(seed)
        for _ in range(12):
            kind = mine.choice([*Reaction])
            member = {"community": "forum", "source_id": f"m{mine.randrange(3)}"}
            given = await api.post(path, json={"member": member, "reaction": kind})
            assert given.status_code in (200, 201), given.text
            own = f"{path}/{given.json()['id']}"
            match mine.randrange(3):
                case 0:
                    answer = await api.post(f"{own}/correct", json={"reaction": mine.choice([*Reaction])})
                    assert answer.status_code in (200, 409), answer.text
                case 1:
                    assert (await api.post(f"{own}/withdraw")).status_code == 200

    await asyncio.gather(*map(react, range(5)))
    rows = await stored("SELECT fact_id, post_id, member_id, reaction FROM reaction WHERE withdrawn_at IS NULL")
    assert len({(row["member_id"], row["reaction"]) for row in rows}) == len(rows)
    events = await published()
    given = {data["_id"] for kind, _, data in events if kind == "reaction_given"}
    gone = [data["fact_id"] for kind, _, data in events if kind == "fact_withdrawn"]
    assert len(gone) == len(set(gone))
    assert given - set(gone) == {str(row["fact_id"]) for row in rows}


async def test_members_named_told_and_parted_at_once_joined_when_it_was_told_or_first_seen(
    api, database, here, published, stored
):
    """By who writes at whatever time, by communities that tell of them, and by those who have them leave."""

    async def write(seed):
        mine = random.Random(seed)
        for _ in range(8):
            rows = [
                replace(wrote(mine.randrange(10_000)), source_id=None, occurred_at=NOON + timedelta(hours=hours))
                for hours in mine.sample(range(1, 2_000), 25)
            ]
            async with database.transaction() as session:
                await record_posts(session, rows, here)

    async def tell(seed):
        mine = random.Random(seed)
        for number in mine.sample(range(0, 20, 2), 10):
            body = {"community": "forum", "source_id": f"m{number}", "joined_at": NOON.isoformat()}
            answer = await api.post("/v1/members", json=body)
            assert answer.status_code in (200, 201), answer.text

    async def part(seed):
        mine = random.Random(seed)
        for _ in range(12):
            found = (await api.get("/v1/members")).json()["data"]
            if found:
                left = {"left_at": (NOON + timedelta(hours=mine.randrange(2_000, 2_010))).isoformat()}
                answer = await api.post(f"/v1/members/{mine.choice(found)['id']}/leave", json=left)
                assert answer.status_code == 200, answer.text

    await asyncio.gather(*map(write, range(4)), tell(5), tell(6), part(7))
    wrong = await stored(
        "SELECT joined_at, joining_told_at, min(occurred_at) FROM member JOIN post ON member_id = member.id"
        " GROUP BY member.id HAVING joined_at <> CASE WHEN joining_told_at IS NULL THEN min(occurred_at)"
        " ELSE timestamptz '2026-01-05T12:00:00Z' END"
    )
    assert wrong == []
    events = await published()
    gone = {data["fact_id"] for kind, _, data in events if kind == "fact_withdrawn"}
    joined = {data["_id"]: data["occurred_at"] for kind, _, data in events if kind == "member_joined"}
    counting = {id: datetime.fromisoformat(at) for id, at in joined.items() if id not in gone}
    known = await stored("SELECT fact_id, joined_at FROM member")
    assert counting == {str(row["fact_id"]): row["joined_at"] for row in known}
    assert len(known) == 20


async def test_only_one_of_the_edits_of_a_version_holds(api, post):
    begun = await post("ann")
    path = f"/v1/posts/{begun['id']}"
    answers = await asyncio.gather(
        *(api.patch(path, json={"text": f"t{n}"}, headers={"If-Match": '"1"'}) for n in range(6))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 5
    assert len((await api.get(f"/v1/posts/{begun['id']}/versions")).json()["data"]) == 2


async def test_one_code_asked_for_at_once_is_one_referral_s(api, published):
    answers = await asyncio.gather(
        *(
            api.post(
                "/v1/referrals",
                json={"identifier": {"scheme": "email", "value": f"p{n}@example.org"}, "code": "ONE-CODE"},
            )
            for n in range(6)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 5
    assert [kind for kind, _, _ in await published()] == ["referral_made"]
