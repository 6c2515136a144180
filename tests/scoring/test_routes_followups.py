from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import httpx
import pytest

from chassis.clock import now
from chassis.db import Database, driver
from contracts.loss import LossReason
from services.scoring.domain.presets import DEFAULT_1
from tests.scoring.feeding import Feeding, activated


def outer(party: UUID) -> str:
    return f"party_{party.hex}"


async def pages(api: httpx.AsyncClient, path: str, **query: str | int | list[str]) -> list[dict[str, object]]:
    """All pages of a list, two rows each."""
    found: list[dict[str, object]] = []
    query["limit"] = 2
    while True:
        answer = (await api.get(path, params=query)).json()
        found += answer["data"]
        if not answer["has_more"]:
            return found
        query["cursor"] = answer["next_cursor"]


@pytest.fixture
def today() -> datetime:
    return now().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


@pytest.fixture
async def falling(scoring: Database, today: datetime) -> list[str]:
    """A prospect and two customers who fall on the same day, one who falls much later, one who fell, a stranger."""
    feed = Feeding(scoring, today)
    prospect, poor, rich, later, fell, stranger = (feed.identity() for _ in range(6))
    await feed.inquired(prospect, today - timedelta(days=25))
    await feed.bought(poor, today - timedelta(days=85), 1_000)
    await feed.bought(rich, today - timedelta(days=85), 500_000)
    await feed.bought(later, today - timedelta(days=10), 40_000)
    await feed.bought(fell, today - timedelta(days=300), 40_000)
    await feed.registered(stranger, today)
    return [outer(party) for party in (prospect, poor, rich, later, fell, stranger)]


async def test_who_falls_first_and_is_worth_most_stands_first(
    api: httpx.AsyncClient, falling: list[str], today: datetime
) -> None:
    prospect, poor, rich, *_ = falling

    found = await pages(api, "/v1/at-risk")

    assert [row["party_id"] for row in found] == [rich, poor, prospect]
    assert [row["next_stage"] for row in found] == ["dormant_customer", "dormant_customer", "dormant_prospect"]
    assert {row["next_stage_at"] for row in found} == {f"{(today + timedelta(days=6)).date()}T00:00:00Z"}


async def test_at_risk_is_who_falls_within_so_many_days(api: httpx.AsyncClient, falling: list[str]) -> None:
    async def within(days: int) -> int:
        return len((await api.get("/v1/at-risk", params={"within_days": days})).json()["data"])

    assert [await within(days) for days in (0, 5, 6, 65, 66, 81, 365)] == [0, 0, 3, 3, 4, 5, 5]


async def test_a_coming_change_of_tier_does_not_hide_a_fall(
    api: httpx.AsyncClient, scoring: Database, today: datetime
) -> None:
    feed = Feeding(scoring, today)
    somebody = feed.identity()
    await feed.bought(somebody, today - timedelta(days=360), 40_000)

    [found] = await pages(api, "/v1/at-risk")

    assert found["next_stage"] == "lost_customer"
    assert str(found["next_change_at"]) < str(found["next_stage_at"])


async def test_at_risk_is_filtered_by_stage_tier_owner_and_team(
    api: httpx.AsyncClient, scoring: Database, falling: list[str], today: datetime
) -> None:
    prospect, poor, rich, *_ = falling
    owner, team = Feeding.identity(), Feeding.identity()
    feed = Feeding(scoring, today)
    await feed.owned(UUID(rich.removeprefix("party_")), 1, owner, team)
    await feed.owned(UUID(poor.removeprefix("party_")), 1, None, team)

    async def found(**query: str) -> list[object]:
        return [row["party_id"] for row in await pages(api, "/v1/at-risk", **query)]

    assert await found(stage="prospect") == [prospect]
    assert await found(tier="top") == [rich]
    assert await found(owner_id=f"user_{owner.hex}") == [rich]
    assert await found(team_id=f"team_{team.hex}") == [rich, poor]
    assert await found(team_id=f"team_{team.hex}", tier="low") == [poor]
    [row] = await pages(api, "/v1/at-risk", owner_id=f"user_{owner.hex}")
    assert (row["owner_id"], row["team_id"]) == (f"user_{owner.hex}", f"team_{team.hex}")


@pytest.fixture
async def lost(scoring: Database, today: datetime) -> list[str]:
    """Lost to a competitor, by silence without anybody knowing why, by the price, and a customer who declined."""
    feed = Feeding(scoring, today)
    competitor, silent, price, customer, kept = (feed.identity() for _ in range(5))
    await feed.declined(competitor, today - timedelta(days=1), LossReason.COMPETITOR)
    await feed.inquired(silent, today - timedelta(days=200))
    await feed.declined(price, today - timedelta(days=10), LossReason.PRICE)
    await feed.bought(customer, today - timedelta(days=30), 1_000)
    await feed.declined(customer, today - timedelta(days=5))
    await feed.bought(kept, today, 1_000)
    return [outer(party) for party in (competitor, silent, price, customer)]


async def test_the_last_to_be_lost_stand_first_with_their_reason(api: httpx.AsyncClient, lost: list[str]) -> None:
    competitor, silent, price, customer = lost

    found = await pages(api, "/v1/losses")

    assert [(row["party_id"], row["stage"], row["loss_reason"]) for row in found] == [
        (competitor, "lost_prospect", "competitor"),
        (customer, "lost_customer", "unknown"),
        (price, "lost_prospect", "price"),
        (silent, "lost_prospect", "unknown"),
    ]


async def test_losses_are_filtered_by_reason_stage_day_owner_and_team(
    api: httpx.AsyncClient, scoring: Database, lost: list[str], today: datetime
) -> None:
    competitor, silent, price, customer = lost
    owner, team = Feeding.identity(), Feeding.identity()
    await Feeding(scoring, today).owned(UUID(price.removeprefix("party_")), 1, owner, team)

    async def found(**query: str) -> list[object]:
        return [row["party_id"] for row in await pages(api, "/v1/losses", **query)]

    assert await found(reason="unknown") == [customer, silent]
    assert await found(stage="lost_customer") == [customer]
    assert await found(since=str((today - timedelta(days=5)).date())) == [competitor, customer]
    assert await found(until=str((today - timedelta(days=5)).date())) == [customer, price, silent]
    assert await found(owner_id=f"user_{owner.hex}") == await found(team_id=f"team_{team.hex}") == [price]
    assert await found(reason="price", stage="lost_customer") == []


async def test_whom_to_follow_up_is_said_by_the_policy(
    api: httpx.AsyncClient, scoring: Database, lost: list[str], today: datetime
) -> None:
    _, silent, price, customer = lost

    async def found(**query: str) -> list[object]:
        return [row["party_id"] for row in await pages(api, "/v1/losses", follow_up=True, **query)]

    assert await found() == [customer, silent]
    asked = DEFAULT_1.model_copy(update={"follow_up_reasons": (LossReason.PRICE, LossReason.UNKNOWN)})
    await activated(scoring, asked, today)
    assert await found() == [customer, price, silent]
    assert await found(reason="price") == [price]
    assert await found(reason="competitor") == []


async def test_standings_are_filtered_by_reason_owner_and_team(
    api: httpx.AsyncClient, scoring: Database, lost: list[str], today: datetime
) -> None:
    competitor, _, price, _ = lost
    owner, team = Feeding.identity(), Feeding.identity()
    await Feeding(scoring, today).owned(UUID(price.removeprefix("party_")), 1, owner, team)

    async def found(**query: str) -> list[object]:
        return [row["party_id"] for row in await pages(api, "/v1/standings", **query)]

    assert await found(loss_reason="competitor") == [competitor]
    assert await found(owner_id=f"user_{owner.hex}") == await found(team_id=f"team_{team.hex}") == [price]
    assert await found(owner_id=f"user_{owner.hex}", stage="customer") == []


async def test_a_lost_party_is_read_with_its_reason_and_last_sign(api: httpx.AsyncClient, feed: Feeding) -> None:
    somebody = feed.identity()
    await feed.inquired(somebody, datetime(2026, 5, 1, tzinfo=UTC))
    await feed.declined(somebody, datetime(2026, 5, 4, tzinfo=UTC), LossReason.NO_NEED)

    told = (await api.get(f"/v1/standings/{outer(somebody)}")).json()
    before = (await api.get(f"/v1/standings/{outer(somebody)}", params={"as_of": "2026-05-03"})).json()

    assert (told["stage"], told["loss_reason"], told["last_sign_day"]) == ("lost_prospect", "no_need", "2026-05-01")
    assert told["reasons"]["stage"]["rule"] == "declared_lost_since_last_sign"
    assert [(fact["kind"], fact["loss_reason"]) for fact in told["facts"]] == [
        ("declined", "no_need"),
        ("inquired", None),
    ]
    assert (before["stage"], before["loss_reason"]) == ("prospect", None)


async def test_prospects_are_summed_up_like_others(api: httpx.AsyncClient, lost: list[str]) -> None:
    summary = (await api.get("/v1/standings/summary")).json()

    assert [(cell["stage"], cell["tier"], cell["count"]) for cell in summary["data"]] == [
        ("customer", "low", 1),
        ("lost_customer", "low", 1),
        ("lost_prospect", "unproven", 3),
    ]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/v1/at-risk", {"within_days": -1}),
        ("/v1/at-risk", {"owner_id": "team_0"}),
        ("/v1/losses", {"reason": "weather"}),
        ("/v1/losses", {"since": "yesterday"}),
        ("/v1/losses", {"cursor": "WzFd"}),
        ("/v1/at-risk", {"cursor": "e30"}),
    ],
)
async def test_what_cannot_be_asked_is_refused(api: httpx.AsyncClient, path: str, query: dict[str, str | int]) -> None:
    assert (await api.get(path, params=query)).status_code in (400, 422)


async def test_the_moves_of_a_party_are_part_of_its_timeline(api: httpx.AsyncClient, feed: Feeding) -> None:
    somebody = feed.identity()
    await feed.inquired(somebody, datetime(2026, 1, 5, 9, tzinfo=UTC))
    await feed.bought(somebody, datetime(2026, 2, 4, 9, tzinfo=UTC), 1_000)
    path = f"/internal/parties/{outer(somebody)}/timeline"

    whole = (await api.get(path)).json()

    assert whole["has_more"] is False
    assert (await api.get(path, params={"kinds": ["moved", "purchase"]})).json() == whole
    for asked in ({"kinds": "purchase"}, {"departments": "sales"}):
        assert (await api.get(path, params=asked)).json() == {"data": [], "has_more": False}
    assert [(row["at"], row["detail"]["kind"], row["detail"]["to_stage"]) for row in whole["data"]] == [
        ("2026-05-06T00:00:00Z", "faded", "dormant_customer"),
        ("2026-02-04T00:00:00Z", "advanced", "customer"),
        ("2026-01-05T00:00:00Z", "appeared", "prospect"),
    ]
    assert {(row["kind"], row["service"]) for row in whole["data"]} == {("moved", "scoring")}
    assert whole["data"][0] == {
        "at": "2026-05-06T00:00:00Z",
        "id": whole["data"][0]["id"],
        "kind": "moved",
        "service": "scoring",
        "recorded_at": "2026-05-06T00:00:00Z",
        "detail": {
            "kind": "faded",
            "cause": "clock",
            "from_stage": "customer",
            "to_stage": "dormant_customer",
            "from_tier": "low",
            "to_tier": "low",
            "value_minor": 1_000,
            "loss_reason": None,
        },
    }


async def test_a_timeline_goes_on_behind_any_entry(api: httpx.AsyncClient, feed: Feeding) -> None:
    somebody = feed.identity()
    await feed.bought(somebody, datetime(2024, 1, 1, tzinfo=UTC), 15_000)
    await feed.returned(somebody, datetime(2024, 4, 1, tzinfo=UTC), 14_000)
    path = f"/internal/parties/{outer(somebody)}/timeline"
    whole = (await api.get(path)).json()["data"]

    behind: list[dict[str, str]] = []
    place: dict[str, str] = {}
    while True:
        part = (await api.get(path, params={"limit": 1, **place})).json()
        behind += part["data"]
        if not part["has_more"]:
            break
        place = {"before_at": part["data"][-1]["at"], "before_id": part["data"][-1]["id"]}

    assert [row["detail"]["kind"] for row in whole] == ["lost", "retiered", "faded", "appeared"]
    assert behind == whole
    assert len({row["id"] for row in whole}) == len(whole)
    assert [row["at"] for row in whole] == sorted((row["at"] for row in whole), reverse=True)
    of_day = [row for row in whole if row["at"] == "2024-04-01T00:00:00Z"]
    assert [row["detail"]["cause"] for row in of_day] == ["fact", "clock"]
    assert of_day[0]["id"] > of_day[1]["id"]


async def test_nobody_knows_moves_of_a_party_that_nothing_was_told_of(api: httpx.AsyncClient) -> None:
    told = await api.get(f"/internal/parties/{outer(Feeding.identity())}/timeline")

    assert told.json() == {"data": [], "has_more": False}


async def test_lists_read_their_index_and_no_whole_table(scoring: Database, falling: list[str]) -> None:
    async with scoring.transaction() as session:
        connection = await driver(session)
        await connection.execute("SET LOCAL enable_seqscan = off")
        plans: list[list[asyncpg.Record]] = [
            await connection.fetch(f"EXPLAIN {query}")
            for query in (
                "SELECT * FROM party WHERE next_stage_at <= now() ORDER BY next_stage_at, value_minor DESC LIMIT 5",
                "SELECT * FROM party WHERE loss_reason = 'price' ORDER BY since DESC, party_id DESC LIMIT 5",
            )
        ]

    told = ["\n".join(row[0] for row in plan) for plan in plans]
    assert "party_at_risk" in told[0]
    assert "party_lost" in told[1]
