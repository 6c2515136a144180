"""What community answers by party: merges, and the days on which an identity was whose."""

from datetime import date
from uuid import UUID

from chassis.ids import uuid7
from contracts.identity import Scheme
from tests.community.conftest import party_id, uuid

PARTY, OTHER, MERGED = (UUID(int=number) for number in (1, 2, 3))


async def listed(api, path, party, **params):
    answer = await api.get(path, params={"party_id": party_id(party), **params})
    assert answer.status_code == 200, answer.text
    return [row["id"] for row in answer.json()["data"]]


async def test_a_member_nobody_linked_is_its_own_party(api, member, post):
    ann = await member("ann")
    own = uuid(ann["identity_id"])
    begun = await post("ann")
    assert await listed(api, "/v1/members", own) == [ann["id"]]
    assert await listed(api, "/v1/posts", own) == [begun["id"]]
    assert await listed(api, "/v1/posts", PARTY) == []


async def test_what_a_member_did_before_it_was_linked_is_the_party_s(api, member, post, told):
    ann = await member("ann")
    begun = await post("ann", occurred_at="2026-01-05T10:00:00Z")
    await told({uuid(ann["identity_id"]): [(PARTY, None)]}, {uuid(ann["identity_id"]): PARTY, MERGED: PARTY})
    for asked in (PARTY, MERGED, uuid(ann["identity_id"])):
        assert await listed(api, "/v1/members", asked) == [ann["id"]]
        assert await listed(api, "/v1/posts", asked) == [begun["id"]]
    assert (await api.get(f"/v1/posts/{begun['id']}")).json()["party_id"] == party_id(PARTY)
    assert (await api.get(f"/v1/members/{ann['id']}")).json()["party_id"] == party_id(PARTY)


async def test_of_an_identity_that_changed_hands_each_has_the_local_days_of_its_own(api, member, post, told):
    ann = await member("ann", joined_at="2026-01-01T10:00:00Z")
    # In Berlin the second one is written on 1 March.
    before = await post("ann", occurred_at="2026-02-28T22:59:59Z")
    after = await post("ann", occurred_at="2026-02-28T23:00:00Z")
    await told({uuid(ann["identity_id"]): [(PARTY, None), (OTHER, date(2026, 3, 1))]})
    assert await listed(api, "/v1/posts", PARTY) == [before["id"]]
    assert await listed(api, "/v1/posts", OTHER) == [after["id"]]
    assert await listed(api, "/v1/members", OTHER) == [ann["id"]]
    assert await listed(api, "/v1/members", PARTY) == []
    assert (await api.get(f"/v1/posts/{before['id']}")).json()["party_id"] == party_id(PARTY)
    rows = (await api.get(f"/internal/parties/{party_id(PARTY)}/timeline")).json()["data"]
    assert [row["kind"] for row in rows] == ["post_published", "member_joined"]


async def test_a_party_is_shown_with_all_that_it_does_in_communities(api, here, member, post, told):
    ann = await member("ann", joined_at="2026-01-01T10:00:00Z")
    group = (await api.post("/v1/groups", json={"community": "forum", "name": "Tea"})).json()
    await api.post(f"/v1/groups/{group['id']}/members", json={"member_id": ann["id"]})
    begun = await post("bob", occurred_at="2026-01-02T10:00:00Z")
    mine = [await post("ann", occurred_at=f"2026-01-0{day}T10:00:00Z", post_id=begun["id"]) for day in (3, 4)]
    await post("ann", occurred_at="2026-01-05T10:00:00Z")
    for kind in ("like", "thanks"):
        await api.post(f"/v1/posts/{begun['id']}/reactions", json={"member_id": ann["id"], "reaction": kind})
    mail = {"scheme": "email", "value": "ann@example.org"}
    made = (await api.post("/v1/referrals", json={"identifier": mail})).json()
    await api.post(f"/v1/referrals/{made['id']}/convert", json={})
    named = (
        await api.post(
            "/v1/referrals", json={"identifier": {"scheme": "email", "value": "x@example.org"}, "referred": mail}
        )
    ).json()
    await api.post(f"/v1/posts/{mine[0]['id']}/withdraw", json={})
    await told(
        {uuid(ann["identity_id"]): [(PARTY, None)], here.identity(Scheme.EMAIL, mail["value"]).id: [(PARTY, None)]}
    )
    shown = (await api.get(f"/internal/parties/{party_id(PARTY)}/community", params={"limit": 10})).json()
    assert [row["id"] for row in shown["members"]] == [ann["id"]]
    assert [row["id"] for row in shown["groups"]] == [group["id"]]
    assert shown["counts"] == {
        "posts": 1,
        "replies": 1,
        "reactions": {"like": 1, "thanks": 1},
        "referrals": 1,
        "converted": 1,
    }
    assert len(shown["posts"]) == 2
    assert ([row["id"] for row in shown["referrals"]], [row["id"] for row in shown["referred_by"]]) == (
        [made["id"]],
        [named["id"]],
    )
    assert await listed(api, "/v1/referrals", PARTY) == [made["id"]]
    assert await listed(api, "/v1/groups", PARTY) == [group["id"]]
    referred = await api.get("/v1/referrals", params={"referred_party_id": party_id(PARTY)})
    assert [row["id"] for row in referred.json()["data"]] == [named["id"]]


async def test_a_party_that_does_nothing_here_is_empty(api):
    shown = (await api.get(f"/internal/parties/{party_id(PARTY)}/community")).json()
    assert (shown["members"], shown["posts"], shown["counts"]["posts"]) == ([], [], 0)
    timeline = (await api.get(f"/internal/parties/{party_id(PARTY)}/timeline")).json()
    assert timeline == {"data": [], "has_more": False}


async def test_a_timeline_has_everything_latest_first_and_goes_on_behind_any_entry(api, member, post, told):
    at = "2026-01-02T10:00:00Z"
    ann = await member("ann", joined_at=at)
    group = (await api.post("/v1/groups", json={"community": "forum", "name": "Tea"})).json()
    await api.post(f"/v1/groups/{group['id']}/members", json={"member_id": ann["id"], "joined_at": at})
    begun = await post("ann", "x" * 300, occurred_at=at)
    await post("ann", occurred_at=at, post_id=begun["id"])
    reacted = {"member_id": ann["id"], "reaction": "like", "occurred_at": at}
    await api.post(f"/v1/posts/{begun['id']}/reactions", json=reacted)
    made = (await api.post("/v1/referrals", json={"member_id": ann["id"], "occurred_at": at})).json()
    sale = {"occurred_at": at, "amount_minor": 5, "currency": "EUR"}
    await api.post(f"/v1/referrals/{made['id']}/convert", json=sale)
    await api.post(f"/v1/members/{ann['id']}/leave", json={"left_at": "2026-01-03T10:00:00Z"})
    path = f"/internal/parties/party_{uuid(ann['identity_id']).hex}/timeline"
    whole = (await api.get(path)).json()["data"]
    kinds = [row["kind"] for row in whole]
    assert sorted(kinds) == sorted(
        [
            "member_joined",
            "member_left",
            "group_joined",
            "group_left",
            "post_published",
            "reply_published",
            "reaction_given",
            "referral_made",
            "referral_converted",
        ]
    )
    places = [(row["at"], row["id"]) for row in whole]
    assert places == sorted(places, reverse=True)
    assert len(set(places)) == len(places)
    assert {row["service"] for row in whole} == {"community"}
    [published] = [row for row in whole if row["kind"] == "post_published"]
    assert len(published["detail"]["excerpt"]) == 280
    [sold] = [row for row in whole if row["kind"] == "referral_converted"]
    assert (sold["detail"]["amount_minor"], sold["detail"]["referral_id"]) == (5, made["id"])
    seen, behind = [], {}
    while True:
        found = (await api.get(path, params={"limit": 2, **behind})).json()
        seen += found["data"]
        if not found["has_more"]:
            break
        behind = {"before_at": seen[-1]["at"], "before_id": seen[-1]["id"]}
    assert seen == whole
    narrowed = (await api.get(path, params={"kinds": ["reply_published", "group_left", "purchase"]})).json()["data"]
    assert {row["kind"] for row in narrowed} == {"reply_published", "group_left"}
    for nothing in ({"kinds": "purchase"}, {"departments": "sales"}):
        assert (await api.get(path, params=nothing)).json() == {"data": [], "has_more": False}
    other = (await api.get(path, params={"before_at": at, "before_id": "purchase_" + "f" * 32})).json()["data"]
    assert [row["id"] for row in other] == [id for place, id in places if place == at and id < "purchase_g"]
    assert (await api.get(path, params={"before_at": at})).json()["data"] == []


async def test_what_was_withdrawn_is_still_in_the_timeline_and_says_so(api, post):
    begun = await post("ann")
    await api.post(f"/v1/posts/{begun['id']}/withdraw", json={})
    path = f"/internal/parties/party_{uuid(begun['identity_id']).hex}/timeline"
    rows = {row["kind"]: row["detail"] for row in (await api.get(path)).json()["data"]}
    assert "withdrawn_at" in rows["post_published"]
    assert "withdrawn_at" not in rows["member_joined"]


async def test_an_unknown_party_id_says_nothing_of_others(api, post):
    await post("ann")
    assert await listed(api, "/v1/posts", uuid7()) == []
