import csv
import gzip
import io
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chassis.clock import now
from chassis.db import driver
from chassis.ids import uuid7
from chassis.imports.importer import move_on
from chassis.imports.progress import claim
from contracts.identity import Scheme
from services.leads.handlers.imports.kinds import KINDS

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
LEADS = "lead_id,email,phone,date,source,medium,campaign,Owner,City\n"


async def carry_out(database, here):
    importer = uuid7()
    while True:
        async with database.transaction() as session:
            import_id = await claim(session, importer, now())
        if import_id is None:
            return
        while await move_on(database, KINDS, here, import_id, importer):
            pass


@pytest.fixture
def bring(api, database, here):
    async def send(content, kind="leads", **form):
        files = {"file": ("leads.csv", content)}
        answer = await api.post("/v1/imports", data={"kind": kind, "source": "crm"} | form, files=files)
        assert answer.status_code == 202, answer.text
        await carry_out(database, here)
        return (await api.get(f"/v1/imports/{answer.json()['id']}")).json()

    return send


@pytest.fixture
def undo(api, database, here):
    async def take_back(job):
        assert (await api.post(f"/v1/imports/{job['id']}/undo")).status_code == 202
        await carry_out(database, here)
        return (await api.get(f"/v1/imports/{job['id']}")).json()

    return take_back


def counts(job):
    return job["state"], job["accepted"], job["duplicate"], job["conflict"], job["rejected"]


async def rejected(api, job):
    text = (await api.get(f"/v1/imports/{job['id']}/rejects")).text
    return [(row[0], row[1]) for row in list(csv.reader(io.StringIO(text)))[1:]]


async def found(api, **params):
    return {
        row["source_id"]: row for row in (await api.get("/v1/leads", params={"limit": 500} | params)).json()["data"]
    }


async def test_every_row_becomes_a_lead_and_what_is_no_field_an_attribute(api, bring, here, published):
    content = LEADS + "l1,Ada@example.org,+4930901820,2026-01-05,Direct Traffic,,Spring 2026,Jane,Berlin\n"
    job = await bring(content)
    assert counts(job) == ("done", 1, 0, 0, 0)
    assert job["mapping"] == {
        "lead_id": "lead_id",
        "email": "email",
        "phone": "phone",
        "occurred_at": "date",
        "source": "source",
        "medium": "medium",
        "campaign": "campaign",
    }
    assert "Kept as attributes: Owner, City." in job["notes"]
    lead = (await found(api))["l1"]
    assert lead["identifiers"][0]["value"] == "ada@example.org"
    assert (lead["source"], lead["medium"], lead["campaign"]) == ("direct-traffic", None, "spring-2026")
    assert lead["attributes"] == {"Owner": "Jane", "City": "Berlin"}
    assert datetime.fromisoformat(lead["occurred_at"]) == datetime(2026, 1, 4, 23, tzinfo=UTC)
    assert lead["import_id"] == job["id"]
    assert [kind for kind, _, _ in await published()] == ["lead_captured", "lead_graded"]


async def test_the_subject_of_a_row_is_the_email_before_the_phone_before_an_id(api, bring):
    content = "lead_id,customer,email,phone,date\nl1,c1,a@example.org,+4930901820,2026-01-05\n"
    content += "l2,c1,,+4930901820,2026-01-05\nl3,c1,,,2026-01-05\nl4,,,,2026-01-05\n"
    assert counts(await bring(content)) == ("done", 4, 0, 0, 0)
    leads = await found(api)
    assert [[given["scheme"] for given in leads[name]["identifiers"]] for name in ("l1", "l2", "l3", "l4")] == [
        ["email", "phone", "external"],
        ["phone", "external"],
        ["external"],
        ["external"],
    ]
    assert (leads["l3"]["identifiers"][0]["value"], leads["l4"]["identifiers"][0]["value"]) == ("c1", "l4")


async def test_owners_are_taken_by_their_ids(api, bring):
    owner, team = f"user_{uuid7().hex}", f"team_{uuid7().hex}"
    content = f"lead_id,date,owner,team\nl1,2026-01-05,{owner},{team}\nl2,2026-01-05,Jane,\nl3,2026-01-05,{owner},\n"
    job = await bring(content)
    assert counts(job) == ("done", 2, 0, 0, 1)
    assert await rejected(api, job) == [("3", "bad_value")]
    leads = await found(api)
    assert (leads["l1"]["owner_id"], leads["l1"]["team_id"], leads["l1"]["owner_version"]) == (owner, team, 1)


async def test_rows_that_cannot_be_leads_are_refused_with_the_reason(api, bring):
    long = "x" * 1_001
    rows = [
        ",a@example.org,,2026-01-05,,,,,",
        "l2,no address,,2026-01-05,,,,,",
        "l3,,12,2026-01-05,,,,,",
        "l4,,,never,,,,,",
        "l5,,,2090-01-01,,,,,",
        f"l6,,,2026-01-05,,,,,{long}",
        "l7,,,2026-01-05,,,,,,,more",
        "l8,,+4930901820,2026-01-05,fair,,,,",
        "l8,,+4930901820,2026-01-05,fair,,,,",
        "l8,,+4930901820,2026-01-05,web,,,,",
    ]
    job = await bring(LEADS + "\n".join(rows))
    assert counts(job) == ("done", 1, 1, 1, 7)
    assert await rejected(api, job) == [
        ("2", "bad_id"),
        ("3", "bad_identifier"),
        ("4", "bad_identifier"),
        ("5", "bad_date"),
        ("6", "future_date"),
        ("7", "bad_value"),
        ("8", "too_many_cells"),
        ("11", "conflict"),
    ]


async def test_a_file_without_dates_needs_the_day_of_all_rows(api, bring):
    content = "lead_id,City\nl1,Berlin\n"
    refused = await api.post("/v1/imports", data={"kind": "leads"}, files={"file": ("leads.csv", content)})
    assert (refused.status_code, refused.json()["code"]) == (422, "column_missing")
    assert "date=" in refused.json()["detail"]
    job = await bring(content, date="2026-01-05")
    assert counts(job) == ("done", 1, 0, 0, 0)
    [lead] = (await found(api)).values()
    assert datetime.fromisoformat(lead["occurred_at"]) == datetime(2026, 1, 4, 23, tzinfo=UTC)


async def test_the_same_file_again_changes_nothing_also_without_ids(api, bring, published):
    content = "email,date\na@example.org,2026-01-05\na@example.org,2026-01-05\n"
    assert counts(await bring(content)) == ("done", 2, 0, 0, 0)
    await published()
    again = await bring(content)
    assert counts(again) == ("done", 0, 2, 0, 0)
    assert await published() == []


async def test_a_file_where_nobody_could_be_named_is_refused(api):
    refused = await api.post(
        "/v1/imports", data={"kind": "leads", "date": "2026-01-05"}, files={"file": ("x.csv", "City\nBerlin\n")}
    )
    assert (refused.status_code, refused.json()["code"]) == (422, "column_missing")


async def test_outcomes_move_the_leads_that_they_name(api, bring, published):
    await bring("lead_id,date\n" + "".join(f"l{n},2026-01-05\n" for n in range(8)))
    await published()
    content = (
        "lead_id,outcome,reason,date,amount,currency\n"
        "l0,won,,2026-02-01,12.50,EUR\n"
        "l1,lost,No Budget,2026-02-01,99,EUR\n"
        "l2,disqualified,,2026-02-01,,\n"
        "l3,,,2026-02-01,,\n"
        "l4,YES,,,,\n"
        "l5,perhaps,,2026-02-01,,\n"
        "l6,lost,mood,2026-02-01,,\n"
        "l7,won,,2026-01-01,,\n"
        "l9,won,,2026-02-01,,\n"
    )
    job = await bring(content, "lead-outcomes")
    assert counts(job) == ("done", 4, 1, 0, 4)
    assert await rejected(api, job) == [
        ("7", "bad_value"),
        ("8", "bad_value"),
        ("9", "before_capture"),
        ("10", "lead_not_found"),
    ]
    leads = await found(api)
    assert [leads[f"l{n}"]["status"] for n in range(5)] == ["won", "lost", "disqualified", "new", "won"]
    events = await published()
    assert [kind for kind, _, _ in events] == ["lead_won", "lead_lost", "lead_disqualified", "lead_won"]
    (_, _, won), (_, _, lost), (_, _, out), (_, _, agreed) = events
    assert won["order"] == {"amount_minor": 1250, "currency": "EUR"}
    assert (lost["reason"], out["reason"]) == ("no_budget", "unknown")
    assert "order" not in agreed
    assert datetime.fromisoformat(agreed["occurred_at"]) == datetime(2026, 1, 4, 23, tzinfo=UTC)


async def test_an_outcome_on_the_day_of_the_capture_is_not_before_it(api, bring):
    await bring("lead_id,date\nl1,2026-01-05T15:00:00Z\n")
    assert counts(await bring("lead_id,converted,date\nl1,1,2026-01-05\n", "lead-outcomes"))[1] == 1


async def test_outcomes_told_again_are_duplicates_and_others_conflicts(api, bring, published):
    await bring("lead_id,date\nl1,2026-01-05\nl2,2026-01-05\nl3,2026-01-05\n")
    content = "lead_id,converted\nl1,1\nl2,0\n"
    assert counts(await bring(content, "lead-outcomes")) == ("done", 2, 0, 0, 0)
    await published()
    assert counts(await bring(content, "lead-outcomes")) == ("done", 0, 2, 0, 0)
    other = "lead_id,converted,reason\nl1,0,price\nl2,0,price\nl3,0,\nl3,0,\n"
    job = await bring(other, "lead-outcomes")
    assert counts(job) == ("done", 1, 1, 2, 0)
    assert await rejected(api, job) == [("2", "conflict"), ("3", "conflict")]
    assert [kind for kind, _, _ in await published()] == ["lead_lost"]


async def test_an_outcome_that_says_less_than_is_known_contradicts_nothing(api, bring, published):
    await bring("lead_id,date\nl1,2026-01-05\nl2,2026-01-05\n")
    leads = await found(api)
    await api.post(f"/v1/leads/{leads['l1']['id']}/lose", json={"reason": "price"})
    order = {"amount_minor": 500, "currency": "EUR"}
    await api.post(f"/v1/leads/{leads['l2']['id']}/win", json={"order": order})
    await published()
    assert counts(await bring("lead_id,converted\nl1,0\nl2,1\n", "lead-outcomes")) == ("done", 0, 2, 0, 0)
    more = "lead_id,converted,reason,amount,currency\nl1,0,quality,,\nl2,1,,6,EUR\n"
    assert counts(await bring(more, "lead-outcomes")) == ("done", 0, 0, 2, 0)
    assert await published() == []


async def test_undone_outcomes_leave_leads_where_they_stood_and_those_that_moved_on_where_they_are(
    api, bring, undo, published
):
    await bring("lead_id,date\nl1,2026-01-05\nl2,2026-01-05\nl3,2026-01-05\n")
    before = await found(api)
    await api.post(f"/v1/leads/{before['l1']['id']}/qualify", json={})
    job = await bring("lead_id,converted\nl1,0\nl2,0\nl3,1\n", "lead-outcomes")
    await api.post(f"/v1/leads/{before['l2']['id']}/reopen", json={})
    await api.post(f"/v1/leads/{before['l2']['id']}/qualify", json={})
    facts = {data["_id"] for kind, _, data in await published() if kind in ("lead_lost", "lead_won")}
    gone = await undo(job)
    assert (gone["state"], gone["withdrawn"]) == ("undone", 3)
    leads = await found(api)
    assert [leads[name]["status"] for name in ("l1", "l2", "l3")] == ["qualified", "qualified", "new"]
    events = await published()
    assert {kind for kind, _, _ in events} == {"fact_withdrawn"}
    assert {data["fact_id"] for _, _, data in events} == facts


async def test_undoing_leads_withdraws_them_with_all_that_became_of_them(api, bring, undo, published):
    content = "lead_id,date\n" + "".join(f"l{n},2026-01-05\n" for n in range(2_500))
    job = await bring(content)
    await bring("lead_id,converted\nl1,0\nl2,1\n", "lead-outcomes")
    await published()
    gone = await undo(job)
    assert (gone["state"], gone["withdrawn"]) == ("undone", 2_500)
    assert Counter(kind for kind, _, _ in await published()) == {"fact_withdrawn": 5_002}
    assert await found(api) == {}
    assert counts(await bring(content)) == ("done", 2_500, 0, 0, 0)


async def test_a_dry_run_records_nothing(api, bring, published):
    job = await bring("lead_id,date\nl1,2026-01-05\n", dry_run="true")
    assert counts(job)[:2] == ("done", 1)
    assert await found(api) == {}
    assert await published() == []


async def test_a_preview_shows_how_rows_are_understood(api):
    content = LEADS + "l1,a@example.org,,2026-01-05,fair,,,,Berlin\n"
    job = (await api.post("/v1/imports", data={"kind": "leads"}, files={"file": ("x.csv", content)})).json()
    [row] = job["preview"]
    assert (row["lead_id"], row["email"], row["source"]) == ("l1", "a@example.org", "fair")
    outcome = "lead_id,converted,amount\nl1,1,5\n"
    form = {"kind": "lead-outcomes", "currency": "USD"}
    job = (await api.post("/v1/imports", data=form, files={"file": ("x.csv", outcome)})).json()
    assert job["preview"] == [{"row": 2, "lead_id": "l1", "outcome": "won", "amount": "5.00", "currency": "USD"}]


def table(path):
    with gzip.open(DATA / path, "rt", newline="") as file:
        return list(csv.DictReader(file))


async def stored(database, query):
    async with database.transaction() as session:
        return await (await driver(session)).fetch(query)


@pytest.mark.skipif(not DATA.is_dir(), reason=f"needs the public data sets in {DATA}")
@pytest.mark.parametrize(
    ("folder", "form"),
    [("olist_leads", {}), ("xeducation_leads", {"date": "2026-01-05"})],
)
async def test_public_leads_come_in_whole_with_what_became_of_them(api, bring, database, here, folder, form):
    leads, outcomes = table(f"{folder}/leads.csv.gz"), table(f"{folder}/outcomes.csv.gz")
    job = await bring((DATA / folder / "leads.csv.gz").read_bytes(), source=folder, **form)
    assert counts(job) == ("done", len(leads), 0, 0, 0), job
    done = await bring((DATA / folder / "outcomes.csv.gz").read_bytes(), "lead-outcomes", source=folder)
    assert counts(done) == ("done", len(outcomes), 0, 0, 0), done
    rows = {row["source_id"]: row for row in await stored(database, "SELECT * FROM lead")}
    assert rows.keys() == {lead["lead_id"] for lead in leads}
    won = {row["lead_id"] for row in outcomes if row["converted"] == "1"}
    assert {name for name, row in rows.items() if row["status"] == "won"} == won
    assert {row["status"] for row in rows.values()} == {"won", "lost"}
    for lead in leads:
        row = rows[lead["lead_id"]]
        origin = lead.get("origin", lead.get("Lead Source"))
        assert row["source"] == ("-".join(origin.lower().replace("_", " ").split()) or "unknown"), origin
        assert row["identity_id"] == here.identity(Scheme.EXTERNAL, lead["lead_id"], system=folder).id
        if folder == "olist_leads":
            assert str(here.day(row["occurred_at"])) == lead["first_contact_date"]
        kept = {name: text for name, text in lead.items() if text and name in row["attributes"]}
        assert row["attributes"] == kept
        assert len(kept) >= 1
    told = await stored(database, "SELECT type, count(*) FROM outbox GROUP BY 1")
    assert {row["type"].split(".")[1]: row["count"] for row in told} == {
        "lead_captured": len(leads),
        "lead_graded": len(leads),
        "lead_won": len(won),
        "lead_lost": len(leads) - len(won),
    }
    summary = (await api.get("/v1/leads/summary")).json()
    assert summary["conversion"][0]["won_of_all"] == round(len(won) / len(leads), 4)
