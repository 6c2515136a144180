import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest

from chassis.db import Database, connect
from chassis.ids import uuid7
from chassis.imports.importer import forget_what_was_looked_at, move_on
from chassis.imports.lookup import import_job
from chassis.imports.plans import AmbiguousDates
from chassis.imports.progress import LEASE, claim, held
from services.customers.handlers.imports.kinds import KINDS
from tests.customers.importing import (
    AT,
    INSTALLATION,
    counts,
    imported,
    rejected,
    start,
    undone,
    value,
)


@pytest.fixture
async def database(make_database: Callable[[str | None], Awaitable[Database]]) -> Database:
    return await make_database("services.customers")


HEADER = "customer,order_id,date,amount\n"


async def test_every_row_of_a_file_becomes_a_purchase_or_a_reject(database):
    job = await imported(database, HEADER + "c1,o1,2024-01-01,5\n,o2,2024-01-01,5\nc1,o3,2024-01-02,0\nc2,o4,never,1\n")
    assert counts(job) == ("done", 2, 0, 0, 2)
    assert await rejected(database, job) == [("3", "no_party"), ("5", "bad_date")]
    assert await value(database, "SELECT count(*) FROM party") == 1
    assert await value(database, "SELECT count(*) FROM outbox WHERE type = 'customers.purchase_completed.v1'") == 2
    assert await value(database, "SELECT min(occurred_at) FROM purchase") == datetime(2023, 12, 31, 16, tzinfo=UTC)
    assert await value(database, "SELECT count(*) FROM import_chunk") == 0


async def test_the_same_file_again_changes_nothing(database):
    content = HEADER + "c1,o1,2024-01-01,5\nc1,o2,2024-01-02,6\n"
    first = await imported(database, content)
    events = await value(database, "SELECT count(*) FROM outbox")
    again = await imported(database, content.replace("\n", "\r\n"))
    assert counts(again) == ("done", 0, 2, 0, 0)
    assert again.same_as == first.id
    assert await value(database, "SELECT count(*) FROM outbox") == events


async def test_without_an_order_id_a_row_is_known_by_its_file_and_number(database):
    content = "customer,date,amount\nc1,2024-01-01,5\nc1,2024-01-01,5\n"
    first, again = await imported(database, content), await imported(database, content)
    other = await imported(database, content + "c2,2024-01-03,5\n")
    assert [counts(job) for job in (first, again, other)] == [
        ("done", 2, 0, 0, 0),
        ("done", 0, 2, 0, 0),
        ("done", 3, 0, 0, 0),
    ]
    assert any("No column is the order id" in note for note in first.notes)


async def test_a_row_that_repeats_an_order_id_is_a_duplicate_or_a_conflict(database):
    job = await imported(database, HEADER + "c1,o1,2024-01-01,5\nc1,o1,2024-01-01,5.00\nc1,o1,2024-01-01,6\n")
    assert counts(job) == ("done", 1, 1, 1, 0)
    assert await rejected(database, job) == [("4", "conflict")]


async def test_rows_are_lines_of_one_order_where_a_line_is_mapped(database):
    content = (
        "customer,order_id,date,amount,sku,line\n"
        "c1,o1,2024-01-01,5,a,1\nc2,o2,2024-01-02,3,a,1\nc1,o1,2024-01-01,-2,rebate,2\nc1,o1,2024-01-01,5,a,1\n"
        "c3,o3,2024-01-01,5,a,1\nc3,o3,2024-01-01,x,a,2\nc4,o4,2024-01-01,5,a,1\nc5,o4,2024-01-01,5,a,2\n"
        "c6,,2024-01-01,5,a,2\n"
    )
    job = await imported(database, content, mapping='{"line": "line"}')
    assert counts(job) == ("done", 3, 1, 0, 5)
    assert await value(database, "SELECT amount_minor FROM purchase WHERE source_id = 'o1'") == 300
    assert await value(database, "SELECT jsonb_array_length(lines) FROM purchase WHERE source_id = 'o1'") == 2
    assert await rejected(database, job) == [
        ("6", "order_incomplete"),
        ("7", "bad_amount"),
        ("8", "lines_disagree"),
        ("9", "lines_disagree"),
        ("10", "bad_order_id"),
    ]
    assert counts(await imported(database, content, mapping='{"line": "line"}')) == ("done", 0, 4, 0, 5)


async def test_an_order_id_that_no_index_could_hold_is_refused_with_its_row_alone(database):
    noise = "".join(random.Random(1).choices("0123456789abcdef", k=20_000))
    content = f"customer,order_id,date,amount,line\nc1,{noise},2024-01-01,5,1\nc2,o2,2024-01-01,5,1\n"
    job = await imported(database, content, mapping='{"line": "line"}')
    assert counts(job) == ("done", 1, 0, 0, 1)
    assert await rejected(database, job) == [("2", "bad_order_id")]


async def test_ids_are_measured_in_the_spelling_in_which_they_are_kept(database):
    growing = "\u0958" * 150
    rows = [
        f"{growing},o1,2024-01-01,5",
        "c1,Caf\u00e9,2024-01-01,5",
        "c1,Cafe\u0301,2024-01-01,5",
        "c1,CAFE,2024-01-01,5",
    ]
    job = await imported(database, HEADER + "\n".join(rows))
    assert counts(job) == ("done", 2, 1, 0, 1)
    assert await rejected(database, job) == [("2", "bad_party")]


async def test_lines_known_by_their_product_all_count(database):
    content = "customer,order_id,date,amount,sku\nc1,o1,2024-01-01,5,a\nc1,o1,2024-01-01,5,a\n"
    job = await imported(database, content, mapping='{"line": "sku"}')
    assert counts(job) == ("done", 2, 0, 0, 0)
    assert await value(database, "SELECT amount_minor FROM purchase") == 1000


async def test_invoices_by_their_lines_become_what_was_paid_for_each(database):
    content = (
        "Invoice,StockCode,Quantity,InvoiceDate,Price,Customer ID\n"
        "489434,85048,12,2009-12-01 07:45:00,6.95,13085\n489434,79323P,12,2009-12-01 07:45:00,6.75,13085\n"
        "489434,85048,12,2009-12-01 07:45:00,6.95,13085\n489435,22350,6,2009-12-01 07:46:00,2.55,\n"
        "C489449,22087,-12,2009-12-01 10:33:00,2.95,16321\n489436,48173C,1,2009-12-01 09:06:00,5.95,13078\n"
    )
    job = await imported(database, content)
    assert counts(job) == ("done", 4, 0, 0, 2)
    assert await value(database, "SELECT amount_minor FROM purchase WHERE source_id = '489434'") == 24_780
    assert await value(database, "SELECT jsonb_array_length(lines) FROM purchase WHERE source_id = '489434'") == 3
    assert await rejected(database, job) == [("5", "no_party"), ("6", "negative_amount")]
    assert {"Rows that share an order id are its lines and are added up."} < set(job.notes)
    assert any(note.startswith("An amount is the quantity times the unit price") for note in job.notes)
    assert counts(await imported(database, content)) == ("done", 0, 4, 0, 2)


async def test_what_became_of_orders_is_told_where_it_is_not_heeded(database):
    content = "customer,order_id,date,total,Financial Status\nc1,o1,2024-01-01,5,paid\nc2,o2,2024-01-01,5,voided\n"
    note = "Every row counts, whatever Financial Status says: paid, voided."
    assert note in (await imported(database, content)).notes
    assert note not in (await imported(database, content.replace("voided", "paid"))).notes
    marital = await imported(database, content.replace("Financial", "Marital"))
    assert not any("Every row" in each for each in marital.notes)


async def test_rows_of_one_and_the_same_party_are_worth_a_word(database):
    rows = [f"200,o{number},2024-01-01,5\n" for number in range(20)]
    note = "Every row is of one party, 200: map another column to party where that is not so."
    assert note in (await imported(database, HEADER + "".join(rows))).notes
    assert note not in (await imported(database, HEADER + "".join(rows[1:]))).notes


async def test_who_has_no_id_in_a_file_is_known_by_e_mail_address_or_phone_number(database):
    content = (
        "customer id,email,phone,order no,date,total\n1,ann@example.org,,o1,2024-01-01,5\n"
        "NULL,Bo@Example.org,+49 30 123456,o2,2024-01-01,5\n,,+49 30 123456,o3,2024-01-01,5\n,,,o4,2024-01-01,5\n"
    )
    alone = await imported(database, content)
    assert alone.mapping.keys() == {"party", "order_id", "occurred_at", "amount"}
    assert counts(alone) == ("done", 1, 0, 0, 3)
    mapping = '{"email": "email", "phone": "phone"}'
    job = await imported(database, content, mapping=mapping)
    assert counts(job) == ("done", 2, 1, 0, 1)
    assert await rejected(database, job) == [("5", "no_party")]
    held = "SELECT array_agg(scheme ORDER BY scheme) FROM identity"
    assert await value(database, held) == ["email", "external", "phone"]
    assert counts(await imported(database, content, mapping=mapping)) == ("done", 0, 3, 0, 1)


async def test_lines_that_name_no_currency_are_in_that_of_their_order(database):
    content = (
        "customer,order_id,date,currency,sku,qty,price\nc1,o1,2024-01-01,USD,a,1,5\nc1,o1,2024-01-01,,b,2,3\n"
        "c2,o2,2024-01-01,USD,a,1,5\nc2,o2,2024-01-01,GBP,b,1,5\nc3,o3,2024-01-01,,a,1,5\nc3,o3,2024-01-01,,b,1,5\n"
        "c4,o4,2024-01-01,USD,a,1,5\nc4,o4,2024-01-01,,b,1,€5\nc5,o5,2024-01-01,JPY,a,1,5\nc5,o5,2024-01-01,,b,1,5\n"
    )
    job = await imported(database, content)
    assert counts(job) == ("done", 4, 0, 0, 6)
    assert await rejected(database, job) == [(str(row), "lines_disagree") for row in (4, 5, 8, 9, 10, 11)]
    said = "SELECT array_agg(source_id || ' ' || amount_minor || ' ' || currency ORDER BY source_id) FROM purchase"
    assert await value(database, said) == ["o1 1100 USD", "o3 1000 EUR"]


async def test_orders_larger_than_a_chunk_stay_whole(database):
    rows = [f"c{order},o{order},2024-01-01,1,{line}\n" for order in range(3) for line in range(1500)]
    random.Random(1).shuffle(rows)
    job = await imported(database, "customer,order_id,date,amount,line\n" + "".join(rows), mapping='{"line": "line"}')
    assert counts(job) == ("done", 4500, 0, 0, 0)
    assert await value(database, "SELECT array_agg(amount_minor) FROM purchase") == [150_000] * 3


async def test_returns_name_their_purchase_where_it_is_known(database):
    await imported(database, HEADER + "c1,o1,2024-01-01,5\n")
    content = "return_id,original_order_id,customer,date,amount\nr1,o1,c1,2024-02-01,-5\nr2,o9,c1,2024-02-01,3\n"
    job = await imported(database, content, kind="returns")
    assert counts(job) == ("done", 2, 0, 0, 0)
    named = "SELECT count(*) FROM outbox WHERE type = 'customers.purchase_returned.v1' AND payload::text LIKE $1"
    assert await value(database, "SELECT count(*) FROM outbox WHERE type = 'customers.purchase_returned.v1'") == 2
    assert await value(database, named.replace("payload::text", "convert_from(payload, 'UTF8')"), "%purchase_id%") == 1


async def test_a_return_of_no_known_purchase_may_say_null(database):
    content = "return_id,original_order_id,customer,date,amount\nr1,NULL,c1,2024-01-03,5\n"
    assert counts(await imported(database, content, kind="returns")) == ("done", 1, 0, 0, 0)


async def test_a_dry_run_reads_everything_and_records_nothing(database):
    job = await imported(database, HEADER + "c1,o1,2024-01-01,5\n,o2,2024-01-01,5\n", dry_run=True)
    assert counts(job) == ("done", 1, 0, 0, 1)
    assert await value(database, "SELECT count(*) FROM purchase") == 0


async def test_undo_withdraws_every_fact_and_the_file_can_come_again(database):
    content = HEADER + "".join(f"c{n % 7},o{n},2024-01-01,5\n" for n in range(4_500))
    first = await imported(database, content)
    gone = await undone(database, first)
    assert (gone.state, gone.withdrawn) == ("undone", 4_500)
    assert await value(database, "SELECT count(*) FROM purchase WHERE withdrawn_at IS NULL") == 0
    assert await value(database, "SELECT count(*) FROM outbox WHERE type = 'customers.fact_withdrawn.v1'") == 4_500
    again = await imported(database, content)
    assert counts(again) == ("done", 4_500, 0, 0, 0)
    assert again.same_as is None


async def test_a_file_whose_dates_are_ambiguous_is_refused_whole(database):
    content = HEADER + "c1,o1,01/02/2024,5\n"
    with pytest.raises(AmbiguousDates):
        await start(database, content)
    assert await value(database, "SELECT count(*) FROM import_chunk") == 0
    assert counts(await imported(database, content, dates="dmy"))[:2] == ("done", 1)


async def test_an_importer_that_lost_its_lease_stops(database):
    job = await start(database, HEADER + "c1,o1,2024-01-01,5\n")
    slow, other = uuid7(), uuid7()
    async with database.transaction() as session:
        assert await claim(session, slow, AT) == job.id
        assert await claim(session, other, AT) is None
    async with database.transaction() as session:
        assert await claim(session, other, AT + 2 * LEASE) == job.id
        assert await held(session, job.id, slow, AT) is None
    assert not await move_on(database, KINDS, INSTALLATION, job.id, slow)


IMPORTER = """
import asyncio, sys
from zoneinfo import ZoneInfo
from chassis.db import connect
from contracts.identity import Installation
from chassis.imports import progress
from chassis.imports.importer import carry_out_imports
from services.customers.handlers.imports.kinds import KINDS
progress.LEASE /= 20
asyncio.run(carry_out_imports(connect(sys.argv[1]), KINDS, Installation(b"k" * 32, ZoneInfo("UTC"))))
"""


def importer(database: Database) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", IMPORTER, database.url], env={**os.environ, "PYTHONPATH": "."})


async def test_importers_killed_in_the_middle_lose_nothing_and_double_nothing(database):
    rows, chance = 16_000, random.Random(7)
    content = "customer,date,amount\n" + "".join(f"c{n % 997},2024-01-01,{n % 50}\n" for n in range(rows))
    job = await start(database, content)
    kills, running, until = 0, importer(database), time.monotonic() + 90
    try:
        while await value(database, "SELECT state FROM import_job WHERE id = $1", job.id) != "done":
            assert time.monotonic() < until
            before = await value(database, "SELECT next_chunk FROM import_job WHERE id = $1", job.id)
            if kills < 3 and before > kills * 2:
                await asyncio.sleep(chance.uniform(0, 0.1))
                running.send_signal(signal.SIGKILL)
                running.wait()
                kills, running = kills + 1, importer(database)
    finally:
        running.kill()
        running.wait()
    async with database.transaction() as session:
        done = await import_job(session, job.id)
    assert kills == 3
    assert counts(done) == ("done", rows, 0, 0, 0)
    assert await value(database, "SELECT count(DISTINCT source_id) FROM purchase") == rows
    assert await value(database, "SELECT count(DISTINCT event_id) FROM outbox") == rows
    assert await value(database, "SELECT sum(amount_minor) FROM purchase") == sum(n % 50 for n in range(rows)) * 100


async def test_whoever_forgets_waits_for_a_database_that_is_away() -> None:
    away = connect("postgresql+asyncpg://nobody@127.0.0.1:1/none")
    forgetting = asyncio.create_task(forget_what_was_looked_at(away))

    done, _ = await asyncio.wait({forgetting}, timeout=1)

    assert not done
    forgetting.cancel()
    await away.close()
