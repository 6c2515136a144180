"""The second implementation against numbers worked out by hand or printed in papers."""

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest

from contracts.customers import PartyKind
from contracts.scoring import Band, Posture, Stage, Tier
from services.scoring.domain.facts import DECLARATIONS, MONEY, Fact, Kind
from services.scoring.domain.indexes import Evidence, Index
from services.scoring.domain.model import Model
from services.scoring.domain.plain import plain_entries, plain_standing
from services.scoring.domain.plain_indexes import Fading, pieces
from services.scoring.domain.plain_model import plain_probability, plain_purchases, plain_value
from services.scoring.domain.policy import Policy, Profit
from services.scoring.domain.presets import DEFAULT_1
from services.scoring.domain.rules import All, AnyOf, Comparison, Not
from services.scoring.domain.stages import ByDays, ByProbability, Interest, Stages
from services.scoring.domain.standing import Standing

ZONE = ZoneInfo("UTC")
SOMEBODY = UUID(int=1)
CDNOW = {"r": 0.2425945, "alpha": 4.4136, "a": 0.79292, "b": 2.42588}
"""Weeks; the parameters of the rows printed below."""


def model(**parameters: object) -> Model:
    """The one of the paper, with amounts in cents, unless said otherwise."""
    of = {
        "as_of": date(2026, 1, 1), "parties": 2_357, "repeaters": 1_000, **CDNOW, "p": 6.25, "q": 3.74, "v": 1_544.0,
        "mean_minor": 3_522.0, "currency": "EUR", "log_likelihood": -9_582.4,
    }  # fmt: skip
    return Model.model_validate({**of, **parameters})


def fact(day: str, kind: Kind = Kind.PURCHASE, amount_minor: int = 1_000, detail: str = "EUR", rating: int = 0) -> Fact:
    at = datetime.fromisoformat(day + "T12:00:00+00:00")
    amount = amount_minor if kind in MONEY else 0
    said = detail if kind in MONEY or (detail != "EUR") else "price" if kind in DECLARATIONS else ""
    return Fact(uuid4(), SOMEBODY, kind, at, at, amount, said, rating=rating)


def solved(day: str, opened: str) -> Fact:
    at, of = (datetime.fromisoformat(each + "T12:00:00+00:00") for each in (day, opened))
    return Fact(uuid4(), SOMEBODY, Kind.PROBLEM_SOLVED, at, at, opened_at=of)


def by_hand(day: str, field: str, value: str, until: str = "") -> Fact:
    """Set at noon."""
    return fact(day, Kind.OVERRIDDEN, detail=f"{day}T12:00:00.000000+00:00|{field}|{value}|{until}")


def standing(facts: Sequence[Fact], day: str, policy: Policy = DEFAULT_1, of: Model | None = None) -> Standing:
    at = datetime.fromisoformat(day + "T15:00:00+00:00")
    return plain_standing(facts, at, policy, policy.cuts, model=of, currency="EUR", rates=(), zone=ZONE)


@pytest.mark.parametrize(
    ("x", "tx", "age", "purchases", "probability"),
    [(2, 30.43, 38.86, 1.22591, 0.55461), (1, 1.71, 38.86, 0.20325, 0.11672), (7, 29.43, 38.86, 3.33719, 0.63568)],
)
def test_the_printed_rows_come_out(x: int, tx: float, age: float, purchases: float, probability: float) -> None:
    """Fader, Hardie, Lee 2005; whole days are nearest to the printed weeks, and the numbers as near as that."""
    days = x, round(tx * 7), round(age * 7)

    assert plain_purchases(model(), *days, 39 * 7) == pytest.approx(purchases, rel=0.01)
    assert plain_probability(model(), *days, 39 * 7) == pytest.approx(probability, rel=0.01)


def test_who_bought_once_is_alive_and_buys_again_as_printed() -> None:
    """x = 0, T = 38.857 weeks, which is 272 days."""
    assert plain_purchases(model(), 0, 0, 272, 273) == pytest.approx(0.19479, abs=6e-6)
    assert plain_probability(model(), 0, 0, 272, 273) == pytest.approx(0.14434, abs=6e-6)


def test_where_nobody_leaves_purchases_are_those_of_the_negative_binomial() -> None:
    for a in (1e-300, 1e-12):
        limit = (CDNOW["r"] + 4) / (CDNOW["alpha"] + 30) * (365 / 7)

        assert plain_purchases(model(a=a), 4, 200, 210, 365) == pytest.approx(limit, rel=1e-9)


def test_nothing_cancels_where_the_printed_formula_divides_by_nothing() -> None:
    """At a = 1 the formula of the paper divides by zero; from both sides it comes near the same number."""
    below, at, above = (plain_purchases(model(a=a), 3, 100, 150, 365) for a in (1 - 1e-9, 1.0, 1 + 1e-9))

    assert below == pytest.approx(at, rel=1e-8)
    assert above == pytest.approx(at, rel=1e-8)


@pytest.mark.parametrize("x", [0, 1, 50, 3_000])
@pytest.mark.parametrize("age", [0, 1, 400, 36_500])
def test_chances_are_finite_and_fall_with_silence(x: int, age: int) -> None:
    for of in (model(), model(a=1e-9), model(r=1e-6, alpha=0.5), model(b=1e-6), model(a=50.0, b=1e-3)):
        now, later = (plain_probability(of, x, min(age, x), age + n, 180) for n in (0, 30))
        value, then = (
            plain_value(of, x, min(age, x), age + n, paid_days=x + 1, paid_minor=2_000 * (x + 1), days=365)
            for n in (0, 30)
        )

        assert 0 <= later <= now <= 1
        assert 0 <= then <= value
        assert math.isfinite(value)


def test_an_amount_lies_between_what_was_paid_and_what_all_pay() -> None:
    """Gamma-Gamma, worked out: p (v + paid) / (p n + q - 1); of whoever paid nothing it is that of the population."""
    purchases = plain_purchases(model(), 1, 50, 60, 365)

    of_nothing = plain_value(model(), 1, 50, 60, paid_days=0, paid_minor=0, days=365)
    of_two = plain_value(model(), 1, 50, 60, paid_days=2, paid_minor=9_000, days=365)

    assert of_nothing == round(purchases * 3_522)
    assert of_two == round(purchases * 6.25 * (1_544 + 9_000) / (6.25 * 2 + 2.74))


def test_one_complaint_is_worth_what_its_weight_says_and_half_after_a_half_life() -> None:
    told = [fact("2026-01-01", Kind.COMPLAINED), fact("2026-01-01", Kind.REACHED)]

    fresh, old, gone = (standing(told, day) for day in ("2026-01-01", "2026-06-30", "2026-07-01"))

    # Log-odds of -0.8 and of -0.4.
    assert (fresh.satisfaction, fresh.satisfaction_evidence, fresh.satisfaction_band) == (31.0, 1.0, Band.LOW)
    assert (old.satisfaction, old.satisfaction_evidence, old.satisfaction_band) == (40.1, 0.5, Band.MIDDLE)
    assert (gone.satisfaction_evidence, gone.satisfaction_band) == (0.498, Band.UNKNOWN)
    assert old.next_change_at == datetime(2026, 7, 1, tzinfo=UTC)


def of_kind(facts: Sequence[Fact], kind: Evidence, policy: Policy = DEFAULT_1) -> list[tuple[str, int]]:
    entries = plain_entries(facts, ZONE)
    gross = {day.toordinal(): amount for (day, what, _), (_, amount) in entries.items() if what is Kind.PURCHASE}
    found = pieces(entries, gross, policy)
    return sorted((date.fromordinal(day).isoformat(), count) for day, what, count in found if what is kind)


def test_a_problem_is_overdue_the_day_after_its_limit_unless_it_was_solved_by_then() -> None:
    two = [fact("2026-01-01", Kind.PROBLEM_OPENED), fact("2026-01-01", Kind.PROBLEM_OPENED)]

    assert of_kind(two, Evidence.PROBLEM_OVERDUE) == [("2026-01-09", 2)]
    assert of_kind([*two, solved("2026-01-08", "2026-01-01")], Evidence.PROBLEM_OVERDUE) == [("2026-01-09", 1)]
    assert of_kind([*two, solved("2026-01-09", "2026-01-01")], Evidence.PROBLEM_OVERDUE) == [("2026-01-09", 2)]
    assert of_kind([*two, solved("2026-01-08", "2026-01-02")], Evidence.PROBLEM_OVERDUE) == [("2026-01-09", 2)]


def test_an_answer_is_late_the_day_after_its_limit_once_for_a_day() -> None:
    asked = [fact("2026-01-01", Kind.INQUIRED), fact("2026-01-01", Kind.COMPLAINED)]

    assert of_kind(asked, Evidence.LATE_ANSWER) == [("2026-01-04", 1)]
    assert of_kind([*asked, fact("2026-01-03", Kind.REACHED)], Evidence.LATE_ANSWER) == []
    assert of_kind([*asked, fact("2026-01-04", Kind.REACHED)], Evidence.LATE_ANSWER) == [("2026-01-04", 1)]


def test_a_purchase_in_time_is_an_answer_but_not_to_a_complaint_and_a_cart_asks_nothing() -> None:
    asked, complained = fact("2026-01-01", Kind.CONTACTED), fact("2026-01-01", Kind.COMPLAINED)
    cart = fact("2026-01-01", Kind.INQUIRED, detail="cart")
    in_time, late = fact("2026-01-03"), fact("2026-01-04")

    assert of_kind([asked, in_time], Evidence.LATE_ANSWER) == []
    assert of_kind([asked, late], Evidence.LATE_ANSWER) == [("2026-01-04", 1)]
    assert of_kind([complained, in_time], Evidence.LATE_ANSWER) == [("2026-01-04", 1)]
    assert of_kind([cart], Evidence.LATE_ANSWER) == []
    assert of_kind([cart, fact("2026-01-01", Kind.INQUIRED)], Evidence.LATE_ANSWER) == [("2026-01-04", 1)]


def test_a_purchase_day_is_a_repeat_after_the_first_and_an_upgrade_above_all_before() -> None:
    bought = [fact("2026-01-01", amount_minor=500), fact("2026-01-05", amount_minor=900), fact("2026-01-07")]
    bought += [fact("2026-01-09", amount_minor=1_000), fact("2026-01-09", Kind.VISITED)]

    days = [("2026-01-05", 1), ("2026-01-07", 1), ("2026-01-09", 1)]
    assert of_kind(bought, Evidence.REPEAT_PURCHASE) == days
    assert of_kind(bought, Evidence.UPGRADE) == days[:2]


def test_an_anniversary_needs_a_purchase_within_the_year_before_it() -> None:
    leap = [fact("2024-02-29"), fact("2025-06-01")]

    assert of_kind(leap, Evidence.ANNIVERSARY) == [("2026-03-01", 1)]
    assert of_kind([*leap, fact("2024-03-01")], Evidence.ANNIVERSARY) == [("2025-03-01", 1), ("2026-03-01", 1)]
    assert of_kind([fact("2025-06-01")], Evidence.ANNIVERSARY) == [("2026-06-01", 1)]


def test_what_is_stated_about_a_contact_is_evidence_besides_the_contact() -> None:
    told = [fact("2026-01-01", Kind.REACHED, rating=1), fact("2026-01-02", Kind.REACHED, rating=-1)]

    assert of_kind(told, Evidence.RATED_WELL) == [("2026-01-01", 1)]
    assert of_kind(told, Evidence.RATED_POORLY) == [("2026-01-02", 1)]


def test_an_index_without_a_minimum_stays_where_fifty_lies() -> None:
    index = Index(weights={Evidence.PRAISE: 3.0}, min_evidence=0, half_life_days=10)
    fading = Fading(index, [(100, Evidence.PRAISE, 1)])

    assert [fading.band(day) for day in (99, 100, 1_000)] == [Band.MIDDLE, Band.HIGH, Band.MIDDLE]
    assert (fading.stays(100), fading.stays(1_000)) == (False, True)


def test_log_odds_beyond_all_bounds_are_an_index_all_the_same() -> None:
    fading = Fading(Index(weights={Evidence.COMPLAINT: -10.0}), [(1, Evidence.COMPLAINT, 100_000)])

    assert (fading.value(1), fading.band(1)) == (0.0, Band.LOW)


def days_after(day: str, number: int) -> str:
    return (date.fromisoformat(day) + timedelta(days=number)).isoformat()


def test_a_new_buyer_is_a_customer_while_fresh_and_then_stands_by_the_probability() -> None:
    """With the printed parameters P(buys within 180 days) of x = 0 is .372 at first; .2 is passed after 88.4 days."""
    bought = [fact("2026-01-01")]
    stages = [standing(bought, days_after("2026-01-01", n), of=model()).stage for n in (30, 31, 88, 89)]

    assert stages == [Stage.CUSTOMER, Stage.DORMANT_CUSTOMER, Stage.DORMANT_CUSTOMER, Stage.LOST_CUSTOMER]
    assert [plain_probability(model(), 0, 0, n, 180) >= 0.2 for n in (88, 89)] == [True, False]
    assert standing(bought, "2026-01-01", of=model()).p == pytest.approx(0.372, abs=0.0006)


def test_the_next_change_is_found_by_going_there_day_by_day() -> None:
    bought, policy = [fact("2026-01-01", amount_minor=50_000)], DEFAULT_1
    now = standing(bought, "2026-02-15", of=model())

    def discrete(day: int) -> tuple[object, ...]:
        then = standing(bought, days_after("2026-02-15", day), policy, model())
        return (
            then.stage, then.tier, then.satisfaction_band, then.loyalty_band, then.level, then.posture, then.treatment,
            then.flags, then.vip,
        )  # fmt: skip

    change = next(day for day in range(1, 400) if discrete(day) != discrete(0))
    assert now.next_change_at == datetime(2026, 2, 15, tzinfo=UTC) + timedelta(days=change)
    assert now.next_stage_at == datetime(2026, 3, 31, tzinfo=UTC)
    assert now.next_stage is Stage.LOST_CUSTOMER


def test_posture_counts_days_of_one_window_against_the_one_before() -> None:
    policy = DEFAULT_1.model_copy(update={"posture": DEFAULT_1.posture.model_copy(update={"window_days": 10})})
    told = [fact(f"2026-01-{day:02}", Kind.CONTACTED) for day in (1, 1, 2, 3, 4)]

    postures = {day: standing(told, f"2026-01-{day:02}", policy).posture for day in (4, 10, 11, 12, 13, 14, 25)}

    assert postures == {
        4: Posture.DEVELOPING, 10: Posture.DEVELOPING, 11: Posture.DEVELOPING, 12: Posture.STEADY,
        13: Posture.CONSERVATIVE, 14: Posture.CONSERVATIVE, 25: Posture.CONSERVATIVE,
    }  # fmt: skip


def test_profit_is_the_margin_of_the_window_less_what_its_facts_cost() -> None:
    policy = DEFAULT_1.model_copy(update={"profit": Profit(margin=0.3, cost_minor={"contacted": 100})})
    told = [fact("2026-01-01", amount_minor=1_005), *[fact("2026-01-02", Kind.CONTACTED)] * 3]

    # 301.5 is 302 half to even
    assert "profit_making" in standing(told, "2026-01-02", policy).flags
    assert "profit_making" not in standing([*told, fact("2026-01-03", Kind.CONTACTED)], "2026-01-03", policy).flags


def test_an_organisation_stands_by_the_stages_of_organisations_once_it_is_known_to_be_one() -> None:
    slow = Stages(customers=ByDays(dormant_after_days=300), prospects=Interest(active_days=60))
    policy = DEFAULT_1.model_copy(update={"organisations": slow})
    told = [fact("2026-01-01", Kind.INQUIRED), fact("2026-02-15", Kind.REGISTERED, detail="organisation")]

    assert standing(told, "2026-02-14", policy).stage is Stage.DORMANT_PROSPECT
    assert standing(told, "2026-02-15", policy).stage is Stage.PROSPECT
    assert standing(told, "2026-02-14", policy).next_stage_at == datetime(2026, 2, 15, tzinfo=UTC)
    assert policy.stages(PartyKind.PERSON).prospects.active_days == 30


def test_of_two_overrides_the_one_set_last_holds_as_long_as_it_lasts() -> None:
    told = [
        fact("2026-01-01"),
        by_hand("2026-01-02", "tier", "high"),
        by_hand("2026-01-03", "tier", "top", until="2026-01-04"),
    ]

    tiers = [standing(told, f"2026-01-0{day}").tier for day in range(1, 6)]

    assert tiers == [Tier.LOW, Tier.HIGH, Tier.TOP, Tier.TOP, Tier.HIGH]
    assert standing(told, "2026-01-03").derived == {"tier": "low"}
    assert standing(told, "2026-01-03").next_change_at == datetime(2026, 1, 5, tzinfo=UTC)


def test_an_override_that_is_ended_leaves_the_field_to_the_facts() -> None:
    told = [
        fact("2026-01-01"),
        by_hand("2026-01-02", "stage", "lost_customer"),
        by_hand("2026-01-03", "stage", "customer"),
        by_hand("2026-01-04", "stage", ""),
        by_hand("2026-01-05", "vip", "true"),
    ]

    assert [standing(told, f"2026-01-0{day}").stage for day in range(1, 5)] == [
        Stage.CUSTOMER, Stage.LOST_CUSTOMER, Stage.CUSTOMER, Stage.CUSTOMER,
    ]  # fmt: skip
    assert standing(told, "2026-01-04").since == date(2026, 1, 3)
    assert [standing(told, f"2026-01-0{day}").vip for day in (4, 5)] == [False, True]
    assert standing(told, "2026-01-05").derived == {"vip": "false"}


def test_whoever_is_only_overridden_stands_nowhere() -> None:
    assert standing([by_hand("2026-01-02", "tier", "top")], "2026-01-03").stage is None


def test_the_rule_of_a_vip_is_read_as_a_tree() -> None:
    rule = All(
        all=(
            AnyOf(
                any=(
                    Comparison(field="tier", op="in", value=("top", "high")),
                    Comparison(field="purchase_days", op="gte", value=2),
                )
            ),
            Not.model_validate({"not": {"field": "posture", "op": "eq", "value": "conservative"}}),
        )
    )  # fmt: skip
    policy = DEFAULT_1.model_copy(update={"vip": rule})
    twice = [fact("2026-01-01"), fact("2026-01-05")]

    assert [standing(twice, day, policy).vip for day in ("2026-01-04", "2026-01-05", "2026-07-05")] == [
        False, True, False,
    ]  # fmt: skip


def test_without_a_model_fixed_days_decide_for_whoever_bought() -> None:
    days = ByDays(dormant_after_days=5, lost_after_days=9)
    policy = Policy(name="short", persons=Stages(customers=ByProbability(without_model=days)))
    bought = [fact("2026-01-01")]

    stages = [standing(bought, f"2026-01-{day:02}", policy).stage for day in (6, 7, 10, 11)]

    assert stages == [Stage.CUSTOMER, Stage.DORMANT_CUSTOMER, Stage.DORMANT_CUSTOMER, Stage.LOST_CUSTOMER]
