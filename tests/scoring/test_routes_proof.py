import json
import re
from datetime import UTC, date, datetime, timedelta
from math import isnan
from typing import Any
from uuid import UUID

import httpx
import pytest
import structlog

from chassis.clock import now
from chassis.db import Database, driver
from services.scoring.domain.model import Model
from services.scoring.domain.quality import Quality
from services.scoring.handlers import verifying
from services.scoring.handlers.sweeping import sweep_once
from services.scoring.handlers.verifying import verify_some
from services.scoring.queries.models import activate, add_model
from services.scoring.queries.proof import all_evidence
from services.scoring.queries.proof import verified as so_far_verified
from services.scoring.queries.reading import snapshot
from services.scoring.queries.rulings import new_ruling
from services.scoring.queries.watermark import move_watermark
from tests.scoring.conftest import MakeScoring
from tests.scoring.feeding import JUNE, Feeding, served


@pytest.fixture
async def told(feed: Feeding) -> list[UUID]:
    """Three identities: two merged into one party, one that changed hands; returns, withdrawals, another currency."""
    first, second, third = sorted(feed.identity() for _ in range(3))
    await feed.bought(first, JUNE - timedelta(days=400), 70_000)
    await feed.bought(first, JUNE - timedelta(days=30), 12_000)
    await feed.bought(second, JUNE - timedelta(days=100), 5_000, "USD")
    gone = await feed.bought(second, JUNE - timedelta(days=99), 5_000)
    await feed.returned(second, JUNE - timedelta(days=98), 300)
    await feed.withdrawn(second, gone)
    await feed.bought(third, JUNE - timedelta(days=60), 1_000)
    await feed.bought(third, JUNE - timedelta(days=2), 2_000)
    await feed.assigned({second: [(first, None)]}, resolutions={second: first})
    await feed.assigned({third: [(third, None), (first, date(2026, 5, 1))]})
    return [first, second, third]


async def corrupt(database: Database, statement: str, party: UUID) -> None:
    async with database.transaction() as session:
        await (await driver(session)).execute(statement, party)


async def verified(api: httpx.AsyncClient) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What was found, and the last line."""
    answer = await api.post("/v1/verify")
    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.text.splitlines()]
    return [found for line in lines for found in line["found"]], lines[-1]


async def test_nothing_disagrees_with_the_facts(api: httpx.AsyncClient, told: list[UUID]) -> None:
    found, last = await verified(api)

    assert found == []
    assert last == {"done": True, "checked": 3, "parties": 3, "facts": 6, "waiting": 0, "disagreements": 0, "found": []}


async def test_nothing_disagrees_of_who_was_touched_by_us_alone(api: httpx.AsyncClient, feed: Feeding) -> None:
    party = feed.identity()
    await feed.bought(party, JUNE - timedelta(days=90), 1_000)
    await feed.called(party, JUNE - timedelta(days=1))

    found, last = await verified(api)

    assert (found, last["facts"]) == ([], 2)
    standing = (await api.get(f"/v1/standings/party_{party.hex}")).json()
    assert standing["last_contact_day"] == str((JUNE - timedelta(days=1)).date())


@pytest.mark.parametrize(
    ("corruption", "field"),
    [
        ("UPDATE party SET tier = 'top' WHERE party_id = $1", "tier"),
        ("UPDATE party SET stage = NULL, tier = NULL, since = NULL WHERE party_id = $1", "stage"),
        ("UPDATE party SET value_minor = value_minor + 1 WHERE party_id = $1", "value_minor"),
        ("UPDATE party SET next_change_at = next_change_at + interval '1 day' WHERE party_id = $1", "next_change_at"),
        ("UPDATE party SET spend_minor = spend_minor - 1 WHERE party_id = $1", "spend_minor"),
        ("UPDATE party SET purchase_days = 9 WHERE party_id = $1", "purchase_days"),
        ("UPDATE party SET since = since - 1 WHERE party_id = $1", "since"),
        ("UPDATE party SET last_day = last_day + 1 WHERE party_id = $1", "last_day"),
        ("UPDATE party SET last_sign_day = '2026-01-01' WHERE party_id = $1", "last_sign_day"),
        ("UPDATE party SET last_contact_day = last_contact_day - 1 WHERE party_id = $1", "last_contact_day"),
        ("UPDATE party SET loss_reason = 'price' WHERE party_id = $1", "loss_reason"),
        ("UPDATE party SET next_stage_at = NULL WHERE party_id = $1", "next_stage_at"),
        ("UPDATE party SET next_stage = 'customer' WHERE party_id = $1", "next_stage"),
        ("UPDATE party SET turnover_minor = turnover_minor + 1 WHERE party_id = $1", "turnover_minor"),
        ("UPDATE party SET level = 'huge' WHERE party_id = $1", "level"),
        ("UPDATE party SET p = 0.5 WHERE party_id = $1", "p"),
        ("UPDATE party SET satisfaction = satisfaction + 0.1 WHERE party_id = $1", "satisfaction"),
        ("UPDATE party SET satisfaction_band = 'low' WHERE party_id = $1", "satisfaction_band"),
        ("UPDATE party SET loyalty = loyalty - 0.1 WHERE party_id = $1", "loyalty"),
        ("UPDATE party SET loyalty_band = 'low' WHERE party_id = $1", "loyalty_band"),
        ("UPDATE party SET posture = NULL WHERE party_id = $1", "posture"),
        ("UPDATE party SET treatment = 'ignore' WHERE party_id = $1", "treatment"),
        ("UPDATE party SET flags = flags || '{satisfied}' WHERE party_id = $1", "flags"),
        ("UPDATE party SET vip = NOT vip WHERE party_id = $1", "vip"),
        ("UPDATE party SET first_day = '2020-01-01' WHERE party_id = $1", "first_day"),
        ("UPDATE party SET first_identity = NULL WHERE party_id = $1", "first_identity"),
        ("UPDATE party SET assessed_at = NULL WHERE party_id = $1", "assessed_at"),
        ("DELETE FROM fact WHERE identity_id = $1 AND amount_minor = 12000", "calendar 2026-05-02 purchase EUR"),
        ("DELETE FROM calendar WHERE identity_id = $1 AND year = 2026", "calendar 2026-05-02 purchase EUR"),
        ("UPDATE calendar SET days = 'nonsense' WHERE identity_id = $1 AND year = 2026", "calendar"),
        ("UPDATE calendar SET year = 2024 WHERE identity_id = $1 AND year = 2026", "calendar"),
        ("DELETE FROM party WHERE party_id = $1", "party"),
        ("DELETE FROM holder WHERE party_id = $1", "holder"),
        ("INSERT INTO holder VALUES (gen_random_uuid(), $1)", "holder"),
    ],
)
async def test_whatever_is_corrupted_is_found(
    api: httpx.AsyncClient, scoring: Database, told: list[UUID], corruption: str, field: str
) -> None:
    await corrupt(scoring, corruption, told[0])

    found, last = await verified(api)

    assert field in [each["field"] for each in found]
    assert last["disagreements"] == len(found) > 0


async def test_sums_that_are_not_those_over_all_parties_are_found_and_a_rebuild_counts_anew(
    api: httpx.AsyncClient, scoring: Database, told: list[UUID]
) -> None:
    stood = (await api.get("/v1/standings/summary")).json()["data"]
    where = f"summary {stood[0]['stage']} {stood[0]['tier']}"
    count, value_minor = stood[0]["count"], stood[0]["value_minor"]
    async with scoring.transaction() as session:
        connection = await driver(session)
        for cell in ((stood[0]["stage"], stood[0]["tier"], 1, 70), ("stranger", "unproven", 2, 0)):
            await connection.execute("INSERT INTO cell_change VALUES ($1, $2, $3, $4)", *cell)

    found, last = await verified(api)

    assert [(each["field"], each["stored"], each["computed"]) for each in found] == [
        (f"{where} count", str(count + 1), str(count)),
        (f"{where} value_minor", str(value_minor + 70), str(value_minor)),
        ("summary stranger unproven count", "2", "0"),
    ]
    assert {each["party_id"] for each in found} == {None}
    assert last["disagreements"] == 3
    with structlog.testing.capture_logs() as lines:
        await verify_some(scoring)
    assert [(line["event"], line["field"]) for line in lines if line["log_level"] == "error"] == [
        ("summary disagrees with its standings", each["field"]) for each in found
    ]

    async with scoring.transaction() as session:
        await new_ruling(await driver(session), "rebuild", JUNE)
    await sweep_once(scoring)

    assert (await verified(api))[0] == []
    assert (await api.get("/v1/standings/summary")).json()["data"] == stood


async def test_a_sample_is_of_so_many_parties(api: httpx.AsyncClient, told: list[UUID]) -> None:
    some = (await api.post("/v1/verify", params={"sample": 2})).text.splitlines()
    more = (await api.post("/v1/verify", params={"sample": 1_000})).text.splitlines()

    assert (json.loads(some[-1])["checked"], json.loads(some[-1])["parties"]) == (2, 2)
    assert (json.loads(more[-1])["checked"], json.loads(more[-1])["parties"]) == (3, 3)
    assert (await api.post("/v1/verify", params={"sample": 0})).status_code == 422


async def test_a_sample_finds_what_is_corrupted(api: httpx.AsyncClient, scoring: Database, told: list[UUID]) -> None:
    await corrupt(scoring, "UPDATE party SET spend_minor = 5 WHERE party_id = $1", told[0])

    last = json.loads((await api.post("/v1/verify", params={"sample": 3})).text.splitlines()[-1])

    assert last["disagreements"] == 1


async def test_the_standing_check_goes_round_and_tells_without_repairing(
    scoring: Database, told: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifying, "BATCH", 2)
    await corrupt(scoring, "UPDATE party SET spend_minor = 5 WHERE party_id = $1", told[0])

    with structlog.testing.capture_logs() as lines:
        for _ in range(4):
            await verify_some(scoring)

    alarms = [line for line in lines if line["event"] == "standing disagrees with its facts"]
    assert [(line["log_level"], line["field"], line["stored"], line["computed"]) for line in alarms] == [
        ("error", "spend_minor", "5", "84000")
    ] * 2
    assert {line["party_id"] for line in alarms} == {f"party_{told[0].hex}"}
    async with scoring.transaction() as session:
        so_far = await so_far_verified(await driver(session))
    assert (so_far.parties, so_far.disagreements) == (6, 2)


async def test_what_the_standing_check_found_is_told_to_whoever_watches(
    scoring: Database, api: httpx.AsyncClient, told: list[UUID]
) -> None:
    await corrupt(scoring, "UPDATE party SET level = 'huge', spend_minor = 5 WHERE party_id = $1", told[0])
    await verify_some(scoring)

    ready = (await api.get("/readyz")).json()
    metrics = (await api.get("/metrics")).text

    assert (ready["verified_parties"], ready["verify_disagreements"]) == (3, 2)
    assert "shuke_verified_parties 3.0" in metrics
    assert "shuke_verify_disagreements 2.0" in metrics


async def test_how_long_time_has_stood_is_told_while_no_sweeper_moves_it(
    scoring: Database, api: httpx.AsyncClient
) -> None:
    async def age_s() -> float:
        [line] = re.findall(r"^shuke_watermark_age_seconds (\S+)$", (await api.get("/metrics")).text, re.MULTILINE)
        return float(line)

    assert isnan(await age_s())
    async with scoring.transaction() as session:
        connection = await driver(session)
        await move_watermark(connection, "customers", now() - timedelta(minutes=7), now(), None)

    assert 420 <= await age_s() < 600
    before = await age_s()
    assert await age_s() > before


async def test_what_is_compared_is_one_state_of_the_database(
    scoring: Database, feed: Feeding, told: list[UUID]
) -> None:
    async with snapshot(scoring) as connection:
        before = [stored async for page in all_evidence(connection) for stored in page]
        await feed.bought(told[0], JUNE, 100)
        after = [stored async for page in all_evidence(connection) for stored in page]

    assert before == after


async def test_one_party_is_verified_by_any_of_its_ids(
    api: httpx.AsyncClient, scoring: Database, told: list[UUID]
) -> None:
    agreeing = (await api.post(f"/v1/standings/party_{told[1].hex}/verify")).json()
    async with scoring.transaction() as session:
        await (await driver(session)).execute("UPDATE party SET spend_minor = 5 WHERE party_id = $1", told[0])
    disagreeing = (await api.post(f"/v1/standings/party_{told[0].hex}/verify")).json()

    assert agreeing == {"party_id": f"party_{told[0].hex}", "facts": 5, "disagreements": 0, "found": []}
    assert disagreeing["disagreements"] == 1
    assert disagreeing["found"] == [
        {
            "party_id": f"party_{told[0].hex}",
            "identity_id": None,
            "field": "spend_minor",
            "stored": "5",
            "computed": "84000",
        }
    ]
    assert (await api.post(f"/v1/standings/party_{'0' * 32}/verify")).status_code == 404


async def test_a_party_behind_on_rulings_is_verified_by_the_one_it_stands_under(
    api: httpx.AsyncClient, told: list[UUID]
) -> None:
    await api.post("/v1/rates", json={"rates": [{"day": "2026-01-01", "currency": "USD", "rate": "0.9"}]})

    assert (await verified(api))[1]["disagreements"] == 0


async def test_standings_by_a_model_agree_on_every_day_on_which_they_move(
    api: httpx.AsyncClient, scoring: Database, feed: Feeding, told: list[UUID]
) -> None:
    model = Model(
        as_of=JUNE.date(), parties=9, repeaters=5, r=0.8, alpha=6.0, a=0.7, b=2.5, p=6.0, q=3.7, v=15_000.0,
        mean_minor=9_000.0, currency="EUR", log_likelihood=-1.0,
    )  # fmt: skip
    async with scoring.transaction() as session:
        connection = await driver(session)
        await add_model(connection, model, Quality(horizon_days=180, periods=()), JUNE, None)
        await activate(connection, model.content_hash, JUNE, None)

    stages = set()
    for days in (0, 1, 20, 60, 61, 150, 400):
        await feed.reached(JUNE + timedelta(days=days))
        await sweep_once(scoring)
        async with scoring.transaction() as session:
            rows = await (await driver(session)).fetch("SELECT stage, p FROM party WHERE stage IS NOT NULL")
        stages |= {row["stage"] for row in rows}
        assert all(row["p"] is not None for row in rows)
        assert (await verified(api))[1]["disagreements"] == 0
    assert stages == {"customer", "dormant_customer", "lost_customer"}


async def test_only_calendars_are_verified_where_a_rebuild_has_not_reached_the_standing(
    api: httpx.AsyncClient, scoring: Database, told: list[UUID]
) -> None:
    async with scoring.transaction() as session:
        connection = await driver(session)
        await connection.execute("UPDATE party SET spend_minor = 5")
        await new_ruling(connection, "rebuild", JUNE)

    _, last = await verified(api)

    assert (last["disagreements"], last["waiting"]) == (0, 3)


async def digest(api: httpx.AsyncClient, **query: str) -> dict[str, Any]:
    answer = await api.get("/v1/digest", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_the_digest_of_a_day_does_not_move_with_what_comes_later(
    api: httpx.AsyncClient, feed: Feeding, told: list[UUID]
) -> None:
    before = await digest(api, as_of="2026-05-31")
    await feed.bought(told[0], datetime(2026, 6, 1, 5, tzinfo=UTC), 100)
    after = await digest(api, as_of="2026-05-31")
    await feed.bought(told[0], datetime(2026, 5, 31, 5, tzinfo=UTC), 100)
    late = await digest(api, as_of="2026-05-31")

    assert before["parties"] == 2
    assert before == after
    assert late["digest"] != after["digest"]


async def test_the_same_facts_in_any_order_have_the_same_digest(
    make_scoring: MakeScoring, feed: Feeding, api: httpx.AsyncClient
) -> None:
    identities = sorted(feed.identity() for _ in range(4))
    days = [JUNE - timedelta(days=7 * number) for number in range(12)]
    for place, day in enumerate(days):
        await feed.bought(identities[place % 4], day, 1_000 * place)
    there = Feeding(await make_scoring())
    for place, day in reversed(list(enumerate(days))):
        await there.bought(identities[place % 4], day, 1_000 * place)

    here = await digest(api, as_of="2026-06-01")
    async with served(there.database) as elsewhere:
        assert await digest(elsewhere, as_of="2026-06-01") == here


async def test_without_a_day_the_digest_is_of_today(api: httpx.AsyncClient, told: list[UUID]) -> None:
    assert (await digest(api))["as_of"] == datetime.now(UTC).date().isoformat()


async def test_every_implied_move_is_listed_with_its_day(api: httpx.AsyncClient, feed: Feeding) -> None:
    party = feed.identity()
    await feed.registered(party, datetime(2024, 1, 1, tzinfo=UTC))
    await feed.bought(party, datetime(2024, 2, 1, tzinfo=UTC), 1_000)
    await feed.bought(party, datetime(2026, 4, 1, tzinfo=UTC), 50_000)

    answer = await api.get(f"/v1/standings/party_{party.hex}/moves")

    moves = answer.json()["data"]
    assert [(move["day"], move["cause"], move["kind"], move["to_stage"], move["to_tier"]) for move in moves] == [
        ("2024-01-01", "fact", "appeared", "stranger", "unproven"),
        ("2024-02-01", "fact", "advanced", "customer", "low"),
        ("2024-05-02", "clock", "faded", "dormant_customer", "low"),
        ("2025-02-01", "clock", "lost", "lost_customer", "low"),
        ("2026-04-01", "fact", "won_back", "customer", "high"),
    ]
    assert {move["party_id"] for move in moves} == {f"party_{party.hex}"}
    pages = [await api.get(f"/v1/standings/party_{party.hex}/moves", params={"limit": 3})]
    pages.append(
        await api.get(
            f"/v1/standings/party_{party.hex}/moves", params={"limit": 3, "cursor": pages[0].json()["next_cursor"]}
        )
    )
    assert [move for page in pages for move in page.json()["data"]] == moves


async def test_a_fact_that_comes_in_between_two_pages_shifts_no_implied_move(
    api: httpx.AsyncClient, feed: Feeding
) -> None:
    party = feed.identity()
    path = f"/v1/standings/party_{party.hex}/moves"
    await feed.bought(party, datetime(2024, 2, 1, tzinfo=UTC), 1_000)
    await feed.bought(party, datetime(2026, 4, 1, tzinfo=UTC), 50_000)

    first = (await api.get(path, params={"limit": 2})).json()
    await feed.registered(party, datetime(2024, 1, 1, tzinfo=UTC))
    rest = (await api.get(path, params={"cursor": first["next_cursor"]})).json()

    moves = (await api.get(path)).json()["data"]
    assert [move["day"] for move in moves] == ["2024-01-01", "2024-02-01", "2024-05-02", "2025-02-01", "2026-04-01"]
    assert [move["day"] for move in first["data"]] == ["2024-02-01", "2024-05-02"]
    assert rest["data"] == moves[3:]


async def test_cut_points_fitted_later_make_a_move_of_their_day(
    api: httpx.AsyncClient, feed: Feeding, told: list[UUID]
) -> None:
    await feed.reached(datetime.now(UTC))
    before = (await api.get(f"/v1/standings/party_{told[0].hex}/moves")).json()["data"]
    await api.post("/v1/tiers/fit")
    await feed.reached(datetime.now(UTC) + timedelta(hours=1))

    *history, last = (await api.get(f"/v1/standings/party_{told[0].hex}/moves")).json()["data"]

    assert history == before
    assert (last["day"], last["cause"], last["kind"]) == (datetime.now(UTC).date().isoformat(), "policy", "revised")
    assert (last["from_tier"], last["to_tier"]) == ("mid", "top")


async def test_lived_moves_tell_what_was_announced_also_of_parties_merged_since(
    api: httpx.AsyncClient, told: list[UUID]
) -> None:
    path = f"/v1/standings/party_{told[0].hex}/moves"

    moves = (await api.get(path, params={"lived": True})).json()["data"]
    first = (await api.get(path, params={"lived": True, "limit": 2})).json()
    rest = (await api.get(path, params={"lived": True, "cursor": first["next_cursor"]})).json()

    assert {move["party_id"] for move in moves} == {f"party_{party.hex}" for party in told[:2]}
    assert [move["merged_into"] for move in moves if move["merged_into"]] == [f"party_{told[0].hex}"]
    assert first["data"] + rest["data"] == moves
