"""Stages and values by a model that was made by hand: what somebody does, and every day that passes."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest

from contracts.customers import PartyKind
from contracts.scoring import Cause, MoveKind, Stage, Tier
from services.scoring.domain.facts import Kind
from services.scoring.domain.history import History
from services.scoring.domain.model import Model
from services.scoring.domain.money import Rates
from services.scoring.domain.policy import Policy
from services.scoring.domain.presets import DEFAULT_1
from services.scoring.domain.ruling import Ruling
from services.scoring.domain.stages import ByDays, ByProbability, Stages
from services.scoring.domain.standing import assess
from services.scoring.domain.tiers import Cuts
from services.scoring.domain.trajectory import Activation, trajectory
from tests.scoring.handmade import MODEL
from tests.scoring.test_domain_standing import calendar, fact, noon

BUYING = Policy(name="buying", persons=Stages(customers=ByProbability(dormant_below=0.2, lost_below=0.1)))
"""Whoever bought once under `MODEL` is a customer longer than the fresh window."""


def under(policy: Policy = BUYING, model: Model | None = MODEL) -> Ruling:
    return Ruling(policy, policy.cuts, Rates("EUR"), ZoneInfo("UTC"), model)


def turned(stage: Stage, *days: str, ruling: Ruling) -> date:
    """The first day of a stage that whoever bought on these days comes to by silence."""
    moves = trajectory(calendar(*(fact(day) for day in days)), noon("2045-01-01"), ruling)
    return next(move.day for move in moves if move.to_stage is stage and move.cause is Cause.CLOCK)


@pytest.mark.parametrize(
    ("stage", "threshold"), [(Stage.DORMANT_CUSTOMER, 0.2), (Stage.LOST_CUSTOMER, 0.1)], ids=["dormant", "lost"]
)
@pytest.mark.parametrize("days", [["2026-01-01"], ["2025-11-01", "2026-01-01"], ["2024-01-01", "2024-05-01"]])
def test_the_day_of_a_turn_is_the_first_on_which_the_probability_is_below(
    days: list[str], stage: Stage, threshold: float
) -> None:
    day, bought = turned(stage, *days, ruling=under()), calendar(*(fact(of) for of in days))
    eve, then = (assess(bought, noon(str(of)), under()).p for of in (day - timedelta(days=1), day))

    assert eve is not None
    assert then is not None
    assert eve >= threshold > then


def test_the_first_days_after_a_purchase_are_those_of_a_customer_whatever_the_probability_is() -> None:
    bought = calendar(fact("2026-01-01"))

    assert (assess(bought, noon("2026-01-01"), under(DEFAULT_1)).p or 1) < 0.5
    assert assess(bought, noon("2026-01-31"), under(DEFAULT_1)).stage is Stage.CUSTOMER
    assert assess(bought, noon("2026-02-01"), under(DEFAULT_1)).stage is Stage.DORMANT_CUSTOMER


def test_who_came_back_stays_longer() -> None:
    again = turned(Stage.LOST_CUSTOMER, "2025-09-01", "2026-01-01", ruling=under())

    assert again > turned(Stage.LOST_CUSTOMER, "2026-01-01", ruling=under())


TURNS = [
    ("a customer fades and is lost", [],
     [Stage.DORMANT_CUSTOMER, Stage.LOST_CUSTOMER], [MoveKind.FADED, MoveKind.LOST]),
    ("a dormant customer who buys returns", [("2026-04-20", Kind.PURCHASE)],
     [Stage.DORMANT_CUSTOMER, Stage.CUSTOMER], [MoveKind.FADED, MoveKind.RETURNED]),
    ("a lost customer who buys is won back", [("2029-01-01", Kind.PURCHASE)],
     [Stage.DORMANT_CUSTOMER, Stage.LOST_CUSTOMER, Stage.CUSTOMER], [MoveKind.FADED, MoveKind.LOST, MoveKind.WON_BACK]),
    ("a customer who declines is lost", [("2026-01-05", Kind.DECLINED)], [Stage.LOST_CUSTOMER], [MoveKind.LOST]),
    ("a dormant customer who declines is lost", [("2026-04-20", Kind.DECLINED)],
     [Stage.DORMANT_CUSTOMER, Stage.LOST_CUSTOMER], [MoveKind.FADED, MoveKind.LOST]),
    ("a customer who declined and buys is won back", [("2026-01-05", Kind.DECLINED), ("2026-01-09", Kind.PURCHASE)],
     [Stage.LOST_CUSTOMER, Stage.CUSTOMER], [MoveKind.LOST, MoveKind.WON_BACK]),
]  # fmt: skip


@pytest.mark.parametrize(("told", "stages", "kinds"), [row[1:] for row in TURNS], ids=[row[0] for row in TURNS])
def test_whoever_bought_goes_from_stage_to_stage(
    told: list[tuple[str, Kind]], stages: list[Stage], kinds: list[MoveKind]
) -> None:
    whole = calendar(fact("2026-01-01"), *(fact(day, kind) for day, kind in told))

    moves = [
        move for move in trajectory(whole, noon("2045-01-01"), under()) if move.from_stage is not move.to_stage
    ]  # fmt: skip

    assert [move.to_stage for move in moves[1 : 1 + len(stages)]] == stages
    assert [move.kind for move in moves[1 : 1 + len(kinds)]] == kinds


def test_in_a_population_that_nobody_leaves_stages_still_tell_people_apart() -> None:
    faithful = under(model=MODEL.model_copy(update={"a": 1e-100, "r": 1.5}))
    often = [str(date(2025, 1, 1) + timedelta(days=7 * n)) for n in range(30)]

    assert turned(Stage.LOST_CUSTOMER, often[0], ruling=faithful) == date(2031, 9, 10)
    stays = assess(calendar(*(fact(day) for day in often)), noon("2060-01-01"), faithful)
    assert stays.stage is not Stage.LOST_CUSTOMER


def test_whom_no_silence_brings_below_a_threshold_never_turns() -> None:
    never = under(Policy(name="never", persons=Stages(customers=ByProbability(dormant_below=0, lost_below=0))))
    bought = assess(calendar(fact("2026-01-01")), noon("2030-01-01"), never)

    assert (bought.stage, bought.next_stage_at, bought.next_stage) == (Stage.CUSTOMER, None, None)


def test_without_a_model_days_decide_and_value_is_turnover() -> None:
    bought = calendar(fact("2026-01-01", amount_minor=50_000))
    stands = assess(bought, noon("2026-04-02"), under(model=None))

    assert (stands.stage, stands.p, stands.value_minor) == (Stage.DORMANT_CUSTOMER, None, 50_000)


def test_with_a_model_value_is_what_it_expects_and_turnover_stays_what_was_paid() -> None:
    bought = calendar(fact("2025-06-01", amount_minor=50_000), fact("2026-01-01", amount_minor=30_000))
    stands = assess(bought, noon("2026-02-01"), under())

    assert stands.value_minor == MODEL.value_minor(1, 214, 245, 2, 80_000, 365)
    assert stands.turnover_minor == 80_000
    assert assess(calendar(fact("2026-01-01", Kind.RETURN)), noon("2026-02-01"), under()).value_minor == 0


def test_a_model_without_amounts_leaves_value_to_turnover() -> None:
    poor = under(model=MODEL.model_copy(update={"p": None, "q": None, "v": None}))
    stands = assess(calendar(fact("2026-01-01", amount_minor=700)), noon("2026-02-01"), poor)

    assert (stands.value_minor, stands.p is None) == (700, False)


def test_a_tier_falls_on_the_first_day_on_which_the_expected_value_is_below_its_cut() -> None:
    policy = BUYING.model_copy(update={"cuts": Cuts(top=25_000, high=10_000, mid=3_000)})
    bought, ruling = calendar(fact("2026-01-01", amount_minor=30_000)), under(policy)

    falls = [move for move in trajectory(bought, noon("2040-01-01"), ruling) if move.from_tier is not move.to_tier]

    assert [move.to_tier for move in falls] == [Tier.TOP, Tier.HIGH, Tier.MID, Tier.LOW]
    history = History(bought, ruling)
    for move, least in zip(falls[1:], (25_000, 10_000, 3_000), strict=True):
        assert history.value(move.day.toordinal() - 1) >= least > history.value(move.day.toordinal())


def test_an_organisation_is_judged_by_the_stages_of_organisations_from_the_day_it_is_known_to_be_one() -> None:
    policy = BUYING.model_copy(
        update={"organisations": Stages(customers=ByDays(dormant_after_days=400, lost_after_days=500))}
    )
    known = msgspec.structs.replace(fact("2026-07-01", Kind.REGISTERED), detail=PartyKind.ORGANISATION)
    said = calendar(fact("2026-01-01"), known)

    assert assess(said, noon("2026-06-30"), under(policy)).stage is Stage.DORMANT_CUSTOMER
    now = assess(said, noon("2026-07-01"), under(policy))
    assert (now.stage, now.since) == (Stage.CUSTOMER, date(2026, 7, 1))
    assert now.next_stage_at == datetime(2027, 2, 6, tzinfo=UTC)


def test_the_activation_of_a_model_moves_by_the_model_and_that_of_a_policy_by_the_policy() -> None:
    bought, at = calendar(fact("2026-01-01")), noon("2026-03-01")
    modelled = under(DEFAULT_1)

    by_model = trajectory(bought, at, under(DEFAULT_1, None), [Activation(at, modelled)])
    by_policy = trajectory(bought, at, modelled, [Activation(at, under(BUYING.model_copy(update={"name": "x"})))])

    assert [(move.cause, move.kind, move.to_stage) for move in by_model][-1] == (
        Cause.MODEL, MoveKind.REVISED, Stage.DORMANT_CUSTOMER
    )  # fmt: skip
    assert [(move.cause, move.kind, move.to_stage) for move in by_policy][-1] == (
        Cause.POLICY, MoveKind.REVISED, Stage.CUSTOMER
    )  # fmt: skip
