"""The life of policies over HTTP, with a real database."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from chassis.clock import now
from chassis.db import Database, driver
from chassis.http import encode_cursor
from chassis.ids import uuid7
from contracts.scoring import Stage
from services.scoring.domain.model import Model
from services.scoring.domain.policy import Policy
from services.scoring.domain.presets import DAYS_1, DEFAULT_1, PRESETS
from services.scoring.domain.quality import Quality
from services.scoring.handlers import sweeping
from services.scoring.handlers.activating import activate_next
from services.scoring.handlers.sweeping import sweep_once
from services.scoring.queries import everybody
from services.scoring.queries.activations import plan as keep_plan
from services.scoring.queries.models import add_model
from services.scoring.queries.parties import NOBODY
from services.scoring.queries.policies import activate, draft, tried
from tests.scoring.feeding import JUNE, Feeding
from tests.scoring.filed import exported
from tests.scoring.test_routes_proof import verified
from tests.scoring.test_sweeping import moves, read_until, rows

STRICT = {"name": "strict", "persons": {"customers": {"by": "days", "lost_after_days": 180}}}
ENDLESS, POSTURE = float("inf"), "posture/developing_from"
FIRST = DEFAULT_1.content_hash


async def drafted(api: httpx.AsyncClient, **body: Any) -> Any:
    answer = await api.post("/v1/policies", json=body)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


async def was_tried(database: Database, hash: str) -> None:
    """A trial of it has ended."""
    async with database.transaction() as session:
        await tried(await driver(session), hash, now())


async def approved(api: httpx.AsyncClient, database: Database, **body: Any) -> str:
    hash: str = (await drafted(api, **body))["hash"]
    await was_tried(database, hash)
    assert (await api.post(f"/v1/policies/{hash}/approve")).status_code == 200
    return hash


async def test_the_policy_of_the_first_start_is_active(api: httpx.AsyncClient) -> None:
    (first,) = (await api.get("/v1/policies")).json()["data"]

    assert (first["hash"], first["name"], first["state"]) == (FIRST, "default-1", "active")
    assert first["activated_at"]
    told = (await api.get(f"/v1/policies/{FIRST}")).json()
    assert Policy.model_validate(told["document"]) == DEFAULT_1
    assert told["planned"] == []


async def test_a_part_of_a_document_is_laid_over_the_active_policy(api: httpx.AsyncClient) -> None:
    answer = await api.post("/v1/policies", json={"document": STRICT})
    again = await api.post("/v1/policies", json={"document": STRICT})

    assert (answer.status_code, again.status_code) == (201, 200)
    told = answer.json()
    assert answer.headers["location"] == f"/v1/policies/{told['hash']}"
    assert told == again.json() == (await api.get(answer.headers["location"])).json()
    assert (told["state"], told["created_by"], told["name"]) == ("draft", "tests", "strict")
    assert told["document"]["persons"]["customers"] == {
        "by": "days",
        "dormant_after_days": 90,
        "lost_after_days": 180,
    }
    assert told["document"]["vip"] == DEFAULT_1.model_dump(mode="json")["vip"]
    assert Policy.model_validate(told["document"]).content_hash == told["hash"]


async def test_a_policy_that_was_stored_in_another_order_decides_under_its_hash(
    api: httpx.AsyncClient, scoring: Database, feed: Feeding
) -> None:
    reasons = ["unknown", "price", "unknown"]
    written = Policy.stored(json.dumps({**DAYS_1.model_dump(mode="json"), "follow_up_reasons": reasons}))
    async with scoring.transaction() as session:
        await draft(await driver(session), written, now(), "tests")
    await was_tried(scoring, written.content_hash)
    assert (await api.post(f"/v1/policies/{written.content_hash}/approve")).status_code == 200
    assert (await api.post(f"/v1/policies/{written.content_hash}/activate")).status_code == 200

    somebody = feed.identity()
    await feed.bought(somebody, JUNE, 1_000)

    hash = (await api.get(f"/v1/standings/party_{somebody.hex}")).json()["reasons"]["policy_hash"]
    told = (await api.get(f"/v1/policies/{hash}")).json()
    assert (told["hash"], told["document"]["follow_up_reasons"]) == (written.content_hash, reasons)
    assert (await drafted(api, document={"horizon_days": 90}))["document"]["follow_up_reasons"] == ["price", "unknown"]


async def test_a_whole_document_or_a_part_laid_over_a_base_or_a_preset_is_drafted(api: httpx.AsyncClient) -> None:
    base = await drafted(api, document=STRICT)

    whole = await drafted(api, document=DAYS_1.model_dump(mode="json"))
    over = await drafted(api, document={"horizon_days": 90}, base=base["hash"])
    preset = await drafted(api, preset="retention_first")
    both = await drafted(api, preset="days-1", document={"vip": None})

    assert whole["hash"] == DAYS_1.content_hash
    assert (over["document"]["name"], over["document"]["horizon_days"]) == ("strict", 90)
    assert preset["hash"] == PRESETS["retention_first"].content_hash
    assert (both["document"]["persons"]["customers"]["by"], both["document"]["vip"]) == ("days", None)


@pytest.mark.parametrize(
    ("body", "status", "code", "pointer"),
    [
        ({}, 422, "invalid_request", "#"),
        ({"horizon_days": 90}, 422, "invalid_request", "#/horizon_days"),
        ({"document": {"horizon_days": 0}}, 422, "bad_policy", "#/document/horizon_days"),
        ({"document": {"colour": "red"}}, 422, "bad_policy", "#/document/colour"),
        (
            {"document": {"posture": {"developing_from": float("inf")}}},
            422,
            "bad_policy",
            "#/document/posture/developing_from",
        ),
        ({"document": {"cuts": {"top": 10**30}}}, 422, "bad_policy", "#/document/cuts/top"),
        ({"document": {"\x00": 1}}, 422, "bad_policy", "#/document/\x00"),
        ({"base": "0" * 64, "document": {"horizon_days": 9}}, 404, "policy_not_found", None),
        ({"base": FIRST, "preset": "days-1"}, 422, "invalid_request", "#"),
        ({"preset": "days-2"}, 404, "preset_not_found", None),
    ],
)
async def test_what_is_no_policy_is_refused_and_pointed_at(
    api: httpx.AsyncClient, body: Any, status: int, code: str, pointer: str | None
) -> None:
    answer = await api.post("/v1/policies", content=json.dumps(body), headers={"Content-Type": "application/json"})

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert [error["pointer"] for error in answer.json().get("errors", [])] == ([pointer] if pointer else [])
    assert len((await api.get("/v1/policies")).json()["data"]) == 1


async def test_what_cannot_be_text_is_refused_and_never_a_fault(api: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/json"}
    for document in ('{"\\ud800": 1}', '{"name": "\\ud800"}', '{"vip": {"field": "\\ud800", "op": "eq", "value": 1}}'):
        answer = await api.post("/v1/policies", content=f'{{"document": {document}}}', headers=headers)
        assert answer.status_code in (400, 422), answer.text
    cursor = encode_cursor(datetime(2026, 1, 1, tzinfo=UTC), "\x00")
    assert (await api.get("/v1/policies", params={"cursor": cursor})).json()["code"] == "bad_cursor"


async def test_policies_are_listed_the_last_one_first_and_by_state(api: httpx.AsyncClient, scoring: Database) -> None:
    for days in (100, 200, 300):
        await drafted(api, document={"horizon_days": days, "name": f"h-{days}"})

    first = (await api.get("/v1/policies", params={"limit": 3})).json()
    rest = (await api.get("/v1/policies", params={"limit": 3, "cursor": first["next_cursor"]})).json()
    drafts = (await api.get("/v1/policies", params={"state": "draft"})).json()["data"]

    assert [each["name"] for each in first["data"]] == ["h-300", "h-200", "h-100"]
    assert [each["name"] for each in rest["data"]] == ["default-1"]
    assert [each["name"] for each in drafts] == ["h-300", "h-200", "h-100"]


async def test_the_schema_tells_every_field_with_its_meaning(api: httpx.AsyncClient) -> None:
    schema = (await api.get("/v1/policies/schema")).json()

    shapes = [schema, *schema["$defs"].values()]
    fields = [(shape["title"], name, field) for shape in shapes for name, field in shape.get("properties", {}).items()]
    assert [(shape, name) for shape, name, field in fields if not field.get("description")] == []
    assert schema["properties"]["horizon_days"]["default"] == 180
    assert {name for _, name, field in fields if "default" not in field} <= {
        "name", "weights", "treatment", "from_minor", "top", "high", "mid", "field", "op", "value", "all", "any", "not",
    }  # fmt: skip


async def test_presets_are_offered_and_become_drafts_when_asked_for(api: httpx.AsyncClient) -> None:
    await drafted(api, preset="days-1")

    presets = {preset["name"]: preset for preset in (await api.get("/v1/policies/presets")).json()["data"]}

    assert {name: preset["state"] for name, preset in presets.items()} == {
        "default-1": "active",
        "days-1": "draft",
        "retention_first": None,
        "acquisition_first": None,
    }
    assert all(Policy.model_validate(each["document"]).content_hash == each["hash"] for each in presets.values())


async def test_what_differs_from_the_active_policy_or_another_is_told_in_sentences(api: httpx.AsyncClient) -> None:
    strict = await drafted(api, document={"name": "default-1", "persons": {"prospects": {"lost_after_days": 90}}})
    days = await drafted(api, preset="days-1")

    found = (await api.get(f"/v1/policies/{strict['hash']}/diff")).json()
    against = (await api.get(f"/v1/policies/{FIRST}/diff", params={"against": days["hash"]})).json()

    assert found == {
        "policy": strict["hash"],
        "against": FIRST,
        "differences": [
            {
                "field": "/persons/prospects/lost_after_days",
                "sentence": "Whoever never bought is lost when more than 90 days have passed since the last sign of"
                " interest, instead of 180.",
            }
        ],
    }
    assert [each["field"] for each in against["differences"]] == ["/name", "/persons/customers/by"]
    assert (await api.get(f"/v1/policies/{'0' * 64}/diff")).json()["code"] == "policy_not_found"


async def test_what_may_not_be_done_yet_is_refused_with_the_way_out(api: httpx.AsyncClient, scoring: Database) -> None:
    hash = (await drafted(api, document=STRICT))["hash"]

    for act, says in (("approve", "trial"), ("activate", "not tried")):
        answer = await api.post(f"/v1/policies/{hash}/{act}")
        assert (answer.status_code, answer.json()["code"]) == (409, "illegal_policy_move")
        assert says in answer.json()["detail"]
        assert (answer.json()["state"], answer.json()["allowed"]) == ("draft", ["draft", "retire", "try"])
    await was_tried(scoring, hash)
    answer = await api.post(f"/v1/policies/{hash}/activate")
    assert "admin approve it" in answer.json()["detail"]
    answer = await api.post(f"/v1/policies/{FIRST}/retire")
    assert "Activate another policy" in answer.json()["detail"]
    for act in ("approve", "activate", "retire"):
        assert (await api.post(f"/v1/policies/{'0' * 64}/{act}")).json()["code"] == "policy_not_found"


async def test_an_activated_policy_decides_and_retires_the_one_before(
    api: httpx.AsyncClient, scoring: Database, feed: Feeding
) -> None:
    hash = await approved(api, scoring, document=STRICT)

    answer = await api.post(f"/v1/policies/{hash}/activate")

    assert answer.status_code == 200
    told = answer.json()
    assert (told["state"], told["activated_by"], told["approved_by"]) == ("active", "tests", "tests")
    before = (await api.get(f"/v1/policies/{FIRST}")).json()
    assert (before["state"], before["retired_by"]) == ("retired", "tests")
    assert (await api.get("/v1/tiers")).json()["policy"] == "strict"
    assert [row["reason"] for row in await rows(scoring, "SELECT reason FROM ruling ORDER BY id")] == [
        "first",
        "policy",
    ]
    refused = await api.post(f"/v1/policies/{hash}/activate")
    assert (refused.status_code, refused.json()["detail"]) == (409, "It is active already.")


async def test_the_way_back_to_what_was_active_is_open(api: httpx.AsyncClient, scoring: Database) -> None:
    hash = await approved(api, scoring, document=STRICT)
    await api.post(f"/v1/policies/{hash}/activate")

    back = await api.post(f"/v1/policies/{FIRST}/activate")

    assert (back.status_code, back.json()["state"], back.json()["retired_at"]) == (200, "active", None)
    assert (await drafted(api, document=STRICT))["state"] == "retired"
    assert (await api.post(f"/v1/policies/{hash}/activate")).json()["state"] == "active"


async def test_an_approval_ends_with_the_policy_that_was_put_away_unused(
    api: httpx.AsyncClient, scoring: Database
) -> None:
    hash = await approved(api, scoring, document=STRICT)

    retired = (await api.post(f"/v1/policies/{hash}/retire")).json()

    assert (retired["state"], retired["approved_at"]) == ("retired", None)
    assert (await api.post(f"/v1/policies/{hash}/activate")).json()["code"] == "illegal_policy_move"


async def test_what_was_retired_unapproved_begins_anew_when_it_is_drafted_again(
    api: httpx.AsyncClient, scoring: Database
) -> None:
    hash = (await drafted(api, document=STRICT))["hash"]
    await was_tried(scoring, hash)
    assert (await api.post(f"/v1/policies/{hash}/retire")).json()["state"] == "retired"
    assert (await api.post(f"/v1/policies/{hash}/activate")).status_code == 409

    again = await api.post("/v1/policies", json={"document": STRICT})

    assert (again.status_code, again.json()["state"], again.json()["tried_at"]) == (200, "draft", None)


async def test_an_activation_is_planned_and_takes_place_when_its_instant_comes(
    api: httpx.AsyncClient, scoring: Database
) -> None:
    hash = await approved(api, scoring, document=STRICT)
    at = now() + timedelta(days=3)

    planned = (await api.post(f"/v1/policies/{hash}/activate", json={"active_from": at.isoformat()})).json()

    assert planned["state"] == "approved"
    (plan,) = planned["planned"]
    assert (plan["policy"], plan["planned_by"], plan["done_at"]) == (hash, "tests", None)
    assert datetime.fromisoformat(plan["active_from"]) == at
    assert (await api.get("/v1/activations", params={"open": True})).json()["data"] == [plan]
    assert (await api.get(f"/v1/activations/{plan['id']}")).json() == plan
    assert not await activate_next(scoring, at - timedelta(microseconds=1))

    assert await activate_next(scoring, at + timedelta(hours=1))

    told = (await api.get(f"/v1/policies/{hash}")).json()
    assert (told["state"], datetime.fromisoformat(told["activated_at"]), told["planned"]) == ("active", at, [])
    assert [row["active_from"] for row in await rows(scoring, "SELECT active_from FROM ruling ORDER BY id")][1:] == [at]
    assert (await api.get("/v1/activations", params={"open": True})).json()["data"] == []
    assert not await activate_next(scoring, at + timedelta(hours=1))


async def test_a_planned_activation_is_cancelled_once(api: httpx.AsyncClient, scoring: Database) -> None:
    hash = await approved(api, scoring, document=STRICT)
    body = {"active_from": (now() + timedelta(days=3)).isoformat()}
    (plan,) = (await api.post(f"/v1/policies/{hash}/activate", json=body)).json()["planned"]

    twice = await api.post(f"/v1/policies/{hash}/activate", json=body)
    retired = await api.post(f"/v1/policies/{hash}/retire")
    cancelled = await api.delete(f"/v1/activations/{plan['id']}")
    again = await api.delete(f"/v1/activations/{plan['id']}")

    for refused in (twice, retired):
        assert (refused.status_code, refused.json()["code"]) == (409, "activation_planned")
        assert refused.json()["activation_id"] == plan["id"]
    assert cancelled.json()["cancelled_at"]
    assert (again.status_code, again.json()["code"]) == (409, "activation_closed")
    assert not await activate_next(scoring, now() + timedelta(days=9))
    assert (await api.post(f"/v1/policies/{hash}/retire")).json()["state"] == "retired"
    assert (await api.get(f"/v1/activations/activation_{'0' * 32}")).json()["code"] == "activation_not_found"


async def test_a_planned_activation_that_is_refused_says_why_until_the_policy_is_active_again(
    api: httpx.AsyncClient, scoring: Database
) -> None:
    hash = await approved(api, scoring, document=STRICT)
    at = now() + timedelta(days=3)
    await api.post(f"/v1/policies/{hash}/activate", json={"active_from": at.isoformat()})
    await api.post(f"/v1/policies/{hash}/activate")
    assert await activate_next(scoring, at)

    (refused,) = (await api.get("/v1/activations")).json()["data"]
    while_active = (await api.get(f"/v1/policies/{hash}")).json()
    async with scoring.transaction() as session:
        await activate(await driver(session), FIRST, at, "tests")
    left = {policy["hash"]: policy["refused"] for policy in (await api.get("/v1/policies")).json()["data"]}
    async with scoring.transaction() as session:
        await activate(await driver(session), hash, at + timedelta(days=9), "tests")

    assert (refused["refused"]["code"], refused["refused"]["state"]) == ("illegal_policy_move", "active")
    assert refused["refused"]["detail"] == "It is active already."
    assert while_active["refused"] is None
    assert left == {hash: refused, FIRST: None}
    assert (await api.get(f"/v1/policies/{hash}")).json()["refused"] is None


async def test_no_activation_is_in_the_past(api: httpx.AsyncClient, scoring: Database) -> None:
    hash = await approved(api, scoring, document=STRICT)

    answer = await api.post(f"/v1/policies/{hash}/activate", json={"active_from": "2026-01-02T00:00:00Z"})

    assert (answer.status_code, answer.json()["code"]) == (422, "activation_passed")


async def test_a_plan_that_was_overtaken_is_cancelled(api: httpx.AsyncClient, scoring: Database) -> None:
    hash = await approved(api, scoring, document=STRICT)
    at = now() + timedelta(days=3)
    (plan,) = (await api.post(f"/v1/policies/{hash}/activate", json={"active_from": at.isoformat()})).json()["planned"]
    async with scoring.transaction() as session:
        await (await driver(session)).execute("UPDATE policy SET state = 'draft' WHERE hash = $1", hash)

    assert await activate_next(scoring, at)

    assert (await api.get(f"/v1/activations/{plan['id']}")).json()["cancelled_at"]
    assert (await api.get(f"/v1/policies/{FIRST}")).json()["state"] == "active"


async def test_a_plan_of_which_a_part_is_refused_activates_nothing(api: httpx.AsyncClient, scoring: Database) -> None:
    hash, at = await approved(api, scoring, document=STRICT), now() + timedelta(days=3)
    model = Model(
        as_of=JUNE.date(), parties=9, repeaters=5, r=0.8, alpha=6.0, a=0.7, b=2.5, mean_minor=9_000.0, currency="XXX",
        log_likelihood=-1.0,
    )  # fmt: skip
    async with scoring.transaction() as session:
        connection = await driver(session)
        await add_model(connection, model, Quality(horizon_days=180, periods=()), JUNE, None)
        planned = await keep_plan(connection, uuid7(), at, policy=hash, model=model.content_hash, at=now(), by="tests")

    assert await activate_next(scoring, at)

    told = (await api.get(f"/v1/activations/activation_{planned['id'].hex}")).json()
    assert (told["done_at"], bool(told["cancelled_at"])) == (None, True)
    assert (await api.get(f"/v1/policies/{hash}")).json()["state"] == "approved"
    assert (await api.get(f"/v1/policies/{FIRST}")).json()["state"] == "active"
    assert not await activate_next(scoring, at)


async def test_what_time_brought_before_a_planned_activation_is_decided_by_what_was_active_then(
    api: httpx.AsyncClient, scoring: Database, feed: Feeding
) -> None:
    somebody, at = feed.identity(), now() + timedelta(days=100)
    await feed.bought(somebody, now(), 1_000)
    hash = await approved(api, scoring, document={"persons": {"customers": {"by": "days", "dormant_after_days": 20}}})
    await api.post(f"/v1/policies/{hash}/activate", json={"active_from": at.isoformat()})
    await read_until(scoring, at - timedelta(days=1))
    await sweep_once(scoring)
    assert (await api.get("/v1/policies", params={"state": "active"})).json()["data"][0]["hash"] == FIRST

    await read_until(scoring, at + timedelta(days=300))
    await sweep_once(scoring)

    assert (await api.get("/v1/policies", params={"state": "active"})).json()["data"][0]["hash"] == hash
    told = await moves(scoring, somebody)
    assert [move[:2] for move in told] == [("appeared", "fact"), ("faded", "clock"), ("lost", "clock")]
    assert told[1][2].date() == (now() + timedelta(days=91)).date()


async def test_an_activation_moves_everybody_once_by_policy(
    api: httpx.AsyncClient, scoring: Database, feed: Feeding
) -> None:
    silent, buyer = feed.identity(), feed.identity()
    await feed.bought(silent, JUNE, 1_000)
    await feed.bought(buyer, JUNE + timedelta(days=200), 1_000)
    await read_until(scoring, JUNE + timedelta(days=200))
    await sweep_once(scoring)
    assert [move[:2] for move in await moves(scoring, silent)] == [("appeared", "fact"), ("faded", "clock")]

    hash = await approved(api, scoring, document=STRICT)
    await api.post(f"/v1/policies/{hash}/activate")
    await sweep_once(scoring)
    await sweep_once(scoring)

    assert [move[:2] for move in await moves(scoring, silent)][2:] == [("revised", "policy")]
    assert [move[:2] for move in await moves(scoring, buyer)] == [("appeared", "fact")]
    (row,) = await rows(scoring, "SELECT stage FROM party WHERE party_id = $1", silent)
    assert row["stage"] == Stage.LOST_CUSTOMER


async def test_the_first_day_of_a_stage_is_that_of_the_move_to_it_also_by_an_activation(
    api: httpx.AsyncClient, scoring: Database, feed: Feeding, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, stays, comes = (feed.identity() for _ in range(3))
    at = now() + timedelta(days=100)
    first, second, third = (at - timedelta(days=days) for days in (40, 10, -3))
    feed.at = second
    await feed.bought(lost, at - timedelta(days=200), 1_000)
    await feed.bought(stays, first, 1_000)
    await feed.bought(stays, second, 1_000)
    hasty = {"persons": {"customers": {"by": "days", "dormant_after_days": 20, "lost_after_days": 180}}}
    hash = await approved(api, scoring, document=hasty)
    await api.post(f"/v1/policies/{hash}/activate", json={"active_from": at.isoformat()})
    await read_until(scoring, at + timedelta(days=5))
    await sweep_once(scoring)
    feed.at = at + timedelta(days=5)
    await feed.bought(comes, third, 1_000)

    async def since() -> list[tuple[str, str]]:
        found = []
        for person in (lost, stays, comes):
            read = (await api.get(f"/v1/standings/party_{person.hex}")).json()
            [listed] = await rows(scoring, "SELECT since FROM party WHERE party_id = $1", person)
            told = (await api.get(f"/v1/standings/party_{person.hex}/moves")).json()["data"]
            *_, came = (move for move in told if move["from_stage"] != move["to_stage"])
            assert read["since"] == str(listed["since"]) == came["day"]
            found.append((read["stage"], read["since"]))
        return found

    assert await since() == [
        ("lost_customer", str(at.date())), ("customer", str(first.date())), ("customer", str(third.date()))
    ]  # fmt: skip
    told = [(await api.get("/v1/losses", params={"since": str(at.date() + timedelta(days=n))})).json() for n in (0, 1)]
    assert [[each["party_id"] for each in found["data"]] for found in told] == [[f"party_{lost.hex}"], []]
    assert (await verified(api))[0] == []
    monkeypatch.setattr(everybody, "MANY", 0)
    days = {line["party_id"]: line["since"] for line in await exported(api)}
    assert [days[f"party_{who.hex}"] for who in (lost, stays, comes)] == [str(day.date()) for day in (at, first, third)]

    # What is learned later of the days before it is judged by what decided then.
    earlier = first - timedelta(days=60)
    await feed.bought(stays, earlier, 1_000)

    assert (await since())[1] == ("customer", str(earlier.date()))
    assert (await verified(api))[0] == []
    as_of = {"as_of": str(at.date())}
    for asked, begun in (
        ({"policy": hash}, earlier),
        ({"policy": FIRST}, earlier),
        ({"horizon_days": 99}, second),
        (as_of, second),
    ):
        told = (await api.get(f"/v1/standings/party_{stays.hex}", params=asked)).json()
        assert told["since"] == str(begun.date())


async def test_a_killed_pass_goes_on_and_no_event_is_judged_by_half_of_each(
    api: httpx.AsyncClient, scoring: Database, feed: Feeding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "BATCH", 10)
    people = sorted(feed.identity() for _ in range(35))
    await feed.tell(*(feed.purchase(person, JUNE, 1_000) for person in people))
    late = JUNE + timedelta(days=200)
    feed.at = late
    await read_until(scoring, late)
    await sweep_once(scoring)
    hash = await approved(api, scoring, document=STRICT)
    await api.post(f"/v1/policies/{hash}/activate")

    # The first ten are assessed anew, then the process is killed.
    await sweeping._step_ruling(scoring, NOBODY, late)
    # Meanwhile one of those that wait buys, and one of those that do not.
    await feed.bought(people[2], late, 1_000)
    await feed.bought(people[20], late, 1_000)
    await sweep_once(scoring)

    for person in people:
        told = [move[:2] for move in await moves(scoring, person)]
        assert told[:2] == [("appeared", "fact"), ("faded", "clock")]
        if person == people[2]:
            assert told[2:] == [("revised", "policy"), ("won_back", "fact")]
        elif person == people[20]:
            # Judged by the new policy alone: lost by it, then won back.
            assert told[2:] == [("revised", "policy"), ("won_back", "fact")]
        else:
            assert told[2:] == [("revised", "policy")]
    assert not await rows(scoring, "SELECT FROM ruling WHERE applied_at IS NULL")
    assert {
        row["policy"] for row in await rows(scoring, "SELECT DISTINCT policy FROM ruling JOIN party ON ruling = id")
    } == {hash}
