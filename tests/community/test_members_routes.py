"""Members over HTTP: made known, changed, linked, and parted from their community."""

import asyncio

import pytest

from contracts.identity import Scheme
from tests.community.conftest import uuid


def ann(**other):
    return {"community": "forum", "source_id": "ann", "joined_at": "2026-01-05T10:00:00+01:00"} | other


async def test_a_member_does_everything_under_the_identity_of_its_id_in_the_community(api, here, published):
    answer = await api.post("/v1/members", json=ann(display_name="Ann", bio="Tea.\nMore tea."))
    assert (answer.status_code, answer.headers["etag"]) == (201, '"1"')
    shown = answer.json()
    identity = here.identity(Scheme.EXTERNAL, "ann", system="forum").id
    assert uuid(shown["identity_id"]) == uuid(shown["party_id"]) == identity
    [(kind, subject, data)] = await published()
    assert (kind, subject, data["community"]) == ("member_joined", str(identity), "forum")
    assert uuid(shown["id"]).hex == data["member_id"].replace("-", "")
    assert "Ann" not in str(data)
    assert answer.headers["location"] == f"/v1/members/{shown['id']}"
    assert (await api.get(answer.headers["location"])).json() == shown


async def test_the_same_again_changes_nothing_and_other_content_is_a_conflict(api, published):
    first = await api.post("/v1/members", json=ann(display_name="Ann"))
    for again in (ann(display_name="Ann"), {"community": "forum", "source_id": " ann "}):
        answer = await api.post("/v1/members", json=again)
        assert (answer.status_code, answer.json()) == (200, first.json())
    for other in (ann(display_name="Anna"), ann(joined_at="2026-01-06T10:00:00Z"), ann(bio="New")):
        answer = await api.post("/v1/members", json=other)
        assert (answer.status_code, answer.json()["code"]) == (409, "member_conflict")
        assert answer.json()["existing_id"] == first.json()["id"]
    assert len(await published()) == 1
    other = await api.post("/v1/members", json=ann(community="chat"))
    assert (other.status_code, other.json()["identity_id"] != first.json()["identity_id"]) == (201, True)


async def test_a_community_that_gives_no_ids_has_one_made(api):
    made = [(await api.post("/v1/members", json={"community": "fair"})).json() for _ in range(2)]
    assert len({one["id"] for one in made}) == len({one["source_id"] for one in made}) == 2


async def test_of_a_profile_what_is_named_changes_and_null_takes_it_away(api, published, member):
    one = await member("ann", display_name="Ann", bio="Tea")
    await published()
    path = f"/v1/members/{one['id']}"
    changed = await api.patch(path, json={"display_name": "Anna"}, headers={"If-Match": '"1"'})
    assert (changed.json()["display_name"], changed.json()["bio"], changed.headers["etag"]) == ("Anna", "Tea", '"2"')
    assert (await api.patch(path, json={"bio": None})).json()["bio"] is None
    assert (await api.patch(path, json={"bio": None})).json()["version"] == 3
    stale = await api.patch(path, json={"bio": "x"}, headers={"If-Match": '"2"'})
    assert (stale.status_code, stale.json()["version"]) == (412, 3)
    assert await published() == []


async def test_a_link_is_told_with_a_version_that_rises_and_without_the_identifier(api, here, published, member):
    one = await member("ann")
    await published()
    path, known = f"/v1/members/{one['id']}/link", f"party_{5:032x}"
    first = await api.post(path, json={"party_id": known}, headers={"If-Match": '"1"'})
    assert (first.json()["linked_party_id"], first.json()["version"]) == (known, 2)
    assert (await api.post(path, json={"party_id": known})).json()["version"] == 2
    mail = {"scheme": "email", "value": "Ann@Example.org"}
    second = await api.post(path, json={"identifier": mail})
    identity = here.identity(Scheme.EMAIL, "ann@example.org").id
    assert (second.json().get("linked_party_id"), uuid(second.json()["linked_identity_id"])) == (None, identity)
    taken_back = (await api.post(path, json={})).json()
    assert (taken_back["linked_party_id"], taken_back["linked_identity_id"], taken_back["version"]) == (None, None, 4)
    events = await published()
    assert [(kind, uuid(one["identity_id"]).hex) for kind, _, _ in events] == [
        ("member_linked", subject.replace("-", "")) for _, subject, _ in events
    ]
    assert [(data["version"], data.get("party_id"), data.get("identity_id")) for _, _, data in events] == [
        (2, str(uuid(known)), None),
        (3, None, str(identity)),
        (4, None, None),
    ]
    assert "example" not in str(events)
    both = await api.post(path, json={"party_id": known, "identifier": mail})
    assert both.status_code == 422
    assert (await api.post(path, json={}, headers={"If-Match": '"1"'})).status_code == 412
    assert (await api.post(path, json={"version": 1})).json()["code"] == "stale_version"


async def test_links_at_once_under_one_version_hold_once(api, published, member):
    one = await member("ann")
    await published()
    answers = await asyncio.gather(
        *(
            api.post(
                f"/v1/members/{one['id']}/link",
                json={"party_id": f"party_{number:032x}"},
                headers={"If-Match": '"1"'},
            )
            for number in range(1, 7)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 5
    assert len(await published()) == 1


async def test_who_left_writes_nothing_more_until_it_joins_again(api, published, member, post):
    one = await member("ann", joined_at="2026-01-05T10:00:00Z")
    await published()
    path = f"/v1/members/{one['id']}"
    early = await api.post(f"{path}/leave", json={"left_at": "2026-01-04T10:00:00Z"})
    assert (early.status_code, early.json()["code"]) == (422, "wrong_order")
    left = await api.post(f"{path}/leave", json={"left_at": "2026-02-01T10:00:00Z"})
    assert left.json()["left_at"] == "2026-02-01T10:00:00Z"
    assert (await api.post(f"{path}/leave", json={})).json() == left.json()
    late = {"member_id": one["id"], "text": "Still here", "occurred_at": "2026-02-02T10:00:00Z"}
    refused = await api.post("/v1/posts", json=late)
    assert (refused.status_code, refused.json()["code"]) == (409, "member_left")
    await post("ann", occurred_at="2026-01-20T10:00:00Z")
    assert (await api.post(f"{path}/rejoin", json={"joined_at": "2026-01-20T10:00:00Z"})).status_code == 422
    back = await api.post(f"{path}/rejoin", json={"joined_at": "2026-02-02T00:00:00Z"})
    assert (back.json()["left_at"], back.json()["version"]) == (None, 3)
    assert (await api.post(f"{path}/rejoin", json={})).json() == back.json()
    assert (await api.post("/v1/posts", json=late)).status_code == 201
    assert [kind for kind, _, _ in await published()] == ["post_published", "member_joined", "post_published"]


async def test_lists_are_narrowed_and_paged_latest_first(api, member):
    for day in range(1, 8):
        await member(f"m{day}", community="forum" if day % 2 else "chat", joined_at=f"2026-01-0{day}T10:00:00Z")
    seen, cursor = [], {}
    while True:
        found = (await api.get("/v1/members", params={"limit": 3, **cursor})).json()
        seen += [row["source_id"] for row in found["data"]]
        if not found["has_more"]:
            break
        cursor = {"cursor": found["next_cursor"]}
    assert seen == [f"m{day}" for day in range(7, 0, -1)]

    async def named(**params):
        return [row["source_id"] for row in (await api.get("/v1/members", params=params)).json()["data"]]

    assert await named(community="chat") == ["m6", "m4", "m2"]
    assert await named(community="forum", source_id="m3") == ["m3"]
    assert await named(since="2026-01-03T10:00:00Z", until="2026-01-05T10:00:00Z") == ["m4", "m3"]
    assert (await api.get("/v1/members", params={"cursor": "x"})).json()["code"] == "bad_cursor"


@pytest.mark.parametrize(
    "wrong",
    [
        {"community": "My Forum"},
        {"source_id": "a\x00b"},
        {"source_id": " "},
        {"display_name": "a\nb"},
        {"bio": "a\x00b"},
        {"bio": "x" * 2_001},
        {"joined_at": "2999-01-01T00:00:00Z"},
        {"joined_at": "2026-01-01T00:00:00"},
        {"unheard_of": 1},
    ],
)
async def test_what_cannot_be_a_member_is_refused(api, published, wrong):
    assert (await api.post("/v1/members", json=ann(**wrong))).status_code == 422
    assert await published() == []


async def test_what_is_not_there_is_not_found(api):
    nobody = f"/v1/members/member_{1:032x}"
    assert (await api.get(nobody)).json()["code"] == "member_not_found"
    for operation in ("link", "leave", "rejoin"):
        assert (await api.post(f"{nobody}/{operation}", json={})).json()["code"] == "member_not_found"
