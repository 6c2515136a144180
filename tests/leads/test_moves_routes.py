from datetime import datetime, timedelta
from uuid import UUID

import pytest

from chassis.clock import now
from contracts.loss import LossReason
from services.leads.domain.moves import MOVES, OPERATIONS, LeadStatus

CAPTURED = "2026-01-05T09:00:00Z"
WAYS = {
    LeadStatus.NEW: [],
    LeadStatus.QUALIFIED: [LeadStatus.QUALIFIED],
    LeadStatus.DISQUALIFIED: [LeadStatus.DISQUALIFIED],
    LeadStatus.WON: [LeadStatus.QUALIFIED, LeadStatus.WON],
    LeadStatus.LOST: [LeadStatus.LOST],
}
NAMES = {
    LeadStatus.NEW: "lead_reopened",
    LeadStatus.QUALIFIED: "lead_qualified",
    LeadStatus.DISQUALIFIED: "lead_disqualified",
    LeadStatus.WON: "lead_won",
    LeadStatus.LOST: "lead_lost",
}


async def capture(api, **other):
    body = {"system": "crm", "source_id": "l1", "email": "a@example.org", "occurred_at": CAPTURED} | other
    answer = await api.post("/v1/leads", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def send(api, lead, to, **body):
    if to in (LeadStatus.LOST, LeadStatus.DISQUALIFIED):
        body = {"reason": "price"} | body
    return await api.post(f"/v1/leads/{lead['id']}/{OPERATIONS[to]}", json=body)


async def bring(api, status):
    lead = await capture(api)
    for to in WAYS[status]:
        assert (await send(api, lead, to)).status_code == 200
    return (await api.get(f"/v1/leads/{lead['id']}")).json()


@pytest.mark.parametrize("status", LeadStatus)
@pytest.mark.parametrize("to", LeadStatus)
async def test_every_cell_of_the_table_is_carried_out_or_refused(api, published, status, to):
    lead = await bring(api, status)
    await published()
    answer = await send(api, lead, to)
    if to in MOVES[status]:
        assert answer.status_code == 200, answer.text
        assert (answer.json()["status"], answer.json()["version"]) == (to, lead["version"] + 1)
        [(kind, subject, data)] = await published()
        assert (kind, subject.replace("-", "")) == (NAMES[to], lead["identity_id"].removeprefix("identity_"))
        assert data["lead_id"].replace("-", "") == lead["id"].removeprefix("lead_")
    else:
        assert (answer.status_code, answer.json()["code"]) == (409, "illegal_move")
        assert answer.json()["allowed"] == sorted(MOVES[status])
        assert (await api.get(f"/v1/leads/{lead['id']}")).json() == lead
        assert await published() == []


async def test_the_table_is_read_over_http_as_it_decides(api):
    told = (await api.get("/v1/leads/moves")).json()["data"]
    assert {(row["status"], row["to"], row["operation"]) for row in told} == {
        (status, to, OPERATIONS[to]) for status, allowed in MOVES.items() for to in allowed
    }


@pytest.mark.parametrize("operation", ["lose", "disqualify"])
async def test_a_reason_is_required_and_unknown_is_one(api, published, operation):
    lead = await capture(api)
    path = f"/v1/leads/{lead['id']}/{operation}"
    without = await api.post(path, json={})
    assert (without.status_code, without.json()["errors"][0]["pointer"]) == (422, "#/reason")
    wrong = await api.post(path, json={"reason": "mood"})
    assert wrong.status_code == 422
    assert all(reason in wrong.json()["errors"][0]["detail"] for reason in LossReason)
    await published()
    assert (await api.post(path, json={"reason": "unknown"})).status_code == 200
    assert [data["reason"] for _, _, data in await published()] == ["unknown"]


async def test_a_loss_names_the_competitor_where_it_is_known(api, published):
    lead = await capture(api)
    await published()
    await send(api, lead, LeadStatus.LOST, reason="competitor", competitor="northwind")
    assert [(data["reason"], data["competitor"]) for _, _, data in await published()] == [("competitor", "northwind")]
    named = await api.get(f"/v1/leads/{lead['id']}/versions")
    assert (named.json()["data"][0]["reason"], named.json()["data"][0]["competitor"]) == ("competitor", "northwind")


async def test_a_win_tells_what_was_bought_or_that_it_was_agreed(api, published):
    with_order, agreed = await capture(api), await capture(api, source_id="l2")
    await published()
    await send(api, with_order, LeadStatus.WON, order={"amount_minor": 480_000, "currency": "EUR"})
    await send(api, agreed, LeadStatus.WON)
    [(_, _, one), (_, _, other)] = await published()
    assert (one["order"], "order" in other) == ({"amount_minor": 480_000, "currency": "EUR"}, False)
    for order in ({"amount_minor": 1}, {"amount_minor": -1, "currency": "EUR"}, {"amount_minor": 1, "currency": "EUX"}):
        third = await api.post(f"/v1/leads/{agreed['id']}/win", json={"order": order})
        assert third.status_code == 422


async def test_a_move_happens_when_it_is_said_to_have_or_now(api, published):
    lead = await capture(api)
    await published()
    before = now()
    await send(api, lead, LeadStatus.LOST)
    await send(api, lead, LeadStatus.NEW, occurred_at="2026-03-01T10:00:00+01:00")
    [(_, _, lost), (_, _, reopened)] = await published()
    assert before <= datetime.fromisoformat(lost["occurred_at"]) <= now()
    assert reopened["occurred_at"] == "2026-03-01T10:00:00+01:00"


async def test_a_move_before_the_capture_is_refused(api):
    lead = await capture(api)
    answer = await send(api, lead, LeadStatus.QUALIFIED, occurred_at="2026-01-05T08:59:59Z")
    assert (answer.status_code, answer.json()["code"]) == (422, "before_capture")
    assert (await send(api, lead, LeadStatus.QUALIFIED, occurred_at=CAPTURED)).status_code == 200


async def test_a_lead_captured_a_little_ahead_can_move_at_once(api):
    lead = await capture(api, occurred_at=(now() + timedelta(hours=5)).isoformat())
    assert (await send(api, lead, LeadStatus.QUALIFIED)).status_code == 200


async def test_undo_takes_one_move_after_the_other_back(api, published):
    lead = await capture(api)
    path = f"/v1/leads/{lead['id']}"
    for to in (LeadStatus.QUALIFIED, LeadStatus.LOST, LeadStatus.NEW):
        await send(api, lead, to)
    await api.patch(path, json={"note": "in between"})
    facts = {kind: data["_id"] for kind, _, data in await published()}
    reached = []
    for _ in range(3):
        reached.append((await api.post(f"{path}/undo", json={})).json()["status"])
    assert reached == ["lost", "qualified", "new"]
    events = await published()
    assert {kind for kind, _, _ in events} == {"fact_withdrawn"}
    expected = [facts[name] for name in ("lead_reopened", "lead_lost", "lead_qualified")]
    assert [data["fact_id"] for _, _, data in events] == expected
    refused = await api.post(f"{path}/undo", json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "no_move_to_undo")
    history = (await api.get(f"{path}/versions")).json()["data"]
    assert [(row["change"], row["undoes"]) for row in history] == [
        ("undone", 2),
        ("undone", 3),
        ("undone", 4),
        ("edited", None),
        ("reopened", None),
        ("lost", None),
        ("qualified", None),
        ("captured", None),
    ]
    assert [row["fact_id"] for row in history if row["change"] == "lost"] == [f"event_{UUID(facts['lead_lost']).hex}"]


async def test_after_an_undo_the_lead_moves_on_from_where_it_stood(api, published):
    lead = await capture(api)
    await send(api, lead, LeadStatus.WON)
    await api.post(f"/v1/leads/{lead['id']}/undo", json={})
    assert (await send(api, lead, LeadStatus.LOST)).status_code == 200
    await published()
    assert (await api.post(f"/v1/leads/{lead['id']}/undo", json={})).json()["status"] == "new"
