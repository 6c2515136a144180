from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from random import Random
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.customers import PartyKind
from contracts.leads import Grade
from contracts.loss import LossReason
from contracts.scoring import Band, Cause, MoveKind, Posture, Stage, Tier
from services.scoring.domain.calendar import Calendar, fold, pack, shares, total, unpack, unpack_each
from services.scoring.domain.days import local_day, start_of_day
from services.scoring.domain.facts import ABOUT, DECLARATIONS, DERIVED, MONEY, Fact, Kind
from services.scoring.domain.history import History
from services.scoring.domain.indexes import LOYALTY, SATISFACTION
from services.scoring.domain.money import Rates, half_even
from services.scoring.domain.overrides import Field, detail
from services.scoring.domain.policy import Level, Policy, Profit, Trend
from services.scoring.domain.presets import DAYS_1
from services.scoring.domain.reasons.reason import reason
from services.scoring.domain.rules import All, AnyOf, Comparison
from services.scoring.domain.ruling import Ruling
from services.scoring.domain.stages import ByDays, ByProbability, Interest, Stages
from services.scoring.domain.standing import Standing, assess
from services.scoring.domain.tiers import Cuts, NoCustomers, TierShares, fit
from services.scoring.domain.together import assess_together
from services.scoring.domain.trajectory import Move, trajectory
from tests.scoring.handmade import MODEL

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


def _some_fact(
    day: int, kind: Kind, amount: int, currency: str, identity: int, reason: str, to: tuple[Field, str], lasts: int
) -> Fact:
    on = date(2024, 1, 1) + timedelta(days=day)
    if kind is Kind.OVERRIDDEN:
        return overridden(str(on), *to, str(on + timedelta(days=lasts)) if lasts and to[1] else None)
    made = fact(str(on), kind, amount, currency, UUID(int=identity), reason)
    if kind is Kind.PROBLEM_SOLVED:
        return msgspec.structs.replace(made, opened_at=made.occurred_at - timedelta(days=lasts))
    if kind is Kind.REGISTERED:
        return msgspec.structs.replace(made, detail=PartyKind.ORGANISATION if lasts % 2 else PartyKind.PERSON)
    return msgspec.structs.replace(made, rating=amount % 3 - 1) if kind is Kind.CONTACTED else made


SET = [
    (Field.STAGE, Stage.CUSTOMER), (Field.STAGE, Stage.LOST_CUSTOMER), (Field.TIER, Tier.TOP), (Field.STAGE, ""),
    (Field.SATISFACTION, Band.LOW), (Field.LOYALTY, Band.HIGH), (Field.POSTURE, Posture.STEADY),
    (Field.POTENTIAL, Grade.A), (Field.POTENTIAL, ""), (Field.TREATMENT, "care"),
    (Field.VIP, "true"), (Field.VIP, "false"), (Field.VIP, ""), (Field.TIER, ""),
    (Field.LEVEL, "small"), (Field.LOSS_REASON, LossReason.PRICE), (Field.LOSS_REASON, ""),
    (Field.HIGH_VALUE, "true"), (Field.RETURNING, "false"), (Field.SATISFIED, "true"), (Field.PROFIT_MAKING, "false"),
    (Field.VALUE_MINOR, "260"), (Field.VALUE_MINOR, "0"), (Field.VALUE_MINOR, ""), (Field.TURNOVER_MINOR, "300"),
    (Field.P, "0.5"), (Field.SATISFACTION_INDEX, "70.0"), (Field.LOYALTY_INDEX, "20.0"), (Field.LOYALTY_INDEX, ""),
]  # fmt: skip
HISTORY = st.lists(
    st.builds(
        _some_fact,
        st.integers(0, 30) | st.integers(0, 60) | st.integers(0, 900),
        st.sampled_from(
            [*(kind for kind in Kind if kind not in DERIVED), *[Kind.PURCHASE] * 4, Kind.DECLINED, *[Kind.INQUIRED] * 4]
        ),
        st.integers(0, 300),
        st.sampled_from(["EUR", "EUR", "USD", "JPY"]),
        st.integers(1, 2),
        st.sampled_from(LossReason),
        st.sampled_from(SET),
        st.integers(0, 20),
    ),
    max_size=14,
)
UNSOLD = HISTORY.map(lambda facts: [fact for fact in facts if fact.kind is not Kind.PURCHASE])
SHORT = Policy(
    name="short",
    persons=Stages(
        customers=ByDays(dormant_after_days=5, lost_after_days=12),
        prospects=Interest(active_days=3, lost_after_days=8),
    ),
    turnover_days=9,
    cuts=Cuts(top=400, high=250, mid=100),
)
FAST = Ruling(policy=SHORT, cuts=SHORT.cuts, rates=Rates("EUR", RATES), zone=ZoneInfo("Asia/Taipei"))
RICH = Policy(
    name="rich",
    horizon_days=40,
    persons=Stages(
        customers=ByProbability(fresh_days=4, dormant_below=0.3, lost_below=0.1),
        prospects=Interest(active_days=3, lost_after_days=8),
    ),
    organisations=Stages(customers=ByDays(dormant_after_days=7, lost_after_days=40)),
    turnover_days=30,
    cuts=Cuts(top=400, high=250, mid=100),
    levels=(Level(name="large", from_minor=300), Level(name="small", from_minor=1)),
    satisfaction=SATISFACTION.model_copy(update={"half_life_days": 20, "min_evidence": 0.4}),
    loyalty=LOYALTY.model_copy(update={"half_life_days": 40, "min_evidence": 0.2, "low_below": 51.0}),
    posture=Trend(window_days=11),
    profit=Profit(margin=0.3, cost_minor={"complained": 30, "reached": 20}),
    vip=AnyOf(
        any=(
            Comparison(field="value_minor", op="eq", value=55),
            Comparison(field="spend_minor", op="gte", value=500),
            All(
                all=(
                    Comparison(field="turnover_minor", op="gte", value=150),
                    Comparison(field="satisfaction", op="in", value=("high", "unknown")),
                )
            ),
        )
    ),
)
GRADED = Ruling(RICH, RICH.cuts, Rates("EUR", RATES), ZoneInfo("America/Sao_Paulo"), MODEL)


@given(HISTORY, st.randoms())
def test_order_and_batches_do_not_matter(facts: list[Fact], random: Random) -> None:
    shuffled = random.sample(facts, len(facts))
    cut = random.randint(0, len(facts))

    assert total([fold(shuffled[:cut], FAST.zone), fold(shuffled[cut:], FAST.zone)]) == fold(facts, FAST.zone)


@given(HISTORY, HISTORY)
def test_a_withdrawn_fact_leaves_no_trace(kept: list[Fact], withdrawn: list[Fact]) -> None:
    everything = fold(kept + withdrawn, FAST.zone)

    assert everything - fold(withdrawn, FAST.zone) == fold(kept, FAST.zone)


@given(HISTORY)
def test_what_is_packed_comes_back(facts: list[Fact]) -> None:
    whole = fold(facts, FAST.zone)

    assert unpack(pack(whole)) == whole
    assert unpack_each([[], [*pack(whole).values()], []]) == [Calendar(), whole, Calendar()]


@given(HISTORY, st.integers(0, 900))
def test_holders_share_a_calendar_without_rest(facts: list[Fact], day: int) -> None:
    whole = fold(facts, FAST.zone)
    handed_over = date(2024, 1, 1) + timedelta(days=day)

    first, second = shares([(UUID(int=1), None), (UUID(int=2), handed_over)])

    assert whole.between(first.start, first.until) + whole.between(second.start, second.until) == whole


def discrete(of: Standing) -> dict[str, object]:
    """What the next change is about."""
    return {
        name: getattr(of, name)
        for name in (
            "stage", "tier", "satisfaction_band", "loyalty_band", "level", "posture", "treatment", "flags", "vip",
            "potential", "loss_reason",
        )
    }  # fmt: skip


@pytest.mark.parametrize("ruling", [FAST, GRADED], ids=["days", "probability"])
@settings(deadline=None, max_examples=60)
@given(HISTORY | UNSOLD)
def test_the_next_change_of_each_day_is_the_first_day_that_differs(ruling: Ruling, facts: list[Fact]) -> None:
    history = History(fold(facts, ruling.zone), ruling)
    first = date(2023, 12, 28).toordinal()
    turn = history.next_turn(first)

    def graded(day: int) -> tuple[object, ...]:
        return history.grades(day), history.loss_reason(day)

    for day in range(first, first + 1_000):
        if turn is not None and day >= turn:
            assert day == turn
            assert graded(day) != graded(day - 1) or history.renumbered(day)
            turn = history.next_turn(day)
        elif day > first:
            assert graded(day) == graded(day - 1)
            assert history.renumbered(day) == []


@pytest.mark.parametrize("ruling", [FAST, GRADED], ids=["days", "probability"])
@settings(deadline=None, max_examples=40)
@given(HISTORY | UNSOLD)
def test_assessing_day_by_day_goes_through_the_trajectory(ruling: Ruling, facts: list[Fact]) -> None:
    whole = fold(facts, ruling.zone)
    history, start = History(whole, ruling), datetime(2024, 1, 1, 4, tzinfo=UTC)
    by_day: dict[date, list[Move]] = {}
    for move in trajectory(whole, start + timedelta(days=950), ruling):
        by_day.setdefault(move.day, []).append(move)
    before = assess(Calendar(), start, ruling)

    for day in range(951):
        at = start + timedelta(days=day)
        now = assess(whole, at, ruling)
        moves = by_day.get(at.astimezone(ruling.zone).date())
        if day and (discrete(now) != discrete(before) or history.renumbered(ruling.day(at))):
            assert before.next_change_at == start_of_day(ruling.day(at), ruling.zone)
        elif day:
            assert before.next_change_at == now.next_change_at
        if moves is None:
            assert (now.stage, now.tier) == (before.stage, before.tier)
        else:
            for one, other in pairwise(moves):
                assert (one.to_stage, one.to_tier) == (other.from_stage, other.from_tier)
            assert (moves[0].from_stage, moves[0].from_tier) == (before.stage, before.tier)
            last, day_of = moves[-1], ruling.day(at)
            assert (last.to_stage, last.to_tier) == (now.stage, now.tier)
            by_hand = any(fact.kind is Kind.OVERRIDDEN and ruling.day(fact.occurred_at) == day_of for fact in facts)
            if last.cause is Cause.OVERRIDE or (last.cause is Cause.FACT and not by_hand):
                # What the clock does is told as of midnight, before the facts of the day, and what these do before what
                # is set on it.
                assert (last.value_minor, last.loss_reason) == (now.value_minor, now.loss_reason)
            causes = [move.cause for move in moves]
            assert causes == [cause for cause in (Cause.CLOCK, Cause.FACT, Cause.OVERRIDE) if cause in causes]
            # Who turns out to be an organisation is judged by other stages, which is nobody's doing either.
            revised = {move.cause for move in moves if move.kind is MoveKind.REVISED}
            registered = any(fact.kind is Kind.REGISTERED for fact in facts)
            assert registered or revised == {Cause.OVERRIDE} & set(causes)
            assert all(move.kind is MoveKind.REVISED for move in moves if move.cause is Cause.OVERRIDE)
            if day and now.stage is not before.stage:
                assert before.next_stage is now.stage
                assert before.next_stage_at == start_of_day(moves[0].day.toordinal(), ruling.zone)
                assert now.since == moves[0].day
        before = now
