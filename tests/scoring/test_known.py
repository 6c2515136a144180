from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import httpx
import pytest

from chassis.clock import now
from chassis.consumer import Delivery
from chassis.db import Database, driver
from chassis.ids import uuid7
from contracts.customers import Assignment, FactWithdrawn, Holding, IdentitiesAssigned
from services.scoring.domain.model import Model
from services.scoring.domain.overridden import NoIdentity
from services.scoring.domain.overrides import Field
from services.scoring.domain.policy import Policy
from services.scoring.domain.presets import DAYS_1, DEFAULT_1
from services.scoring.domain.quality import Quality
from services.scoring.domain.stages import ByDays, Stages
from services.scoring.domain.standing import NoStanding
from services.scoring.domain.tiers import Cuts
from services.scoring.handlers import overriding
from services.scoring.handlers.activating import activate_next
from services.scoring.handlers.overriding import set_override
from services.scoring.handlers.sweeping import sweep_once
from services.scoring.models.overrides import NewOverride
from services.scoring.queries import clocks, everybody, facts
from services.scoring.queries.activations import plan
from services.scoring.queries.policies import approve, draft, tried
from services.scoring.queries.rulings import Connection, add_cut_points, add_rates, new_ruling
from tests.scoring.conftest import MakeScoring
from tests.scoring.feeding import Feeding, activated, served
from tests.scoring.filed import as_line, exported
from tests.scoring.handmade import MODEL
from tests.scoring.stories import Story, give
from tests.scoring.test_domain_plain_agrees import some_policy

FIRST = datetime(2026, 5, 20, 12, tzinfo=UTC)
THEN = datetime(2026, 5, 21, 12, tzinfo=UTC)
LATER = datetime(2026, 5, 22, 12, tzinfo=UTC)
KNOWN = {"known_at": THEN.isoformat()}
UNJUDGED = Quality(horizon_days=DEFAULT_1.horizon_days, periods=())


@pytest.fixture
async def feed(scoring: Database) -> Feeding:
    """What is told is recorded first; everything up to later was read."""
    feeding = Feeding(scoring, at=FIRST)
    await feeding.reached(LATER)
    return feeding


async def read(api: httpx.AsyncClient, party: UUID, **query: Any) -> dict[str, Any]:
    return await answered(api, f"/v1/standings/party_{party.hex}", **query)


async def spent(api: httpx.AsyncClient, *parties: UUID, **query: Any) -> list[int | None]:
    """What parties spent; None of those that stand nowhere."""
    listed = (await answered(api, "/v1/standings", sort="party", **query))["data"]
    found = {each["party_id"]: each["spend_minor"] for each in listed}
    return [found.get(f"party_{party.hex}") for party in parties]


async def answered(api: httpx.AsyncClient, path: str, **query: Any) -> dict[str, Any]:
    answer = await api.get(path, params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def everything(api: httpx.AsyncClient, **query: Any) -> dict[str, Any]:
    """All that can be asked about everybody, at one moment."""
    standings: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        more = {"cursor": cursor} if cursor else {}
        page = await answered(api, "/v1/standings", limit=4, sort="party", **query, **more)
        standings += page["data"]
        cursor = page["next_cursor"]
        if not page["has_more"]:
            break
    export = await exported(api, **query)
    assert export == list(map(as_line, standings))
    summary = await answered(api, "/v1/standings/summary", **query)
    digest = await answered(api, "/v1/digest", **query)
    return {
        "list": [_told(standing) for standing in standings],
        "export": export,
        "summary": summary["data"],
        "digest": (digest["as_of"], digest["parties"], digest["digest"]),
    }


async def each_by_its_id(api: httpx.AsyncClient, ids: Iterable[UUID], **query: Any) -> dict[UUID, dict[str, Any]]:
    """How parties stand, with reasons and facts: those that stand under their own id."""
    answers = {id: (await api.get(f"/v1/standings/party_{id.hex}", params=query)).json() for id in ids}
    return {id: told for id, told in answers.items() if told.get("party_id") == f"party_{id.hex}"}


def _told(standing: dict[str, Any]) -> dict[str, Any]:
    """Who takes care of a party is told as it is now, at whatever time the party is looked at."""
    return {name: value for name, value in standing.items() if name not in ("assessed_at", "owner_id", "team_id")}


def pieces(told: Sequence[Delivery], random: Random) -> list[list[Delivery]]:
    """A history cut between two times of recording, each piece in another order than it was recorded in."""
    rises = [place for place in range(1, len(told)) if told[place].recorded_at > told[place - 1].recorded_at]
    cuts = sorted(random.sample(rises, 3))
    return [
        random.sample(list(told[start:end]), end - start)
        for start, end in zip([0, *cuts], [*cuts, len(told)], strict=True)
    ]


async def decided_anew(
    database: Database, what: str, random: Random, people: Iterable[UUID], at: datetime, patch: pytest.MonkeyPatch
) -> None:
    """Another rate, a model, a policy, cut points, what people set, or nothing."""
    async with database.transaction() as session:
        connection = await driver(session)
        match what:
            case "policy":
                hasty = some_policy(random)
                await draft(connection, hasty, at, None)
                await new_ruling(connection, "policy", at, policy=hasty.content_hash)
            case "override":
                patch.setattr(overriding, "now", lambda: at)
                said = [(Field.TIER, "top"), (Field.STAGE, "dormant_customer"), (Field.P, "0.5")]
                for person in people:
                    field, value = random.choice(said)
                    with suppress(NoStanding, NoIdentity):
                        given = NewOverride(field=field, value=value, why="as they say")
                        await set_override(session, person, given, "somebody")
                assert await connection.fetchval("SELECT count(*) FROM override")
            case "rate":
                await add_rates(connection, [(date(2024, 1, 1), "USD", f"0.{random.randint(1, 99):02}")], at)
            case "model":
                await have_model(connection)
                await new_ruling(connection, "model", at, model=MODEL.content_hash)
            case "cuts":
                await add_cut_points(connection, Cuts(top=90_000, high=20_000, mid=random.randint(1, 9_000)), 6, at)


async def have_model(connection: Connection, model: Model = MODEL) -> None:
    await connection.execute(
        "INSERT INTO model (hash, document, as_of, fitted_at) VALUES ($1, $2::text::jsonb, $3, $4)"
        " ON CONFLICT DO NOTHING",
        model.content_hash,
        model.model_dump_json(),
        model.as_of,
        FIRST,
    )


@pytest.mark.parametrize("seed", range(8))
async def test_what_was_told_with_everything_read_is_told_again_for_that_time(
    scoring: Database, feed: Feeding, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    random = Random(seed)
    story = Story(random)
    story.go_on(90)
    remembered: list[tuple[datetime, dict[str, Any]]] = []
    decisions = random.sample(["rate", "model", "policy", "cuts", "override", "nothing"], 4)
    for piece, what in zip(pieces(story.told, random), decisions, strict=True):
        known_at = max(delivery.recorded_at for delivery in piece)
        while piece:
            size = random.choice([1, 3, 20])
            await give(scoring, piece[:size])
            piece = piece[size:]
        await feed.reached(known_at)
        then = await everything(api, as_of=known_at.date().isoformat())
        remembered.append((known_at, then | {"each": await each_by_its_id(api, story.people)}))
        await decided_anew(scoring, what, random, story.people, known_at + timedelta(microseconds=1), monkeypatch)

    for known_at, then in remembered:
        again = await everything(api, as_of=known_at.date().isoformat(), known_at=known_at.isoformat())
        by_id = await each_by_its_id(api, then["each"], known_at=known_at.isoformat())
        assert again | {"each": by_id} == then, known_at
    assert len({then["digest"] for _, then in remembered}) > 1


async def test_a_late_purchase_changes_what_is_known_of_a_day_and_not_what_was_known(
    api: httpx.AsyncClient, feed: Feeding
) -> None:
    party, day = feed.identity(), "2026-05-20"
    await feed.bought(party, FIRST - timedelta(days=200), 1_000)
    as_of = {name: await read(api, party, as_of=day, **more) for name, more in (("now", {}), ("then", KNOWN))}
    feed.at = LATER
    await feed.bought(party, FIRST - timedelta(days=5), 200_000)

    assert (await read(api, party, as_of=day, **KNOWN)) == as_of["then"] == as_of["now"]
    told = await read(api, party, as_of=day)
    assert (told["stage"], told["tier"], told["facts_total"]) == ("customer", "top", 2)
    assert (as_of["then"]["stage"], as_of["then"]["tier"]) == ("dormant_customer", "low")


async def test_known_at_alone_is_that_very_instant(api: httpx.AsyncClient, feed: Feeding) -> None:
    party = feed.identity()
    await feed.bought(party, FIRST - timedelta(days=90), 1_000)

    told = await read(api, party, known_at="2026-05-21T14:00:00+02:00")

    assert (told["assessed_at"], told["T_days"], told["stage"]) == ("2026-05-21T12:00:00Z", 91, "dormant_customer")
    assert (await answered(api, "/v1/digest", **KNOWN))["as_of"] == "2026-05-21"


async def test_what_was_withdrawn_later_still_counted(api: httpx.AsyncClient, feed: Feeding) -> None:
    party = feed.identity()
    kept, gone = [await feed.bought(party, FIRST, amount) for amount in (1_000, 2_000)]
    feed.at = LATER
    await feed.withdrawn(party, gone)

    then, now = await read(api, party, **KNOWN), await read(api, party)

    assert ([fact["fact_id"] for fact in now["facts"]], now["spend_minor"]) == ([f"event_{kept.hex}"], 1_000)
    assert (then["facts_total"], then["spend_minor"]) == (2, 3_000)


@pytest.mark.parametrize("together", [True, False])
async def test_a_withdrawal_told_again_was_known_since_the_first_time(
    scoring: Database, api: httpx.AsyncClient, feed: Feeding, together: bool
) -> None:
    party = feed.identity()
    fact_id = await feed.bought(party, FIRST, 1_000)
    withdrawn = FactWithdrawn(subject=party, occurred_at=FIRST, fact_id=fact_id)
    told = []
    for recorded_at in (LATER, THEN):
        feed.at = recorded_at
        told.append(feed.delivered(withdrawn))

    for batch in [told] if together else [[delivery] for delivery in told]:
        await give(scoring, batch)

    assert (await api.get(f"/v1/standings/party_{party.hex}", params=KNOWN)).status_code == 404


async def test_a_correction_counts_from_when_it_was_recorded(api: httpx.AsyncClient, feed: Feeding) -> None:
    wrong, right = feed.identity(), feed.identity()
    fact_id = await feed.bought(wrong, FIRST, 1_000)
    feed.at = LATER
    correct = feed.purchase(right, FIRST, 2_000)
    await feed.tell(correct.model_copy(update={"replaces": fact_id, "replaced_subject": wrong}))

    assert await spent(api, wrong, right, **KNOWN) == [1_000, None]
    assert await spent(api, wrong, right, as_of="2026-05-22") == [None, 2_000]


async def test_a_merge_and_its_end_are_known_from_when_they_were_recorded(
    api: httpx.AsyncClient, feed: Feeding
) -> None:
    kept, other = sorted((feed.identity(), feed.identity()))
    await feed.bought(kept, FIRST, 1_000)
    await feed.bought(other, FIRST, 2_000)
    feed.at = THEN
    await feed.assigned({other: [(kept, None)]}, resolutions={other: kept})
    feed.at = LATER
    await feed.assigned({other: [(other, None)]}, resolutions={other: other})

    assert await spent(api, kept, other, known_at=FIRST.isoformat()) == [1_000, 2_000]
    assert await spent(api, kept, other, **KNOWN) == [3_000, None]
    assert await spent(api, kept, other, known_at=LATER.isoformat()) == [1_000, 2_000]


async def test_an_id_is_that_of_the_party_that_held_something_then_and_else_leads_where_it_leads_today(
    api: httpx.AsyncClient, feed: Feeding
) -> None:
    kept, other = sorted((feed.identity(), feed.identity()))
    await feed.bought(other, FIRST, 2_000)
    feed.at = THEN
    await feed.bought(kept, FIRST, 1_000)
    await feed.assigned({other: [(kept, None)]}, resolutions={other: kept})

    before, after = await read(api, other, known_at=FIRST.isoformat()), await read(api, other, **KNOWN)

    assert (before["party_id"], before["spend_minor"]) == (f"party_{other.hex}", 2_000)
    assert (after["party_id"], after["spend_minor"]) == (f"party_{kept.hex}", 3_000)


async def test_a_number_handed_over_belongs_to_the_first_as_long_as_nobody_said_so(
    api: httpx.AsyncClient, feed: Feeding
) -> None:
    number, heir = feed.identity(), feed.identity()
    await feed.bought(number, datetime(2026, 3, 1, tzinfo=UTC), 1_000)
    await feed.bought(number, datetime(2026, 4, 1, tzinfo=UTC), 2_000)
    feed.at = LATER
    await feed.assigned({number: [(number, None), (heir, date(2026, 4, 1))]})

    assert await spent(api, number, heir, **KNOWN) == [3_000, None]
    assert await spent(api, number, heir, known_at=LATER.isoformat()) == [1_000, 2_000]


@pytest.mark.parametrize("together", [True, False])
async def test_an_assignment_that_was_overtaken_was_known_all_the_same(
    scoring: Database, api: httpx.AsyncClient, feed: Feeding, together: bool
) -> None:
    number, first, second = feed.identity(), feed.identity(), feed.identity()
    await feed.bought(number, FIRST, 1_000)
    holders = {1: (first, THEN), 2: (second, LATER)}
    told = []
    for version, (party, recorded_at) in holders.items():
        feed.at = recorded_at
        assignment = Assignment(identity_id=number, version=version, holdings=[Holding(party_id=party)])
        event = IdentitiesAssigned(subject=party, occurred_at=FIRST, assignments=[assignment])
        told.append(feed.delivered(event))

    for batch in [told[::-1]] if together else [[told[1]], [told[0]]]:
        await give(scoring, batch)

    assert await spent(api, number, first, second, known_at=FIRST.isoformat()) == [1_000, None, None]
    assert await spent(api, number, first, second, **KNOWN) == [None, 1_000, None]
    assert await spent(api, number, first, second, as_of="2026-05-22") == [None, None, 1_000]


@pytest.mark.parametrize("together", [True, False])
async def test_an_assignment_that_every_fact_repeats_was_known_since_the_first_of_them(
    scoring: Database, api: httpx.AsyncClient, feed: Feeding, together: bool
) -> None:
    number, holder = feed.identity(), feed.identity()
    assignment = Assignment(identity_id=number, version=1, holdings=[Holding(party_id=holder)])
    told = []
    for recorded_at in (LATER, FIRST, THEN):
        feed.at = recorded_at
        bought = feed.purchase(number, FIRST, 1_000).model_copy(update={"assignment": assignment})
        told.append(feed.delivered(bought))

    for batch in [told] if together else [[delivery] for delivery in told]:
        await give(scoring, batch)

    assert await spent(api, number, holder, known_at=FIRST.isoformat()) == [None, 1_000]
    assert await spent(api, number, holder, **KNOWN) == [None, 2_000]


async def test_a_rate_corrected_later_was_not_known(scoring: Database, api: httpx.AsyncClient, feed: Feeding) -> None:
    party = feed.identity()
    await feed.bought(party, FIRST, 1_000, "USD")
    for at, rate in ((FIRST, "0.5"), (LATER, "0.9")):
        async with scoring.transaction() as session:
            await add_rates(await driver(session), [(date(2026, 1, 1), "USD", rate)], at)

    assert (await read(api, party, **KNOWN))["value_minor"] == 500
    assert (await read(api, party))["value_minor"] == 900


BRISK = DAYS_1.model_copy(
    update={"name": "brisk", "persons": Stages(customers=ByDays(dormant_after_days=1, lost_after_days=2))}
)


async def test_what_was_activated_later_does_not_decide(
    scoring: Database, api: httpx.AsyncClient, feed: Feeding
) -> None:
    party = feed.identity()
    await feed.bought(party, FIRST - timedelta(days=10), 1_000)
    await activated(scoring, BRISK, LATER)

    then, known = await read(api, party, **KNOWN), await read(api, party, known_at=LATER.isoformat())

    assert (then["policy"], then["stage"]) == ("default-1", "customer")
    assert (known["policy"], known["stage"]) == ("brisk", "lost_customer")
    early = await read(api, party, policy=BRISK.content_hash, **KNOWN)
    assert (early["policy"], early["stage"], early["reasons"]["policy_hash"]) == (
        "brisk", "lost_customer", BRISK.content_hash,
    )  # fmt: skip
    assert (await read(api, party, policy=DEFAULT_1.content_hash))["stage"] == "customer"


async def test_a_model_in_another_currency_is_refused(scoring: Database, api: httpx.AsyncClient, feed: Feeding) -> None:
    dollars = MODEL.model_copy(update={"currency": "USD"})
    async with scoring.transaction() as session:
        await have_model(await driver(session), dollars)

    refused = await api.get("/v1/digest", params={"model": dollars.content_hash})

    assert (refused.status_code, refused.json()["code"]) == (409, "model_currency")
    assert (refused.json()["currency"], refused.json()["reporting_currency"]) == ("USD", "EUR")
    tried = await api.post(f"/v1/policies/{DEFAULT_1.content_hash}/trials", json={"model": dollars.content_hash})
    assert (tried.status_code, tried.json()["code"]) == (409, "model_currency")


@pytest.mark.parametrize(
    "path", ["/v1/standings", "/v1/standings/summary", "/v1/digest", "/internal/standings/export", None]
)
async def test_what_was_not_read_yet_is_refused_everywhere(
    api: httpx.AsyncClient, feed: Feeding, path: str | None
) -> None:
    party = feed.identity()
    await feed.bought(party, FIRST, 1_000)
    path = path or f"/v1/standings/party_{party.hex}"
    beyond = {"known_at": (LATER + timedelta(microseconds=1)).isoformat()}

    refused = await api.get(path, params=beyond)

    assert (refused.status_code, refused.json()["code"]) == (409, "not_read_yet")
    assert refused.json()["watermark"] == LATER.isoformat()
    assert (await api.get(path, params={"known_at": LATER.isoformat()})).status_code == 200
    for query, status in (
        ({"known_at": "2026-05-21T12:00:00"}, 422),
        ({"policy": "0" * 64}, 404),
        ({"model": "0" * 64}, 404),
        ({"policy": "brisk"}, 422),
        ({"horizon_days": 0}, 422),
    ):
        assert (await api.get(path, params=query)).status_code == status, query


async def test_from_an_activation_on_that_has_yet_to_take_place_nothing_is_known(
    scoring: Database, api: httpx.AsyncClient, feed: Feeding
) -> None:
    planned, somebody = LATER - timedelta(hours=1), feed.identity()
    await feed.bought(somebody, FIRST, 1_000)
    async with scoring.transaction() as session:
        connection = await driver(session)
        await draft(connection, DAYS_1, FIRST, "tests")
        await tried(connection, DAYS_1.content_hash, FIRST)
        await approve(connection, DAYS_1.content_hash, FIRST, "tests")
        await plan(connection, uuid7(), planned, policy=DAYS_1.content_hash, at=FIRST, by="tests")

    asked = {"known_at": planned.isoformat()}
    refused = await api.get(f"/v1/standings/party_{somebody.hex}", params=asked)
    before = await read(api, somebody, known_at=refused.json()["watermark"])
    await activate_next(scoring, LATER)

    assert (refused.status_code, refused.json()["code"]) == (409, "not_read_yet")
    assert (before["policy"], (await read(api, somebody, **asked))["policy"]) == ("default-1", "days-1")


async def may_decide(database: Database, policy: Policy) -> None:
    async with database.transaction() as session:
        connection = await driver(session)
        await draft(connection, policy, FIRST, "tests")
        await tried(connection, policy.content_hash, FIRST)
        await approve(connection, policy.content_hash, FIRST, "tests")
        await have_model(connection)
        await connection.execute("UPDATE model SET quality = $1::text::jsonb", UNJUDGED.model_dump_json())


DECISIONS = {
    "a policy": (f"/v1/policies/{BRISK.content_hash}/activate", None),
    "a model": (f"/v1/models/{MODEL.content_hash}/activate", None),
    "cut points": ("/v1/tiers/fit", None),
    "a rate": ("/v1/rates", {"rates": [{"day": "2026-01-01", "currency": "USD", "rate": "0.5"}]}),
    "the currency": ("/internal/reporting-currency", {"currency": "USD"}),
}


@pytest.mark.parametrize("decided", DECISIONS)
async def test_what_was_answered_as_known_at_the_last_instant_stays_whatever_is_decided_at_once(
    make_scoring: MakeScoring, decided: str
) -> None:
    database = await make_scoring(currency=None)
    feed, today = Feeding(database, at=FIRST), now()
    for days, currency in ((4, "EUR"), (40, "USD"), (400, "EUR"), (41, "EUR")):
        await feed.bought(feed.identity(), today - timedelta(days=days), 7_000 * days, currency)
    await may_decide(database, BRISK)
    # As the clock of another machine has it.
    ahead = today + timedelta(hours=1)
    await feed.reached(ahead)
    path, body = DECISIONS[decided]

    async with served(database) as api:
        told = await everything(api, known_at=ahead.isoformat())
        answer = await api.post(path, json=body)
        assert answer.status_code == 200, answer.text
        await sweep_once(database)
        again = await everything(api, known_at=ahead.isoformat())
        await feed.reached(ahead + timedelta(seconds=1))
        later = await everything(api, known_at=(ahead + timedelta(seconds=1)).isoformat())

    assert again == told
    assert later != told


@pytest.mark.parametrize(
    "path", [f"/v1/policies/{BRISK.content_hash}/activate", f"/v1/models/{MODEL.content_hash}/activate"]
)
async def test_no_activation_is_planned_for_an_instant_that_was_told_of(
    scoring: Database, api: httpx.AsyncClient, feed: Feeding, path: str
) -> None:
    await may_decide(scoring, BRISK)
    ahead = now() + timedelta(hours=1)
    await feed.reached(ahead)

    refused = await api.post(path, json={"active_from": ahead.isoformat()})
    planned = await api.post(path, json={"active_from": (ahead + timedelta(seconds=1)).isoformat()})

    assert (refused.status_code, refused.json()["code"]) == (422, "activation_passed")
    assert datetime.fromisoformat(refused.json()["now"]) == ahead + timedelta(microseconds=1)
    assert planned.status_code == 200


async def test_where_nothing_was_read_whole_yet_no_time_is_known(scoring: Database, api: httpx.AsyncClient) -> None:
    refused = await api.get("/v1/digest", params=KNOWN)

    assert (refused.status_code, refused.json()["watermark"]) == (409, None)


async def test_before_the_beginning_nothing_was_known(api: httpx.AsyncClient, feed: Feeding) -> None:
    party = feed.identity()
    await feed.bought(party, FIRST, 1_000)

    before = await everything(api, known_at="2020-01-01T00:00:00Z", as_of="2026-05-22")

    assert (before["list"], before["export"], before["summary"], before["digest"][1]) == ([], [], [], 0)
    answer = await api.get(f"/v1/standings/party_{party.hex}", params={"known_at": "2020-01-01T00:00:00Z"})
    assert (answer.status_code, answer.json()["code"]) == (404, "no_standing")
    assert "as known at 2020-01-01T00:00:00+00:00" in answer.json()["detail"]


async def test_a_computed_list_has_its_filters_and_comes_by_party_alone(
    scoring: Database, api: httpx.AsyncClient, feed: Feeding
) -> None:
    small, large, asking = sorted(feed.identity() for _ in range(3))
    owner = feed.identity()
    await feed.bought(small, FIRST, 1_000)
    await feed.bought(large, FIRST, 200_000)
    await feed.inquired(asking, FIRST)
    await feed.owned(large, 1, owner)

    async def listed(**query: Any) -> list[str]:
        return [each["party_id"] for each in (await answered(api, "/v1/standings", **KNOWN, **query))["data"]]

    names = [f"party_{party.hex}" for party in (small, large, asking)]
    assert await listed() == names
    assert await listed(stage="prospect") == names[2:]
    assert await listed(tier="top") == await listed(min_value=200_000) == [names[1]]
    assert await listed(max_value=1_000) == [names[0], names[2]]
    assert await listed(owner_id=f"user_{owner.hex}") == [names[1]]
    assert await listed(loss_reason="price") == []
    refused = await api.get("/v1/standings", params={**KNOWN, "sort": "value"})
    assert (refused.status_code, refused.json()["code"]) == (422, "only_by_party")


async def test_a_page_of_a_computed_list_is_short_where_few_of_many_are_wanted(
    api: httpx.AsyncClient, feed: Feeding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clocks, "MOST", 2)
    parties = sorted(feed.identity() for _ in range(5))
    for party in parties[:4]:
        await feed.bought(party, FIRST, 1_000)
    await feed.bought(parties[4], FIRST, 200_000)

    pages: list[dict[str, Any]] = []
    while not pages or pages[-1]["has_more"]:
        more = {"cursor": pages[-1]["next_cursor"]} if pages else {}
        pages.append(await answered(api, "/v1/standings", as_of="2026-05-22", tier="top", **more))

    assert [len(page["data"]) for page in pages] == [0, 0, 1]
    assert pages[-1]["data"][0]["party_id"] == f"party_{parties[4].hex}"


async def test_another_horizon_is_another_policy(scoring: Database, api: httpx.AsyncClient, feed: Feeding) -> None:
    party, model = feed.identity(), MODEL.content_hash
    await feed.bought(party, FIRST - timedelta(days=40), 1_000)
    async with scoring.transaction() as session:
        await have_model(await driver(session))

    under = {days: await read(api, party, as_of="2026-05-20", model=model, horizon_days=days) for days in (30, 3_650)}

    assert (await read(api, party, as_of="2026-05-20"))["p"] is None
    assert {days: told["p"] for days, told in under.items()} == {days: MODEL.p_buys(0, 0, 40, days) for days in under}
    assert [told["stage"] for told in under.values()] == ["lost_customer", "customer"]
    assert {told["model"] for told in under.values()} == {model}
    assert under[30]["reasons"]["policy_hash"] == DEFAULT_1.model_copy(update={"horizon_days": 30}).content_hash
    assert (await answered(api, "/v1/digest", horizon_days=30)) != (await answered(api, "/v1/digest"))


async def test_a_model_asked_for_brings_its_own_cut_points(
    scoring: Database, api: httpx.AsyncClient, feed: Feeding
) -> None:
    party = feed.identity()
    await feed.bought(party, FIRST, 5_000)
    with_cuts = MODEL.model_copy(update={"cuts": Cuts(top=3, high=2, mid=1)})
    async with scoring.transaction() as session:
        connection = await driver(session)
        await add_cut_points(connection, Cuts(top=5_000, high=4_000, mid=3_000), 1, FIRST)
        for model in (MODEL, with_cuts):
            await have_model(connection, model)

    tiers = {
        name: (await read(api, party, **asked))["tier"]
        for name, asked in {
            "present": {},
            "policy": {"policy": DEFAULT_1.content_hash},
            "model": {"model": MODEL.content_hash},
            "model with cuts": {"model": with_cuts.content_hash},
        }.items()
    }

    assert tiers == {"present": "top", "policy": "top", "model": "low", "model with cuts": "top"}


async def test_more_facts_than_are_held_at_once_are_all_known(
    api: httpx.AsyncClient, feed: Feeding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "PAGE", 3)
    monkeypatch.setattr(clocks, "PAGE", 2)
    monkeypatch.setattr(everybody, "PAGE", 2)
    parties = sorted(feed.identity() for _ in range(5))
    days = [FIRST - timedelta(days=day) for day in range(4)]
    await feed.tell(*(feed.purchase(party, day, 1_000) for day in days for party in parties))

    assert await spent(api, *parties, **KNOWN) == [4_000] * 5
    assert (await answered(api, "/v1/digest", **KNOWN))["parties"] == 5
