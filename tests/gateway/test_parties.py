import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI, Query, Response
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.timelines import WhatIsAsked
from gateway.domain.joined import Part, joined
from gateway.domain.timeline import place

from .conftest import NOWHERE, Door, serving

PARTY = f"party_{7:032x}"
SURVIVOR = f"party_{8:032x}"
START = datetime(2026, 1, 1, tzinfo=UTC)


def row(service: str, minute: int, number: int, kind: str = "purchase", **detail: Any) -> dict[str, Any]:
    at = (START + timedelta(minutes=minute)).isoformat().replace("+00:00", "Z")
    id = f"{kind}_{number:032x}"
    return {"at": at, "id": id, "kind": kind, "service": service, "recorded_at": at, "detail": detail}


class Knowing:
    """A service that knows something about a party. What is in `answers` it answers; `slow` paths it never does."""

    def __init__(self, name: str, rows: Iterable[dict[str, Any]] = ()) -> None:
        self.name = name
        self.rows = sorted(rows, key=place, reverse=True)
        self.answers: dict[str, Any] = {}
        self.queries: dict[str, dict[str, str]] = {}
        self.slow = False
        self.status = 200
        self.app = FastAPI()
        self.app.get("/internal/parties/{id}/timeline")(self.timeline)
        self.app.get("/{path:path}")(self.anything)

    async def timeline(self, response: Response, limit: int, asked: WhatIsAsked) -> dict[str, Any]:
        await self.held_up(response)
        left = [
            each
            for each in self.rows
            if place(each) < asked.place
            and asked.among([each["kind"]])
            and (not asked.departments or each["detail"]["department"] in asked.departments)
        ]
        return {"data": left[:limit], "has_more": len(left) > limit}

    async def anything(
        self, path: str, response: Response, limit: int = Query(0), status: str = "", language: str = ""
    ) -> Any:
        await self.held_up(response)
        self.queries[path] = {"limit": str(limit), "status": status, "language": language}
        if path not in self.answers:
            response.status_code = 404
        return self.answers.get(path)

    async def held_up(self, response: Response) -> None:
        response.status_code = self.status
        if self.slow:
            await asyncio.Event().wait()


KINDS = ("purchase", "lead", "post", "move")
NAMES = ("customers", "leads", "community", "scoring")


@pytest.fixture
async def knowing(door: Door) -> AsyncIterator[dict[str, Knowing]]:
    """Four services with 40 rows: every tenth instant has a row of each."""
    made = {
        name: Knowing(
            name,
            (
                row(name, minute if minute % 5 else 0, number, kind, department="sales" if minute % 2 else "support")
                for number, minute in enumerate(range(KINDS.index(kind), 40, 4))
            ),
        )
        for name, kind in zip(NAMES, KINDS, strict=True)
    }
    async with AsyncExitStack() as stack:
        for name, service in made.items():
            door.app.state.services.addresses[name] = await stack.enter_async_context(serving(service.app))
        door.app.state.settings.part_s = 5
        yield made
        for service in made.values():
            service.slow = False


def newest_first(services: Iterable[Knowing]) -> list[str]:
    rows = [each for service in services for each in service.rows]
    return [each["id"] for each in sorted(rows, key=place, reverse=True)]


async def timeline(door: Door, **query: Any) -> dict[str, Any]:
    answer = await door.client.get(f"/v1/parties/{PARTY}/timeline", params=query, headers=door.key("reader"))
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


async def walked(door: Door, **query: Any) -> list[dict[str, Any]]:
    pages = [await timeline(door, **query)]
    while pages[-1]["has_more"]:
        pages.append(await timeline(door, **query, cursor=pages[-1]["next_cursor"]))
        assert len(pages) <= 100
    return pages


@pytest.mark.parametrize("limit", [1, 7, 10, 40, 1_000])
async def test_a_timeline_is_that_of_all_services(door: Door, knowing: dict[str, Knowing], limit: int) -> None:
    pages = await walked(door, limit=limit)
    assert [each["id"] for page in pages for each in page["data"]] == newest_first(knowing.values())
    assert all(len(page["data"]) == limit for page in pages[:-1])


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 5), st.integers(0, 9)), unique=True, max_size=40),
    st.integers(1, 7),
)
def test_pages_joined_are_the_whole_in_order(told: list[tuple[str, int, int]], limit: int) -> None:
    services = {
        name: Knowing(name, (row(name, minute, number, name) for who, minute, number in told if who == name))
        for name in NAMES
    }
    positions: dict[str, Any] = dict.fromkeys(NAMES)
    read: list[str] = []
    while positions:
        parts = {}
        for name, last in positions.items():
            left = [each for each in services[name].rows if last is None or place(each) < last]
            parts[name] = Part(left[:limit], len(left) > limit)
        page = joined(parts, positions, limit=limit, key=place)
        positions = page.positions
        read += [each["id"] for each in page.rows]
    assert read == newest_first(services.values())


async def test_a_timeline_can_be_of_some_kinds_and_departments(door: Door, knowing: dict[str, Knowing]) -> None:
    pages = await walked(door, limit=3, kinds=["lead", "post"], departments="sales")
    ids = [each["id"] for page in pages for each in page["data"]]
    expected = [
        each["id"]
        for each in sorted((each for name in NAMES for each in knowing[name].rows), key=place, reverse=True)
        if each["kind"] in ("lead", "post") and each["detail"]["department"] == "sales"
    ]
    assert ids == expected
    assert [len(page["data"]) for page in pages] == [3, 3, 3, 1]


async def test_no_row_is_lost_while_a_service_is_away(door: Door, knowing: dict[str, Knowing]) -> None:
    addresses = door.app.state.services.addresses
    back, addresses["leads"] = addresses["leads"], NOWHERE
    first = await timeline(door, limit=20)
    others = [service for name, service in knowing.items() if name != "leads"]
    assert [each["id"] for each in first["data"]] == newest_first(others)[:20]
    assert first["unavailable"] == ["leads"]
    second = await timeline(door, limit=100, cursor=first["next_cursor"])
    assert (len(second["data"]), second["has_more"], second["unavailable"]) == (10, True, ["leads"])
    waiting = await timeline(door, limit=100, cursor=second["next_cursor"])
    assert (waiting["data"], waiting["has_more"], waiting["unavailable"]) == ([], True, ["leads"])
    addresses["leads"] = back
    third = await timeline(door, limit=100, cursor=waiting["next_cursor"])
    assert [each["id"] for each in third["data"]] == newest_first([knowing["leads"]])
    assert (third["has_more"], third["unavailable"]) == (False, [])


async def test_a_timeline_ends_where_a_service_is_not_installed(door: Door, knowing: dict[str, Knowing]) -> None:
    before = await timeline(door, limit=5)
    del door.app.state.services.addresses["community"]
    others = [service for name, service in knowing.items() if name != "community"]
    pages = await walked(door, limit=7)
    assert [each["id"] for page in pages for each in page["data"]] == newest_first(others)
    assert all(page["unavailable"] == [] for page in pages)
    rest = await timeline(door, limit=1_000, cursor=before["next_cursor"])
    assert (rest["has_more"], rest["unavailable"]) == (False, [])


async def test_a_view_says_which_service_is_not_installed(door: Door, knowing: dict[str, Knowing]) -> None:
    all_known(knowing)
    del door.app.state.services.addresses["community"]
    seen = await view(door)
    assert seen["community"] == {"status": "not_installed", "data": None}
    assert {seen[part]["status"] for part in PARTS if part != "community"} == {"ok"}


async def test_a_slow_service_does_not_hold_up_a_timeline(door: Door, knowing: dict[str, Knowing]) -> None:
    door.app.state.settings.part_s = 3
    knowing["community"].slow = True
    knowing["scoring"].status = 500
    page = await timeline(door, limit=1_000)
    assert page["unavailable"] == ["community", "scoring"]
    assert len(page["data"]) == 20


@pytest.mark.parametrize("cursor", ["x", "W10", "W3sic2hvZXMiOiBudWxsfV0", "W3sibGVhZHMiOiBbIm5vdyIsICIiXX1d"])
async def test_a_cursor_of_another_list_is_refused(door: Door, knowing: dict[str, Knowing], cursor: str) -> None:
    answer = await door.client.get(f"/v1/parties/{PARTY}/timeline", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_cursor")


def all_known(knowing: dict[str, Knowing], resolves_to: str = PARTY) -> None:
    knowing["customers"].answers = {
        f"v1/parties/{PARTY}": {"id": resolves_to, "kind": "person"},
        "v1/problems": {"data": [{"id": "problem_1"}], "has_more": False},
        "v1/interactions": {"data": [], "has_more": False},
    }
    knowing["scoring"].answers = {f"v1/standings/{PARTY}": {"party_id": resolves_to, "stage": "customer"}}
    knowing["leads"].answers = {f"internal/parties/{PARTY}/leads": {"data": [{"id": "lead_1"}], "has_more": False}}
    knowing["community"].answers = {f"internal/parties/{PARTY}/community": {"members": []}}


async def view(door: Door) -> dict[str, Any]:
    answer = await door.client.get(f"/v1/parties/{PARTY}/360", headers=door.key("reader"))
    assert answer.status_code == 200, answer.text
    seen: dict[str, Any] = answer.json()
    return seen


async def test_a_view_says_why_in_the_language_that_is_asked_for(door: Door, knowing: dict[str, Knowing]) -> None:
    all_known(knowing)
    path, reader = f"/v1/parties/{PARTY}/360", door.key("reader")
    for language in ("zh-Hant", "en"):
        await door.client.get(path, params={"language": language}, headers=reader)
        assert knowing["scoring"].queries[f"v1/standings/{PARTY}"]["language"] == language
    assert (await door.client.get(path, params={"language": "fr"}, headers=reader)).status_code == 422


PARTS = ("party", "standing", "leads", "community", "problems", "interactions")


async def test_a_view_has_what_each_service_knows(door: Door, knowing: dict[str, Knowing]) -> None:
    all_known(knowing)
    seen = await view(door)
    assert (seen["party_id"], seen["resolves_to"]) == (PARTY, PARTY)
    assert {seen[part]["status"] for part in PARTS} == {"ok"}
    assert seen["party"]["data"] == {"id": PARTY, "kind": "person"}
    assert seen["standing"]["data"]["stage"] == "customer"
    assert seen["leads"]["data"]["data"] == [{"id": "lead_1"}]
    assert seen["community"]["data"] == {"members": []}
    assert knowing["customers"].queries["v1/problems"] == {"limit": "10", "status": "open", "language": ""}


async def test_a_merged_party_leads_to_the_one_that_it_is_part_of(door: Door, knowing: dict[str, Knowing]) -> None:
    all_known(knowing, resolves_to=SURVIVOR)
    assert (await view(door))["resolves_to"] == SURVIVOR
    door.app.state.services.addresses["customers"] = NOWHERE
    seen = await view(door)
    assert (seen["resolves_to"], seen["party"], seen["problems"]["status"]) == (
        SURVIVOR,
        {"status": "unavailable", "data": None},
        "unavailable",
    )


async def test_a_view_does_not_wait_for_what_is_slow_or_down(door: Door, knowing: dict[str, Knowing]) -> None:
    all_known(knowing)
    door.app.state.settings.part_s = 3
    knowing["leads"].slow = True
    knowing["community"].status = 500
    knowing["community"].answers[f"internal/parties/{PARTY}/community"] = None
    seen = await view(door)
    assert {part: seen[part]["status"] for part in PARTS} == {
        "party": "ok",
        "standing": "ok",
        "leads": "slow",
        "community": "unavailable",
        "problems": "ok",
        "interactions": "ok",
    }
    assert seen["leads"]["data"] is seen["community"]["data"] is None


async def test_what_a_key_may_not_read_is_marked(door: Door, knowing: dict[str, Knowing]) -> None:
    all_known(knowing)
    knowing["leads"].status = 403
    assert (await view(door))["leads"] == {"status": "forbidden", "data": None}


async def test_there_is_no_party_where_customers_and_scoring_both_say_so(
    door: Door, knowing: dict[str, Knowing]
) -> None:
    all_known(knowing)
    known = knowing["scoring"].answers
    knowing["customers"].answers = {}
    prospect = await view(door)
    assert (prospect["party"]["status"], prospect["resolves_to"]) == ("not_found", PARTY)
    knowing["scoring"].answers = {}
    nobody = await door.client.get(f"/v1/parties/{PARTY}/360")
    assert (nobody.status_code, nobody.json()["code"]) == (404, "party_not_found")
    knowing["scoring"].answers, knowing["scoring"].status = known, 500
    unsure = await view(door)
    assert (unsure["standing"]["status"], unsure["resolves_to"]) == ("unavailable", None)


async def test_an_id_that_is_none_is_told_what_one_looks_like(door: Door, knowing: dict[str, Knowing]) -> None:
    for path in ("party_1/360", "party_1/timeline", f"{PARTY}x/360"):
        answer = await door.client.get(f"/v1/parties/{path}")
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "#/path/party_id")
    ingest = await door.client.get(f"/v1/parties/{PARTY}/360", headers=door.key("ingest"))
    assert ingest.status_code == 403
