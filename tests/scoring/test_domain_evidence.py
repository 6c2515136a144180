"""What people do as evidence of satisfaction and loyalty: what enters on which day, and how it fades."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import cycle
from math import exp2, log
from random import Random
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.scoring import Band, Posture, Stage
from services.scoring.domain.calendar import Calendar, fold
from services.scoring.domain.evidence import PLACES, Piece, evidence
from services.scoring.domain.facts import CART, SURVEY, Fact, Kind
from services.scoring.domain.fading import NEVER, Fading
from services.scoring.domain.history import History
from services.scoring.domain.indexes import Evidence, Index
from services.scoring.domain.money import Rates
from services.scoring.domain.policy import Policy, Profit
from services.scoring.domain.presets import DAYS_1
from services.scoring.domain.ruling import Ruling
from services.scoring.domain.standing import assess, standing
from tests.scoring.test_domain_plain_agrees import RATES, ZONES, some_facts, some_model, some_policy
from tests.scoring.test_domain_standing import DEFAULT, calendar, fact, noon

KINDS = [*Evidence]
BEGUN = date(2023, 11, 20)
"""The first day of histories that chance makes."""


def entered(*facts: Fact, policy: Policy = DAYS_1) -> list[tuple[str, Evidence, int]]:
    """The evidence that facts come to: day, what it is, how often."""
    history = History(calendar(*facts), DEFAULT)
    pieces = evidence(calendar(*facts).entries, history.purchase_days, history.gross, policy)
    return [(str(date.fromordinal(day)), KINDS[place], count) for day, place, count in pieces]


def solved(day: str, opened: str) -> Fact:
    return msgspec.structs.replace(fact(day, Kind.PROBLEM_SOLVED), opened_at=noon(opened))


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (Kind.PRAISED, Evidence.PRAISE),
        (Kind.RETURN, Evidence.RETURN),
        (Kind.REFERRED, Evidence.REFERRAL),
        (Kind.REFERRAL_CONVERTED, Evidence.REFERRAL_CONVERTED),
        (Kind.POSTED, Evidence.PARTICIPATION),
        (Kind.REPLIED, Evidence.PARTICIPATION),
        (Kind.REACTED, Evidence.PARTICIPATION),
    ],
)
def test_what_somebody_does_is_evidence_as_often_as_it_is_done(kind: Kind, what: Evidence) -> None:
    assert entered(fact("2026-01-01", kind), fact("2026-01-01", kind)) == [("2026-01-01", what, 2)]


def test_a_stated_rating_is_evidence_besides_the_interaction() -> None:
    rated = [
        msgspec.structs.replace(fact("2026-01-01", Kind.REACHED), rating=rating) for rating in (1, -1, 0)
    ]  # fmt: skip

    assert entered(*rated) == [("2026-01-01", Evidence.RATED_WELL, 1), ("2026-01-01", Evidence.RATED_POORLY, 1)]


def test_each_purchase_day_after_the_first_is_a_return_and_an_upgrade_where_it_is_worth_more_than_all_before() -> None:
    days = [("2026-01-01", 500), ("2026-01-02", 300), ("2026-01-02", 200), ("2026-01-03", 501), ("2026-01-04", 400)]

    assert entered(*(fact(day, amount_minor=amount) for day, amount in days))[:4] == [
        ("2026-01-02", Evidence.REPEAT_PURCHASE, 1),
        ("2026-01-03", Evidence.REPEAT_PURCHASE, 1),
        ("2026-01-03", Evidence.UPGRADE, 1),
        ("2026-01-04", Evidence.REPEAT_PURCHASE, 1),
    ]


def test_a_problem_past_its_limit_is_evidence_on_the_first_day_past_it_and_for_ever() -> None:
    opened = fact("2026-01-01", Kind.PROBLEM_OPENED)

    assert ("2026-01-09", Evidence.PROBLEM_OVERDUE, 1) in entered(opened)
    assert ("2026-01-09", Evidence.PROBLEM_OVERDUE, 1) in entered(opened, solved("2026-01-09", "2026-01-01"))
    assert Evidence.PROBLEM_OVERDUE not in {what for _, what, _ in entered(opened, solved("2026-01-08", "2026-01-01"))}
    assert ("2026-01-09", Evidence.PROBLEM_OVERDUE, 1) in entered(opened, solved("2026-01-05", "2026-01-02"))


def test_of_several_problems_of_one_day_those_are_overdue_that_were_not_solved() -> None:
    three = [fact("2026-01-01", Kind.PROBLEM_OPENED) for _ in range(3)]

    assert entered(*three, solved("2026-01-02", "2026-01-01"))[-1] == ("2026-01-09", Evidence.PROBLEM_OVERDUE, 2)


@pytest.mark.parametrize("kind", [Kind.INQUIRED, Kind.CONTACTED, Kind.COMPLAINED])
def test_who_turned_to_us_and_was_not_reached_in_time_had_a_late_answer(kind: Kind) -> None:
    asked = fact("2026-01-01", kind)
    late = ("2026-01-04", Evidence.LATE_ANSWER, 1)

    assert late in entered(asked, fact("2026-01-01", kind))
    assert late in entered(asked, fact("2025-12-31", Kind.REACHED), fact("2026-01-04", Kind.REACHED))
    for day in ("2026-01-01", "2026-01-03"):
        assert late not in entered(asked, fact(day, Kind.REACHED))


@pytest.mark.parametrize("kind", [Kind.INQUIRED, Kind.CONTACTED])
def test_a_purchase_in_time_answers_whoever_asked(kind: Kind) -> None:
    asked = fact("2026-01-01", kind)
    late = ("2026-01-04", Evidence.LATE_ANSWER, 1)

    for day in ("2026-01-01", "2026-01-03"):
        assert late not in entered(asked, fact(day, amount_minor=0, currency="CHF"))
    for day in ("2025-12-31", "2026-01-04"):
        assert late in entered(asked, fact(day))


def test_a_purchase_is_no_answer_to_a_complaint() -> None:
    complained, bought = fact("2026-01-01", Kind.COMPLAINED), fact("2026-01-01")
    late = ("2026-01-04", Evidence.LATE_ANSWER, 1)

    assert late in entered(complained, bought)
    assert entered(complained, bought, fact("2026-01-01", Kind.CONTACTED)).count(late) == 1
    assert late not in entered(complained, bought, fact("2026-01-02", Kind.REACHED))


def test_a_survey_that_was_filled_in_is_no_answer() -> None:
    survey = msgspec.structs.replace(fact("2026-01-02", Kind.REACHED), detail=SURVEY)
    late = ("2026-01-04", Evidence.LATE_ANSWER, 1)

    for asked in (Kind.COMPLAINED, Kind.INQUIRED):
        assert late in entered(fact("2026-01-01", asked), survey)
        assert late not in entered(fact("2026-01-01", asked), survey, fact("2026-01-02", Kind.REACHED))
    assert assess(calendar(survey), noon("2026-01-02"), DEFAULT).last_contact_day == date(2026, 1, 2)


def test_who_puts_something_into_a_cart_waits_for_no_answer() -> None:
    cart = msgspec.structs.replace(fact("2026-01-01", Kind.INQUIRED), detail=CART)
    late = ("2026-01-04", Evidence.LATE_ANSWER, 1)

    assert late not in entered(cart)
    assert late in entered(cart, fact("2026-01-01", Kind.INQUIRED))
    assert assess(calendar(cart), noon("2026-01-02"), DEFAULT).stage is Stage.PROSPECT


@pytest.mark.parametrize("added", [Kind.PURCHASE, Kind.REACHED])
def test_an_answer_added_later_is_read_from_its_day_on_alone(added: Kind) -> None:
    asked = calendar(*(fact(f"2026-01-0{day}", Kind.CONTACTED) for day in (1, 2, 3)))
    answered = asked + calendar(fact("2026-01-03", added))
    since = date(2026, 1, 3).toordinal()

    again = History(asked, DEFAULT).changed(answered, since)

    assert again.pieces == History(answered, DEFAULT).pieces
    assert PLACES[Evidence.LATE_ANSWER] not in {place for _, place, _ in again.pieces}


def test_an_anniversary_counts_for_whoever_bought_within_the_year_before_it() -> None:
    leap = entered(fact("2024-02-29"), fact("2024-03-01"))

    assert ("2025-03-01", Evidence.ANNIVERSARY, 1) in leap
    assert ("2026-01-05", Evidence.ANNIVERSARY, 1) in entered(fact("2025-01-05"))
    # The year before it had a day more.
    assert entered(fact("2024-01-05")) == []
    assert [
        day for day, what, _ in entered(fact("2025-01-05"), fact("2026-06-01")) if what is Evidence.ANNIVERSARY
    ] == [
        "2026-01-05",
        "2027-01-05",
    ]


def index(**more: object) -> Index:
    return Index(weights={Evidence.COMPLAINT: -0.8, Evidence.PRAISE: 0.5}, half_life_days=10, **more)


def test_without_evidence_an_index_is_fifty_and_its_band_unknown() -> None:
    none = Fading([], index())

    assert (none.value(700_000), none.amount(700_000), none.band(700_000)) == (50.0, 0.0, Band.UNKNOWN)


def test_a_piece_of_evidence_weighs_what_the_policy_says_and_half_after_a_half_life() -> None:
    praised = Fading([(700_000, PLACES[Evidence.PRAISE], 1)], index())

    assert (praised.value(700_000), praised.value(700_010)) == (62.2, 56.2)
    assert (praised.amount(700_000), praised.amount(700_010), praised.amount(700_020)) == (1.0, 0.5, 0.25)


def test_a_single_piece_of_evidence_makes_a_band_for_one_half_life() -> None:
    praised = Fading([(700_000, PLACES[Evidence.PRAISE], 1)], index())

    assert [praised.band(700_000 + day) for day in (0, 1, 10, 11)] == [Band.HIGH, Band.HIGH, Band.MIDDLE, Band.UNKNOWN]
    assert praised.fades(700_005, NEVER) == 700_011


def test_what_the_weights_do_not_name_is_no_evidence() -> None:
    other = Fading([(700_000, PLACES[Evidence.REFERRAL], 5)], index())

    assert (other.value(700_000), other.amount(700_000)) == (50.0, 0.0)


PIECES = st.lists(
    st.tuples(st.integers(700_000, 700_060), st.sampled_from([PLACES[what] for what in KINDS[:2]]), st.integers(1, 3)),
    max_size=12,
)


@given(PIECES, PIECES, st.integers(700_000, 700_120))
def test_log_odds_add_up_whatever_they_are_parted_into(one: list[Piece], other: list[Piece], day: int) -> None:
    exact = index()

    def log_odds(pieces: list[Piece]) -> float:
        return sum(
            float(exact.by_place[place] or 0) * count * exp2((of - day) / 10)
            for of, place, count in pieces
            if of <= day
        )

    whole = Fading(sorted(one + other), exact)
    value = whole.value(day)

    assert whole.amount(day) == pytest.approx(
        Fading(sorted(one), exact).amount(day) + Fading(sorted(other), exact).amount(day), abs=0.0011
    )
    if 1 < value < 99:
        assert log(value / (100 - value)) == pytest.approx(log_odds(one) + log_odds(other), abs=0.06)


def test_a_band_turns_by_the_clock_alone_and_the_standing_says_when() -> None:
    complained = calendar(*(fact("2026-01-01", Kind.COMPLAINED) for _ in range(3)), fact("2026-01-01", Kind.REACHED))
    at: datetime | None = noon("2026-01-01")
    bands: list[tuple[date, Band | None]] = []
    while at is not None:
        stands = assess(complained, at, DEFAULT)
        if not bands or bands[-1][1] is not stands.satisfaction_band:
            bands.append((at.date(), stands.satisfaction_band))
        at = stands.next_change_at

    assert [band for _, band in bands] == [Band.LOW, Band.MIDDLE, Band.UNKNOWN]
    turned, eve = bands[2][0], bands[2][0] - timedelta(days=1)
    assert assess(complained, noon(str(turned)), DEFAULT).satisfaction_evidence < 0.5
    assert assess(complained, noon(str(eve)), DEFAULT).satisfaction_evidence >= 0.5
    assert assess(complained, noon(str(eve)), DEFAULT).satisfaction_band is Band.MIDDLE


def test_a_relationship_develops_with_more_days_of_contact_than_in_the_window_before() -> None:
    def posture(*days: str) -> Posture | None:
        return assess(calendar(*(fact(day, Kind.CONTACTED) for day in days)), noon("2026-07-01"), DEFAULT).posture

    earlier, later = (
        ["2026-01-05", "2026-02-01", "2026-03-01", "2026-03-20"],
        ["2026-04-03", "2026-05-01", "2026-06-01"],
    )
    assert posture("2025-01-01") is Posture.CONSERVATIVE
    assert posture(*later) is Posture.DEVELOPING
    assert posture(*earlier[:2]) is Posture.CONSERVATIVE
    assert posture(*earlier[1:], *later) is Posture.STEADY
    assert posture(*earlier[2:], *later) is Posture.DEVELOPING
    assert posture(*earlier, later[0]) is Posture.CONSERVATIVE


def test_profit_is_the_margin_of_the_turnover_less_what_facts_cost() -> None:
    policy = DAYS_1.model_copy(update={"profit": Profit(margin=0.3, cost_minor={"complained": 100})})
    ruling = Ruling(policy, policy.cuts, Rates("EUR"), ZoneInfo("UTC"))
    sold, complained = fact("2026-01-01", amount_minor=1_000), fact("2026-02-01", Kind.COMPLAINED)

    def flags(*facts: Fact, on: str = "2026-03-01") -> tuple[str, ...]:
        return assess(calendar(*facts), noon(on), ruling).flags

    assert "profit_making" in flags(sold, complained, complained)
    assert "profit_making" not in flags(sold, *[complained] * 3)
    assert "profit_making" not in flags(sold, on="2027-01-01")


def test_a_customer_of_high_value_may_cost_more_than_is_earned() -> None:
    policy = DAYS_1.model_copy(update={"profit": Profit(margin=0.3, cost_minor={"complained": 10_000})})
    ruling = Ruling(policy, policy.cuts, Rates("EUR"), ZoneInfo("UTC"))
    costly = calendar(fact("2026-01-01", amount_minor=40_000), *[fact("2026-02-01", Kind.COMPLAINED)] * 2)

    assert assess(costly, noon("2026-02-01"), ruling).flags == ("high_value",)


def test_flags_say_who_is_worth_much_returns_and_is_satisfied() -> None:
    regular = calendar(
        *(fact(f"2026-0{month}-01", amount_minor=40_000) for month in (1, 2, 3)), fact("2026-03-02", Kind.PRAISED)
    )
    stands = assess(regular, noon("2026-03-02"), DEFAULT)

    assert stands.flags == ("high_value", "profit_making", "returning", "satisfied")
    assert (stands.vip, stands.level, stands.treatment) == (True, "large", "care")
    assert assess(regular, noon("2026-01-01"), DEFAULT).flags == ("high_value", "profit_making")
    assert assess(regular, noon("2025-01-01"), DEFAULT).flags == ()


def test_nothing_is_graded_where_nobody_stands() -> None:
    nobody = assess(Calendar(), datetime(2026, 1, 1, tzinfo=UTC), DEFAULT)

    assert (nobody.satisfaction, nobody.satisfaction_band, nobody.posture, nobody.treatment) == (None, None, None, None)


@given(
    st.lists(st.tuples(st.integers(700_000, 700_900), st.sampled_from(sorted(PLACES.values())), st.integers(1, 9))),
    st.integers(1, 4_000),
    st.floats(0, 5),
    st.floats(1, 98),
    st.floats(0.5, 60),
    st.integers(700_000, 702_000),
    st.integers(1, 5_000),
)
def test_a_band_ends_on_the_first_day_on_which_it_is_another(
    pieces: list[Piece], half_life: int, least: float, low: float, above: float, day: int, days: int
) -> None:
    named = Index(
        weights={what: weight for what, weight in zip(Evidence, cycle((0.4, -0.7, 0.0)), strict=False)},
        half_life_days=half_life,
        min_evidence=least,
        low_below=low,
        high_from=min(low + above, 99.5),
    )
    fading = Fading(sorted(pieces), named)
    day = max(day, fading.days[-1] if fading.days else 0)

    until = day + days
    plainly = next((later for later in range(day + 1, until) if fading.band(later) is not fading.band(day)), None)
    assert fading.fades(day, until) == plainly


@pytest.mark.parametrize("seed", range(60))
def test_a_history_read_anew_from_a_change_on_is_that_of_the_changed_calendar(seed: int) -> None:
    random = Random(seed)
    policy, zone = some_policy(random), random.choice(ZONES)
    currency = random.choice(["EUR", "EUR", "JPY", None])
    ruling = Ruling(policy, policy.cuts, Rates(currency, RATES), zone, some_model(random))
    days = random.choice([20, 120, 900])
    facts, other = (some_facts(random, random.choice([1, 4, 30, 80]), days) for _ in range(2))
    since = BEGUN.toordinal() + random.randrange(-1, days + 2)
    before = [fact for fact in facts if ruling.day(fact.occurred_at) < since]
    changed = fold([*before, *(fact for fact in other if ruling.day(fact.occurred_at) >= since)], zone)

    again, whole = History(fold(facts, zone), ruling).changed(changed, since), History(changed, ruling)

    assert again.pieces == whole.pieces
    assert (again.gross, again.unconverted, again.organised) == (whole.gross, whole.unconverted, whole.organised)
    for day in {since, *(BEGUN.toordinal() + random.randrange(-3, 2 * days) for _ in range(15))}:
        at = datetime.combine(date.fromordinal(day), time(12), zone)
        assert standing(again, at) == standing(whole, at), day
        assert list(again.earned(day - 90, day)) == list(whole.earned(day - 90, day))


def test_what_has_faded_to_next_to_nothing_still_has_a_band() -> None:
    index = Index(
        weights={Evidence.PRAISE: 1.0, Evidence.COMPLAINT: 0.0}, half_life_days=1, min_evidence=0, low_below=55
    )
    day = BEGUN.toordinal()
    faded = Fading([(day, PLACES[Evidence.PRAISE], 1), (day + 1_060, PLACES[Evidence.COMPLAINT], 1)], index)
    assert faded.band(day + 1_060) is Band.LOW
    assert faded.fades(day + 1_060, NEVER) is None
