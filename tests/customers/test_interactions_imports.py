import json

import pytest

from chassis.imports.mapping import ColumnMissing, UnknownField
from contracts.customers import InteractionKind
from services.customers.handlers.imports.interactions import USUAL, by_kind
from tests.customers.importing import counts, imported, rejected, start, undone, value


@pytest.fixture
async def database(make_database):
    return await make_database("services.customers")


TOLD = "SELECT json_agg(row_to_json(interaction) ORDER BY occurred_at, source_id) FROM interaction"


async def told(database):
    rows = await value(database, TOLD)
    return json.loads(rows) if isinstance(rows, str) else rows or []


async def interactions(database, content, **wanted):
    return await imported(database, content, kind="interactions", **wanted)


def test_every_kind_has_something_usual():
    assert set(USUAL) == set(InteractionKind)
    seen = [InteractionKind.VIEW, InteractionKind.OFFER, InteractionKind.CART]
    assert by_kind("direction", seen) == "inbound for view, cart; outbound for offer"


async def test_a_whole_row_is_taken_as_it_stands(database):
    content = (
        "Customer No.,Interaction ID,Date,Department,Channel,Kind,Direction,Attitude,Speed,Quality,Notes\n"
        '1,i1,2024-03-01 10:00,Service,Web Shop,complaint,Inbound,1,2,5,"Late,\nagain"\n'
    )
    job = await interactions(database, content, source="crm")
    assert counts(job) == ("done", 1, 0, 0, 0)
    [row] = await told(database)
    wanted = {
        "source": "crm",
        "source_id": "i1",
        "department": "service",
        "channel": "web-shop",
        "kind": "complaint",
        "direction": "inbound",
        "attitude": 1,
        "speed": 2,
        "quality": 5,
        "text": "Late,\nagain",
    }
    assert {name: row[name] for name in wanted} == wanted
    assert counts(await interactions(database, content, source="crm")) == ("done", 0, 1, 0, 0)
    other = content.replace("complaint", "praise")
    assert counts(await interactions(database, other, source="crm")) == ("done", 0, 0, 1, 0)


async def test_what_a_row_does_not_say_goes_by_its_kind_and_is_noted(database):
    content = "user_id,event_time,event_type\n1,2024-03-01 10:00,view\n1,2024-03-02 10:00,declined\n"
    job = await interactions(database, content)
    assert counts(job) == ("done", 2, 0, 0, 0)
    assert job.mapping == {"party": "user_id", "occurred_at": "event_time", "kind": "event_type"}
    view, declined = await told(database)
    assert (view["department"], view["channel"], view["direction"]) == ("ecommerce", "web", "inbound")
    assert (declined["department"], declined["channel"], declined["loss_reason"]) == ("sales", "unknown", "unknown")
    notes = " ".join(job.notes)
    assert "ecommerce for view; sales for declined." in notes
    assert "reason unknown" in notes


async def test_rows_that_say_what_there_is_not_are_refused_with_the_list(database):
    content = "customer,date,kind,reason,quality\n" + "".join(
        f"1,2024-03-01,{rest}\n" for rest in ("purchase,,", "view,price,", "view,,9", ",,", "declined,price,3")
    )
    job = await interactions(database, content, mapping=json.dumps({"kind": "kind"}))
    assert counts(job) == ("done", 1, 0, 0, 4)
    assert await rejected(database, job) == [(str(row), "bad_value") for row in (2, 3, 4, 5)]
    details = await value(
        database, "SELECT string_agg(detail, ' ' ORDER BY row) FROM import_reject WHERE import_id = $1", job.id
    )
    assert "visit, view, cart" in details
    assert "purchase" not in details


async def test_a_file_whose_rows_are_all_alike_says_it_once(database):
    content = "household_key,campaign\n1,26\n2,26\n"
    with pytest.raises(ColumnMissing):
        await start(database, content, kind="interactions", date="2024-03-01")
    said = {"kind": "campaign", "channel": "mail"}
    wanted = {"date": "2024-03-01", "mapping": json.dumps({"party": "household_key"}), "constants": json.dumps(said)}
    job = await interactions(database, content, **wanted)
    assert (counts(job), job.constants) == (("done", 2, 0, 0, 0), said)
    assert "Where a row does not say it: kind campaign, channel mail." in job.notes
    rows = await told(database)
    assert {(row["kind"], row["channel"], row["department"], row["direction"]) for row in rows} == {
        ("campaign", "mail", "marketing", "outbound")
    }
    other = await start(database, content, kind="interactions", **wanted | {"constants": json.dumps({"kind": "offer"})})
    assert other.same_as is None
    assert (await start(database, content, kind="interactions", **wanted)).same_as == job.id


async def test_what_all_rows_have_is_a_field_and_not_the_date(database):
    for wrong in ({"colour": "red"}, {"occurred_at": "2024-03-01"}):
        with pytest.raises(UnknownField) as refused:
            await start(database, "customer,date\n1,2024-03-01\n", kind="interactions", constants=json.dumps(wrong))
        assert "kind" in refused.value.extensions["fields"]


async def test_an_import_is_undone_whole(database):
    content = "customer,date,kind\n" + "".join(f"{row},2024-03-01,view\n" for row in range(5))
    job = await interactions(database, content)
    gone = await undone(database, job)
    assert (gone.state, gone.withdrawn) == ("undone", 5)
    assert all(row["withdrawn_at"] and row["version"] == 2 for row in await told(database))
    withdrawn = "SELECT count(*) FROM outbox WHERE type = 'customers.fact_withdrawn.v1'"
    assert await value(database, withdrawn) == 5
