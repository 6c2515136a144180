"""What the runbook has an operator ask of a database, as it is printed there."""

import re

import asyncpg

from chassis.db import Database, plain_url
from tests.docs.pages import page, section


async def test_the_query_for_who_holds_the_sequencer_finds_that_session_and_no_other(database: Database) -> None:
    [query] = re.findall(r"```sql\n(.+?)```", section(page("operating.md"), "ShukeEventsUnnumbered"), re.DOTALL)
    holding, beside, asking = [await asyncpg.connect(plain_url(database.url)) for _ in range(3)]
    await holding.execute("SELECT pg_advisory_lock(hashtext('sequencer'))")
    await beside.execute("SELECT pg_advisory_lock(hashtext('migrate'))")

    found = await asking.fetch(query)

    assert [row["pid"] for row in found] == [holding.get_server_pid()]
    for connection in (holding, beside, asking):
        connection.terminate()
