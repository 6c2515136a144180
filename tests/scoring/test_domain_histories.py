from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from random import Random
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contracts.customers import PartyKind
from contracts.leads import Grade
from contracts.loss import LossReason
from contracts.scoring import Band, Cause, MoveKind, Posture, Stage, Tier
from services.scoring.domain.calendar import Calendar, fold, pack, shares, total, unpack, unpack_each
from services.scoring.domain.days import start_of_day
from services.scoring.domain.facts import DERIVED, Fact, Kind
from services.scoring.domain.history import History
from services.scoring.domain.indexes import LOYALTY, SATISFACTION
from services.scoring.domain.money import Rates
from services.scoring.domain.overrides import Field
from services.scoring.domain.policy import Level, Policy, Profit, Trend
from services.scoring.domain.rules import All, AnyOf, Comparison
from services.scoring.domain.ruling import Ruling
from services.scoring.domain.stages import ByDays, ByProbability, Interest, Stages
from services.scoring.domain.standing import Standing, assess
from services.scoring.domain.tiers import Cuts
from services.scoring.domain.trajectory import Move, trajectory
from tests.scoring.handmade import MODEL
from tests.scoring.test_domain_standing import RATES, fact, overridden


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
ONLY_KNOWN = _some_fact(0, Kind.REGISTERED, 0, "EUR", 1, LossReason.PRICE, SET[0], 0)
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
    """What the next change is about, but for the numbers that are set by hand."""
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
@example([ONLY_KNOWN, overridden("2024-01-01", Field.VALUE_MINOR, "260", "2024-01-02")])
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
