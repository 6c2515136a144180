from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from contracts.leads import Grade
from contracts.scoring import Cause, MoveKind, Stage, Tier
from services.scoring.domain.calendar import Calendar, fold
from services.scoring.domain.days import local_day, start_of_day
from services.scoring.domain.facts import ABOUT, DECLARATIONS, DERIVED, MONEY, Fact, Kind
from services.scoring.domain.money import Rates, half_even
from services.scoring.domain.overrides import Field, detail
from services.scoring.domain.policy import Policy
from services.scoring.domain.presets import DAYS_1
from services.scoring.domain.reasons.reason import reason
from services.scoring.domain.ruling import Ruling
from services.scoring.domain.stages import Interest
from services.scoring.domain.standing import assess
from services.scoring.domain.tiers import NoCustomers, TierShares, fit
from services.scoring.domain.together import assess_together
from services.scoring.domain.trajectory import trajectory

UTC_ZONE = ZoneInfo("UTC")
SOMEBODY = UUID(int=1)
RATES = [(date(2020, 1, 1), "USD", Decimal("0.85")), (date(2026, 1, 10), "JPY", Decimal("0.0061"))]
DEFAULT = Ruling(policy=DAYS_1, cuts=DAYS_1.cuts, rates=Rates("EUR", RATES), zone=UTC_ZONE)


NO_CONTACT = frozenset({
    Kind.REGISTERED, Kind.LEAD_LOST, Kind.LEAD_DISQUALIFIED, Kind.PROBLEM_SOLVED, Kind.WAS_REFERRED,
    Kind.REFERRAL_CONVERTED,
})  # fmt: skip
"""What others do about a party, and what we do alone."""


def fact(
    day: str,
    kind: Kind = Kind.PURCHASE,
    amount_minor: int = 1_000,
    currency: str = "EUR",
    identity: UUID = SOMEBODY,
    reason: str = "price",
) -> Fact:
    at = datetime.fromisoformat(day + "T12:00:00+00:00")
    said = (amount_minor, currency) if kind in MONEY else (0, reason if kind in DECLARATIONS else "")
    said = (0, "ABCD"[amount_minor % 4]) if kind is Kind.LEAD_GRADED else said
    return Fact(uuid4(), identity, kind, at, at, *said)


def calendar(*facts: Fact) -> Calendar:
    return fold(facts, UTC_ZONE)


def noon(day: str) -> datetime:
    return datetime.fromisoformat(day + "T12:00:00+00:00")


def stage(of: Calendar, day: str) -> Stage | None:
    return assess(of, noon(day), DEFAULT).stage


@pytest.mark.parametrize(
    ("kind", "counts"),
    [(kind, kind not in NO_CONTACT) for kind in Kind if kind not in DERIVED | ABOUT],
)
def test_whatever_passes_between_us_is_the_last_contact(kind: Kind, counts: bool) -> None:
    touched = calendar(fact("2026-01-01"), fact("2026-03-01", kind), fact("2026-05-01"))

    assert assess(touched, noon("2026-04-01"), DEFAULT).last_contact_day == date(2026, 3 if counts else 1, 1)


def test_who_was_called_is_touched_and_stays_as_silent_as_before() -> None:
    called = assess(calendar(fact("2026-01-01"), fact("2026-03-01", Kind.REACHED)), noon("2026-03-02"), DEFAULT)

    assert (called.last_day, called.last_sign_day, called.last_contact_day) == (
        date(2026, 1, 1),
        None,
        date(2026, 3, 1),
    )
    assert assess(calendar(fact("2026-01-01", Kind.REGISTERED)), noon("2026-03-02"), DEFAULT).last_contact_day is None


def test_a_customer_turns_dormant_the_day_after_ninety_silent_days() -> None:
    bought = calendar(fact("2026-01-01"))

    assert stage(bought, "2026-04-01") is Stage.CUSTOMER
    assert stage(bought, "2026-04-02") is Stage.DORMANT_CUSTOMER


def test_a_customer_is_lost_the_day_after_a_silent_year() -> None:
    bought = calendar(fact("2026-01-01"))

    assert stage(bought, "2027-01-01") is Stage.DORMANT_CUSTOMER
    assert stage(bought, "2027-01-02") is Stage.LOST_CUSTOMER


def graded(at: str, grade: str) -> Fact:
    then = datetime.fromisoformat(at).replace(tzinfo=UTC)
    return Fact(uuid4(), SOMEBODY, Kind.LEAD_GRADED, then, then, detail=grade)


@pytest.mark.parametrize(
    ("on", "potential"),
    [("2026-01-01", None), ("2026-01-02", Grade.A), ("2026-01-04", Grade.A), ("2026-01-05", Grade.D),
     ("2026-02-01", Grade.D), ("2026-02-02", Grade.B), ("2026-03-01", None)],
)  # fmt: skip
def test_who_never_bought_has_the_potential_that_a_lead_was_given_last(on: str, potential: Grade | None) -> None:
    told = calendar(
        fact("2026-01-01", Kind.LEAD_CAPTURED), graded("2026-01-02T10:00", "A"),
        graded("2026-01-05T09:30", "B"), graded("2026-01-05T21:00:00.000001", "D"), graded("2026-01-05T21:00", "A"),
        graded("2026-02-02T10:00", "B"), graded("2026-02-02T10:00", "C"), fact("2026-03-01"),
    )  # fmt: skip

    assert assess(told, noon(on), DEFAULT).potential is potential
    assert assess_together([(told, noon(on))] * 20, DEFAULT) == [assess(told, noon(on), DEFAULT)] * 20


def test_a_grade_neither_makes_anybody_known_nor_is_it_a_sign_or_a_contact() -> None:
    alone = calendar(graded("2026-01-01T10:00", "A"))
    later = calendar(fact("2026-01-01", Kind.INQUIRED), graded("2026-02-10T10:00", "A"))

    assert assess(alone, noon("2026-01-01"), DEFAULT).stage is None
    then = assess(later, noon("2026-02-10"), DEFAULT)
    assert (then.stage, then.last_contact_day) == (Stage.DORMANT_PROSPECT, date(2026, 1, 1))
    assert assess(later, noon("2026-02-09"), DEFAULT).next_change_at == datetime(2026, 2, 10, tzinfo=UTC)


def test_a_grade_is_no_sign_of_interest_that_a_policy_may_name() -> None:
    with pytest.raises(ValidationError, match="a sign of interest is one of"):
        Interest(signs=("lead_graded",))


def test_who_is_only_known_is_a_stranger_without_a_tier_that_was_earned() -> None:
    known = assess(calendar(fact("2026-01-01", Kind.REGISTERED)), noon("2026-06-01"), DEFAULT)

    assert (known.stage, known.tier, known.since) == (Stage.STRANGER, Tier.UNPROVEN, date(2026, 1, 1))
    assert known.next_change_at is None


def test_nobody_stands_before_the_first_fact() -> None:
    later = assess(calendar(fact("2026-01-02")), noon("2026-01-01"), DEFAULT)

    assert (later.stage, later.tier, later.since, later.purchase_days) == (None, None, None, 0)
    assert later.next_change_at == datetime(2026, 1, 2, tzinfo=UTC)


def test_a_return_nets_its_own_day_and_makes_no_purchase_day() -> None:
    both = assess(
        calendar(fact("2026-01-01", amount_minor=20_000), fact("2026-01-09", Kind.RETURN, 15_000)),
        noon("2026-02-01"),
        DEFAULT,
    )

    assert (both.value_minor, both.spend_minor, both.purchase_days, both.tier) == (5_000, 20_000, 1, Tier.LOW)
    assert both.last_day == date(2026, 1, 1)


def test_value_counts_the_day_itself_and_the_364_before_it() -> None:
    bought = calendar(fact("2026-01-01", amount_minor=700))

    assert assess(bought, noon("2026-12-31"), DEFAULT).value_minor == 700
    assert assess(bought, noon("2027-01-01"), DEFAULT).value_minor == 0


def test_whoever_buys_on_the_day_of_turning_dormant_is_a_customer_anew_since_the_clock_came_first() -> None:
    in_time = calendar(fact("2026-01-01"), fact("2026-04-01"))
    too_late = calendar(fact("2026-01-01"), fact("2026-04-02"))

    assert assess(in_time, noon("2026-04-01"), DEFAULT).since == date(2026, 1, 1)
    assert assess(too_late, noon("2026-04-02"), DEFAULT).since == date(2026, 4, 2)


def test_the_next_change_is_the_start_of_a_local_day() -> None:
    berlin = Ruling(DAYS_1, DAYS_1.cuts, Rates("EUR"), ZoneInfo("Europe/Berlin"))

    standing = assess(fold([fact("2026-01-01")], berlin.zone), noon("2026-01-01"), berlin)

    assert standing.next_change_at == datetime(2026, 3, 31, 22, tzinfo=UTC)
    assert standing.next_stage_at == datetime(2026, 4, 1, 22, tzinfo=UTC)


def test_a_day_begins_where_clocks_skip_midnight() -> None:
    beirut = ZoneInfo("Asia/Beirut")
    day = date(2022, 3, 27).toordinal()

    begins = start_of_day(day, beirut)

    assert begins == datetime(2022, 3, 26, 22, tzinfo=UTC)
    assert local_day(begins - timedelta(seconds=1), beirut) == day - 1


def test_a_day_that_a_zone_left_out_begins_with_the_next_one() -> None:
    apia = ZoneInfo("Pacific/Apia")
    left_out = date(2011, 12, 30).toordinal()

    assert start_of_day(left_out, apia) == start_of_day(left_out + 1, apia) == datetime(2011, 12, 30, 10, tzinfo=UTC)
    assert local_day(start_of_day(left_out, apia), apia) == left_out + 1


def test_a_customer_turns_dormant_though_the_day_of_it_was_left_out() -> None:
    apia = Ruling(DAYS_1, DAYS_1.cuts, Rates("EUR"), ZoneInfo("Pacific/Apia"))
    bought = fold([fact("2011-09-30")], apia.zone)
    before = assess(bought, noon("2011-12-29"), apia)

    assert (before.stage, before.next_change_at) == (Stage.CUSTOMER, datetime(2011, 12, 30, 10, tzinfo=UTC))
    assert assess(bought, datetime(2011, 12, 30, 10, tzinfo=UTC), apia).stage is Stage.DORMANT_CUSTOMER


def test_a_lost_customer_who_buys_is_won_back() -> None:
    bought = calendar(fact("2024-01-01", Kind.REGISTERED), fact("2024-01-05"), fact("2026-01-01"))

    moves = trajectory(bought, noon("2026-12-31"), DEFAULT)

    assert [(move.day.isoformat(), move.kind, move.cause) for move in moves] == [
        ("2024-01-01", MoveKind.APPEARED, Cause.FACT),
        ("2024-01-05", MoveKind.ADVANCED, Cause.FACT),
        ("2024-04-05", MoveKind.FADED, Cause.CLOCK),
        ("2025-01-05", MoveKind.LOST, Cause.CLOCK),
        ("2026-01-01", MoveKind.WON_BACK, Cause.FACT),
        ("2026-04-02", MoveKind.FADED, Cause.CLOCK),
    ]


def test_money_without_a_rate_is_left_out_and_told() -> None:
    mixed = calendar(
        fact("2026-01-01", currency="USD", amount_minor=10_000), fact("2026-01-02", currency="JPY", amount_minor=500)
    )

    assert assess(mixed, noon("2026-02-01"), DEFAULT).value_minor == 8_500
    found = reason(mixed, noon("2026-02-01"), DEFAULT)
    assert found
    assert found.turnover.unconverted == {"JPY": 500}


def test_conversion_minds_the_decimals_of_both_currencies() -> None:
    assert Rates("EUR", RATES).converted(1_000, "JPY", date(2026, 1, 10).toordinal()) == 610
    assert Rates("EUR", RATES).converted(1_000, "JPY", date(2026, 1, 9).toordinal()) is None


@pytest.mark.parametrize(("numerator", "rounded"), [(1, 0), (3, 2), (5, 2), (7, 4), (-1, 0), (-3, -2), (-5, -2)])
def test_halves_go_to_the_even_neighbour(numerator: int, rounded: int) -> None:
    assert half_even(numerator, 2) == rounded


def test_a_value_of_nothing_lifts_nobody() -> None:
    cuts = fit([0] * 90 + [500] * 10)
    assert (cuts.top, cuts.high, cuts.mid) == (500, 1, 1)
    assert cuts.tier(0) is Tier.LOW


def test_cuts_part_the_base_and_ties_go_up() -> None:
    cuts = fit(range(1, 101))

    assert (cuts.top, cuts.high, cuts.mid) == (96, 81, 51)
    assert cuts.tier(96) is Tier.TOP
    assert cuts.tier(95) is Tier.HIGH


def test_each_tier_takes_the_share_of_the_base_that_policy_gives_it() -> None:
    cuts = fit(range(1, 101), TierShares(top=1, high=9, mid=40))

    assert (cuts.top, cuts.high, cuts.mid) == (100, 91, 51)


def test_shares_of_more_than_all_are_none() -> None:
    with pytest.raises(ValidationError, match="no more than 100 percent"):
        TierShares(top=50, high=40, mid=30)


def test_a_policy_from_before_it_could_say_the_shares_keeps_its_document_and_hash() -> None:
    assert "tier_shares" not in DAYS_1.model_dump(mode="json")
    assert Policy.stored(DAYS_1.model_dump_json()).tier_shares == TierShares()

    other = DAYS_1.model_copy(update={"tier_shares": TierShares(top=4)})
    assert Policy.stored(other.model_dump_json()).tier_shares == TierShares(top=4)
    assert other.content_hash != DAYS_1.content_hash


def test_how_few_make_a_model_is_policy_and_left_out_where_it_is_the_default() -> None:
    other = DAYS_1.model_copy(update={"fewest_repeaters": 10})

    assert "fewest_repeaters" not in DAYS_1.model_dump(mode="json")
    assert Policy.stored(other.model_dump_json()).fewest_repeaters == 10
    assert other.content_hash != DAYS_1.content_hash


def test_nobody_to_part_is_a_problem() -> None:
    with pytest.raises(NoCustomers):
        fit([])


def test_a_version_is_named_by_what_it_says() -> None:
    assert DAYS_1.content_hash == Policy(**DAYS_1.model_dump()).content_hash
    assert DAYS_1.content_hash != DAYS_1.model_copy(update={"horizon_days": 181}).content_hash


def overridden(day: str, field: Field, value: str, until: str | None = None) -> Fact:
    at = noon(day)
    said = detail(at, field, value, date.fromisoformat(until) if until else None)
    return Fact(uuid4(), SOMEBODY, Kind.OVERRIDDEN, at, at, detail=said)
