"""What lists of facts are asked for alike: a time, an id in a source, an owner together with an identifier."""

import re
from uuid import UUID

import pytest

from chassis.db import driver
from chassis.http import LATEST
from services.customers.queries.histories import statement
from services.customers.queries.problems import OWNED

PARTY = {"scheme": "external", "system": "shop", "value": "c1"}
OTHER = {"scheme": "external", "system": "shop", "value": "c2"}
UNKNOWN = f"{1:032x}"
MONEY = {"currency": "EUR", "amount_minor": 5}
CALL = {"department": "sales", "channel": "phone", "kind": "contact", "direction": "inbound"}
KINDS = [("purchases", MONEY), ("returns", MONEY), ("interactions", CALL), ("problems", {"category": "delivery"})]


async def ids(api, kind, **asked):
    seen, cursor = [], None
    while True:
        params = asked | {"limit": 2} | ({"cursor": cursor} if cursor else {})
        answer = await api.get(f"/v1/{kind}", params=params)
        assert answer.status_code == 200, answer.text
        seen += [row["source_id"] for row in answer.json()["data"]]
        if not (cursor := answer.json()["next_cursor"]):
            return seen


@pytest.mark.parametrize(("kind", "said"), KINDS)
async def test_a_list_is_asked_for_by_time_and_by_the_id_in_the_source(api, kind, said):
    told = {}
    for day in range(1, 6):
        row = {"identifier": PARTY if day % 2 else OTHER, "occurred_at": f"2026-01-0{day}T10:00:00Z", **said}
        for source in ("shop", "till"):
            answer = await api.post(f"/v1/{kind}", json=row | {"source": source, "source_id": f"{source[0]}{day}"})
            assert answer.status_code == 201, answer.text
            told[answer.json()["source_id"]] = answer.json()
    party = told["s1"]["party_id"]
    assert await ids(api, kind, party_id=party, source="shop") == ["s5", "s3", "s1"]
    between = {"since": "2026-01-02T10:00:00Z", "until": "2026-01-05T10:00:00Z"}
    assert await ids(api, kind, source="till", **between) == ["t4", "t3", "t2"]
    assert await ids(api, kind, party_id=party, **between | {"source": "shop"}) == ["s3"]
    assert sorted(await ids(api, kind, **between)) == ["s2", "s3", "s4", "t2", "t3", "t4"]
    assert await ids(api, kind, source="till", source_id=" t4") == ["t4"]
    assert await ids(api, kind, source="shop", source_id="t4") == []
    await api.post(f"/v1/{kind}/{told['t4']['id']}/withdraw")
    assert await ids(api, kind, source="till", source_id="t4") == []
    alone = await api.get(f"/v1/{kind}", params={"source_id": "t4"})
    assert (alone.status_code, alone.json()["code"]) == (422, "source_not_named")
    unknown = await api.get(f"/v1/{kind}", params={"party_id": f"party_{UNKNOWN}"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "party_not_found")


async def test_who_holds_an_identifier_is_listed_only_where_it_is_the_owners(api):
    party = (await api.post("/v1/parties", json={"identifiers": [PARTY]})).json()["id"]
    ann, team = f"user_{5:032x}", f"team_{6:032x}"
    await api.put(f"/v1/parties/{party}/owner", json={"owner_id": ann, "team_id": team})

    async def found(**asked):
        answer = await api.get("/v1/parties", params=PARTY | asked)
        assert answer.status_code == 200, answer.text
        return [row["id"] for row in answer.json()["data"]]

    assert await found() == await found(owner_id=ann) == await found(owner_id=ann, team_id=team) == [party]
    assert await found(owner_id=f"user_{7:032x}") == await found(owner_id=ann, team_id=f"team_{7:032x}") == []
    assert await found(value="c9") == []


FILLED = """
INSERT INTO party (id, resolves_to, created_at) SELECT id, id, now() FROM ({ids}) AS made(id, n);
INSERT INTO holding (identity_id, nth, party_id, assigned_at) SELECT id, 0, id, now() FROM ({ids}) AS made(id, n);
INSERT INTO party_owner (party_id, owner_id, version, changed_at) SELECT id, '{owner}', 1, now()
    FROM ({ids}) AS made(id, n) WHERE n = 1;
INSERT INTO interaction (id, identity_id, source, occurred_at, department, channel, kind, direction, fact_id,
    recorded_at)
SELECT id, id, 'desk', '2026-01-01'::timestamptz + n * interval '1 hour', CASE n WHEN 1 THEN 'quality' ELSE 'sales' END,
    CASE n WHEN 1 THEN 'fax' ELSE 'phone' END, CASE n WHEN 1 THEN 'praise' ELSE 'view' END, 'inbound', id, now()
FROM ({ids}) AS made(id, n);
INSERT INTO problem (id, identity_id, source, occurred_at, category, severity, opened_at, fact_id, recorded_at)
SELECT id, id, 'desk', '2026-01-01'::timestamptz + n * interval '1 hour', CASE n WHEN 1 THEN 'rare' ELSE 'delivery' END,
    CASE n WHEN 1 THEN 'critical' ELSE 'low' END, now(), id, now()
FROM ({ids}) AS made(id, n);
ANALYZE party, holding, party_owner, interaction, problem
""".format(
    ids="SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, n FROM generate_series(1, 5000) AS n",
    owner=UUID(int=5),
)


async def test_a_list_by_a_value_that_few_have_reads_few_rows(database, here):
    asked = [
        ("interaction", "fact.department = {}", "quality"),
        ("interaction", "fact.kind = {}", "praise"),
        ("interaction", "fact.channel = {}", "fax"),
        ("problem", "fact.category = {}", "rare"),
        ("problem", "fact.severity = {}", "critical"),
        ("problem", OWNED.format(column="owner_id"), UUID(int=5)),
    ]
    async with database.transaction() as session:
        connection = await driver(session)
        await connection.execute(FILLED)
        for table, condition, value in asked:
            query, arguments = statement(
                table, here, party_id=None, where=[(condition, value)], before=LATEST, limit=51
            )
            plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN (ANALYZE) {query}", *arguments))
            read = [int(rows) for rows in re.findall(r"actual time=\S+ rows=(\d+)", plan)]
            passed_over = [int(rows) for rows in re.findall(r"Rows Removed by Filter: (\d+)", plan)]
            assert max(read + passed_over) < 100, plan
        await session.rollback()


@pytest.mark.parametrize("table", ["purchase", "purchase_return"])
async def test_a_list_of_all_is_in_the_order_of_an_index(database, here, table):
    query, arguments = statement(table, here, party_id=None, where=[], before=LATEST, limit=51)
    async with database.transaction() as session:
        connection = await driver(session)
        await connection.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {query}", *arguments))
    assert "Index Scan Backward" in plan
    assert "Sort" not in plan
