"""Whatever a caller sends, the answer says what is wrong with it, and nothing is our fault."""

import base64
import json
from uuid import UUID

import pytest

NUL, ALONE = "\x00", "\\ud800"
SOME = UUID("01a2189b-8d0e-7b53-97d4-dc6067b45465")


def cursor(*values):
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


QUERIES = [
    {"scheme": "external", "system": "shop", "value": NUL},
    {"scheme": "email", "value": "a\x00@example.org"},
    {"scheme": "phone", "value": "9" * 400},
    {"scheme": "email", "system": "shop", "value": "a@example.org"},
    {"source": NUL},
    {"campaign": "Spring"},
    {"owner_id": "user_x"},
    {"party_id": f"lead_{SOME.hex}"},
    {"limit": 0},
    {"limit": 10**30},
    {"cursor": cursor("2026-01-05T09:00:00", str(SOME))},
    {"cursor": cursor("9999-12-31T23:59:59-23:59", str(SOME))},
    {"cursor": cursor(10**30)},
    {"cursor": cursor()},
    {"cursor": "é"},
]


@pytest.mark.parametrize("params", QUERIES, ids=str)
async def test_a_list_answers_any_query(api, params):
    assert (await api.get("/v1/leads", params=params)).status_code in (200, 400, 422)


@pytest.mark.parametrize("values", [(-1,), (2**31,), (10**30,), (1.5,), ("x",), (None,)])
@pytest.mark.parametrize("path", ["/v1/leads/rubrics", "/v1/leads/{id}/versions"])
async def test_a_list_of_versions_answers_any_cursor(api, path, values):
    lead = (await api.post("/v1/leads", json={"email": "a@example.org"})).json()
    answer = await api.get(path.format(id=lead["id"]), params={"cursor": cursor(*values)})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_cursor")


BODIES = [
    "",
    "null",
    "[]",
    '{"email": 1}',
    f'{{"note": "{ALONE}", "email": "a@example.org"}}',
    f'{{"attributes": {{"a": "{ALONE}"}}, "email": "a@example.org"}}',
    '{"source_id": "\\u0000"}',
    '{"source_id": "   "}',
    '{"email": "a@example.org", "occurred_at": "0000-00-00T00:00:00Z"}',
    '{"email": "a@example.org", "occurred_at": 1e400}',
    '{"email": "a@example.org", "attributes": {"a": ' + "[" * 5_000 + "]" * 5_000 + "}}",
    b"\xff\xfe",
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: str(body)[:40])
async def test_a_capture_refuses_what_is_none(api, published, body):
    answer = await api.post("/v1/leads", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text
    in_bulk = await api.post("/v1/leads/bulk", content=body)
    assert (in_bulk.status_code, in_bulk.json()["accepted"]) == (200, 0)
    assert await published() == []


@pytest.mark.parametrize(
    "value", ["NaN", "Infinity", "1e400", "9" * 400, "-" + "9" * 5_000, '"\\u0000"', f'"{ALONE}"', "{}", "[[]]", "true"]
)
@pytest.mark.parametrize("op", ["is", "in", "at_least"])
async def test_a_rubric_refuses_a_value_that_is_none(api, op, value):
    when = f'{{"field": "attributes.x", "op": "{op}", "value": {value}}}'
    criterion = f'{{"name": "c", "points": 1, "when": {when}}}'
    body = f'{{"name": "r", "criteria": [{criterion}], "cuts": {{"a": 3, "b": 2, "c": 1}}}}'
    answer = await api.put("/v1/leads/rubric", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text


async def test_an_identity_is_one_however_it_is_written(api):
    spellings = ["Ada@Example.org", " ada@example.org ", "ADA@EXAMPLE.ORG"]
    leads = [(await api.post("/v1/leads", json={"email": email})).json() for email in spellings]
    assert len({lead["identity_id"] for lead in leads}) == 1
    other = (await api.post("/v1/leads", json={"email": "\u0430da@example.org"})).json()
    assert other["identity_id"] != leads[0]["identity_id"]
