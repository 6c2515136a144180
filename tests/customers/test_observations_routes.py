import asyncio

import pytest

from tests.customers.test_interactions_routes import UNKNOWN

AT = "2026-01-05T10:00:00Z"


@pytest.fixture
async def ann(api):
    return await party(api, "ann")


async def party(api, *customers):
    identifiers = [{"scheme": "external", "system": "shop", "value": value} for value in customers]
    return (await api.post("/v1/parties", json={"identifiers": identifiers})).json()["id"]


def noticed(aspect="mood", at=AT, **other):
    return {"occurred_at": at, "aspect": aspect, "rating": 4} | other


async def observe(api, party_id, *args, **other):
    answer = await api.post(f"/v1/parties/{party_id}/observations", json=noticed(*args, **other))
    assert answer.status_code == 201, answer.text
    return answer.json()


async def listed(api, party_id, **query):
    answer = await api.get(f"/v1/parties/{party_id}/observations", params=query)
    assert answer.status_code == 200, answer.text
    return [(row["aspect"], row["rating"]) for row in answer.json()["data"]]


async def test_an_observation_is_kept_whole_and_told_to_nobody(api, published, ann):
    await published()
    author = f"user_{9:032x}"
    said = {"text": "Tired of waiting.", "rating": 2, "certainty": "stated", "author_id": author, "source": "shop"}

    answer = await api.post(f"/v1/parties/{ann}/observations", json=noticed(**said, source_id="o1"))

    seen = answer.json()
    assert (answer.status_code, answer.headers["etag"]) == (201, '"1"')
    assert {name: seen[name] for name in said} == said
    assert (seen["party_id"], seen["aspect"], seen["occurred_at"]) == (ann, "mood", AT)
    assert (await api.get(answer.headers["location"])).json() == seen
    assert await published() == []


async def test_the_same_again_is_a_duplicate_and_anything_else_under_the_id_a_conflict(api, ann):
    first = await observe(api, ann, source_id="o1")

    again = await api.post(f"/v1/parties/{ann}/observations", json=noticed(source_id="o1"))
    other = await api.post(f"/v1/parties/{ann}/observations", json=noticed(source_id="o1", rating=5))

    assert (again.status_code, again.json()) == (200, first)
    assert (other.status_code, other.json()["code"]) == (409, "observation_conflict")
    assert other.json()["correct"] == f"/v1/observations/{first['id']}/correct"


@pytest.mark.parametrize(
    "wrong",
    [
        {"aspect": "weather"},
        {"aspect": "preference:"},
        {"aspect": "need:Green Tea"},
        {"aspect": "mood:bad"},
        {"rating": 6},
        {"rating": "4"},
        {"rating": None},
        {"rating": None, "text": ""},
        {"text": "a\x00b"},
        {"certainty": "maybe"},
        {"occurred_at": "2026-01-05"},
        {"occurred_at": "2999-01-05T00:00:00Z"},
        {"x": 1},
    ],
)
async def test_what_says_nothing_or_is_no_observation_is_refused(api, ann, wrong):
    answer = await api.post(f"/v1/parties/{ann}/observations", json=noticed() | wrong)

    assert answer.status_code == 422, answer.text
    assert await listed(api, ann) == []


async def test_a_series_is_read_whole_by_aspect_or_as_it_was_on_a_day(api, ann):
    for day, rating in ((1, 5), (10, 1), (20, 3)):
        await observe(api, ann, at=f"2026-01-{day:02}T23:30:00Z", rating=rating)
    await observe(api, ann, "preference:tea", "2026-01-05T00:00:00Z", rating=5)
    await observe(api, ann, "need:parking", "2026-01-15T00:00:00Z", rating=2)

    series = [("mood", 3), ("need:parking", 2), ("mood", 1), ("preference:tea", 5), ("mood", 5)]
    assert await listed(api, ann) == series
    assert await listed(api, ann, aspect="mood") == [each for each in series if each[0] == "mood"]
    assert await listed(api, ann, since="2026-01-05T00:00:00Z", until="2026-01-15T00:00:00Z") == series[2:4]
    assert await listed(api, ann, as_of="2025-12-31") == []
    assert await listed(api, ann, as_of="2026-01-09") == [("preference:tea", 5), ("mood", 5)]
    assert await listed(api, ann, as_of="2026-01-10") == [("preference:tea", 5), ("mood", 5)]
    assert await listed(api, ann, as_of="2026-01-11") == [("mood", 1), ("preference:tea", 5)]
    assert await listed(api, ann, as_of="2026-01-31") == [("mood", 3), ("need:parking", 2), ("preference:tea", 5)]
    assert await listed(api, ann, as_of="2026-01-31", aspect="mood") == [("mood", 3)]


@pytest.mark.parametrize("query", [{}, {"as_of": "2026-01-31"}])
async def test_observations_are_listed_page_by_page(api, ann, query):
    for number in range(5):
        await observe(api, ann, f"need:thing{number}", text=f"{number}")
    path, rows, asked = f"/v1/parties/{ann}/observations", [], query | {"limit": 2}

    while True:
        page = (await api.get(path, params=asked)).json()
        rows += [row["text"] for row in page["data"]]
        if not page["has_more"]:
            break
        asked["cursor"] = page["next_cursor"]

    assert sorted(rows) == ["0", "1", "2", "3", "4"]


async def test_what_is_put_right_stays_readable_as_it_was(api, ann, published):
    first = await observe(api, ann, text="Cross.", rating=1)
    await published()
    path = f"/v1/observations/{first['id']}"

    right = await api.post(f"{path}/correct", json={"text": None, "rating": 2}, headers={"If-Match": '"1"'})
    stale = await api.post(f"{path}/correct", json={"rating": 3}, headers={"If-Match": '"1"'})
    empty = await api.post(f"{path}/correct", json={"rating": None})

    assert (right.status_code, right.headers["etag"]) == (200, '"2"')
    assert (right.json()["rating"], right.json()["text"], right.json()["version"]) == (2, None, 2)
    assert (stale.status_code, empty.status_code, empty.json()["code"]) == (412, 422, "nothing_observed")
    versions = (await api.get(f"{path}/versions")).json()["data"]
    assert [(each["version"], each["text"], each["rating"]) for each in versions] == [(2, None, 2), (1, "Cross.", 1)]
    assert await listed(api, ann, as_of="2026-01-31") == [("mood", 2)]
    assert await published() == []


async def test_what_is_withdrawn_is_in_no_list_and_stays_readable(api, ann, published):
    first = await observe(api, ann, rating=1, source_id="o1")
    await observe(api, ann, at="2026-01-01T00:00:00Z", rating=5)
    await published()
    path = f"/v1/observations/{first['id']}"

    gone = [(await api.post(f"{path}/withdraw")).json() for _ in range(2)]
    corrected = await api.post(f"{path}/correct", json={"rating": 3})

    assert gone[0] == gone[1] == (await api.get(path)).json()
    assert (gone[0]["version"], corrected.json()["code"]) == (2, "already_withdrawn")
    assert await listed(api, ann) == await listed(api, ann, as_of="2026-01-31") == [("mood", 5)]
    assert await published() == []
    assert (await observe(api, ann, source_id="o1"))["id"] != first["id"]


async def test_observations_follow_merges_and_go_back(api, ann):
    bob = await party(api, "bob")
    await observe(api, ann, rating=1)
    await observe(api, bob, at="2026-01-06T00:00:00Z", rating=5)

    merge = (await api.post(f"/v1/parties/{ann}/merge", json={"party_id": bob})).json()
    together = await listed(api, ann), await listed(api, bob), await listed(api, bob, as_of="2026-01-31")
    await api.post(f"/v1/parties/{ann}/unmerge", json={"merge_id": merge["id"]})

    assert together == ([("mood", 5), ("mood", 1)], [("mood", 5), ("mood", 1)], [("mood", 5)])
    assert (await listed(api, ann), await listed(api, bob)) == ([("mood", 1)], [("mood", 5)])


async def test_one_that_was_about_somebody_else_is_put_right(api, ann):
    bob = await party(api, "bob")
    first = await observe(api, ann)

    right = await api.post(f"/v1/observations/{first['id']}/correct", json={"party_id": bob})

    assert right.json()["party_id"] == bob
    assert (await listed(api, ann), await listed(api, bob)) == ([], [("mood", 4)])


async def test_the_timeline_shows_observations_with_what_was_said(api, ann):
    author = f"user_{9:032x}"
    seen = await observe(api, ann, "preference:tea", text="Green. " + "x" * 300, author_id=author)

    path = f"/internal/parties/{ann}/timeline"
    [entry] = (await api.get(path, params={"kinds": "observation"})).json()["data"]

    assert (entry["at"], entry["id"], entry["kind"]) == (AT, seen["id"], "observation")
    detail = entry["detail"]
    assert (detail["aspect"], detail["rating"], detail["certainty"]) == ("preference:tea", 4, "noticed")
    assert (len(detail["excerpt"]), detail["author_id"]) == (280, author)
    assert (await api.get(detail["versions"])).json()["data"][0]["id"] == seen["id"]
    assert (await api.get(path, params={"departments": "sales", "kinds": "observation"})).json()["data"] == []


async def test_what_is_told_at_once_under_one_id_is_recorded_once(api, ann):
    path, body = f"/v1/parties/{ann}/observations", noticed(source_id="o1")

    answers = await asyncio.gather(*(api.post(path, json=body) for _ in range(5)))

    assert sorted(answer.status_code for answer in answers) == [200] * 4 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_who_and_what_is_unknown_is_not_found(api, ann):
    nobody = await api.post(f"/v1/parties/party_{UNKNOWN}/observations", json=noticed())
    nothing = f"/v1/observations/observation_{UNKNOWN}"

    assert (nobody.status_code, nobody.json()["code"]) == (404, "party_not_found")
    assert (await api.get(f"/v1/parties/party_{UNKNOWN}/observations")).json()["code"] == "party_not_found"
    for answer in (await api.get(nothing), await api.get(f"{nothing}/versions"), await api.post(f"{nothing}/withdraw")):
        assert (answer.status_code, answer.json()["code"]) == (404, "observation_not_found")
