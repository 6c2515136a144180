"""What a person set in the place of what the facts say: beginning, ending, one in the place of another."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from contracts.leads import Grade
from contracts.loss import LossReason
from contracts.scoring import Band, Cause, MoveKind, Posture, Stage, Tier
from services.scoring.domain.calendar import Calendar
from services.scoring.domain.facts import Fact, Kind
from services.scoring.domain.grades import Flag
from services.scoring.domain.overridden import Fate, NoSuchNumber, Said, State, fates, in_one_spelling
from services.scoring.domain.overrides import Field, Overrides, detail
from services.scoring.domain.plain import plain_standing
from services.scoring.domain.standing import Standing, assess
from services.scoring.domain.trajectory import Move, trajectory
from tests.scoring.test_domain_standing import DEFAULT, calendar, fact, noon, overridden

BOUGHT = fact("2026-01-01", amount_minor=40_000)


def stands(day: str, *facts: Fact) -> Standing:
    return assess(calendar(BOUGHT, *facts), noon(day), DEFAULT)


def moved(*facts: Fact, until: str = "2026-03-30") -> list[tuple[str, Cause, MoveKind, Stage | None, Tier | None]]:
    def told(move: Move) -> tuple[str, Cause, MoveKind, Stage | None, Tier | None]:
        return str(move.day), move.cause, move.kind, move.to_stage, move.to_tier

    return [told(move) for move in trajectory(calendar(BOUGHT, *facts), noon(until), DEFAULT)[1:]]


def test_the_potential_of_who_never_bought_may_be_set_and_of_nobody_else() -> None:
    asked, by_hand = fact("2026-01-01", Kind.INQUIRED), overridden("2026-01-10", Field.POTENTIAL, "A")
    prospect = assess(calendar(asked, by_hand), noon("2026-01-15"), DEFAULT)
    buyer = assess(calendar(asked, by_hand, fact("2026-01-12")), noon("2026-01-15"), DEFAULT)

    assert (prospect.potential, prospect.derived) == (Grade.A, {"potential": ""})
    assert (buyer.potential, buyer.derived) == (None, {})


def test_the_detail_of_an_override_says_when_what_and_until() -> None:
    at = datetime(2026, 1, 5, 13, 30, tzinfo=UTC)

    assert detail(at, Field.TIER, "top", date(2026, 2, 1)) == "2026-01-05T13:30:00.000000+00:00|tier|top|2026-02-01"
    assert detail(at, Field.TIER, "", None) == "2026-01-05T13:30:00.000000+00:00|tier||"
    ended = [datetime(2026, 1, 4, tzinfo=UTC)]
    assert detail(at, Field.TIER, "", None, ended) == (
        "2026-01-05T13:30:00.000000+00:00 2026-01-04T00:00:00.000000+00:00|tier||"
    )


@pytest.mark.parametrize(
    ("field", "value", "name", "shown"),
    [
        (Field.STAGE, "lost_customer", "stage", Stage.LOST_CUSTOMER),
        (Field.TIER, "top", "tier", Tier.TOP),
        (Field.SATISFACTION, "low", "satisfaction_band", Band.LOW),
        (Field.LOYALTY, "high", "loyalty_band", Band.HIGH),
        (Field.POSTURE, "steady", "posture", Posture.STEADY),
        (Field.LEVEL, "large", "level", "large"),
        (Field.TREATMENT, "by-hand", "treatment", "by-hand"),
        (Field.VIP, "true", "vip", True),
        (Field.VALUE_MINOR, "70000", "value_minor", 70_000),
        (Field.TURNOVER_MINOR, "-5", "turnover_minor", -5),
        (Field.P, "0.25", "p", 0.25),
        (Field.SATISFACTION_INDEX, "71.5", "satisfaction", 71.5),
        (Field.LOYALTY_INDEX, "0.0", "loyalty", 0.0),
    ],
)
def test_what_is_set_holds_from_its_day_to_its_last_one_and_what_follows_is_told_beside_it(
    field: Field, value: str, name: str, shown: Any
) -> None:
    by_hand = overridden("2026-01-10", field, value, "2026-01-20")
    without = getattr(stands("2026-01-15"), name)

    assert without != shown
    for day, holds in (("2026-01-09", False), ("2026-01-10", True), ("2026-01-20", True), ("2026-01-21", False)):
        now = stands(day, by_hand)
        assert (getattr(now, name) == shown) is holds
        assert (field in now.derived) is holds
    follows = "" if without is None else str(without)
    assert stands("2026-01-15", by_hand).derived[field] in (follows, follows.lower())
    assert stands("2026-01-15", by_hand).next_change_at == datetime(2026, 1, 21, tzinfo=UTC)


@pytest.mark.parametrize("flag", list(Flag))
def test_each_flag_is_set_and_taken_back_by_itself_until_its_last_day(flag: Flag) -> None:
    was = flag in stands("2026-01-15").flags
    by_hand = overridden("2026-01-10", Field(flag), str(not was).lower(), "2026-01-20")

    others = [set(stands("2026-01-15", *told).flags) - {flag} for told in ((), (by_hand,))]
    assert others[0] == others[1]
    for day, holds in (("2026-01-09", False), ("2026-01-10", True), ("2026-01-20", True), ("2026-01-21", False)):
        now = stands(day, by_hand)
        assert (flag in now.flags) is (was is not holds)
        assert now.derived == ({flag: str(was).lower()} if holds else {})
    assert stands("2026-01-15", by_hand).next_change_at == datetime(2026, 1, 21, tzinfo=UTC)


def test_a_reason_that_is_set_holds_of_a_lost_stage_alone_until_its_last_day() -> None:
    by_hand = overridden("2026-01-10", Field.LOSS_REASON, "price", "2026-01-20")
    gone = overridden("2026-01-12", Field.STAGE, "lost_customer")

    told = [stands(f"2026-01-{day}", by_hand, gone) for day in (11, 12, 20, 21)]

    assert [standing.loss_reason for standing in told] == [None, "price", "price", "unknown"]
    assert [standing.derived.get("loss_reason") for standing in told] == [None, "unknown", "unknown", None]
    assert told[1].next_change_at == datetime(2026, 1, 21, tzinfo=UTC)


def test_a_declaration_that_is_dated_ahead_is_what_changes_next_of_whoever_is_lost() -> None:
    gone = overridden("2026-01-10", Field.STAGE, "lost_customer")
    said = fact("2026-01-25", Kind.DECLINED, reason="price")

    told = [stands(f"2026-01-{day}", gone, said) for day in (15, 25)]

    assert [standing.loss_reason for standing in told] == ["unknown", "price"]
    assert told[0].next_change_at == datetime(2026, 1, 25, tzinfo=UTC)


def test_a_level_is_set_where_there_is_none() -> None:
    none = assess(calendar(BOUGHT, fact("2026-01-02", Kind.RETURN, 10**9)), noon("2026-01-15"), DEFAULT)
    some = overridden("2026-01-10", Field.LEVEL, "small")

    now = assess(calendar(BOUGHT, fact("2026-01-02", Kind.RETURN, 10**9), some), noon("2026-01-15"), DEFAULT)

    assert (none.level, now.level, now.derived) == (None, "small", {"level": ""})


def test_of_two_the_one_set_last_holds_and_the_earlier_one_again_when_it_ends() -> None:
    both = [overridden("2026-01-05", Field.TIER, "low"), overridden("2026-01-10", Field.TIER, "top", "2026-01-12")]

    assert [stands(f"2026-01-{day:02}", *both).tier for day in (4, 5, 9, 10, 12, 13)] == [
        Tier.HIGH, Tier.LOW, Tier.LOW, Tier.TOP, Tier.TOP, Tier.LOW
    ]  # fmt: skip


def test_ending_one_leaves_the_field_to_the_facts_from_that_day_on() -> None:
    told = [
        overridden("2026-01-05", Field.TIER, "low"),
        overridden("2026-01-06", Field.TIER, "top"),
        overridden("2026-01-10", Field.TIER, ""),
    ]

    assert [stands(f"2026-01-{day:02}", *told).tier for day in (9, 10, 11)] == [Tier.TOP, Tier.HIGH, Tier.HIGH]
    again = overridden("2026-01-12", Field.TIER, "mid")
    assert stands("2026-01-12", *told, again).tier is Tier.MID


def test_an_end_that_names_what_it_ends_leaves_what_else_was_set() -> None:
    others, own, end = (
        overridden(day, Field.TIER, value)
        for day, value in (("2026-01-05", "low"), ("2026-01-06", "top"), ("2026-01-10", ""))
    )
    named = msgspec.structs.replace(
        end, detail=detail(end.occurred_at, Field.TIER, "", None, [own.occurred_at, noon("2026-01-04")])
    )

    assert [stands(f"2026-01-{day:02}", others, own, named).tier for day in (9, 10)] == [Tier.TOP, Tier.LOW]
    assert [stands(f"2026-01-{day:02}", others, own, end).tier for day in (9, 10)] == [Tier.TOP, Tier.HIGH]
    by_hand = Overrides([(DEFAULT.day(each.occurred_at), each.detail) for each in (others, own, named)])
    assert by_hand.said("tier", DEFAULT.day(noon("2026-01-10"))) == others.detail


def test_of_two_ends_the_earlier_one_ended_it() -> None:
    top = Said(UUID(int=1), Field.TIER, "top", "1", day=1, until=None)
    by_name = Said(UUID(int=2), Field.TIER, "", "2", day=2, until=None, ended=frozenset({top.id}))
    of_all = Said(UUID(int=3), Field.TIER, "", "3", day=3, until=None)

    for ends in (
        (by_name, of_all),
        (msgspec.structs.replace(of_all, detail="2"), msgspec.structs.replace(by_name, detail="3")),
    ):
        assert fates([top, *ends], 9) == {top.id: Fate(State.ENDED, ends[0].id)}


def test_grades_follow_from_the_numbers_that_are_set() -> None:
    worth = stands("2026-01-15", overridden("2026-01-10", Field.VALUE_MINOR, "0"))
    turned_over = stands("2026-01-15", overridden("2026-01-10", Field.TURNOVER_MINOR, "-1"))
    content = stands("2026-01-15", overridden("2026-01-10", Field.SATISFACTION_INDEX, "80.0"))
    faithless = stands("2026-01-15", overridden("2026-01-10", Field.LOYALTY_INDEX, "3.0"))
    likely = stands("2026-01-15", overridden("2026-01-10", Field.P, "0.0"))
    as_it_is = stands("2026-01-15")

    assert (as_it_is.tier, as_it_is.level, "high_value" in as_it_is.flags) == (Tier.HIGH, "medium", True)
    assert (worth.tier, worth.turnover_minor, worth.level, "high_value" in worth.flags) == (
        Tier.LOW, 40_000, "medium", False
    )  # fmt: skip
    assert (turned_over.value_minor, turned_over.tier, turned_over.level) == (-1, Tier.LOW, None)
    assert {"profit_making"} == {*as_it_is.flags} - {*turned_over.flags} - {"high_value"}
    assert (as_it_is.satisfaction_band, content.satisfaction_band, "satisfied" in content.flags) == (
        Band.UNKNOWN, Band.HIGH, True
    )  # fmt: skip
    assert (as_it_is.loyalty_band, faithless.loyalty_band) == (Band.UNKNOWN, Band.LOW)
    assert (likely.stage, likely.p, likely.derived) == (as_it_is.stage, 0.0, {"p": ""})


def test_what_follows_from_a_number_is_set_by_itself_all_the_same() -> None:
    both = [overridden("2026-01-10", Field.VALUE_MINOR, "0"), overridden("2026-01-11", Field.TIER, "top")]

    now = stands("2026-01-15", *both)

    assert (now.tier, now.derived) == (Tier.TOP, {"value_minor": "40000", "tier": "low"})


def test_whoever_never_bought_is_unproven_whatever_the_value_is_set_to() -> None:
    visited = fact("2026-01-01", Kind.VISITED)
    now = assess(calendar(visited, overridden("2026-01-10", Field.VALUE_MINOR, "90000")), noon("2026-01-15"), DEFAULT)

    assert (now.tier, now.value_minor) == (Tier.UNPROVEN, 90_000)


def test_a_move_by_a_number_has_that_number() -> None:
    told = calendar(BOUGHT, overridden("2026-01-10", Field.VALUE_MINOR, "7", "2026-01-20"))
    moves = trajectory(told, noon("2026-03-30"), DEFAULT)[1:]

    assert [(str(move.day), move.cause, move.to_tier, move.value_minor) for move in moves] == [
        ("2026-01-10", Cause.OVERRIDE, Tier.LOW, 7),
        ("2026-01-21", Cause.OVERRIDE, Tier.HIGH, 40_000),
    ]


@pytest.mark.parametrize(
    ("field", "value", "kept"),
    [
        (Field.VALUE_MINOR, "007", "7"), (Field.VALUE_MINOR, "-0", "0"), (Field.TURNOVER_MINOR, "12.00", "12"),
        (Field.TURNOVER_MINOR, "-1000000000000000", "-1000000000000000"), (Field.P, "1", "1.0"), (Field.P, "0", "0.0"),
        (Field.P, "-0", "0.0"), (Field.P, "0.1234560", "0.123456"), (Field.LOYALTY_INDEX, "100", "100.0"),
        (Field.SATISFACTION_INDEX, "12.5", "12.5"), (Field.TIER, "top", "top"),
    ],
)  # fmt: skip
def test_a_number_is_kept_as_a_standing_has_it(field: Field, value: str, kept: str) -> None:
    assert in_one_spelling(field, value, DEFAULT.policy) == kept


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (Field.VALUE_MINOR, "1.5"), (Field.VALUE_MINOR, "1e3"), (Field.VALUE_MINOR, "1000000000000001"),
        (Field.VALUE_MINOR, "٣"), (Field.VALUE_MINOR, ""), (Field.VALUE_MINOR, " 1"), (Field.P, "1.000001"),
        (Field.P, "0.1234567"), (Field.P, "-0.1"), (Field.P, "nan"), (Field.P, ".5"), (Field.LOYALTY_INDEX, "100.1"),
        (Field.SATISFACTION_INDEX, "1.25"), (Field.SATISFACTION_INDEX, "1\n"),
    ],
)  # fmt: skip
def test_what_a_number_of_a_standing_never_is_cannot_be_set(field: Field, value: str) -> None:
    with pytest.raises(NoSuchNumber):
        in_one_spelling(field, value, DEFAULT.policy)


def test_what_is_set_to_what_follows_anyway_is_not_told_as_another() -> None:
    assert stands("2026-01-10", overridden("2026-01-10", Field.TIER, "high")).derived == {}


def test_treatment_and_flags_follow_from_what_is_set() -> None:
    low = stands("2026-01-10", overridden("2026-01-10", Field.SATISFACTION, "low"))
    mid = stands("2026-01-10", overridden("2026-01-10", Field.TIER, "low"))

    assert (low.treatment, "satisfied" in low.flags) == ("recover", False)
    assert (mid.treatment, "high_value" in mid.flags) == ("serve", False)
    assert low.derived == {"satisfaction": "unknown"}


def test_an_override_moves_by_itself_and_never_wins_back() -> None:
    told = [
        overridden("2026-01-10", Field.STAGE, "lost_customer"),
        overridden("2026-01-20", Field.STAGE, ""),
        overridden("2026-02-01", Field.TIER, "top", "2026-02-02"),
    ]

    assert moved(*told) == [
        ("2026-01-10", Cause.OVERRIDE, MoveKind.REVISED, Stage.LOST_CUSTOMER, Tier.HIGH),
        ("2026-01-20", Cause.OVERRIDE, MoveKind.REVISED, Stage.CUSTOMER, Tier.HIGH),
        ("2026-02-01", Cause.OVERRIDE, MoveKind.REVISED, Stage.CUSTOMER, Tier.TOP),
        ("2026-02-03", Cause.OVERRIDE, MoveKind.REVISED, Stage.CUSTOMER, Tier.HIGH),
    ]


def test_on_a_day_with_both_the_facts_move_first_and_then_what_was_set() -> None:
    told = [fact("2026-01-10", amount_minor=90_000), overridden("2026-01-10", Field.STAGE, "lost_customer")]

    assert moved(*told) == [
        ("2026-01-10", Cause.FACT, MoveKind.RETIERED, Stage.CUSTOMER, Tier.TOP),
        ("2026-01-10", Cause.OVERRIDE, MoveKind.REVISED, Stage.LOST_CUSTOMER, Tier.TOP),
    ]


def test_as_long_as_a_stage_is_set_neither_facts_nor_time_move_it() -> None:
    held = [overridden("2026-01-10", Field.STAGE, "lost_customer"), fact("2026-02-01")]
    later = stands("2026-06-01", *held)

    assert (later.stage, later.since, later.next_stage_at) == (Stage.LOST_CUSTOMER, date(2026, 1, 10), None)
    assert later.loss_reason is LossReason.UNKNOWN
    assert later.derived == {"stage": "dormant_customer"}


def test_since_reaches_over_the_end_of_an_override_where_the_stage_stays() -> None:
    assert stands("2026-01-25", overridden("2026-01-10", Field.STAGE, "customer", "2026-01-20")).since == date(
        2026, 1, 1
    )


def test_since_is_the_day_of_the_last_move_also_where_facts_and_a_person_moved_there_and_back() -> None:
    inquired = fact("2026-01-01", Kind.INQUIRED)
    told = [inquired, fact("2026-01-10"), overridden("2026-01-10", Field.STAGE, "prospect")]
    whole, later = calendar(*told), noon("2026-02-01")

    assert trajectory(whole, later, DEFAULT)[-1].day == date(2026, 1, 10)
    assert assess(whole, later, DEFAULT).since == date(2026, 1, 10)
    plain = plain_standing(told, later, DEFAULT.policy, DEFAULT.cuts, currency="EUR", rates=(), zone=DEFAULT.zone)
    assert plain.since == date(2026, 1, 10)


def test_nothing_but_overrides_stands_nowhere_and_none_has_an_effect_before_the_first_fact() -> None:
    early = [overridden("2025-12-01", Field.STAGE, "customer"), overridden("2025-12-01", Field.VIP, "true")]
    alone = assess(calendar(*early), noon("2026-02-01"), DEFAULT)

    assert (alone.stage, alone.vip, alone.next_change_at) == (None, False, None)
    assert stands("2025-12-15", *early).stage is None
    assert trajectory(calendar(*early), noon("2026-02-01"), DEFAULT) == []
    assert stands("2026-01-01", *early).vip


def test_an_override_goes_with_the_days_of_its_identity() -> None:
    whole = calendar(BOUGHT, overridden("2026-01-10", Field.TIER, "low"), fact("2026-01-05"))
    before, after = whole.between(None, date(2026, 1, 8)), whole.between(date(2026, 1, 8), None)

    assert assess(before, noon("2026-02-01"), DEFAULT).tier is Tier.HIGH
    assert assess(before + after, noon("2026-02-01"), DEFAULT).tier is Tier.LOW
    assert assess(after, noon("2026-02-01"), DEFAULT).stage is None
    assert before + after - after == before + Calendar()


def test_the_end_of_an_override_is_the_next_change_though_nothing_happens() -> None:
    by_hand = overridden("2026-01-10", Field.TREATMENT, "by-hand", "2026-01-12")
    day, changes = date(2026, 1, 10), []
    for _ in range(5):
        now, day = stands(str(day), by_hand), day + timedelta(days=1)
        changes.append(now.treatment)

    assert changes == ["by-hand", "by-hand", "by-hand", "develop", "develop"]
    assert BOUGHT.kind is Kind.PURCHASE
