"""Models over HTTP, with a real database: fitted, judged, activated, planned, and by themselves."""

import asyncio
import contextlib
import multiprocessing
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import numpy as np
import pytest

from chassis.clock import now
from chassis.db import Database, driver
from chassis.http import encode_cursor
from contracts.scoring import Stage
from services.scoring.domain.buyers import Ledger
from services.scoring.domain.fitting import MARGIN, Fitted, fit
from services.scoring.domain.model import Model
from services.scoring.domain.presets import DEFAULT_1
from services.scoring.handlers import fitting
from services.scoring.handlers.activating import activate_next
from services.scoring.handlers.fitting import Activating, ask_if_due, carry_out_fits, fit_next
from services.scoring.handlers.sweeping import sweep_once
from services.scoring.queries.fits import begin
from services.scoring.queries.fitting import gathered
from services.scoring.queries.models import add_model, model, quality_of
from services.scoring.queries.rulings import set_currency
from tests.scoring.feeding import JUNE, Feeding, served
from tests.scoring.test_renewing import decided
from tests.scoring.test_sweeping import read_until, rows

AS_OF = date(2026, 5, 31)
NOTHING = "0" * 64


def lives(parties: int = 300) -> Iterator[tuple[int, list[tuple[datetime, int]]]]:
    """Of each party the instants and amounts of its purchases in the two years before June 2026."""
    random = np.random.default_rng(17)
    for number in range(parties):
        rate, leaves = random.gamma(0.6, 1 / 6), random.beta(0.8, 2.5)
        at, bought = JUNE - timedelta(days=float(random.integers(400, 730))), []
        while at < JUNE - timedelta(days=1):
            bought.append((at, int(random.integers(500, 9_000))))
            if random.random() < leaves:
                break
            at += timedelta(days=7 * float(random.exponential(1 / rate)))
        yield number, bought


@pytest.fixture
async def shop(feed: Feeding) -> dict[int, UUID]:
    """People who buy and leave as people do."""
    who = {number: feed.identity() for number, _ in lives()}
    await feed.tell(*(feed.purchase(who[number], at, amount) for number, bought in lives() for at, amount in bought))
    await feed.reached(JUNE)
    return who


async def asked(api: httpx.AsyncClient, **body: Any) -> Any:
    answer = await api.post("/v1/models", json={"as_of": AS_OF.isoformat(), **body})
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/fits/{answer.json()['id']}"
    return answer.json()


async def fitted(api: httpx.AsyncClient, database: Database, **body: Any) -> Any:
    """A fit, carried out."""
    job = await asked(api, **body)
    assert await fit_next(database, MARGIN)
    done = (await api.get(f"/v1/fits/{job['id']}")).json()
    assert done["state"] == "done", done["error"]
    return done


async def a_model(api: httpx.AsyncClient, database: Database, **body: Any) -> Any:
    done = await fitted(api, database, **body)
    return (await api.get(f"/v1/models/{done['model']}")).json()


async def another(database: Database, hash: str, **changed: Any) -> str:
    """A model like one that is there, but for something, with its quality."""
    async with database.transaction() as session:
        connection = await driver(session)
        row = await model(connection, hash)
        made = Model.model_validate_json(row["document"]).model_copy(update=changed)
        await add_model(connection, made, quality_of(row), now(), "tests")
    return made.content_hash


async def test_a_fit_tells_how_far_it_is_and_at_last_the_model_with_its_quality(
    api: httpx.AsyncClient, scoring: Database, shop: dict[int, UUID]
) -> None:
    job = await asked(api)
    assert (job["state"], job["as_of"], job["asked_by"], job["model"]) == ("waiting", "2026-05-31", "tests", None)
    assert await fit_next(scoring, MARGIN)
    assert not await fit_next(scoring, MARGIN)

    done = (await api.get(f"/v1/fits/{job['id']}")).json()
    assert (done["state"], done["parties"], done["done"], done["error"]) == ("done", 300, 300, None)
    assert (done["activated"], done["refused"], done["not_enough"]) == (False, None, None)
    told = (await api.get(f"/v1/models/{done['model']}")).json()
    assert (told["state"], told["as_of"], told["fitted_by"], told["planned"]) == ("fitted", "2026-05-31", "tests", [])
    document = Model.model_validate(told["document"])
    assert document.content_hash == told["hash"]
    assert document.parties == 300
    assert document.repeaters == sum(len({at.date() for at, _ in bought}) > 1 for _, bought in lives())
    assert document.currency == "EUR"
    assert document.cuts
    judged = (await api.get(f"/v1/models/{told['hash']}/quality")).json()
    assert [period["as_of"] for period in judged["periods"]] == ["2025-06-05", "2025-09-03", "2025-12-02"]
    assert await a_model(api, scoring) == told


async def test_a_fit_knows_what_counts_as_of_its_day_in_the_reporting_currency_and_nothing_else(
    api: httpx.AsyncClient, scoring: Database, feed: Feeding, shop: dict[int, UUID]
) -> None:
    before = await a_model(api, scoring)
    stranger = feed.identity()
    await feed.registered(stranger, JUNE)
    gone = await feed.bought(feed.identity(), JUNE - timedelta(days=90), 7_000)
    await feed.tell(*(feed.purchase(who, datetime(2026, 6, 1, 9, tzinfo=UTC), 5_000) for who in shop.values()))
    with_gone = await a_model(api, scoring)
    await feed.withdrawn((await _identity_of(feed.database, gone)), gone)

    assert with_gone["document"]["parties"] == 301
    assert (await a_model(api, scoring))["hash"] == before["hash"]
    today = await a_model(api, scoring, as_of="2026-06-01")
    assert today["document"]["repeaters"] == 300


async def _identity_of(database: Database, fact: UUID) -> UUID:
    (row,) = await rows(database, "SELECT identity_id FROM fact WHERE fact_id = $1", fact)
    identity: UUID = row["identity_id"]
    return identity


async def test_two_merged_parties_are_one_buyer(
    api: httpx.AsyncClient, scoring: Database, feed: Feeding, shop: dict[int, UUID]
) -> None:
    alone = await a_model(api, scoring)
    one, other = shop[0], shop[1]
    await feed.assigned({one: [(one, None)], other: [(one, None)]}, {other: one})

    assert (await a_model(api, scoring))["document"]["parties"] == alone["document"]["parties"] - 1


async def test_too_few_repeat_buyers_are_told_with_the_way_out_and_no_model_is_stored(
    api: httpx.AsyncClient, scoring: Database, feed: Feeding
) -> None:
    for _ in range(3):
        await feed.bought(feed.identity(), JUNE - timedelta(days=40), 500)

    done = await fitted(api, scoring, activate=True)

    assert {**done["not_enough"], "detail": ""} == {"parties": 3, "repeaters": 0, "needed": 30, "detail": ""}
    assert "days of the policy" in done["not_enough"]["detail"]
    assert (done["model"], done["activated"]) == (None, False)
    assert (await api.get("/v1/models")).json()["data"] == []


async def test_how_few_repeat_buyers_make_a_model_is_policy(
    api: httpx.AsyncClient, scoring: Database, feed: Feeding
) -> None:
    for days in range(6):
        party = feed.identity()
        for ago in (40, 100):
            await feed.bought(party, JUNE - timedelta(days=ago + days), 500 + days)
    assert (await fitted(api, scoring))["not_enough"]["needed"] == 30

    await decided(scoring, DEFAULT_1.model_copy(update={"fewest_repeaters": 6}), None)

    done = await fitted(api, scoring)
    assert done["not_enough"] is None
    assert (await api.get(f"/v1/models/{done['model']}")).json()["document"]["repeaters"] == 6


async def test_no_model_is_fitted_as_of_a_day_to_come(api: httpx.AsyncClient) -> None:
    answer = await api.post("/v1/models", json={"as_of": "2999-01-01"})

    assert (answer.status_code, answer.json()["code"]) == (422, "fit_in_future")
    assert answer.json()["today"]


async def test_an_active_model_decides_and_everybody_is_assessed_again(
    api: httpx.AsyncClient, scoring: Database, shop: dict[int, UUID]
) -> None:
    done = await fitted(api, scoring, activate=True)
    hash = done["model"]
    assert done["activated"]
    told = (await api.get(f"/v1/models/{hash}")).json()
    assert told["state"] == "active"
    await read_until(scoring, JUNE)

    await sweep_once(scoring)

    (ruling,) = await rows(scoring, "SELECT * FROM ruling ORDER BY id DESC LIMIT 1")
    assert (ruling["reason"], ruling["model"], ruling["cut_points"]) == ("model", hash, None)
    assert ruling["applied_at"]
    document = Model.model_validate(told["document"])
    stood = set()
    for row in await rows(scoring, "SELECT * FROM party WHERE purchase_days > 0"):
        tx, T = (row["last_day"] - row["first_day"]).days, (JUNE.date() - row["first_day"]).days
        p = document.p_buys(row["purchase_days"] - 1, tx, T, DEFAULT_1.horizon_days)
        silent = Stage.DORMANT_CUSTOMER if p >= 0.2 else Stage.LOST_CUSTOMER
        stage = Stage.CUSTOMER if T - tx <= 30 or p >= 0.5 else silent
        assert row["stage"] == stage
        stood.add(stage)
    assert len(stood) == 3
    for asked in ("standings/summary", "standings/summary?as_of=2026-06-01", "reports/zoom"):
        assert (await api.get(f"/v1/{asked}")).json()["calibration"] == document.calibration != 1


async def test_sums_of_values_that_nothing_was_held_against_have_no_calibration(
    api: httpx.AsyncClient, scoring: Database, shop: dict[int, UUID]
) -> None:
    assert (await api.get("/v1/standings/summary")).json()["calibration"] is None

    hash = (await a_model(api, scoring))["hash"]
    unjudged = await another(scoring, hash, flags=("not_judged",))

    told = await api.get("/v1/standings/summary", params={"model": unjudged, "as_of": "2026-06-01"})
    assert told.json()["calibration"] is None


async def test_another_active_model_retires_the_one_before_which_may_be_active_again(
    api: httpx.AsyncClient, scoring: Database, shop: dict[int, UUID]
) -> None:
    first = (await a_model(api, scoring, activate=True))["hash"]
    second = await another(scoring, first, calibration=1.5)

    activated = await api.post(f"/v1/models/{second}/activate")
    twice = await api.post(f"/v1/models/{second}/activate")

    assert (activated.status_code, activated.json()["state"]) == (200, "active")
    assert (twice.status_code, twice.json()["code"]) == (409, "model_active")
    assert (await api.get(f"/v1/models/{first}")).json()["state"] == "retired"
    assert (await api.post(f"/v1/models/{first}/activate")).json()["state"] == "active"


async def worse_than(database: Database, hash: str) -> str:
    """A model that is worse than one on the same days."""
    made = await another(database, hash, calibration=2.0)
    async with database.transaction() as session:
        await (await driver(session)).execute(
            "UPDATE model SET quality = jsonb_set(quality, '{periods,2,auc}',"
            " to_jsonb((quality #>> '{periods,2,auc}')::float8 - 0.03)) WHERE hash = $1",
            made,
        )
    return made


async def test_a_worse_model_takes_force(api: httpx.AsyncClient, scoring: Database, shop: dict[int, UUID]) -> None:
    good = (await a_model(api, scoring, activate=True))["hash"]
    worse = await worse_than(scoring, good)

    refused = await api.post(f"/v1/models/{worse}/activate")
    forced = await api.post(f"/v1/models/{worse}/activate", json={"force": True})

    assert (refused.status_code, refused.json()["code"]) == (409, "model_worse")
    told = refused.json()
    assert (told["worse_by"], told["margin"], told["active"]) == ({"auc": 0.03, "brier": 0.0}, 0.01, good)
    assert forced.json()["state"] == "active"


async def test_the_margin_is_a_setting(scoring: Database, api: httpx.AsyncClient, shop: dict[int, UUID]) -> None:
    worse = await worse_than(scoring, (await a_model(api, scoring, activate=True))["hash"])

    async with served(scoring, model_margin=0.05) as lenient:
        answer = await lenient.post(f"/v1/models/{worse}/activate")

    assert answer.json()["state"] == "active"


async def test_a_model_of_another_currency_is_not_activated(
    scoring: Database, api: httpx.AsyncClient, shop: dict[int, UUID]
) -> None:
    foreign = await another(scoring, (await a_model(api, scoring))["hash"], currency="USD")

    answer = await api.post(f"/v1/models/{foreign}/activate", json={"force": True})

    assert (answer.status_code, answer.json()["code"]) == (409, "model_currency")
    assert (answer.json()["currency"], answer.json()["reporting_currency"]) == ("USD", "EUR")


async def test_a_model_whose_currency_the_installation_left_decides_no_more(
    make_scoring: Any,
) -> None:
    database = await make_scoring(currency=None)
    feed = Feeding(database)
    for number, bought in lives():
        await feed.tell(*(feed.purchase(UUID(int=number + 1), at, amount) for at, amount in bought))
    async with served(database) as api:
        hash = (await a_model(api, database, activate=True))["hash"]
        async with database.transaction() as session:
            await set_currency(await driver(session), "USD", provisional=False, at=now())

        told = (await api.get(f"/v1/models/{hash}")).json()

    assert told["state"] == "retired"


async def test_an_activation_of_a_model_is_planned_and_takes_place_when_its_instant_comes(
    api: httpx.AsyncClient, scoring: Database, shop: dict[int, UUID]
) -> None:
    hash, at = (await a_model(api, scoring))["hash"], now() + timedelta(days=2)
    body = {"active_from": at.isoformat()}

    planned = (await api.post(f"/v1/models/{hash}/activate", json=body)).json()
    twice = await api.post(f"/v1/models/{hash}/activate", json=body)

    assert planned["state"] == "fitted"
    (plan,) = planned["planned"]
    assert (plan["model"], plan["policy"], plan["planned_by"]) == (hash, None, "tests")
    assert (twice.status_code, twice.json()["code"]) == (409, "activation_planned")
    assert not await activate_next(scoring, at - timedelta(seconds=1))
    assert await activate_next(scoring, at)
    told = (await api.get(f"/v1/models/{hash}")).json()
    assert (told["state"], datetime.fromisoformat(told["activated_at"]), told["planned"]) == ("active", at, [])
    assert (await api.get(f"/v1/activations/{plan['id']}")).json()["done_at"]


async def test_a_planned_activation_of_a_model_in_a_currency_that_was_left_is_refused_and_told_with_the_reason(
    api: httpx.AsyncClient, scoring: Database, shop: dict[int, UUID]
) -> None:
    hash, at = (await a_model(api, scoring))["hash"], now() + timedelta(days=2)
    (plan,) = (await api.post(f"/v1/models/{hash}/activate", json={"active_from": at.isoformat()})).json()["planned"]
    async with scoring.transaction() as session:
        await (await driver(session)).execute(
            "UPDATE model SET document = jsonb_set(document, '{currency}', '\"USD\"') WHERE hash = $1", hash
        )

    assert await activate_next(scoring, at)

    told = (await api.get(f"/v1/activations/{plan['id']}")).json()
    assert told["cancelled_at"]
    assert not told["done_at"]
    assert (told["refused"]["code"], told["refused"]["reporting_currency"]) == ("model_currency", "EUR")
    assert "Fit a model anew" in told["refused"]["detail"]
    assert (await api.get("/v1/activations")).json()["data"] == [told]
    (listed,) = (await api.get("/v1/models")).json()["data"]
    assert listed["refused"] == (await api.get(f"/v1/models/{hash}")).json()["refused"] == told
    closed = await api.delete(f"/v1/activations/{plan['id']}")
    assert (closed.status_code, closed.json()["detail"]) == (409, "This activation was refused.")
    assert (await api.get("/readyz")).json()["refused_activations"] == 1
    assert "shuke_refused_activations 1.0" in (await api.get("/metrics")).text

    assert (await api.post(f"/v1/models/{hash}/activate", json={"active_from": at.isoformat()})).status_code == 409


@pytest.mark.parametrize("force", [False, True])
async def test_a_planned_model_that_is_worse_than_one_that_decides_meanwhile_takes_force(
    api: httpx.AsyncClient, scoring: Database, shop: dict[int, UUID], force: bool
) -> None:
    good, at = (await a_model(api, scoring))["hash"], now() + timedelta(days=2)
    worse = await worse_than(scoring, good)
    body = {"active_from": at.isoformat(), "force": force}
    (plan,) = (await api.post(f"/v1/models/{worse}/activate", json=body)).json()["planned"]
    assert (await api.post(f"/v1/models/{good}/activate")).json()["state"] == "active"

    assert await activate_next(scoring, at)

    told = (await api.get(f"/v1/activations/{plan['id']}")).json()
    assert bool(told["done_at"]) is force
    assert (await api.get(f"/v1/models/{worse if force else good}")).json()["state"] == "active"
    if not force:
        assert (told["refused"]["code"], told["refused"]["active"]) == ("model_worse", good)
        assert (told["refused"]["worse_by"], told["refused"]["margin"]) == ({"auc": 0.03, "brier": 0.0}, 0.01)


async def test_no_activation_of_a_model_is_in_the_past(
    api: httpx.AsyncClient, scoring: Database, shop: dict[int, UUID]
) -> None:
    hash = (await a_model(api, scoring))["hash"]

    answer = await api.post(f"/v1/models/{hash}/activate", json={"active_from": "2026-01-02T00:00:00Z"})

    assert (answer.status_code, answer.json()["code"]) == (422, "activation_passed")


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("GET", "/quality"), ("POST", "/activate")])
async def test_an_unknown_model_is_not_found(api: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await api.request(method, f"/v1/models/{NOTHING}{path}")

    assert (answer.status_code, answer.json()["code"]) == (404, "model_not_found")


async def test_models_are_listed_the_newest_first_page_by_page(
    api: httpx.AsyncClient, scoring: Database, shop: dict[int, UUID]
) -> None:
    first = (await a_model(api, scoring))["hash"]
    hashes = [first, *[await another(scoring, first, calibration=2.0 + extra) for extra in range(3)]]

    page = (await api.get("/v1/models", params={"limit": 3})).json()
    rest = (await api.get("/v1/models", params={"limit": 3, "cursor": page["next_cursor"]})).json()

    assert [told["hash"] for told in page["data"] + rest["data"]] == hashes[::-1]
    assert not rest["has_more"]
    cursor = encode_cursor(datetime(2026, 1, 1, tzinfo=UTC), "\x00")
    assert (await api.get("/v1/models", params={"cursor": cursor})).json()["code"] == "bad_cursor"


async def test_a_model_is_what_the_purchases_give_whatever_the_order_of_the_parties(
    api: httpx.AsyncClient, scoring: Database, shop: dict[int, UUID]
) -> None:
    days: Counter[tuple[int, int]] = Counter()
    for number, bought in lives():
        for at, amount in bought:
            days[number, at.toordinal()] += amount
    columns = zip(*((number, day, amount) for (number, day), amount in sorted(days.items())), strict=True)
    by_hand = fit(Ledger(*(np.array(column) for column in columns)), AS_OF, DEFAULT_1, "EUR", None)

    told = await a_model(api, scoring)

    assert isinstance(by_hand, Fitted)
    assert told["document"] == by_hand.model.model_dump(mode="json")
    assert told["hash"] == by_hand.model.content_hash
    (row,) = await rows(scoring, "SELECT hash, document::text AS document FROM model")
    assert row["hash"] == Model.model_validate_json(row["document"]).content_hash


EVERY = timedelta(days=7)


async def by_itself(database: Database, activating: Activating = Activating.BY_HAND) -> bool:
    """Have a fit asked for by itself carried out; whether one was due."""
    return await ask_if_due(database, EVERY, activating) and await fit_next(database, MARGIN)


async def test_a_model_is_fitted_by_itself_every_so_many_days_and_left_to_be_activated_by_hand(
    scoring: Database, shop: dict[int, UUID], api: httpx.AsyncClient
) -> None:
    assert await by_itself(scoring)
    assert not await by_itself(scoring)
    (told,) = (await api.get("/v1/models")).json()["data"]
    assert (told["state"], told["fitted_by"]) == ("fitted", None)
    assert told["as_of"] == (now().date() - timedelta(days=1)).isoformat()

    async with scoring.transaction() as session:
        await (await driver(session)).execute("UPDATE fitting SET tried_at = tried_at - $1::interval", EVERY)

    assert await by_itself(scoring)
    assert [fit["asked_by"] for fit in (await api.get("/v1/fits")).json()["data"]] == [None, None]


async def test_by_rule_a_fitted_model_decides_unless_it_was_not_judged(
    scoring: Database, feed: Feeding, api: httpx.AsyncClient
) -> None:
    recent = now() - timedelta(days=20)
    people = [feed.identity() for _ in range(60)]
    await feed.tell(*(feed.purchase(who, recent + timedelta(days=day), 700) for who in people for day in (0, 9)))

    assert await by_itself(scoring, Activating.BY_RULE)

    (told,) = (await api.get("/v1/models")).json()["data"]
    assert told["state"] == "fitted"
    assert "not_judged" in told["document"]["flags"]
    (done,) = (await api.get("/v1/fits")).json()["data"]
    assert (done["activated"], done["refused"]["code"]) == (False, "fit_not_judged")


async def test_by_rule_a_judged_model_decides(scoring: Database, shop: dict[int, UUID], api: httpx.AsyncClient) -> None:
    assert await by_itself(scoring, Activating.BY_RULE)

    (told,) = (await api.get("/v1/models")).json()["data"]
    assert told["state"] == "active"


async def test_by_rule_a_model_that_is_worse_by_more_than_the_margin_does_not_decide(
    scoring: Database, shop: dict[int, UUID], api: httpx.AsyncClient
) -> None:
    fitted = (await a_model(api, scoring))["hash"]
    active = await another(scoring, fitted, calibration=2.0)
    await api.post(f"/v1/models/{active}/activate", json={"force": True})

    assert await ask_if_due(scoring, EVERY, Activating.BY_RULE)
    # Whatever is not better by all that there is to be better by is worse by more than that.
    assert await fit_next(scoring, -1.0)

    done = (await api.get("/v1/fits")).json()["data"][0]
    assert (done["asked_by"], done["activated"], done["refused"]["code"]) == (None, False, "model_worse")
    assert done["model"] != active
    assert (await api.get(f"/v1/models/{active}")).json()["state"] == "active"


async def test_where_there_was_not_enough_a_model_is_sought_again_the_next_day(scoring: Database) -> None:
    assert await by_itself(scoring)
    (first,) = await rows(scoring, "SELECT tried_at, enough FROM fitting")
    assert not first["enough"]
    assert not await by_itself(scoring)
    async with scoring.transaction() as session:
        await (await driver(session)).execute("UPDATE fitting SET tried_at = tried_at - interval '25 hours'")

    assert await by_itself(scoring)

    (again,) = await rows(scoring, "SELECT tried_at FROM fitting")
    assert again["tried_at"] > first["tried_at"]


async def test_one_process_fits_at_a_time(scoring: Database, api: httpx.AsyncClient, shop: dict[int, UUID]) -> None:
    job = await asked(api)

    async with scoring.transaction() as session:
        await (await driver(session)).execute("SELECT pg_advisory_xact_lock(7003)")
        assert not await fit_next(scoring, MARGIN)
    assert (await api.get(f"/v1/fits/{job['id']}")).json()["state"] == "waiting"


async def test_one_fit_is_under_way_at_a_time_whoever_asks(
    api: httpx.AsyncClient, scoring: Database, shop: dict[int, UUID]
) -> None:
    key = {"Idempotency-Key": "one"}
    first = await api.post("/v1/models", json={"as_of": "2026-05-31"}, headers=key)
    again = await api.post("/v1/models", json={"as_of": "2026-05-31"}, headers=key)
    refused = await asyncio.gather(*(api.post("/v1/models") for _ in range(5)))

    assert again.json() == first.json()
    for each in refused:
        assert (each.status_code, each.json()["code"]) == (409, "fit_under_way")
        assert each.json()["fit_id"] == first.json()["id"]
    assert not await ask_if_due(scoring, EVERY, Activating.BY_HAND)
    assert await fit_next(scoring, MARGIN)
    assert await ask_if_due(scoring, EVERY, Activating.BY_HAND)


async def test_a_cancelled_fit_ends_where_it_is_and_leaves_no_model(
    api: httpx.AsyncClient, scoring: Database, shop: dict[int, UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await asked(api)

    async def cancelled_meanwhile(*asked: Any) -> AsyncGenerator[int]:
        async for done in gathered(*asked):
            assert (await api.delete(f"/v1/fits/{job['id']}")).status_code == 200
            yield done

    monkeypatch.setattr(fitting, "gathered", cancelled_meanwhile)

    assert await fit_next(scoring, MARGIN)

    done = (await api.get(f"/v1/fits/{job['id']}")).json()
    assert (done["state"], done["model"]) == ("cancelled", None)
    assert (await api.delete(f"/v1/fits/{job['id']}")).json() == done
    assert (await api.get("/v1/models")).json()["data"] == []
    assert not await fit_next(scoring, MARGIN)
    assert (await asked(api))["state"] == "waiting"
    assert (await api.get(f"/v1/fits/fit_{'0' * 32}")).json()["code"] == "fit_not_found"


async def test_a_fit_whose_process_was_killed_is_begun_anew_and_not_for_ever(
    api: httpx.AsyncClient, scoring: Database, shop: dict[int, UUID]
) -> None:
    async def killed(times: int) -> Any:
        """A fit that was begun so often, as it lies there when its process is gone."""
        job = await asked(api)
        async with scoring.transaction() as session:
            for _ in range(times):
                assert await begin(await driver(session), UUID(job["id"].removeprefix("fit_")), now())
        assert await fit_next(scoring, MARGIN)
        return (await api.get(f"/v1/fits/{job['id']}")).json()

    anew, given_up = await killed(2), await killed(3)

    assert (anew["state"], anew["done"]) == ("done", 300)
    assert (given_up["state"], given_up["model"]) == ("failed", None)
    assert "killed 3 times" in given_up["error"]


async def test_a_fault_of_ours_ends_a_fit_and_the_next_one_goes_on(
    api: httpx.AsyncClient, scoring: Database, shop: dict[int, UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await asked(api)
    with monkeypatch.context() as patched:
        patched.setattr(fitting, "Gathering", None)
        assert await fit_next(scoring, MARGIN)

    done = (await api.get(f"/v1/fits/{job['id']}")).json()
    assert done["state"] == "failed"
    assert done["error"].startswith("TypeError")
    assert (await a_model(api, scoring))["state"] == "fitted"


async def test_fits_are_carried_out_in_processes_of_their_own_until_cancelled(
    api: httpx.AsyncClient, scoring: Database, shop: dict[int, UUID]
) -> None:
    job = await asked(api)
    carrying = asyncio.create_task(carry_out_fits(scoring, MARGIN))

    async with asyncio.timeout(60):
        while (done := (await api.get(f"/v1/fits/{job['id']}")).json())["state"] in ("waiting", "running"):
            await asyncio.sleep(0.05)
    carrying.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await carrying

    assert (done["state"], done["done"]) == ("done", 300)
    assert not multiprocessing.active_children()
