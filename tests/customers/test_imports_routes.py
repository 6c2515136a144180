import csv
import gzip
import io
import json
from datetime import timedelta
from typing import Any

import httpx
import pytest

from chassis.clock import now
from chassis.db import Database
from chassis.ids import uuid7
from chassis.imports.importer import move_on
from chassis.imports.keeping import forget_dry_runs
from chassis.imports.progress import claim
from contracts.identity import Installation
from services.customers.handlers.imports.kinds import KINDS

GUESS = json.dumps({"party": "a", "occurred_at": "b", "amount": "c"})
CONTENT = "customer,order,when,total\nc1,o1,2024-01-01,5\n,o2,2024-01-01,5\n"


async def sent(api: httpx.AsyncClient, content: str | bytes = CONTENT, **form: Any) -> httpx.Response:
    return await api.post("/v1/imports", data=form, files={"file": ("orders.csv", content)})


async def carry_out(database: Database, here: Installation) -> None:
    importer = uuid7()
    while True:
        async with database.transaction() as session:
            import_id = await claim(session, importer, now())
        if import_id is None:
            return
        while await move_on(database, KINDS, here, import_id, importer):
            pass


async def test_an_import_tells_how_it_understands_the_file_and_where_to_look(api):
    answer = await sent(api, gzip.compress(CONTENT.encode()), source="shop", currency="USD")
    job = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/imports/{job['id']}"
    assert job["mapping"] == {"party": "customer", "order_id": "order", "occurred_at": "when", "amount": "total"}
    assert (job["state"], job["rows"], job["currency"], job["source"]) == ("waiting", 2, "USD", "shop")
    assert job["preview"][0]["amount"] == "5.00"
    assert job["preview"][1]["reason"] == "no_party"


async def test_an_import_is_followed_to_its_rejects_and_undone(api, database, here, published):
    await carry_out(database, here)
    await published()
    job = (await sent(api, source="followed")).json()
    await carry_out(database, here)
    done = (await api.get(f"/v1/imports/{job['id']}")).json()
    assert {name: done[name] for name in ("state", "rows_read", "accepted", "rejected")} == {
        "state": "done",
        "rows_read": 2,
        "accepted": 1,
        "rejected": 1,
    }
    rejects = await api.get(f"/v1/imports/{job['id']}/rejects")
    assert rejects.headers["content-type"].startswith("text/csv")
    assert list(csv.reader(io.StringIO(rejects.text))) == [
        ["row", "reason", "detail", "customer", "order", "when", "total"],
        ["3", "no_party", "", "", "o2", "2024-01-01", "5"],
    ]
    undoing = await api.post(f"/v1/imports/{job['id']}/undo")
    assert (undoing.status_code, undoing.json()["state"]) == (202, "undoing")
    await carry_out(database, here)
    assert (await api.get(f"/v1/imports/{job['id']}")).json()["state"] == "undone"
    assert [type for type, _, _ in await published()] == ["purchase_completed", "fact_withdrawn"]


async def test_what_was_looked_at_is_imported_as_it_is_understood_in_the_end(api, database, here, published):
    await carry_out(database, here)
    await published()
    looked = (await sent(api, "a,b,c\nagain1,2024-01-01,5\n", source="again", dry_run="true", mapping=GUESS)).json()
    assert (await api.post(f"/v1/imports/{looked['id']}/again")).json()["code"] == "nothing_kept"
    await carry_out(database, here)
    done = (await api.get(f"/v1/imports/{looked['id']}")).json()
    assert (done["accepted"], done["rows_kept"]) == (1, True)
    assert await published() == []
    other = {"mapping": {"channel": "a"}, "currency": "USD", "dry_run": True}
    second = (await api.post(f"/v1/imports/{looked['id']}/again", json=other)).json()
    assert (second["mapping"]["channel"], second["file_name"], second["dry_run"]) == ("a", "orders.csv", True)
    real = await api.post(f"/v1/imports/{looked['id']}/again", json={"currency": "USD"})
    assert real.status_code == 202
    assert real.json()["mapping"] == {"party": "a", "occurred_at": "b", "amount": "c"}
    assert (real.json()["source"], real.json()["currency"]) == ("again", "USD")
    await carry_out(database, here)
    assert (await api.get(f"/v1/imports/{real.json()['id']}")).json()["accepted"] == 1
    assert [type for type, _, _ in await published()] == ["purchase_completed"]
    # The file itself brings nothing new: it is known by its content.
    assert (await sent(api, "a,b,c\nagain1,2024-01-01,5\n", source="again", mapping=GUESS)).json()["same_as"] == (
        real.json()["id"]
    )


async def test_a_file_whose_columns_are_not_found_is_looked_at_as_unfinished(api, database, here):
    content = "a,b,c\nx1,01/02/2024,5\nx2,03/04/2024,6\n"
    assert (await sent(api, content, dry_run="true")).json()["code"] == "column_missing"
    looked = (await sent(api, content, source="unfinished", dry_run="true", unfinished="true")).json()
    assert looked["mapping"].keys().isdisjoint({"party", "amount"})
    await carry_out(database, here)
    assert (await api.get(f"/v1/imports/{looked['id']}")).json()["rejected"] == 2
    first = await api.get(f"/v1/imports/{looked['id']}/rejects", params={"limit": 1})
    assert [line.split(",")[0] for line in first.text.splitlines()] == ["row", "2"]
    mapped = {"mapping": {"party": "a", "occurred_at": "b", "amount": "c"}, "unfinished": True, "dry_run": True}
    open = (await api.post(f"/v1/imports/{looked['id']}/again", json=mapped)).json()
    assert "Day and month cannot be told apart in this file." in open["notes"]
    real = await api.post(f"/v1/imports/{looked['id']}/again", json={**mapped, "dry_run": False})
    assert real.json()["code"] == "ambiguous_dates"
    real = await api.post(f"/v1/imports/{looked['id']}/again", json={**mapped, "dry_run": False, "dates": "dmy"})
    await carry_out(database, here)
    assert (await api.get(f"/v1/imports/{real.json()['id']}")).json()["accepted"] == 2


async def test_rows_that_were_looked_at_are_forgotten_when_their_day_is_over(api, database, here):
    looked = (await sent(api, source="forgotten", dry_run="true")).json()
    await carry_out(database, here)
    async with database.transaction() as session:
        await forget_dry_runs(session, now() - timedelta(hours=1))
    assert (await api.get(f"/v1/imports/{looked['id']}")).json()["rows_kept"]
    async with database.transaction() as session:
        await forget_dry_runs(session, now())
    assert not (await api.get(f"/v1/imports/{looked['id']}")).json()["rows_kept"]
    again = await api.post(f"/v1/imports/{looked['id']}/again")
    assert (again.status_code, again.json()["code"]) == (409, "nothing_kept")


async def test_the_kinds_of_files_are_told_with_what_their_columns_can_be(api):
    kinds = {each["kind"]: each for each in (await api.get("/v1/imports/kinds")).json()["data"]}
    assert list(kinds) == ["purchases", "returns", "parties", "interactions"]
    assert {"name": "occurred_at", "needed": True} in kinds["purchases"]["fields"]
    assert kinds["purchases"]["any_of"] == ["party", "email", "phone"]
    assert (kinds["purchases"]["money"], kinds["parties"]["money"]) == (True, False)
    assert kinds["parties"]["any_of"] == ["party", "email", "phone"]


async def test_the_name_of_a_file_is_kept_as_far_as_it_can_be_shown(api):
    name = "or\x00d\x07ers.csv"
    answer = await api.post("/v1/imports", data={"source": "named"}, files={"file": (name, CONTENT)})
    assert (answer.status_code, answer.json()["file_name"][-4:]) == (202, ".csv")


async def test_imports_are_listed_newest_first(api):
    ids = [(await sent(api, source=f"listed-{number}")).json()["id"] for number in range(3)]
    first = (await api.get("/v1/imports", params={"limit": 2})).json()
    then = (await api.get("/v1/imports", params={"limit": 1, "cursor": first["next_cursor"]})).json()
    assert [job["id"] for job in first["data"] + then["data"]] == ids[::-1]


@pytest.mark.parametrize(
    ("content", "form", "code"),
    [
        (CONTENT, {"mapping": json.dumps({"party": "buyer"})}, "unknown_column"),
        (CONTENT, {"mapping": json.dumps({"buyer": "customer"})}, "unknown_field"),
        (CONTENT, {"mapping": json.dumps({"line": "total", "order_id": ""})}, "column_missing"),
        ("a,b\n1,2\n", {}, "column_missing"),
        ("customer,city\n1,Bonn\n", {"date": ""}, "column_missing"),
        (CONTENT, {"kind": "weather"}, "unknown_kind"),
        (CONTENT, {"date": "2199-01-01"}, "future_date"),
        (CONTENT, {"date": "soon"}, "invalid_request"),
        (CONTENT, {"timezone": "Mars/Olympus"}, "unknown_time_zone"),
        (CONTENT, {"currency": "EUX"}, "invalid_request"),
        (CONTENT, {"mapping": "party"}, "invalid_request"),
        (CONTENT, {"source": "My Shop"}, "invalid_request"),
        (CONTENT.replace("2024-01-01", "01/02/2024"), {}, "ambiguous_dates"),
        (b"\x00\x01", {}, "unreadable_file"),
        ("", {}, "unreadable_file"),
    ],
)
async def test_what_is_wrong_with_a_file_is_said_before_anything_is_recorded(api, content, form, code):
    before = (await api.get("/v1/imports")).json()["data"]
    answer = await sent(api, content, **form)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert (await api.get("/v1/imports")).json()["data"] == before


async def test_an_import_that_does_not_exist_is_not_found(api):
    unknown = f"/v1/imports/import_{uuid7().hex}"
    answers = [await api.get(unknown), await api.get(f"{unknown}/rejects"), await api.post(f"{unknown}/undo")]
    assert [answer.json()["code"] for answer in answers] == ["import_not_found"] * 3


async def test_a_dry_run_has_nothing_to_undo(api):
    job = (await sent(api, dry_run="true")).json()
    answer = await api.post(f"/v1/imports/{job['id']}/undo")
    assert (answer.status_code, answer.json()["code"]) == (409, "nothing_to_undo")


async def test_the_same_request_again_starts_no_second_import(api):
    key = {"Idempotency-Key": uuid7().hex}
    answers = [await api.post("/v1/imports", files={"file": ("orders.csv", CONTENT)}, headers=key) for _ in range(2)]
    assert answers[0].json()["id"] == answers[1].json()["id"]
    assert answers[1].headers["idempotency-replayed"] == "true"
