import asyncio
import csv
import io
import json
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, Response

from gateway.queries import services

from .conftest import Door, serving


async def test_without_a_valid_key_nothing_is_answered(door: Door) -> None:
    for value in ("", "Basic x", "Bearer", "Bearer x", "Bearer shuke_" + "a" * 43):
        answer = await door.client.get("/v1/parties", headers={"Authorization": value})
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized"), value
        assert answer.headers["www-authenticate"] == "Bearer"
    assert not door.customers.requests


async def test_a_key_may_do_what_its_role_allows(door: Door) -> None:
    async def status(role: str, method: str, path: str) -> int:
        return (await door.client.request(method, path, headers=door.key(role))).status_code

    assert await status("reader", "GET", "/v1/parties") == 200
    assert await status("reader", "POST", "/v1/parties") == 403
    assert await status("ingest", "POST", "/v1/parties") == 201
    assert await status("ingest", "GET", "/v1/standings/export") == 403
    assert await status("operator", "POST", "/v1/rebuild") == 201
    assert await status("operator", "GET", "/v1/keys") == 403
    assert await status("reader", "GET", "/v1/status") == 403
    assert await status("admin", "GET", "/v1/nothing") == 404


async def test_a_key_is_made_shown_once_and_revoked(door: Door) -> None:
    made = await door.client.post(
        "/v1/keys", json={"name": "Shop", "scopes": ["ingest", "reader"]}, headers={"Idempotency-Key": "k"}
    )
    assert made.status_code == 201
    key = made.json()
    assert made.headers["location"] == f"/v1/keys/{key['id']}"
    assert (await door.client.get(made.headers["location"])).json()["id"] == key["id"]
    theirs = {"Authorization": f"Bearer {key.pop('secret')}"}
    assert (await door.client.get("/v1/parties", headers=theirs)).status_code == 200
    listed = (await door.client.get("/v1/keys")).json()["data"]
    assert key in listed
    assert not any("secret" in each for each in listed)
    for _ in range(2):
        revoked = await door.client.post(f"/v1/keys/{key['id']}/revoke")
        assert revoked.json()["revoked_at"]
    assert (await door.client.get("/v1/parties", headers=theirs)).status_code == 401


async def test_keys_come_in_pages_the_latest_first(door: Door) -> None:
    names, cursor = [], None
    while True:
        answer = (
            await door.client.get("/v1/keys", params={"limit": 1, **({"cursor": cursor} if cursor else {})})
        ).json()
        names += [key["name"] for key in answer["data"]]
        cursor = answer["next_cursor"]
        if not answer["has_more"]:
            break
    assert names == [key["name"] for key in (await door.client.get("/v1/keys")).json()["data"]]
    await door.client.post("/v1/keys", json={"name": "Later", "scopes": ["reader"]})
    first = (await door.client.get("/v1/keys", params={"limit": 1})).json()["data"]
    assert [key["name"] for key in first] == ["Later"]
    assert sorted(names) == ["admin", "ingest", "operator", "reader"]


async def test_the_last_admin_key_stays(door: Door) -> None:
    [admin] = [key for key in (await door.client.get("/v1/keys")).json()["data"] if "admin" in key["scopes"]]
    answer = await door.client.post(f"/v1/keys/{admin['id']}/revoke")
    assert (answer.status_code, answer.json()["code"]) == (409, "last_admin_key")
    assert (await door.client.post(f"/v1/keys/key_{'0' * 32}/revoke")).status_code == 404


async def test_a_key_needs_a_known_scope(door: Door) -> None:
    answer = await door.client.post("/v1/keys", json={"name": "x", "scopes": ["root"]})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "#/scopes/0"


async def test_standings_are_exported_with_external_ids(door: Door) -> None:
    answer = await door.client.get("/v1/standings/export", params={"as_of": "2026-01-31"}, headers=door.key("reader"))
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 5_003
    assert rows[0] == {
        "party_id": f"party_{0:032x}",
        "external_id": "first-0000",
        "stage": "customer",
        "value": "0.50",
        "x": "3",
    }
    assert list(rows[0]) == ["party_id", "external_id", "stage", "value", "x"]
    assert rows[2]["x"] == ""
    assert (rows[3]["external_id"], rows[2_500]["external_id"]) == ("", "first-09c4")
    assert [row["party_id"] for row in rows] == [f"party_{number:032x}" for number in range(5_003)]


async def test_an_export_that_breaks_off_is_not_taken_for_a_whole_one(door: Door) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await door.client.get("/v1/standings/export", params={"as_of": "1999-01-01"}, headers=door.key("reader"))


async def test_the_export_is_asked_for_by_both_clocks_and_under_other_versions(door: Door) -> None:
    asked = {
        "as_of": "2026-01-31",
        "known_at": "2026-02-01T12:00:00+02:00",
        "policy": "a" * 64,
        "model": "b" * 64,
        "horizon_days": "90",
    }

    answer = await door.client.get("/v1/standings/export", params=asked)

    assert (answer.status_code, door.scoring.query) == (200, asked)
    for name, wrong in (
        ("known_at", "2026-02-01T12:00:00"),
        ("policy", "days-1"),
        ("model", "x"),
        ("horizon_days", "x"),
    ):
        refused = await door.client.get("/v1/standings/export", params={name: wrong})
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, f"#/query/{name}")


LAST = "1383"
"""How the id ends of the last party that customers does not know."""


async def test_the_export_has_the_ids_that_only_leads_knows_as_long_as_leads_answers(door: Door) -> None:
    asked: list[str] = []
    leads = FastAPI()

    @leads.post("/internal/external-ids")
    async def external_ids(request: Request, response: Response) -> dict[str, Any]:
        parties = (await request.json())["party_ids"]
        asked.extend(parties)
        if any(party.endswith(LAST) for party in parties):
            response.status_code = 500
        return {"data": [{"party_id": party, "system": "crm", "value": f"lead-{party[-4:]}"} for party in parties]}

    async with serving(leads) as url:
        door.app.state.services.addresses["leads"] = url
        answer = await door.client.get("/v1/standings/export", headers=door.key("reader"))
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 5_003
    assert (rows[0]["external_id"], rows[3]["external_id"]) == ("first-0000", "lead-0003")
    assert [row["external_id"] for row in rows if row["party_id"].endswith(LAST)] == [""]
    assert sorted(asked) == [row["party_id"] for row in rows if row["party_id"].endswith("3")]


async def test_what_scoring_refuses_is_passed_on(door: Door) -> None:
    answer = await door.client.get("/v1/standings/export", params={"as_of": "2999-01-01"})
    assert (answer.status_code, answer.json()["code"]) == (422, "future_day")
    wrong = await door.client.get("/v1/standings/export", params={"as_of": "soon"})
    assert wrong.json()["errors"][0]["pointer"] == "#/query/as_of"


async def test_the_moves_of_a_trial_come_with_external_ids_as_csv_or_ndjson(door: Door) -> None:
    url = f"/v1/trials/trial_{'1' * 32}/moves"

    answer = await door.client.get(url, headers=door.key("reader"))
    lines = await door.client.get(url, params={"format": "ndjson"}, headers=door.key("reader"))

    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert answer.text.splitlines()[0] == "party_id,external_id,at,from,to,kind,reason"
    assert (len(rows), rows[0]["external_id"], rows[6]["external_id"]) == (2_002, "first-0000", "")
    assert (rows[-1]["from"], rows[-1]["external_id"]) == ("", "first-03e8")
    assert rows[1]["reason"] == "mid instead of low, by hand"
    moves = [json.loads(line) for line in lines.text.splitlines()]
    assert (len(moves), moves[0]["external_id"], moves[0]["to_tier"]) == (2_002, "first-0000", "mid")
    assert moves[6]["external_id"] is None


async def test_moves_that_were_not_kept_are_refused_as_scoring_refuses_them(door: Door) -> None:
    refused = await door.client.get(f"/v1/trials/trial_{'0' * 32}/moves", headers=door.key("reader"))
    wrong = await door.client.get("/v1/trials/trial_x/moves", headers=door.key("reader"))
    forbidden = await door.client.get(f"/v1/trials/trial_{'1' * 32}/moves", headers=door.key("ingest"))

    assert (refused.status_code, refused.json()["code"]) == (409, "moves_not_kept")
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "#/path/trial_id")
    assert forbidden.status_code == 403


CSV = b"customer,date,amount\n" + b"1,2026-01-01,5.00\n" * 200_000


async def start_import(door: Door, **form: str) -> httpx.Response:
    return await door.client.post(
        "/v1/imports",
        data={"kind": "purchases", **form},
        files={"file": ("sales.csv", CSV, "text/csv")},
        headers=door.key("ingest"),
    )


async def test_an_import_is_passed_on_whole_and_fixes_the_currency(door: Door) -> None:
    answer = await start_import(door, source="shop", currency="CHF")
    assert answer.status_code == 202
    assert answer.headers["location"] == "/v1/imports/import_1"
    assert answer.headers["shuke-reporting-currency"] == "CHF"
    assert answer.json()["file_name"] == "sales.csv"
    assert door.customers.body == CSV
    assert door.scoring.requests == [("POST", "/internal/reporting-currency")]
    assert door.scoring.caller is not None
    assert door.scoring.caller.scopes == {"ingest"}


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"source": "shop"}, "EUR"),
        ({"source": "mixed"}, None),
        ({"source": "example", "currency": "USD"}, None),
        ({"source": "shop", "currency": "USD", "dry_run": "true"}, None),
        ({"source": "shop", "currency": "USD", "dry_run": "t"}, None),
    ],
)
async def test_an_import_tells_the_currency_only_where_it_decides_it(
    door: Door, form: dict[str, str], told: str | None
) -> None:
    answer = await start_import(door, **form)
    assert answer.status_code == 202
    assert answer.headers.get("shuke-reporting-currency") == told
    assert len(door.scoring.requests) == (1 if told else 0)


async def test_an_import_that_was_not_taken_decides_nothing(door: Door) -> None:
    answer = await start_import(door, source="shop", currency="XXX")
    assert (answer.status_code, answer.json()) == (422, {"code": "validation_failed"})
    assert door.scoring.requests == []


async def test_the_state_of_the_chain_is_put_together(door: Door) -> None:
    status = (await door.client.get("/v1/status")).json()
    assert status["lag"] == [{"service": "scoring", "consumer": "scoring", "topic": "t", "events": 3 + 10}]
    assert status["oldest_unsequenced_s"] == 1.5
    assert [(gap["service"], gap["consumer"], gap["reason"]) for gap in status["gaps"]] == [
        ("scoring", "scoring", "gap at 8")
    ]
    assert status["watermark"] == [{"source": "customers", "held_by": "gap at 8"}]
    assert status["reassessing"] == 7
    assert status["services"][0]["unpublished"] == 12


async def test_one_document_describes_everything(door: Door) -> None:
    async with httpx.AsyncClient(base_url=door.url) as anybody:
        document = (await anybody.get("/openapi.json")).json()
        assert {"/v1/keys", "/v1/imports", "/v1/parties/big", "/v1/standings/export"} <= document["paths"].keys()
        assert document["components"]["securitySchemes"]["apiKey"]["scheme"] == "bearer"
        assert not [path for path in document["paths"] if not path.startswith("/v1/")]
        page = (await anybody.get("/docs")).text
        assert "http://" not in page
        assert "https://" not in page
        assert "SwaggerUIBundle" in (await anybody.get("/docs/assets/swagger-ui-bundle.js")).text
        ready = (await anybody.get("/readyz")).json()
        assert (ready["status"], ready["services"]) == ("ready", ["customers", "scoring"])


async def test_how_services_do_is_read_once_for_all_who_ask_together_and_again_for_who_asks_later(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "EACH_S", 120)
    asked: services.Services = door.app.state.services
    leaves, *stay = [asyncio.ensure_future(asked.reports()) for _ in range(3)]
    await asyncio.sleep(0)
    leaves.cancel()
    one, other = await asyncio.gather(*stay)
    assert one is other
    assert {name: report["service"] for name, report in one.items()} == {"customers": "customers", "scoring": "scoring"}
    assert (await asked.reports()) is not one
