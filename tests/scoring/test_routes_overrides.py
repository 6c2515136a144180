import asyncio
import json
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import httpx
import pytest

from chassis.clock import now
from chassis.consumer import StartOver
from chassis.db import Database, driver
from services.scoring.domain.grades import Flag
from services.scoring.domain.money import CurrencyFixed
from services.scoring.domain.overridden import SPANS, Span
from services.scoring.domain.overrides import Field
from services.scoring.domain.presets import DEFAULT_1
from services.scoring.handlers import overriding
from services.scoring.handlers.rebuilding import move_on
from services.scoring.handlers.sweeping import sweep_once
from services.scoring.queries.recording import recording_instant
from services.scoring.queries.rulings import set_currency
from services.scoring.queries.watermark import move_watermark
from tests.scoring.conftest import MakeScoring
from tests.scoring.feeding import Feeding, served
from tests.scoring.test_handlers import announced, party, rows
from tests.scoring.test_rebuilding import ask
from tests.scoring.test_routes_proof import verified

DAY = timedelta(days=1)
WHY = "Their director called."
WAITING = "SELECT FROM pg_locks WHERE relation = 'watermark'::regclass AND NOT granted"


@pytest.fixture
def feed(scoring: Database) -> Feeding:
    """What is told is recorded an hour ago."""
    return Feeding(scoring, at=now() - timedelta(hours=1))


@pytest.fixture
async def customer(feed: Feeding) -> UUID:
    """Bought ten days ago for 50.00: a customer of the tier low."""
    somebody = feed.identity()
    await feed.bought(somebody, feed.at - 10 * DAY, 5_000)
    return somebody


@pytest.fixture(autouse=True)
async def far_from_midnight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noon, so that no test sees two days where it means one."""
    present = datetime.now(UTC)
    ahead = present.replace(hour=12, minute=0, second=0, microsecond=0) + DAY - present
    monkeypatch.setenv("SHUKE_CLOCK_OFFSET", str(ahead.total_seconds()))


def pass_days(monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    ahead = now() - datetime.now(UTC)
    monkeypatch.setenv("SHUKE_CLOCK_OFFSET", str((ahead + days * DAY).total_seconds()))


def path(party_id: UUID, *more: str) -> str:
    return "/".join([f"/v1/standings/party_{party_id.hex}", *more])


async def override(api: httpx.AsyncClient, party_id: UUID, field: str, value: str, **more: Any) -> dict[str, Any]:
    body = {"field": field, "value": value, "why": WHY, **more}
    answer = await api.post(path(party_id, "overrides"), json=body)
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def end(api: httpx.AsyncClient, override_id: str, **body: str) -> dict[str, Any]:
    answer = await api.post(f"/v1/overrides/{override_id}/end", json=body)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def read(api: httpx.AsyncClient, party_id: UUID, *more: str, **query: Any) -> dict[str, Any]:
    answer = await api.get(path(party_id, *more), params=query)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def read_one(api: httpx.AsyncClient, override_id: str) -> dict[str, Any]:
    told: dict[str, Any] = (await api.get(f"/v1/overrides/{override_id}")).json()
    return told


async def states(api: httpx.AsyncClient, party_id: UUID) -> list[tuple[str, str]]:
    """Value and state of what was set for a party, the last first."""
    return [(each["value"], each["state"]) for each in (await read(api, party_id, "overrides"))["data"]]


async def digest(api: httpx.AsyncClient) -> str:
    return str((await api.get("/v1/digest")).json()["digest"])


async def sweep_at(feed: Feeding, at: datetime) -> None:
    await feed.reached(at)
    await sweep_once(feed.database)


async def test_what_is_set_holds_at_once_and_what_the_facts_say_stays_visible(
    api: httpx.AsyncClient, scoring: Database, customer: UUID
) -> None:
    answer = await api.post(path(customer, "overrides"), json={"field": "tier", "value": "top", "why": WHY})

    told = answer.json()
    standing = told.pop("standing")
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/overrides/{told['id']}"
    assert told == {
        "id": told["id"],
        "party_id": f"party_{customer.hex}",
        "field": "tier",
        "value": "top",
        "currency": None,
        "why": WHY,
        "until": None,
        "state": "holds",
        "set_at": told["set_at"],
        "set_by": "tests",
        "ended_at": None,
        "ended_by": None,
        "end_reason": None,
        "superseded_by": None,
    }
    assert (standing["tier"], standing["value_minor"], standing["derived"]["tier"]) == ("top", 5_000, "low")
    assert (standing["treatment"], standing["flags"]) == ("care", ["high_value", "profit_making"])
    assert (await party(scoring, customer))["tier"] == "top"
    assert (await read(api, customer))["derived"]["tier"] == "low"
    assert await read_one(api, told["id"]) == told


async def test_it_is_told_to_others_as_a_revision_by_an_override(
    api: httpx.AsyncClient, scoring: Database, customer: UUID
) -> None:
    told = await override(api, customer, "tier", "top")

    [_, change] = await announced(scoring, customer)
    assert (change["cause"], change["kind"]) == ("override", "revised")
    assert (change["from_tier"], change["to_tier"]) == ("low", "top")
    assert UUID(change["fact_id"]) == UUID(told["id"].removeprefix("override_"))
    assert (change["occurred_at"], change["treatment"]) == (told["set_at"], "care")
    moves = (await read(api, customer, "moves"))["data"]
    assert [(move["cause"], move["kind"]) for move in moves] == [("fact", "appeared"), ("override", "revised")]


async def test_a_customer_set_to_be_lost_is_not_won_back_by_ending_that(
    api: httpx.AsyncClient, scoring: Database, customer: UUID
) -> None:
    lost = await override(api, customer, "stage", "lost_customer")
    back = await end(api, lost["id"])

    assert (lost["standing"]["stage"], lost["standing"]["loss_reason"]) == ("lost_customer", "unknown")
    assert (back["standing"]["stage"], back["standing"]["derived"]) == ("customer", {})
    changes = (await announced(scoring, customer))[1:]
    assert [(change["cause"], change["kind"]) for change in changes] == [("override", "revised")] * 2


@pytest.mark.parametrize(
    ("field", "value", "shown", "derived"),
    [
        ("stage", "dormant_customer", "dormant_customer", "customer"),
        ("tier", "high", "high", "low"),
        ("satisfaction", "low", "low", "unknown"),
        ("loyalty", "high", "high", "unknown"),
        ("posture", "steady", "steady", "developing"),
        ("level", "large", "large", "small"),
        ("treatment", "recover", "recover", "serve"),
        ("vip", "true", True, "false"),
    ],
)
async def test_every_part_that_is_graded_can_be_set(
    api: httpx.AsyncClient, customer: UUID, field: str, value: str, shown: str | bool, derived: str
) -> None:
    standing = (await override(api, customer, field, value))["standing"]

    name = f"{field}_band" if field in ("satisfaction", "loyalty") else field
    assert (standing[name], standing["derived"][field]) == (shown, derived)


@pytest.mark.parametrize(
    ("field", "value", "shown", "derived", "follows"),
    [
        ("value_minor", "70000", 70_000, "5000", ("tier", "high")),
        ("turnover_minor", "0", 0, "5000", ("value_minor", 0)),
        ("p", "0.125", 0.125, "", ("stage", "customer")),
        ("satisfaction_index", "80", 80.0, "50.0", ("satisfaction_band", "high")),
        ("loyalty_index", "12.5", 12.5, "50.0", ("loyalty_band", "low")),
    ],
)
async def test_every_number_can_be_set_and_grades_follow_from_it(
    api: httpx.AsyncClient,
    customer: UUID,
    field: str,
    value: str,
    shown: float,
    derived: str,
    follows: tuple[str, Any],
) -> None:
    told, name = await override(api, customer, field, value), field.removesuffix("_index")

    assert (told["standing"][name], told["standing"]["derived"]) == (shown, {field: derived})
    assert told["standing"][follows[0]] == follows[1]
    assert told["currency"] == ("EUR" if field.endswith("_minor") else None)
    [row] = (await read(api, customer, "overrides"))["data"]
    assert row["value"] == str(shown)
    [listed] = (await api.get("/v1/standings")).json()["data"]
    assert listed[name] == shown
    back = await end(api, told["id"])
    assert str("" if back["standing"][name] is None else back["standing"][name]) == derived


async def test_an_amount_that_is_set_keeps_the_currency_that_it_is_in(make_scoring: MakeScoring) -> None:
    scoring = await make_scoring(currency=None)
    feed = Feeding(scoring, at=now() - timedelta(hours=1))
    somebody = feed.identity()
    async with served(scoring) as api:
        await feed.inquired(somebody, feed.at)
        body = {"field": "turnover_minor", "value": "5000", "why": WHY}
        early = await api.post(path(somebody, "overrides"), json=body)
        await feed.bought(somebody, feed.at, 5_000, "TWD")
        await override(api, somebody, "p", "0.5")
        before = await rows(scoring, "SELECT currency_fixed FROM installation")
        told = await override(api, somebody, "turnover_minor", "5000")

    # It is in no currency before there is one, and the first money's is provisional.
    assert (early.status_code, early.json()["code"]) == (409, "no_reporting_currency")
    assert ([tuple(row) for row in before], told["currency"]) == ([(False,)], "TWD")
    with pytest.raises(CurrencyFixed):
        async with scoring.transaction() as session:
            await set_currency(await driver(session), "JPY", provisional=False, at=now())


@pytest.mark.parametrize("field", list(Field))
async def test_what_no_standing_ever_is_cannot_be_set(
    api: httpx.AsyncClient, scoring: Database, customer: UUID, field: Field
) -> None:
    answer = await api.post(path(customer, "overrides"), json={"field": field, "value": "splendid", "why": WHY})

    number = field in SPANS
    assert (answer.status_code, answer.json()["code"]) == (422, "no_such_number" if number else "unknown_value")
    assert "splendid" not in answer.text
    allowed = {
        **{Field(field): {"true", "false"} for field in (*Flag, "vip")},
        Field.LEVEL: {level.name for level in DEFAULT_1.levels},
        Field.LOSS_REASON: {"price", "unknown"},
        Field.TREATMENT: {row.treatment for row in DEFAULT_1.treatments},
        Field.POSTURE: {"developing", "steady", "conservative"},
        Field.POTENTIAL: set("ABCD"),
    }
    if number:
        assert {name: answer.json()[name] for name in Span._fields} == SPANS[field]._asdict()
    else:
        assert set(answer.json()["allowed"]) >= allowed.get(field, {"low"} if field != Field.STAGE else {"customer"})
    assert await rows(scoring, "SELECT FROM override") == []


@pytest.mark.parametrize(
    "wrong", [{"why": ""}, {"why": None}, {"field": "spend_minor"}, {"until": "2026-02-30"}, {"value": None}, {"x": 1}]
)
async def test_an_override_says_what_it_sets_and_why(
    api: httpx.AsyncClient, customer: UUID, wrong: dict[str, Any]
) -> None:
    body = {"field": "tier", "value": "top", "why": WHY} | wrong

    assert (await api.post(path(customer, "overrides"), json=body)).status_code == 422


async def test_the_last_day_is_today_or_later(api: httpx.AsyncClient, customer: UUID) -> None:
    body = {"field": "tier", "value": "top", "why": WHY, "until": (now() - DAY).date().isoformat()}
    passed = await api.post(path(customer, "overrides"), json=body)

    assert (passed.status_code, passed.json()["code"]) == (422, "until_passed")
    assert passed.json()["today"] == now().date().isoformat()
    assert (await override(api, customer, "tier", "top", until=now().date().isoformat()))["state"] == "holds"


async def test_whoever_stands_nowhere_has_nothing_to_override(api: httpx.AsyncClient, feed: Feeding) -> None:
    gone = feed.identity()
    await feed.withdrawn(gone, await feed.bought(gone, feed.at, 1_000))

    for unknown in (gone, feed.identity()):
        answer = await api.post(path(unknown, "overrides"), json={"field": "tier", "value": "top", "why": WHY})
        assert (answer.status_code, answer.json()["code"]) == (404, "no_standing")
    assert (await api.get(path(feed.identity(), "overrides"))).json()["code"] == "no_standing"
    assert (await read(api, gone, "overrides"))["data"] == []
    missing = f"/v1/overrides/override_{gone.hex}"
    assert (await api.get(missing)).json()["code"] == "override_not_found"
    assert (await api.post(f"{missing}/end")).json()["code"] == "override_not_found"


async def test_of_two_the_one_set_last_holds_and_ending_it_ends_both(api: httpx.AsyncClient, customer: UUID) -> None:
    first = await override(api, customer, "tier", "high")
    second = await override(api, customer, "tier", "top")
    other = await override(api, customer, "posture", "steady")

    assert await states(api, customer) == [("steady", "holds"), ("top", "holds"), ("high", "superseded")]
    refused = await api.post(f"/v1/overrides/{first['id']}/end")
    assert (refused.status_code, refused.json()["code"]) == (409, "override_superseded")
    assert refused.json()["holds"] == second["id"]
    assert (await read_one(api, first["id"]))["superseded_by"] == second["id"]

    ended = await end(api, second["id"], why="They are back to normal.")

    assert (ended["state"], ended["ended_by"], ended["end_reason"]) == ("ended", "tests", "They are back to normal.")
    assert (ended["standing"]["tier"], ended["standing"]["posture"]) == ("low", "steady")
    assert await states(api, customer) == [("steady", "holds"), ("top", "ended"), ("high", "ended")]
    assert other["state"] == "holds"


async def test_ending_it_twice_is_once_and_a_key_answers_a_repeated_request_as_the_first(
    api: httpx.AsyncClient, scoring: Database, customer: UUID
) -> None:
    body = {"field": "tier", "value": "top", "why": WHY}
    again = [
        await api.post(path(customer, "overrides"), json=body, headers={"Idempotency-Key": "once"}) for _ in range(2)
    ]
    ended = [await end(api, again[0].json()["id"]) for _ in range(2)]

    assert again[0].json() == again[1].json()
    assert ended[0] == ended[1]
    assert len(await rows(scoring, "SELECT FROM fact WHERE kind = 28")) == 2


async def test_it_ends_by_the_clock_and_an_earlier_one_that_lasts_holds_again(
    api: httpx.AsyncClient, feed: Feeding, customer: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = now().date()
    await override(api, customer, "tier", "high", until=(today + 5 * DAY).isoformat())
    told = await override(api, customer, "tier", "top", until=(today + DAY).isoformat())
    assert told["standing"]["next_change_at"] == f"{today + 2 * DAY}T00:00:00Z"

    pass_days(monkeypatch, 2)
    await sweep_at(feed, now())
    assert (await read(api, customer))["tier"] == "high"
    assert await states(api, customer) == [("top", "expired"), ("high", "holds")]

    pass_days(monkeypatch, 4)
    await sweep_at(feed, now())
    stands = await read(api, customer)
    assert (stands["tier"], stands["derived"]) == ("low", {})
    assert await states(api, customer) == [("top", "expired"), ("high", "expired")]
    assert [(change["cause"], change["to_tier"]) for change in (await announced(feed.database, customer))[1:]] == [
        ("override", "high"),
        ("override", "top"),
        ("override", "high"),
        ("override", "low"),
    ]
    assert (await verified(api))[0] == []


async def test_what_nobody_notices_is_not_announced(api: httpx.AsyncClient, scoring: Database, customer: UUID) -> None:
    told = await override(api, customer, "tier", "low")

    assert (told["state"], told["standing"]["derived"]) == ("holds", {})
    assert len(await announced(scoring, customer)) == 1


async def test_another_grade_alone_is_announced_with_its_cause(
    api: httpx.AsyncClient, scoring: Database, customer: UUID
) -> None:
    await override(api, customer, "posture", "conservative")

    [_, change] = await announced(scoring, customer)
    assert (change["cause"], change["stage"], change["posture"]) == ("override", "customer", "conservative")


async def test_another_reason_of_a_loss_alone_is_announced_and_in_the_state(
    api: httpx.AsyncClient, scoring: Database, customer: UUID
) -> None:
    await override(api, customer, "stage", "lost_customer")
    told = await override(api, customer, "loss_reason", "price", until=(now() + DAY).date().isoformat())

    change = (await announced(scoring, customer))[-1]
    assert (change["cause"], change["stage"], change["loss_reason"]) == ("override", "lost_customer", "price")
    assert (told["standing"]["loss_reason"], told["standing"]["derived"]["loss_reason"]) == ("price", "unknown")
    state = "SELECT payload FROM outbox WHERE topic = 'scoring.standing.state.v1' ORDER BY id DESC LIMIT 1"
    assert json.loads((await rows(scoring, state))[0]["payload"])["data"]["loss_reason"] == "price"


@pytest.mark.parametrize("flag", list(Flag))
async def test_each_flag_can_be_set(api: httpx.AsyncClient, scoring: Database, customer: UUID, flag: Flag) -> None:
    raised = flag in (await read(api, customer))["flags"]
    standing = (await override(api, customer, flag, str(not raised).lower()))["standing"]

    assert (flag in standing["flags"], standing["derived"]) == (not raised, {flag: str(raised).lower()})
    assert (await announced(scoring, customer))[-1]["flags"] == standing["flags"]


async def test_rebuild_verification_and_digest_see_a_fact(
    api: httpx.AsyncClient, feed: Feeding, scoring: Database, customer: UUID
) -> None:
    before = await digest(api)
    await override(api, customer, "satisfaction", "low")
    await override(api, customer, "returning", "true")
    await override(api, customer, "level", "large")
    await override(api, customer, "stage", "lost_customer")
    await override(api, customer, "loss_reason", "price")
    await override(api, customer, "treatment", "recover", until=(now() + DAY).date().isoformat())
    stood, whole = await read(api, customer), await digest(api)

    await rows(scoring, "DELETE FROM calendar")
    assert (await verified(api))[0] != []
    await ask(scoring)
    while await move_on(scoring):
        pass
    await sweep_at(feed, now())

    assert await digest(api) == whole != before
    assert (await verified(api))[0] == []
    again = await read(api, customer)
    assert {name for name in stood if again[name] != stood[name]} <= {"assessed_at", "reasons", "next_change_at"}
    assert again["next_change_at"] == stood["next_change_at"]


async def test_what_is_set_while_calendars_are_rebuilt_is_in_the_new_ones(
    api: httpx.AsyncClient, feed: Feeding, scoring: Database, customer: UUID
) -> None:
    await ask(scoring)
    while (await rows(scoring, "SELECT after_identity FROM rebuild"))[0]["after_identity"] is None:
        assert await move_on(scoring)
    await override(api, customer, "tier", "top")
    while await move_on(scoring):
        pass
    await sweep_at(feed, now())

    assert (await party(scoring, customer))["tier"] == "top"
    assert (await verified(api))[0] == []


async def test_it_moves_with_its_identity_at_a_merge_and_back_when_that_is_undone(
    api: httpx.AsyncClient, feed: Feeding
) -> None:
    first, second = sorted((feed.identity(), feed.identity()))
    for each in (first, second):
        await feed.bought(each, feed.at - DAY, 5_000)
    await override(api, first, "tier", "high")
    late = await override(api, second, "tier", "top")
    feed.at = now()

    await feed.assigned({second: [(first, None)]}, resolutions={second: first})
    assert await states(api, first) == await states(api, second) == [("top", "holds"), ("high", "superseded")]
    assert (await read(api, second))["party_id"] == f"party_{first.hex}"
    assert (await read(api, first))["tier"] == "top"
    assert (await read_one(api, late["id"]))["party_id"] == f"party_{first.hex}"

    await feed.assigned({second: [(second, None)]}, resolutions={second: second})
    assert (await states(api, first), await states(api, second)) == ([("high", "holds")], [("top", "holds")])
    assert [(await read(api, each))["tier"] for each in (first, second)] == ["high", "top"]
    assert (await verified(api))[0] == []


async def test_what_is_set_by_the_id_of_a_merged_party_goes_with_it(api: httpx.AsyncClient, feed: Feeding) -> None:
    first, second = sorted((feed.identity(), feed.identity()))
    for each in (first, second):
        await feed.bought(each, feed.at - DAY, 5_000)
    await feed.assigned({second: [(first, None)]}, resolutions={second: first})

    by_former = await override(api, second, "tier", "top")
    assert by_former["party_id"] == f"party_{first.hex}"
    assert by_former["standing"]["party_id"] == f"party_{first.hex}"
    await override(api, first, "posture", "steady")
    feed.at = now()
    await feed.assigned({second: [(second, None)]}, resolutions={second: second})

    assert (await states(api, first), await states(api, second)) == ([("steady", "holds")], [("top", "holds")])


async def test_an_end_goes_with_what_it_ended(api: httpx.AsyncClient, feed: Feeding) -> None:
    first, second = sorted((feed.identity(), feed.identity()))
    for each in (first, second):
        await feed.bought(each, feed.at - DAY, 1_000)
    await override(api, first, "tier", "high")
    late = await override(api, second, "tier", "top")
    feed.at = now()
    await feed.assigned({second: [(first, None)]}, resolutions={second: first})
    assert (await end(api, late["id"]))["standing"]["tier"] == "low"
    assert await states(api, first) == [("top", "ended"), ("high", "ended")]

    feed.at = now()
    await feed.assigned({second: [(second, None)]}, resolutions={second: second})

    assert (await states(api, first), await states(api, second)) == ([("high", "holds")], [("top", "ended")])
    assert [(await read(api, each))["tier"] for each in (first, second)] == ["high", "low"]


async def test_what_was_ended_before_a_merge_ends_nothing_that_the_other_party_brings(
    api: httpx.AsyncClient, feed: Feeding
) -> None:
    first, second = sorted((feed.identity(), feed.identity()))
    for each in (first, second):
        await feed.bought(each, feed.at - DAY, 1_000)
    early = await override(api, second, "tier", "mid")
    await override(api, first, "tier", "high")
    await override(api, second, "tier", "top")
    latest = await override(api, second, "tier", "low")
    assert (await end(api, latest["id"]))["standing"]["tier"] == "low"
    feed.at = now()

    await feed.assigned({second: [(first, None)]}, resolutions={second: first})

    assert await states(api, first) == [("low", "ended"), ("top", "ended"), ("high", "holds"), ("mid", "ended")]
    assert (await read_one(api, early["id"]))["ended_by"] is not None
    assert (await read(api, first))["tier"] == "high"
    assert [each["value"] for each in (await read(api, first))["reasons"]["overrides"]] == ["high"]
    assert (await verified(api))[0] == []


async def test_no_two_overrides_are_set_at_one_instant(
    api: httpx.AsyncClient, feed: Feeding, scoring: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = now()
    monkeypatch.setattr(overriding, "now", lambda: at)
    people = [feed.identity() for _ in range(6)]
    for each in people:
        await feed.bought(each, feed.at - DAY, 1_000)

    told = await asyncio.gather(*(override(api, each, "tier", "top") for each in people))

    assert len({each["set_at"] for each in told}) == len(people)


async def test_an_end_that_names_nothing_ends_all_that_were_set_before(
    api: httpx.AsyncClient, feed: Feeding, scoring: Database
) -> None:
    first, second = sorted((feed.identity(), feed.identity()))
    for each in (first, second):
        await feed.bought(each, feed.at - DAY, 1_000)
    await override(api, first, "tier", "high")
    late = await override(api, second, "tier", "top")
    await end(api, late["id"])
    # As the version before wrote it.
    await rows(scoring, "UPDATE override SET ended = NULL")
    feed.at = now()
    await feed.assigned({second: [(first, None)]}, resolutions={second: first})

    assert await states(api, first) == [("top", "ended"), ("high", "ended")]


async def test_it_is_recorded_under_the_identity_that_came_first_of_those_that_are_left(
    api: httpx.AsyncClient, feed: Feeding, scoring: Database
) -> None:
    somebody, mail, phone, stranger = (feed.identity() for _ in range(4))
    await feed.bought(somebody, feed.at - DAY, 5_000)
    feed.at -= timedelta(minutes=10)
    await feed.assigned({phone: [(somebody, None)]})
    feed.at += timedelta(minutes=1)
    await feed.assigned({mail: [(somebody, None)]})
    feed.at += timedelta(minutes=1)
    await feed.bought(phone, feed.at - DAY, 5_000)

    subjects = []
    for left in (None, somebody, phone):
        if left:
            await feed.assigned({left: [(stranger, None)]})
        await feed.bought(mail, feed.at - 3 * DAY, 5_000)
        told = await override(api, somebody, "tier", "top")
        found = await rows(
            scoring, "SELECT identity_id FROM fact WHERE fact_id = $1", UUID(told["id"].removeprefix("override_"))
        )
        subjects.append(found[0]["identity_id"])
        feed.at = now()

    assert subjects == [somebody, phone, mail]
    await feed.assigned({mail: [(somebody, None), (stranger, now().date() - DAY)]})
    refused = await api.post(path(somebody, "overrides"), json={"field": "tier", "value": "top", "why": WHY})
    assert (refused.status_code, refused.json()["code"]) == (409, "no_identity")


async def test_what_was_set_before_an_identity_was_handed_over_stays_with_its_former_holder(
    api: httpx.AsyncClient, feed: Feeding, monkeypatch: pytest.MonkeyPatch
) -> None:
    giver, taker = feed.identity(), feed.identity()
    for each in (giver, taker):
        await feed.bought(each, feed.at - DAY, 5_000)
    other = feed.identity()
    await feed.assigned({other: [(giver, None)]})
    told = await override(api, giver, "tier", "top")

    pass_days(monkeypatch, 1)
    feed.at = now()
    await feed.assigned({giver: [(giver, None), (taker, now().date())]})

    assert (await states(api, giver), await states(api, taker)) == ([("top", "holds")], [])
    assert (await end(api, told["id"]))["standing"]["tier"] == "low"
    assert (await states(api, giver), (await read(api, taker))["tier"]) == ([("top", "ended")], "low")
    assert (await verified(api))[0] == []


async def test_what_was_known_before_does_not_have_it_and_stays_as_it_was_answered(
    api: httpx.AsyncClient, feed: Feeding, customer: UUID
) -> None:
    await feed.reached(now())
    before = {"known_at": now().replace(microsecond=0).isoformat()}
    await feed.reached(now())
    answered = await read(api, customer, **before)
    told = await override(api, customer, "tier", "top")

    after = {"known_at": told["set_at"]}
    refused = await api.get(path(customer), params=after)
    await feed.reached(now())

    assert (refused.status_code, refused.json()["code"]) == (409, "not_read_yet")
    assert await read(api, customer, **before) == answered
    seen = await read(api, customer, **after)
    assert (seen["tier"], seen["derived"]["tier"], seen["revision"]) == ("top", "low", answered["revision"] + 1)


async def test_it_is_recorded_behind_every_instant_that_could_be_asked_for_until_it_is_there(
    scoring: Database, feed: Feeding
) -> None:
    ahead = now() + timedelta(seconds=60)
    await feed.reached(ahead)
    later = ahead + timedelta(seconds=1)

    async def go_on() -> None:
        async with scoring.transaction() as session:
            await move_watermark(await driver(session), "customers", later, later, None)

    async with scoring.transaction() as session:
        connection = await driver(session)
        at = await recording_instant(connection, now(), after=None)
        moving = asyncio.create_task(go_on())
        async with asyncio.timeout(60):
            while not await rows(scoring, WAITING):
                await asyncio.sleep(0)
        [still] = await rows(scoring, "SELECT reached FROM watermark")
        beside = [await recording_instant(connection, now(), after=at + timedelta(hours=1))]
    await moving

    assert (at, still["reached"]) == (ahead + timedelta(microseconds=1), ahead)
    assert beside == [at + timedelta(hours=1, microseconds=1)]
    assert (await rows(scoring, "SELECT reached FROM watermark"))[0]["reached"] == later


async def test_what_is_set_at_once_is_all_kept_and_one_of_it_holds(
    api: httpx.AsyncClient, scoring: Database, customer: UUID
) -> None:
    tiers = ["top", "high", "mid", "unproven"] * 3

    told = await asyncio.gather(*(override(api, customer, "tier", tier) for tier in tiers))

    listed = (await read(api, customer, "overrides"))["data"]
    assert {each["id"] for each in listed} == {each["id"] for each in told}
    assert [each["state"] for each in listed] == ["holds"] + ["superseded"] * 11
    assert len({each["set_at"] for each in listed}) == 12
    assert (await party(scoring, customer))["tier"] == listed[0]["value"]
    assert (await verified(api))[0] == []


@pytest.mark.parametrize("seed", range(3))
async def test_overrides_beside_merges_and_purchases_end_as_the_facts_say(
    api: httpx.AsyncClient, feed: Feeding, scoring: Database, seed: int
) -> None:
    random = Random(seed)
    parties = sorted(feed.identity() for _ in range(4))
    for each in parties:
        await feed.bought(each, feed.at - DAY, 5_000)

    async def set_some() -> None:
        for _ in range(6):
            answer = await api.post(
                path(random.choice(parties), "overrides"),
                json={"field": random.choice(["tier", "stage"]), "value": "top", "why": WHY},
            )
            assert answer.status_code in (201, 422), answer.text

    async def tell_some() -> None:
        telling = Feeding(scoring, at=now(), versions=feed.versions)
        for _ in range(6):
            one, other = random.sample(parties, 2)
            into = random.choice([min(one, other), other])
            await again_until_it_goes(telling, other, into)
            await telling.bought(one, now() - DAY, 1_000)

    async with asyncio.timeout(60):
        await asyncio.gather(set_some(), tell_some(), set_some(), sweep_at(feed, now()))

    assert (await verified(api))[0] == []


async def again_until_it_goes(telling: Feeding, identity: UUID, into: UUID) -> None:
    """As the worker does it: what names a party that was not locked starts over."""
    while True:
        try:
            return await telling.assigned({identity: [(into, None)]}, resolutions={identity: into})
        except StartOver:
            continue


async def test_the_timeline_shows_what_was_set_by_whom_and_why(api: httpx.AsyncClient, customer: UUID) -> None:
    until = (now() + 9 * DAY).date().isoformat()
    told = await override(api, customer, "tier", "top", until=until)
    ended = await end(api, told["id"], why="No longer so.")
    timeline = f"/internal/parties/party_{customer.hex}/timeline"

    whole = (await api.get(timeline)).json()["data"]
    kinds = [entry["kind"] for entry in whole]

    assert kinds == ["override_ended", "overridden", "moved"]
    assert whole[1] == {
        "at": told["set_at"],
        "id": told["id"],
        "kind": "overridden",
        "service": "scoring",
        "recorded_at": told["set_at"],
        "detail": {"field": "tier", "value": "top", "why": WHY, "until": until, "set_by": "tests"},
    }
    assert whole[0]["at"] == ended["ended_at"]
    assert whole[0]["detail"] == {
        "field": "tier",
        "why": "No longer so.",
        "override_id": told["id"],
        "ended_by": "tests",
    }
    behind = {"before_at": whole[0]["at"], "before_id": whole[0]["id"], "kinds": ["overridden", "override_ended"]}
    assert (await api.get(timeline, params=behind)).json() == {"data": [whole[1]], "has_more": False}
    assert (await api.get(timeline, params={"limit": 1})).json() == {"data": whole[:1], "has_more": True}


async def test_overrides_are_listed_page_by_page(api: httpx.AsyncClient, customer: UUID) -> None:
    set_here = [(await override(api, customer, "tier", tier))["id"] for tier in ("top", "high", "mid")]

    pages, cursor = [], None
    while True:
        page = await read(api, customer, "overrides", limit=1, **({"cursor": cursor} if cursor else {}))
        pages += [each["id"] for each in page["data"]]
        cursor = page["next_cursor"]
        if not page["has_more"]:
            break

    assert pages == set_here[::-1]


async def test_a_fact_of_an_override_has_a_place_of_its_own(
    api: httpx.AsyncClient, scoring: Database, customer: UUID
) -> None:
    for tier in ("top", "high"):
        await override(api, customer, "tier", tier)

    found = await rows(scoring, "SELECT topic, partition, seq, recorded_at, occurred_at FROM fact WHERE kind = 28")
    assert sorted(row["seq"] for row in found) == [1, 2]
    assert {(row["topic"], row["partition"]) for row in found} == {("scoring.overrides", 0)}
    assert all(row["recorded_at"] == row["occurred_at"] for row in found)


async def test_whoever_crosses_the_rule_is_vip_by_the_event_that_is_named_or_by_hand(
    api: httpx.AsyncClient, feed: Feeding
) -> None:
    somebody, other = feed.identity(), feed.identity()
    await feed.bought(other, feed.at - DAY, 1_000)
    crossed: list[UUID] = []
    for days in (90, 60, 30, 1):
        fact_id = await feed.bought(somebody, feed.at - days * DAY, 40_000)
        if not crossed and (await read(api, somebody))["vip"]:
            crossed.append(fact_id)
    told = [change for change in await announced(feed.database, somebody) if change["vip"]]

    assert UUID(told[0]["fact_id"]) == crossed[0]
    assert (await vips(api)) == {f"party_{somebody.hex}"}
    await override(api, other, "vip", "true")
    await override(api, somebody, "vip", "false")
    assert (await vips(api)) == {f"party_{other.hex}"}


async def vips(api: httpx.AsyncClient) -> set[str]:
    return {each["party_id"] for each in (await api.get("/v1/standings", params={"vip": True})).json()["data"]}


async def test_who_is_lost_by_override_to_a_competitor_is_told_among_the_defections(
    api: httpx.AsyncClient, feed: Feeding, customer: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = feed.identity()
    await feed.bought(other, feed.at - 10 * DAY, 5_000)
    for party_id, reason in ((customer, "competitor"), (other, "price")):
        await override(api, party_id, "loss_reason", reason)
        await override(api, party_id, "stage", "lost_customer")
    pass_days(monkeypatch, 2)
    await sweep_at(feed, now())

    found = (await api.get("/v1/reports/defections")).json()["lost_to_competitors"]

    assert [(row["competitor"], row["segment"], row["count"]) for row in found] == [("unknown", "low", 1)]
