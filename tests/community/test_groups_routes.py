"""Groups over HTTP: their names, who is in them, and who may write."""

import asyncio


async def tea(api, **other):
    answer = await api.post("/v1/groups", json={"community": "forum", "name": "Tea  lovers"} | other)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


async def test_a_group_has_one_name_in_its_community_in_whatever_capitals(api):
    first = await api.post("/v1/groups", json={"community": "forum", "name": "Tea  lovers"})
    assert (first.status_code, first.json()["name"], first.json()["access"]) == (201, "Tea lovers", "open")
    again = await api.post("/v1/groups", json={"community": "forum", "name": "tea LOVERS"})
    assert (again.status_code, again.json()) == (200, first.json())
    closed = await api.post("/v1/groups", json={"community": "forum", "name": "tea lovers", "access": "closed"})
    assert (closed.status_code, closed.json()["code"]) == (409, "group_taken")
    assert closed.json()["existing_id"] == first.json()["id"]
    assert (await api.post("/v1/groups", json={"community": "chat", "name": "Tea lovers"})).status_code == 201
    assert (await api.post("/v1/groups", json={"community": "forum", "name": "  "})).status_code == 422


async def test_a_group_is_renamed_opened_and_closed_under_its_version(api):
    group, other = await tea(api), await tea(api, name="Coffee")
    path = f"/v1/groups/{group['id']}"
    changed = await api.patch(path, json={"name": "Leaves", "access": "closed"}, headers={"If-Match": '"1"'})
    assert (changed.json()["name"], changed.json()["access"], changed.headers["etag"]) == ("Leaves", "closed", '"2"')
    assert (await api.patch(path, json={"name": "Leaves"})).json()["version"] == 2
    taken = await api.patch(path, json={"name": "COFFEE"})
    assert (taken.json()["code"], taken.json()["existing_id"]) == ("group_taken", other["id"])
    assert (await api.get(path)).json() == changed.json()
    assert (await api.patch(path, json={}, headers={"If-Match": '"1"'})).status_code == 412


async def test_members_join_and_leave_a_group_and_its_past_stays_readable(api, member, published):
    group, ann = await tea(api), await member("ann", joined_at="2026-01-01T00:00:00Z")
    path = f"/v1/groups/{group['id']}/members"
    body = {"member_id": ann["id"], "joined_at": "2026-01-02T00:00:00Z"}
    first = await api.post(path, json=body)
    assert first.status_code == 201, first.text
    assert first.headers["location"] == f"{path}/{ann['id']}"
    assert (await api.get(first.headers["location"])).json() == first.json()
    again = await api.post(path, json={"member": {"community": "forum", "source_id": "ann"}})
    assert (again.status_code, again.json()) == (200, first.json())
    assert (await api.get(f"/v1/groups/{group['id']}")).json()["members"] == 1
    await published()
    bob = await api.post(path, json={"member": {"community": "forum", "source_id": "bob"}})
    assert bob.status_code == 201
    assert [kind for kind, _, _ in await published()] == ["member_joined"]
    leave = f"{path}/{ann['id']}/leave"
    assert (await api.post(leave, json={"left_at": "2026-01-01T00:00:00Z"})).json()["code"] == "wrong_order"
    left = await api.post(leave, json={"left_at": "2026-01-03T00:00:00Z"})
    assert left.json()["left_at"] == "2026-01-03T00:00:00Z"
    assert (await api.post(leave)).json() == (await api.get(f"{path}/{ann['id']}")).json() == left.json()
    back = await api.post(path, json={"member_id": ann["id"], "joined_at": "2026-01-05T00:00:00Z"})
    assert (back.status_code, back.json()["left_at"]) == (201, None)
    found = (await api.get(path)).json()["data"]
    assert [(row["member_id"] == ann["id"], row["left_at"]) for row in found] == [
        (False, None),
        (True, None),
        (True, "2026-01-03T00:00:00Z"),
    ]
    inside = (await api.get("/v1/members", params={"group_id": group["id"]})).json()["data"]
    assert sorted(row["source_id"] for row in inside) == ["ann", "bob"]
    assert [row["id"] for row in (await api.get("/v1/groups", params={"member_id": ann["id"]})).json()["data"]] == [
        group["id"]
    ]


async def test_who_leaves_the_community_leaves_its_groups(api, member):
    group, ann = await tea(api), await member("ann", joined_at="2026-01-01T00:00:00Z")
    await api.post(f"/v1/groups/{group['id']}/members", json={"member_id": ann["id"]})
    await api.post(f"/v1/members/{ann['id']}/leave", json={})
    assert (await api.get(f"/v1/groups/{group['id']}")).json()["members"] == 0


async def test_only_members_of_a_closed_group_write_in_it_also_in_answer(api, member, post):
    group, ann = await tea(api, access="closed"), await member("ann", joined_at="2026-01-01T00:00:00Z")
    await api.post(f"/v1/groups/{group['id']}/members", json={"member_id": ann["id"]})
    begun = await post("ann", group_id=group["id"])
    bob = {"member": {"community": "forum", "source_id": "bob"}, "text": "Me too"}
    for path, more in (("/v1/posts", {"group_id": group["id"]}), (f"/v1/posts/{begun['id']}/replies", {})):
        refused = await api.post(path, json=bob | more)
        assert (refused.status_code, refused.json()["code"]) == (409, "group_closed")
    assert (await api.get("/v1/members", params={"source_id": "bob"})).json()["data"] == []
    await api.post(f"/v1/groups/{group['id']}/members", json={"member": bob["member"]})
    reply = await api.post(f"/v1/posts/{begun['id']}/replies", json=bob)
    assert (reply.status_code, reply.json()["group_id"]) == (201, group["id"])


async def test_nobody_joins_a_group_of_another_community(api, member):
    group, ann = await tea(api), await member("ann", community="chat")
    answer = await api.post(f"/v1/groups/{group['id']}/members", json={"member_id": ann["id"]})
    assert (answer.status_code, answer.json()["code"]) == (422, "other_community")
    never = f"/v1/groups/{group['id']}/members/{ann['id']}"
    for answer in (await api.get(never), await api.post(f"{never}/leave", json={})):
        assert (answer.status_code, answer.json()["code"]) == (409, "not_in_group")


async def test_what_is_not_there_is_not_found(api, member):
    ann, nothing = await member("ann"), f"/v1/groups/group_{1:032x}"
    assert (await api.get(nothing)).json()["code"] == "group_not_found"
    assert (await api.get(f"{nothing}/members")).json()["code"] == "group_not_found"
    answer = await api.post(f"{nothing}/members", json={"member_id": ann["id"]})
    assert answer.json()["code"] == "group_not_found"


async def test_groups_of_one_name_told_at_once_are_one_group(api):
    made = await asyncio.gather(*(tea(api) for _ in range(8)))
    assert len({group["id"] for group in made}) == 1


async def test_groups_are_paged(api):
    for number in range(5):
        await tea(api, name=f"g{number}")
    seen, cursor = [], {}
    while True:
        found = (await api.get("/v1/groups", params={"community": "forum", "limit": 2, **cursor})).json()
        seen += [row["name"] for row in found["data"]]
        if not found["has_more"]:
            break
        cursor = {"cursor": found["next_cursor"]}
    assert seen == ["g4", "g3", "g2", "g1", "g0"]
