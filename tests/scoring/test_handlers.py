import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from msgspec import structs

from chassis.consumer import Delivery
from chassis.db import Database, driver, plain_url
from contracts.community import CommunityFactWithdrawn, MemberJoined, MemberLinked
from contracts.customers import Direction, FactWithdrawn, InteractionKind, ProblemSolved, PurchaseCompleted
from contracts.leads import Grade, LeadAssigned, LeadCaptured, LeadFactWithdrawn, LeadGraded, LeadWon, Order
from contracts.loss import LossReason
from contracts.scoring import Cause, MoveKind, Stage, StandingChanged, Tier
from services.scoring.domain.calendar import unpack
from services.scoring.domain.facts import CART, Kind
from services.scoring.handlers import batches as handler
from services.scoring.handlers.assessing import assess_again
from services.scoring.handlers.batches import apply
from services.scoring.handlers.remembering import LONG
from services.scoring.handlers.sweeping import sweep_once
from services.scoring.queries.parties import pass_barrier
from services.scoring.queries.rulings import add_rates
from tests.scoring.feeding import JUNE, Feeding
from tests.scoring.stories import Story, disagreements, give


async def rows(database: Database, query: str, *values: Any) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(plain_url(database.url))
    try:
        return await connection.fetch(query, *values)
    finally:
        await connection.close()


async def party(database: Database, party_id: UUID) -> asyncpg.Record:
    return (await rows(database, "SELECT * FROM party WHERE party_id = $1", party_id))[0]


async def announced(database: Database, party_id: UUID) -> list[dict[str, Any]]:
    found = await rows(
        database,
        "SELECT payload FROM outbox WHERE key = $1 AND topic = 'scoring.standing.events.v1' ORDER BY id",
        str(party_id),
    )
    return [json.loads(row["payload"])["data"] for row in found]


def bought(subject: UUID, at: datetime = JUNE, amount_minor: int = 1_000, **more: Any) -> PurchaseCompleted:
    return PurchaseCompleted(
        subject=subject,
        occurred_at=at,
        purchase_id=Feeding.identity(),
        amount_minor=amount_minor,
        currency="EUR",
        source="tests",
        **more,
    )


def batches(told: Sequence[Delivery], random: Random) -> list[list[Delivery]]:
    """Any order, a few twice, cut anywhere."""
    shuffled = random.sample(list(told), len(told)) + random.sample(list(told), min(8, len(told)))
    cut: list[list[Delivery]] = []
    while shuffled:
        size = random.choice([1, 1, 2, 5, 20])
        cut.append(shuffled[:size])
        shuffled = shuffled[size:]
    return cut


async def test_a_purchase_makes_a_customer(scoring: Database, feed: Feeding) -> None:
    somebody = feed.identity()

    fact_id = await feed.bought(somebody, JUNE, 40_000)

    row = await party(scoring, somebody)
    assert (row["stage"], row["tier"], row["value_minor"], row["revision"]) == (Stage.CUSTOMER, Tier.HIGH, 40_000, 1)
    assert row["next_change_at"] == datetime(2026, 8, 30, tzinfo=UTC)
    assert row["next_stage_at"] == datetime(2026, 8, 31, tzinfo=UTC)
    (change,) = await announced(scoring, somebody)
    assert (change["kind"], change["cause"], change["to_stage"]) == ("appeared", "fact", "customer")
    assert change["fact_id"] == str(fact_id)


async def test_what_a_batch_makes_of_each_party_goes_on_in_the_trace_of_the_last_event_about_it(
    scoring: Database, feed: Feeding
) -> None:
    traced, other, quiet = (feed.identity() for _ in range(3))
    earlier, last, beside = (f"00-{digit * 32}-{digit * 16}-01" for digit in "abc")
    batch = [
        structs.replace(feed.delivered(bought(somebody)), traceparent=trace, recorded_at=JUNE + timedelta(seconds=nth))
        for nth, (somebody, trace) in enumerate(
            [(traced, earlier), (other, beside), (quiet, None), (traced, last)], start=1
        )
    ]

    async with scoring.transaction() as session:
        await apply(session, batch)

    found = await rows(scoring, "SELECT key, payload FROM outbox ORDER BY id")
    traces = {UUID(row["key"]): json.loads(row["payload"]).get("traceparent") for row in found}
    assert len(found) == 6
    assert [traces[somebody] and traces[somebody][:36] for somebody in (traced, other, quiet)] == [
        last[:36], beside[:36], None,
    ]  # fmt: skip
    # In a span of its own.
    assert traces[traced] != last


async def test_what_else_is_graded_is_told_by_an_event_of_its_own(scoring: Database, feed: Feeding) -> None:
    somebody = feed.identity()
    await feed.bought(somebody, JUNE, 40_000)

    fact_id = await feed.interacted(somebody, JUNE + timedelta(hours=1), InteractionKind.COMPLAINT)

    regraded = (await announced(scoring, somebody))[-1]
    assert regraded | {"occurred_at": None, "next_change_at": None, "policy": None} == {
        "occurred_at": None, "revision": 2, "cause": "fact", "stage": "customer", "tier": "high", "value_minor": 40_000,
        "currency": "EUR", "fact_id": str(fact_id), "next_change_at": None, "policy": None, "treatment": "recover",
        "level": "medium", "satisfaction_band": "low", "loyalty_band": "unknown", "posture": "developing",
        "flags": ["high_value", "profit_making"], "vip": False,
    }  # fmt: skip
    (record,) = (
        json.loads(row["payload"])["data"]
        for row in await rows(
            scoring, "SELECT payload FROM outbox WHERE topic = 'scoring.standing.state.v1' ORDER BY id DESC LIMIT 1"
        )
    )
    assert (record["revision"], record["treatment"], record["satisfaction_band"]) == (2, "recover", "low")


async def test_what_is_dated_on_the_next_day_is_never_named_for_what_a_fact_of_today_does(
    scoring: Database, feed: Feeding
) -> None:
    somebody = feed.identity()
    await feed.bought(somebody, JUNE, 40_000)
    feed.at = JUNE + timedelta(hours=2)
    complaint = feed.interaction(somebody, JUNE + timedelta(hours=1), InteractionKind.COMPLAINT)

    fact_id, _ = await feed.tell(complaint, feed.purchase(somebody, JUNE + timedelta(hours=20), 1_000))

    (regraded,) = (await announced(scoring, somebody))[1:]
    assert (regraded["cause"], regraded["fact_id"]) == ("fact", str(fact_id))
    assert datetime.fromisoformat(regraded["occurred_at"]) == complaint.occurred_at


async def test_the_fact_of_a_backlog_that_changes_a_grade_is_named_and_not_the_last_one(
    scoring: Database, feed: Feeding
) -> None:
    somebody = feed.identity()
    await feed.bought(somebody, JUNE, 40_000)
    feed.at = JUNE + timedelta(days=3)
    complaint = feed.interaction(somebody, JUNE + timedelta(hours=1), InteractionKind.COMPLAINT)

    fact_id, _ = await feed.tell(complaint, feed.interaction(somebody, JUNE + timedelta(days=2), InteractionKind.VISIT))

    (regraded,) = (await announced(scoring, somebody))[1:]
    assert (regraded["cause"], regraded["fact_id"]) == ("fact", str(fact_id))
    assert datetime.fromisoformat(regraded["occurred_at"]) == complaint.occurred_at


async def test_what_a_late_fact_and_a_new_one_change_is_told_one_after_the_other(
    scoring: Database, feed: Feeding
) -> None:
    somebody = feed.identity()
    await feed.bought(somebody, JUNE, 40_000)
    feed.at = JUNE + timedelta(hours=2)

    late_id, new_id = await feed.tell(
        feed.interaction(somebody, JUNE - timedelta(days=1), InteractionKind.PRAISE),
        feed.interaction(somebody, JUNE + timedelta(hours=1), InteractionKind.COMPLAINT),
    )

    first, last = (await announced(scoring, somebody))[1:]
    assert [first[name] for name in ("revision", "cause", "fact_id", "satisfaction_band", "treatment")] == [
        2, "late_fact", str(late_id), "high", "develop"
    ]  # fmt: skip
    assert [last[name] for name in ("revision", "cause", "fact_id", "satisfaction_band", "treatment")] == [
        3, "fact", str(new_id), "middle", "develop"
    ]  # fmt: skip
    row = await party(scoring, somebody)
    assert (row["revision"], row["satisfaction_band"]) == (3, "middle")
    lived = await rows(
        scoring, "SELECT kind, cause FROM lived_move WHERE party_id = $1 AND revision > 1 ORDER BY revision", somebody
    )
    assert [tuple(row) for row in lived] == [("regraded", "late_fact"), ("regraded", "fact")]


async def test_a_cart_is_told_apart_from_an_inquiry_and_asks_for_no_answer(scoring: Database, feed: Feeding) -> None:
    one, other, called = (feed.identity() for _ in range(3))
    await feed.interacted(one, JUNE, InteractionKind.CART)
    await feed.interacted(other, JUNE, InteractionKind.INQUIRY)
    await feed.interacted(called, JUNE, InteractionKind.CART, direction=Direction.OUTBOUND)

    await feed.reached(JUNE + timedelta(days=3))
    await sweep_once(scoring)

    kept = await rows(scoring, "SELECT identity_id, kind, detail FROM fact")
    assert {each["identity_id"]: (each["kind"], each["detail"]) for each in kept} == {
        one: (Kind.INQUIRED, CART), other: (Kind.INQUIRED, ""), called: (Kind.REACHED, "")
    }  # fmt: skip
    assert [(await party(scoring, who))["satisfaction_band"] for who in (one, other)] == ["unknown", "middle"]


async def test_a_survey_is_told_apart_from_other_contacts_and_answers_no_complaint(
    api: httpx.AsyncClient, scoring: Database, feed: Feeding
) -> None:
    one, other = feed.identity(), feed.identity()
    for who in (one, other):
        await feed.interacted(who, JUNE, InteractionKind.COMPLAINT)
    await feed.interacted(one, JUNE, InteractionKind.SURVEY, direction=Direction.OUTBOUND)
    await feed.interacted(other, JUNE, InteractionKind.OFFER, direction=Direction.OUTBOUND)

    await feed.reached(JUNE + timedelta(days=4))
    await sweep_once(scoring)

    told = [(await api.get(f"/v1/standings/party_{who.hex}")).json() for who in (one, other)]
    evidence = [{each["evidence"] for each in read["reasons"]["satisfaction"]["contributions"]} for read in told]
    assert evidence == [{"complaint", "late_answer"}, {"complaint"}]
    assert [{each["kind"]: each["aside"] for each in read["facts"]} for read in told] == [
        {"complained": None, "reached": "survey"}, {"complained": None, "reached": None}
    ]  # fmt: skip


async def test_a_rating_and_what_a_solved_problem_says_are_taken_back_with_their_facts(
    scoring: Database, feed: Feeding
) -> None:
    somebody = feed.identity()
    await feed.registered(somebody, JUNE)
    rated = await feed.interacted(somebody, JUNE, InteractionKind.CONTACT, attitude=5, speed=2, quality=3)
    solved = ProblemSolved(
        subject=somebody, occurred_at=JUNE, problem_id=feed.identity(), opened_at=JUNE - timedelta(days=9)
    )
    (solved_id,) = await feed.tell(solved)

    [(days,)] = await rows(scoring, "SELECT days FROM calendar WHERE year = 2026")
    posted = {(kind, said): count for _, kind, said, count, _ in unpack([days]).entries}
    assert posted == {
        (Kind.REGISTERED, "person"): 1,
        (Kind.CONTACTED, ""): 1,
        (Kind.PROBLEM_SOLVED, "2026-05-23"): 1,
        (Kind.RATED_WELL, ""): 1,
    }
    [kept] = await rows(scoring, "SELECT rating, channel FROM fact WHERE fact_id = $1", rated)
    assert tuple(kept) == (1, "phone")

    for fact_id in (rated, solved_id):
        await feed.withdrawn(somebody, fact_id)
    [(days,)] = await rows(scoring, "SELECT days FROM calendar WHERE year = 2026")
    assert [entry[1] for entry in unpack([days]).entries] == [Kind.REGISTERED]


async def test_who_calls_itself_content_and_then_complains_and_returns_goods_is_less_content(
    scoring: Database, feed: Feeding
) -> None:
    somebody, said_so = feed.identity(), {"attitude": 5, "speed": 5, "quality": 5}
    await feed.bought(somebody, JUNE - timedelta(days=3), 5_000)

    await feed.interacted(somebody, JUNE - timedelta(days=2), InteractionKind.SURVEY, **said_so)
    asked = await party(scoring, somebody)
    await feed.interacted(somebody, JUNE - timedelta(days=1), InteractionKind.COMPLAINT)
    await feed.returned(somebody, JUNE, 5_000)
    complained = await party(scoring, somebody)

    assert (asked["satisfaction"], asked["satisfaction_band"], asked["stage"]) == (50, "unknown", "customer")
    assert complained["satisfaction"] < 50
    assert complained["satisfaction_band"] == "low"


async def test_whoever_answers_a_survey_was_reached_and_waits_for_no_answer(scoring: Database, feed: Feeding) -> None:
    somebody = feed.identity()

    await feed.interacted(somebody, JUNE - timedelta(days=9), InteractionKind.SURVEY, quality=1)

    stands = await party(scoring, somebody)
    assert (stands["stage"], stands["satisfaction"]) == ("stranger", 50)


async def test_the_same_event_twice_counts_once(scoring: Database) -> None:
    somebody = Feeding.identity()
    once = Delivery(bought(somebody), Feeding.identity(), "customers.test", 0, 1, 1, JUNE)

    await give(scoring, [once, once])
    await give(scoring, [once])

    assert (await party(scoring, somebody))["value_minor"] == 1_000


@pytest.mark.parametrize("withdrawn_first", [True, False])
async def test_a_withdrawal_works_whichever_comes_first(scoring: Database, withdrawn_first: bool) -> None:
    somebody, fact_id = Feeding.identity(), Feeding.identity()
    purchase = Delivery(bought(somebody), fact_id, "customers.test", 0, 1, 1, JUNE)
    gone = FactWithdrawn(subject=somebody, occurred_at=JUNE, fact_id=fact_id)
    withdrawal = Delivery(gone, Feeding.identity(), "customers.test", 0, 1, 2, JUNE)

    for delivery in (withdrawal, purchase) if withdrawn_first else (purchase, withdrawal):
        await give(scoring, [delivery])

    assert (await party(scoring, somebody))["stage"] is None
    assert await rows(scoring, "SELECT FROM calendar") == []
    assert len(await rows(scoring, "SELECT FROM fact")) == 1


async def test_a_withdrawal_with_another_subject_takes_nothing(scoring: Database, feed: Feeding) -> None:
    somebody = feed.identity()
    fact_id = await feed.bought(somebody, JUNE, 1_000)

    await feed.withdrawn(feed.identity(), fact_id)

    assert (await party(scoring, somebody))["stage"] == Stage.CUSTOMER


async def test_a_correction_takes_the_place_of_its_fact(scoring: Database, feed: Feeding) -> None:
    wrong, right = feed.identity(), feed.identity()
    fact_id = await feed.bought(wrong, JUNE, 1_000)

    await feed.tell(bought(right, replaces=fact_id, replaced_subject=wrong))

    assert (await party(scoring, wrong))["stage"] is None
    assert (await party(scoring, right))["stage"] == Stage.CUSTOMER
    assert [change["kind"] for change in await announced(scoring, wrong)] == ["appeared", "vanished"]


async def test_who_bought_long_ago_is_won_back_after_the_moves_of_the_silence(scoring: Database) -> None:
    somebody = Feeding.identity()
    feed = Feeding(scoring, JUNE - timedelta(days=700))
    first = await feed.bought(somebody, feed.at, 1_000)
    feed.at = JUNE

    again = await feed.bought(somebody, JUNE, 1_000)

    moves = await announced(scoring, somebody)
    assert [(move["kind"], move["cause"], move.get("fact_id")) for move in moves] == [
        ("appeared", "fact", str(first)),
        ("faded", "clock", None),
        ("lost", "clock", None),
        ("won_back", "fact", str(again)),
    ]
    assert [move["occurred_at"] for move in (await rows(scoring, "SELECT * FROM lived_move ORDER BY revision"))] == [
        JUNE - timedelta(days=700),
        datetime(2024, 9, 30, tzinfo=UTC),
        datetime(2025, 7, 2, tzinfo=UTC),
        JUNE,
    ]


async def test_a_clock_move_on_a_day_with_a_fact_names_no_fact(scoring: Database) -> None:
    somebody = Feeding.identity()
    feed = Feeding(scoring, JUNE - timedelta(days=91))
    await feed.bought(somebody, feed.at, 1_000)
    feed.at = JUNE

    await feed.registered(somebody, JUNE)

    faded = (await announced(scoring, somebody))[-1]
    assert (faded["kind"], faded["cause"], faded.get("fact_id")) == ("faded", "clock", None)


def told(changes: list[dict[str, Any]]) -> list[tuple[str, str, str | None]]:
    return [(change["kind"], change["cause"], change.get("fact_id")) for change in changes]


async def test_a_late_fact_revises_and_wins_nobody_back(scoring: Database, feed: Feeding) -> None:
    somebody = feed.identity()
    first = await feed.bought(somebody, JUNE - timedelta(days=700), 1_000)

    late = await feed.bought(somebody, JUNE - timedelta(days=20), 1_000)

    assert told(await announced(scoring, somebody)) == [
        ("appeared", "late_fact", str(first)),
        ("revised", "late_fact", str(late)),
    ]


async def test_a_fact_of_today_takes_no_credit_for_a_late_one_beside_it(scoring: Database, feed: Feeding) -> None:
    somebody = feed.identity()
    await feed.bought(somebody, JUNE - timedelta(days=700), 1_000)

    late, today = await feed.tell(bought(somebody, JUNE - timedelta(days=20)), bought(somebody, JUNE, 200_000))

    assert told(await announced(scoring, somebody))[1:] == [
        ("revised", "late_fact", str(late)),
        ("retiered", "fact", str(today)),
    ]


async def test_days_that_were_read_together_are_told_each_on_its_own(scoring: Database) -> None:
    somebody = Feeding.identity()
    feed = Feeding(scoring, JUNE - timedelta(days=400))
    await feed.bought(somebody, feed.at, 1_000)
    feed.at = JUNE

    first, second = await feed.tell(bought(somebody, JUNE - timedelta(days=3)), bought(somebody, JUNE, 40_000))

    changes = await announced(scoring, somebody)
    assert told(changes)[1:] == [
        ("faded", "clock", None),
        ("lost", "clock", None),
        ("won_back", "fact", str(first)),
        ("retiered", "fact", str(second)),
    ]


async def test_what_a_ruling_changed_is_no_doing_of_the_next_fact(scoring: Database, feed: Feeding) -> None:
    somebody = feed.identity()
    await feed.bought(somebody, JUNE, 50_000, "USD")
    async with scoring.transaction() as session:
        await add_rates(await driver(session), [(date(2026, 1, 1), "USD", "0.9")], JUNE)

    await feed.bought(somebody, JUNE, 100)
    top = await feed.bought(somebody, JUNE, 60_000)

    assert told(await announced(scoring, somebody))[1:] == [
        ("revised", "policy", None),
        ("retiered", "fact", str(top)),
    ]


async def test_a_correction_on_the_day_itself_wins_nobody_back_again(scoring: Database) -> None:
    somebody = Feeding.identity()
    feed = Feeding(scoring, JUNE - timedelta(days=400))
    await feed.bought(somebody, feed.at, 1_000)
    feed.at = JUNE
    wrong = await feed.bought(somebody, JUNE, 1_000)

    (right,) = await feed.tell(bought(somebody, JUNE, 40_000, replaces=wrong))

    assert told(await announced(scoring, somebody))[-2:] == [
        ("won_back", "fact", str(wrong)),
        ("revised", "late_fact", str(right)),
    ]


async def test_a_purchase_put_to_another_customer_wins_that_one_back(scoring: Database) -> None:
    one, other = Feeding.identity(), Feeding.identity()
    feed = Feeding(scoring, JUNE - timedelta(days=400))
    await feed.tell(bought(one, feed.at), bought(other, feed.at))
    feed.at = JUNE
    wrong = await feed.bought(one, JUNE, 1_000)

    (right,) = await feed.tell(bought(other, JUNE, replaces=wrong, replaced_subject=one))

    assert told(await announced(scoring, one))[-1] == ("revised", "late_fact", None)
    assert told(await announced(scoring, other))[-1] == ("won_back", "fact", str(right))


async def test_a_fact_ahead_of_time_counts_when_its_day_comes(scoring: Database, feed: Feeding) -> None:
    somebody = feed.identity()
    await feed.bought(somebody, JUNE + timedelta(hours=20), 40_000)
    assert (await party(scoring, somebody))["stage"] is None

    await feed.reached(JUNE + timedelta(hours=12))
    await sweep_once(scoring)

    assert told(await announced(scoring, somebody)) == [("appeared", "fact", None)]
    assert (await party(scoring, somebody))["value_minor"] == 40_000


async def test_a_fact_ahead_of_time_is_what_changes_a_grade_when_its_day_comes(
    scoring: Database, feed: Feeding
) -> None:
    somebody, midnight = feed.identity(), datetime(2026, 6, 2, tzinfo=UTC)
    await feed.bought(somebody, JUNE, 40_000)
    await feed.interacted(somebody, midnight + timedelta(hours=8), InteractionKind.COMPLAINT)

    await feed.reached(midnight + timedelta(hours=1))
    await sweep_once(scoring)

    (regraded,) = (await announced(scoring, somebody))[1:]
    assert (regraded["cause"], regraded.get("fact_id")) == ("fact", None)
    assert datetime.fromisoformat(regraded["occurred_at"]) == midnight
    assert (await party(scoring, somebody))["satisfaction_band"] == "low"


async def test_a_fact_ahead_of_time_takes_nothing_from_what_the_clock_does_on_its_day(
    scoring: Database, feed: Feeding
) -> None:
    somebody, out = feed.identity(), datetime(2026, 8, 30, tzinfo=UTC)
    await feed.bought(somebody, JUNE, 40_000)
    feed.at = out - timedelta(hours=2)
    await feed.interacted(somebody, out + timedelta(hours=8), InteractionKind.VISIT)

    await feed.reached(out + timedelta(hours=1))
    await sweep_once(scoring)

    (regraded,) = (await announced(scoring, somebody))[1:]
    assert (regraded["cause"], datetime.fromisoformat(regraded["occurred_at"])) == ("clock", out)


async def test_a_party_that_becomes_empty_comes_back_at_a_higher_revision(scoring: Database, feed: Feeding) -> None:
    one, other = sorted([feed.identity(), feed.identity()])
    await feed.bought(other, JUNE, 1_000)

    await feed.assigned({other: [(one, None)]})
    empty = await party(scoring, other)
    await feed.bought(other, JUNE, 40_000)
    await feed.assigned({other: [(other, None)]})

    back = await party(scoring, other)
    assert (empty["stage"], empty["first_identity"], empty["revision"]) == (None, None, 2)
    assert (back["stage"], back["value_minor"], back["revision"]) == (Stage.CUSTOMER, 41_000, 3)
    assert [change["kind"] for change in await announced(scoring, one)] == ["appeared", "retiered", "vanished"]


async def test_a_merge_moves_the_calendar_and_an_unmerge_moves_it_back(scoring: Database, feed: Feeding) -> None:
    one, other = sorted([feed.identity(), feed.identity()])
    await feed.bought(one, JUNE, 1_000)
    await feed.bought(other, JUNE, 30_000)

    await feed.assigned({other: [(one, None)]}, {other: one})
    survivor, gone = await party(scoring, one), await party(scoring, other)

    assert (survivor["value_minor"], gone["stage"], gone["resolves_to"]) == (31_000, None, one)
    assert survivor["revision"] > gone["revision"] == 2
    assert (await announced(scoring, other))[-1]["merged_into"] == str(one)
    tombstones = "SELECT FROM outbox WHERE key = $1 AND topic = 'scoring.standing.state.v1' AND payload IS NULL"
    assert len(await rows(scoring, tombstones, str(other))) == 1

    await feed.assigned({other: [(other, None)]}, {other: other})

    assert (await party(scoring, one))["value_minor"] == 1_000
    assert (await party(scoring, other))["revision"] == 3


async def test_a_number_handed_on_leaves_the_days_before_with_the_first(scoring: Database, feed: Feeding) -> None:
    number, second = feed.identity(), feed.identity()
    await feed.bought(number, datetime(2026, 1, 1, 12, tzinfo=UTC), 500)
    await feed.bought(number, datetime(2026, 2, 2, 12, tzinfo=UTC), 700)

    await feed.assigned({number: [(number, None), (second, date(2026, 2, 1))]})

    assert (await party(scoring, number))["value_minor"] == 500
    assert (await party(scoring, second))["value_minor"] == 700


async def test_who_asks_is_a_prospect_and_who_asks_again_after_a_loss_is_revived(scoring: Database) -> None:
    somebody, early = Feeding.identity(), JUNE - timedelta(days=40)
    feed = Feeding(scoring, early)

    asked = await feed.inquired(somebody, early)
    feed.at = early + timedelta(days=1)
    declined = await feed.declined(somebody, feed.at, LossReason.PRICE)
    feed.at = JUNE
    again = await feed.inquired(somebody, JUNE)

    assert [
        (move["kind"], move["to_stage"], move.get("loss_reason"), move.get("fact_id"))
        for move in await announced(scoring, somebody)
    ] == [
        ("appeared", "prospect", None, str(asked)),
        ("lost", "lost_prospect", "price", str(declined)),
        ("revived", "prospect", None, str(again)),
    ]


async def test_a_customer_who_declines_is_lost_until_the_next_purchase(scoring: Database) -> None:
    somebody, early = Feeding.identity(), JUNE - timedelta(days=10)
    feed = Feeding(scoring, early)
    await feed.bought(somebody, early, 1_000)
    feed.at = JUNE - timedelta(days=5)
    await feed.declined(somebody, feed.at)
    lost = await party(scoring, somebody)
    feed.at = JUNE
    await feed.bought(somebody, JUNE, 1_000)

    assert (lost["stage"], lost["loss_reason"], lost["since"]) == (Stage.LOST_CUSTOMER, "unknown", date(2026, 5, 27))
    kept = await party(scoring, somebody)
    assert (kept["stage"], kept["loss_reason"]) == (Stage.CUSTOMER, None)
    assert [move["kind"] for move in await announced(scoring, somebody)] == ["appeared", "lost", "won_back"]


async def test_a_move_names_the_fact_that_made_it_and_not_what_else_the_day_brought(
    scoring: Database, feed: Feeding
) -> None:
    somebody = feed.identity()
    purchase = Delivery(bought(somebody, JUNE - timedelta(hours=2)), feed.identity(), "customers.test", 0, 1, 1, JUNE)
    visit = feed.delivered(MemberJoined(subject=somebody, occurred_at=JUNE, member_id=somebody, community="users"))

    await give(scoring, [purchase, visit])

    (change,) = await announced(scoring, somebody)
    assert (change["to_stage"], change["fact_id"]) == ("customer", str(purchase.event_id))


async def test_a_won_lead_with_an_order_is_a_purchase_and_one_without_is_interest(
    scoring: Database, feed: Feeding
) -> None:
    buyer, agreed = feed.identity(), feed.identity()
    order = Order(amount_minor=35_000, currency="EUR")

    await feed.tell(LeadWon(subject=buyer, occurred_at=JUNE, lead_id=buyer, order=order))
    await feed.tell(LeadWon(subject=agreed, occurred_at=JUNE, lead_id=agreed))

    row = await party(scoring, buyer)
    assert (row["stage"], row["tier"], row["value_minor"]) == (Stage.CUSTOMER, Tier.HIGH, 35_000)
    assert (await party(scoring, agreed))["stage"] == Stage.PROSPECT


@pytest.mark.parametrize("withdrawal", [FactWithdrawn, LeadFactWithdrawn, CommunityFactWithdrawn])
async def test_every_service_may_withdraw_what_it_told(
    scoring: Database, feed: Feeding, withdrawal: type[FactWithdrawn]
) -> None:
    somebody = feed.identity()
    fact_id = await feed.inquired(somebody, JUNE)

    await feed.tell(withdrawal(subject=somebody, occurred_at=JUNE, fact_id=fact_id))

    assert (await party(scoring, somebody))["stage"] is None


async def test_a_corrected_interaction_takes_the_place_of_the_first(scoring: Database, feed: Feeding) -> None:
    somebody = feed.identity()
    wrong = await feed.declined(somebody, JUNE)

    await feed.interacted(somebody, JUNE, InteractionKind.PRAISE, replaces=wrong)

    assert (await party(scoring, somebody))["stage"] == Stage.PROSPECT
    assert [move["kind"] for move in await announced(scoring, somebody)] == ["appeared", "revised"]


async def test_a_grade_of_a_lead_is_told_as_potential_until_it_is_taken_back_or_something_is_bought(
    scoring: Database, feed: Feeding
) -> None:
    somebody = feed.identity()
    about = {"subject": somebody, "lead_id": somebody, "points": 1, "rubric": "0" * 64}
    captured = LeadCaptured(subject=somebody, lead_id=somebody, source="website", occurred_at=JUNE)
    await feed.tell(captured, LeadGraded(grade=Grade.C, occurred_at=JUNE, **about))
    feed.at = later = JUNE + timedelta(hours=2)

    [regraded] = await feed.tell(LeadGraded(grade=Grade.A, occurred_at=later, **about))
    await feed.tell(LeadFactWithdrawn(subject=somebody, occurred_at=later, fact_id=regraded))
    await feed.bought(somebody, later, 1_000)

    told = await announced(scoring, somebody)
    assert [(each.get("kind"), each["cause"], each.get("potential")) for each in told] == [
        ("appeared", "fact", "C"),
        (None, "fact", "A"),
        (None, "late_fact", "C"),
        ("advanced", "fact", None),
    ]
    assert told[1]["fact_id"] == str(regraded)
    assert (await party(scoring, somebody))["potential"] is None


async def test_a_late_capture_and_its_grade_are_laid_to_the_capture(scoring: Database, feed: Feeding) -> None:
    somebody, then = feed.identity(), JUNE - timedelta(days=7)
    await feed.registered(somebody, JUNE - timedelta(days=9))
    captured = LeadCaptured(subject=somebody, lead_id=somebody, source="website", occurred_at=then)
    about = {"subject": somebody, "lead_id": somebody, "points": 1, "rubric": "0" * 64}

    fact_id, _ = await feed.tell(captured, LeadGraded(grade=Grade.C, occurred_at=then, **about))

    change = (await announced(scoring, somebody))[-1]
    assert (change["cause"], change["fact_id"]) == ("late_fact", str(fact_id))
    assert (change["to_stage"], change["potential"]) == ("prospect", "C")


async def test_owners_of_leads_and_links_of_members_are_no_facts(scoring: Database, feed: Feeding) -> None:
    somebody = feed.identity()
    about = {"subject": somebody, "occurred_at": JUNE}

    await feed.tell(
        LeadAssigned(lead_id=somebody, version=1, **about),
        MemberLinked(member_id=somebody, version=1, **about),
    )

    assert await rows(scoring, "SELECT FROM fact") == []


async def test_a_solved_problem_keeps_when_it_was_opened(scoring: Database, feed: Feeding) -> None:
    somebody, opened = feed.identity(), JUNE - timedelta(days=3)

    await feed.tell(ProblemSolved(subject=somebody, occurred_at=JUNE, problem_id=somebody, opened_at=opened))

    assert [row["opened_at"] for row in await rows(scoring, "SELECT opened_at FROM fact")] == [opened]
    assert (await party(scoring, somebody))["stage"] == Stage.STRANGER


async def test_of_two_owners_the_one_with_the_higher_version_holds_and_no_standing_moves(
    scoring: Database, feed: Feeding
) -> None:
    somebody, owner, team = feed.identity(), feed.identity(), feed.identity()
    await feed.bought(somebody, JUNE, 1_000)

    await feed.owned(somebody, 2, owner, team)
    await feed.owned(somebody, 1, feed.identity())

    row = await party(scoring, somebody)
    assert (row["owner_id"], row["team_id"], row["owner_version"], row["revision"]) == (owner, team, 2, 1)


async def test_the_first_money_decides_the_currency(make_scoring: Any) -> None:
    scoring = await make_scoring(currency=None)
    feed = Feeding(scoring)
    somebody = feed.identity()

    await feed.bought(somebody, JUNE, 1_000, "CHF")

    assert (await party(scoring, somebody))["value_minor"] == 1_000
    assert [row["currency"] for row in await rows(scoring, "SELECT currency FROM ruling")] == ["CHF"]
    assert not (await rows(scoring, "SELECT currency_fixed FROM installation"))[0]["currency_fixed"]


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_the_order_and_the_batches_the_standings_are_those_of_the_plain_recomputation(
    make_scoring: Any, seed: int
) -> None:
    random = Random(seed)
    scoring = await make_scoring(random.choice(["UTC", "Asia/Taipei", "America/New_York"]))
    story = Story(random)
    story.go_on(90)

    for batch in batches(story.told, random):
        await give(scoring, batch)

    assert await disagreements(scoring, story.told) == []


@pytest.mark.parametrize("long", [LONG, 1])
@pytest.mark.parametrize("seed", range(8))
async def test_workers_beside_each_other_that_crash_and_a_clock_that_runs_change_nothing(
    scoring: Database, monkeypatch: pytest.MonkeyPatch, seed: int, long: int
) -> None:
    monkeypatch.setattr(handler, "LONG", long)
    random = Random(seed)
    story = Story(random)
    story.go_on(120)
    waiting = batches(story.told, random)

    async def work(own: Random) -> None:
        while waiting:
            batch = waiting.pop()
            if own.random() < 0.2:
                await crash(scoring, batch, own)
            await give(scoring, batch)

    async def pass_time(own: Random) -> None:
        while waiting:
            await asyncio.sleep(own.random() / 50)
            async with scoring.transaction() as session:
                await pass_barrier(await driver(session))
                await assess_again(session, story.people, JUNE + timedelta(hours=own.randint(0, 900)))

    async with asyncio.TaskGroup() as tasks:
        for number in range(3):
            tasks.create_task(work(Random(seed * 10 + number)))
        tasks.create_task(pass_time(Random(seed)))

    assert await disagreements(scoring, story.told) == []


class Crash(Exception):
    pass


async def crash(database: Database, batch: Sequence[Delivery], random: Random) -> None:
    """A transaction that ends before it commits: thrown out at its end, or cut off in the middle."""

    async def attempt() -> None:
        async with database.transaction() as session:
            await apply(session, batch)
            raise Crash

    try:
        async with asyncio.timeout(random.choice([None, 0.002, 0.01])):
            await attempt()
    except (Crash, TimeoutError):
        pass
    except Exception as error:
        if type(error).__name__ != "StartOver":
            raise


async def test_events_that_say_nothing_to_scoring_are_passed_over(scoring: Database, feed: Feeding) -> None:
    unheard = StandingChanged(
        subject=feed.identity(), occurred_at=JUNE, revision=1, cause=Cause.CLOCK, kind=MoveKind.LOST, policy="0" * 64
    )

    await feed.tell(unheard)

    assert await rows(scoring, "SELECT FROM party") == []


async def test_a_party_does_not_age_by_what_another_did_while_its_own_events_may_be_unread(
    scoring: Database, feed: Feeding
) -> None:
    slow, quick = feed.identity(), feed.identity()
    behind = feed.delivered(feed.purchase(slow, JUNE, 1_000))
    feed.at = JUNE + timedelta(days=200)
    ahead = feed.delivered(feed.purchase(quick, feed.at, 1_000))

    async with scoring.transaction() as session:
        await apply(session, [behind, ahead])

    row = await party(scoring, slow)
    assert (row["stage"], row["assessed_at"], row["revision"]) == (Stage.CUSTOMER, JUNE, 1)
