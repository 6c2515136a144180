import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from chassis.db import driver
from chassis.timelines import Asked
from contracts.customers import Department
from services.customers.queries.timelines import statement

ANN = f"user_{21:032x}"


def identifier(value):
    return {"scheme": "external", "system": "shop", "value": value}


def said(value="c1", day=5, **other):
    return {
        "identifier": identifier(value),
        "source": "shop",
        "occurred_at": f"2026-01-{day:02}T10:00:00Z",
    } | other


def bought(value="c1", day=5, **other):
    return said(value, day, currency="EUR", amount_minor=500, **other)


def called(value="c1", day=5, **other):
    return said(value, day, department="sales", channel="phone", kind="contact", direction="inbound", **other)


async def post(api, path, **body):
    answer = await api.post(f"/v1/{path}", json=body)
    assert answer.is_success, answer.text
    return answer.json()


async def pages(api, party_id, size=1_000, **params):
    """The whole timeline, read in pages."""
    seen, place = [], {}
    while True:
        asked = {"limit": size} | params | place
        answer = await api.get(f"/internal/parties/{party_id}/timeline", params=asked)
        assert answer.status_code == 200, answer.text
        seen += answer.json()["data"]
        if not answer.json()["has_more"]:
            return seen
        place = {"before_at": seen[-1]["at"], "before_id": seen[-1]["id"]}


async def full(api):
    """A party with an entry of every kind."""
    purchase = await post(api, "purchases", **bought(day=1, lines=[{"product": "tea"}]))
    party_id = purchase["party_id"]
    await post(api, f"purchases/{purchase['id']}/returns", **{"occurred_at": "2026-01-02T10:00:00Z", "amount_minor": 1})
    await post(api, "interactions", **called(day=3, text="x" * 300, problem={"category": "delivery"}))
    [problem] = (await api.get("/v1/problems", params={"party_id": party_id})).json()["data"]
    for day, step in ((4, "solve"), (5, "reopen"), (6, "solve")):
        at = f"2026-01-{day:02}T10:00:00Z"
        await post(api, f"problems/{problem['id']}/{step}", occurred_at=at, note=f"note {day}")
    await api.put(f"/v1/parties/{party_id}/owner", json={"owner_id": ANN, "team_id": None})
    await post(api, f"parties/{party_id}/identifiers", identifier={"scheme": "email", "value": "ann@example.org"})
    held = (await api.get(f"/v1/parties/{party_id}")).json()["identifiers"]
    await post(api, f"parties/{party_id}/identifiers/{held[-1]['identity_id']}/release")
    other = (await post(api, "parties"))["id"]
    merge = await post(api, f"parties/{party_id}/merge", party_id=other)
    await post(api, f"parties/{party_id}/unmerge", merge_id=merge["id"])
    return party_id


async def test_a_timeline_has_all_that_passed_with_a_party_the_latest_first(api):
    party_id = await full(api)
    entries = await pages(api, party_id)
    assert sorted(entry["kind"] for entry in entries) == [
        "identifier_added",
        "identifier_added",
        "identifier_released",
        "interaction",
        "merged",
        "owner_changed",
        "problem_opened",
        "problem_reopened",
        "problem_solved",
        "problem_solved",
        "purchase",
        "return",
        "unmerged",
    ]
    keys = [(datetime.fromisoformat(entry["at"]), entry["id"]) for entry in entries]
    assert keys == sorted(keys, reverse=True)
    assert len(set(keys)) == len(keys)
    assert {entry["service"] for entry in entries} == {"customers"}
    assert all(entry["recorded_at"] and entry["detail"] for entry in entries)
    by_kind = {entry["kind"]: entry for entry in entries}
    purchase, interaction = by_kind["purchase"], by_kind["interaction"]
    assert (purchase["detail"]["amount_minor"], purchase["detail"]["line_count"]) == (500, 1)
    assert (await api.get(purchase["detail"]["versions"])).status_code == 200
    assert (interaction["detail"]["department"], len(interaction["detail"]["excerpt"])) == ("sales", 280)
    assert by_kind["problem_reopened"]["detail"]["note"] == "note 5"
    assert by_kind["owner_changed"]["detail"]["owner_id"] == ANN
    assert by_kind["identifier_released"]["detail"]["value"] == "ann@example.org"


@pytest.mark.parametrize("size", [1, 2, 5])
async def test_pages_of_any_size_join_to_the_same_timeline(api, size):
    party_id = await full(api)
    assert await pages(api, party_id, size) == await pages(api, party_id)


async def test_entries_of_one_instant_are_told_apart_by_their_ids(api):
    for number in range(3):
        purchase = await post(api, "purchases", **bought(source_id=f"o{number}"))
        await post(api, "returns", **bought(source_id=f"r{number}"))
        await post(api, "interactions", **called(source_id=f"i{number}"))
    entries = await pages(api, purchase["party_id"], 2)
    ids = [entry["id"] for entry in entries if not entry["id"].startswith("identity")]
    assert len(ids) == 9
    assert ids == sorted(ids, reverse=True)


async def test_what_was_put_right_is_shown_once_and_what_was_withdrawn_as_such(api):
    purchase = await post(api, "purchases", **bought())
    interaction = await post(api, "interactions", **called(day=6))
    await post(api, f"purchases/{purchase['id']}/correct", amount_minor=7)
    await post(api, f"interactions/{interaction['id']}/withdraw")
    shown = {entry["id"]: entry["detail"] for entry in await pages(api, purchase["party_id"])}
    assert (shown[purchase["id"]]["amount_minor"], shown[purchase["id"]]["version"]) == (7, 2)
    assert "withdrawn_at" not in shown[purchase["id"]]
    assert shown[interaction["id"]]["withdrawn_at"]


async def test_a_timeline_is_narrowed_to_kinds_and_departments(api):
    party_id = await full(api)
    await post(api, "interactions", **called(day=9) | {"department": "service"})
    kinds = ["problem_solved", "merged"]
    assert {entry["kind"] for entry in await pages(api, party_id, 1, kinds=kinds)} == set(kinds)
    departments = await pages(api, party_id, 1, departments=["service", "finance"])
    assert [entry["detail"]["department"] for entry in departments] == ["service"]
    both = await pages(api, party_id, kinds=["purchase"], departments=["service"])
    assert both == []
    of_others = {"kinds": ["moved", "purchase"], "departments": ["elsewhere"]}
    assert [entry["kind"] for entry in await pages(api, party_id, kinds=of_others["kinds"])] == ["purchase"]
    assert await pages(api, party_id, kinds=["moved"]) == await pages(api, party_id, **of_others) == []


async def test_days_before_a_number_changed_hands_stay_with_the_first(api):
    first = await post(api, "purchases", **bought(day=5))
    problem = await post(api, "problems", **said(day=5), category="delivery")
    path = f"parties/{first['party_id']}/identifiers/{first['identity_id']}/release"
    await post(api, path, from_day="2026-01-06")
    second = await post(api, "purchases", **bought(day=7))
    await post(api, f"problems/{problem['id']}/solve", occurred_at="2026-01-08T10:00:00Z")
    assert second["party_id"] != first["party_id"]
    ours = [entry["kind"] for entry in await pages(api, first["party_id"])]
    assert sorted(ours) == [
        "identifier_added",
        "identifier_released",
        "problem_opened",
        "problem_solved",
        "purchase",
    ]
    theirs = await pages(api, second["party_id"])
    assert [entry["kind"] for entry in theirs] == ["purchase", "identifier_added"]
    assert theirs[1]["at"] == "2026-01-05T23:00:00Z"


async def test_a_merged_party_has_the_timelines_of_both_and_an_unmerged_one_its_own(api):
    one, other = [await post(api, "purchases", **bought(value)) for value in ("a", "b")]
    merge = await post(api, f"parties/{one['party_id']}/merge", party_id=other["party_id"])
    kinds = {"kinds": ["purchase"]}
    for asked in (one, other):
        entries = await pages(api, asked["party_id"], 1, **kinds)
        assert {entry["id"] for entry in entries} == {one["id"], other["id"]}
    await post(api, f"parties/{one['party_id']}/unmerge", merge_id=merge["id"])
    for asked in (one, other):
        assert [entry["id"] for entry in await pages(api, asked["party_id"], **kinds)] == [asked["id"]]


async def test_a_place_is_an_instant_or_an_entry(api):
    party_id = (await post(api, "purchases", **bought()))["party_id"]
    path = f"/internal/parties/{party_id}/timeline"
    assert (await api.get(path, params={"before_at": "2026-01-05T10:00:00Z"})).json()["data"] == []
    for foreign, count in (("zebra_1", 1), ("apple_1", 0), ("purchase_x", 1)):
        place = {"before_at": "2026-01-05T10:00:00Z", "before_id": foreign}
        assert len((await api.get(path, params=place)).json()["data"]) == count
    unknown = await api.get(f"/internal/parties/party_{1:032x}/timeline")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "party_not_found")


async def test_a_page_reads_no_more_of_a_long_history_than_it_shows(api, database, here):
    party_id = UUID(hex=(await post(api, "purchases", **bought()))["party_id"].removeprefix("party_"))
    async with database.transaction() as session:
        connection = await driver(session)
        for statement_of_many in (MANY_PURCHASES, MANY_INTERACTIONS):
            await connection.execute(statement_of_many, party_id)

    async def most_rows(asked):
        query, arguments = statement(party_id, here, asked, 51)
        async with database.transaction() as session:
            plan = await (await driver(session)).fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", *arguments)
        return most((plan if isinstance(plan, list) else json.loads(plan))[0]["Plan"])

    for before_at in (datetime(9999, 1, 1, tzinfo=UTC), NEW_YEAR - timedelta(minutes=5_000), NEW_YEAR):
        assert await most_rows(Asked(before_at)) <= 400
    assert await most_rows(Asked(NEW_YEAR, departments=[Department.SALES])) <= 400


NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)

MANY_PURCHASES = """
INSERT INTO purchase (id, identity_id, source, occurred_at, currency, amount_minor, lines, fact_id, recorded_at)
SELECT gen_random_uuid(), $1, 'shop', timestamptz '2026-01-01 00:00Z' - nth * interval '1 minute', 'EUR', 5, '[]',
    gen_random_uuid(), now()
FROM generate_series(1, 10000) AS nth
"""

MANY_INTERACTIONS = """
INSERT INTO interaction
    (id, identity_id, source, occurred_at, department, channel, kind, direction, fact_id, recorded_at)
SELECT gen_random_uuid(), $1, 'shop', timestamptz '2026-01-01 00:00Z' - nth / 100 * interval '1 hour', 'sales', 'web',
    'view', 'inbound', gen_random_uuid(), now()
FROM generate_series(1, 10000) AS nth
"""
"""A hundred at each instant."""


def most(plan):
    """The most rows that a node of a plan gave or left out."""
    own = (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * plan["Actual Loops"]
    return max([own, *map(most, plan.get("Plans", []))])
