"""Both implementations say the same of histories, policies and models that chance makes."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.customers import PartyKind
from contracts.leads import Grade
from contracts.loss import LossReason
from contracts.scoring import Band, Posture, Stage, Tier
from services.scoring.domain.calendar import fold
from services.scoring.domain.facts import CART, DECLARATIONS, DERIVED, MONEY, SURVEY, Fact, Kind
from services.scoring.domain.indexes import Evidence, Index
from services.scoring.domain.model import Model
from services.scoring.domain.money import Rates
from services.scoring.domain.plain import plain_entries, plain_standing
from services.scoring.domain.policy import Level, Policy, Profit, Treatment, Trend
from services.scoring.domain.presets import PRESETS
from services.scoring.domain.rules import All, AnyOf, Comparison, Not, Rule
from services.scoring.domain.ruling import Ruling
from services.scoring.domain.stages import INTEREST, ByDays, ByProbability, Interest, Stages
from services.scoring.domain.standing import Standing, assess
from services.scoring.domain.tiers import Cuts
from services.scoring.domain.together import assess_together

RATES = [
    (date(2024, 1, 10), "USD", Decimal("0.85")),
    (date(2024, 2, 10), "USD", Decimal("0.9215")),
    (date(2024, 2, 10), "USD", Decimal("0.93")),
    (date(2023, 1, 1), "JPY", Decimal("0.0061")),
]
"""None for CHF, and none for USD before some of the days."""
ZONES = [ZoneInfo(name) for name in ("UTC", "Asia/Taipei", "America/Sao_Paulo", "Pacific/Apia")]
SET = {
    "stage": [*Stage],
    "tier": [*Tier],
    "satisfaction": [*Band],
    "loyalty": [*Band],
    "posture": [*Posture],
    "potential": [*Grade],
    "treatment": ["care", "recover", "by-hand"],
    "vip": ["true", "false"],
    "value_minor": ["-100", "0", "30000", "80000"],
    "turnover_minor": ["-100", "0", "400", "50000"],
    "p": ["0.0", "0.25", "1.0"],
    "satisfaction_index": ["0.0", "12.5", "50.0", "97.3"],
    "loyalty_index": ["0.0", "12.5", "50.0", "97.3"],
}
"""What may be set by hand."""


def some_facts(random: Random, number: int, days: int) -> list[Fact]:
    """So many, on some of so many days; of what comes together in life more than chance alone would bring."""
    likely = [Kind.PURCHASE] * 12 + [Kind.RETURN] * 2 + [Kind.INQUIRED] * 4 + [Kind.REACHED] * 3 + [Kind.OVERRIDDEN] * 3
    kinds = [*(kind for kind in Kind if kind not in DERIVED), *likely]
    facts = [_fact(random, random.choice(kinds), _instant(random, days), days) for _ in range(number)]
    return [_naming(random, fact, facts) if "||" in fact.detail else fact for fact in facts]


def _naming(random: Random, end: Fact, facts: Sequence[Fact]) -> Fact:
    """The end of overrides, which may name what it ends."""
    set_at = [fact.occurred_at for fact in facts if fact.kind is Kind.OVERRIDDEN and fact.occurred_at < end.occurred_at]
    named = [at.isoformat(timespec="microseconds") for at in set_at if random.random() < 0.5]
    at, said = end.detail.split("|", 1)
    return msgspec.structs.replace(end, detail=f"{' '.join([at, *named])}|{said}")


def _instant(random: Random, days: int) -> datetime:
    # Some days more often than others, so that things meet on one day and at limits.
    day = random.choice([random.randrange(days), random.randrange(days) // 7 * 7, random.randrange(1 + days // 10)])
    return datetime(2023, 11, 20, tzinfo=UTC) + timedelta(days=day, seconds=random.randrange(86_400))


def _fact(random: Random, kind: Kind, at: datetime, days: int) -> Fact:
    amount, detail, opened, rating = 0, "", None, 0
    if kind in MONEY:
        amount = random.choice([0, 1, random.randrange(300), random.randrange(60_000)])
        detail = random.choice(["EUR", "EUR", "EUR", "USD", "JPY", "CHF"])
    elif kind in DECLARATIONS:
        detail = random.choice([*LossReason]).value
    elif kind is Kind.REGISTERED:
        detail = random.choice(["", *PartyKind])
    elif kind is Kind.INQUIRED:
        detail = CART if at.second % 3 == 0 else ""
    elif kind is Kind.REACHED:
        detail = SURVEY if at.second % 3 == 0 else ""
    elif kind is Kind.PROBLEM_SOLVED:
        opened = random.choice([at - timedelta(days=random.randrange(12)), _instant(random, days), None])
    elif kind is Kind.LEAD_GRADED:
        detail = random.choice([*Grade])
    elif kind is Kind.OVERRIDDEN:
        field = random.choice([*SET])
        value = random.choice(["", *SET[field], *SET[field]])
        until = (
            (at + timedelta(days=random.randrange(-3, 90))).date().isoformat()
            if value and random.random() < 0.6
            else ""
        )
        detail = f"{at.isoformat(timespec='microseconds')}|{field}|{value}|{until}"
    if kind in (Kind.CONTACTED, Kind.REACHED, Kind.INQUIRED, Kind.COMPLAINED):
        rating = random.choice([0, 0, 1, -1])
    return Fact(uuid4(), UUID(int=random.randrange(1, 3)), kind, at, at, amount, detail, None, opened, rating)


def some_policy(random: Random) -> Policy:
    """Any that there may be, with days short enough for something to happen."""
    top, high, mid = sorted((random.randrange(-100, 90_000) for _ in range(3)), reverse=True)
    if random.random() < 0.2:
        return random.choice([*PRESETS.values()])
    return Policy(
        name="by-chance",
        horizon_days=random.choice([1, 30, 180, 400]),
        persons=_stages(random),
        organisations=random.choice([None, _stages(random)]),
        turnover_days=random.choice([1, 9, 60, 365]),
        cuts=Cuts(top=top, high=high, mid=mid),
        levels=tuple(
            Level(name=f"level-{amount}", from_minor=amount)
            for amount in sorted({random.randrange(-500, 50_000) for _ in range(3)}, reverse=True)
        ),
        satisfaction=_index(random),
        loyalty=_index(random),
        problem_limit_days=random.choice([0, 3, 7]),
        answer_within_days=random.choice([0, 2, 5]),
        posture=Trend(
            window_days=random.choice([1, 10, 45]),
            developing_from=random.choice([1.0, 1.25, 2.0]),
            conservative_below=random.choice([0.0, 0.5, 0.75, 1.0]),
        ),
        profit=Profit(
            margin=random.choice([0.0, 0.1, 0.3, 1.0]),
            cost_minor={kind.code: random.randrange(500) for kind in random.sample([*Kind], 3)},
        ),
        vip=random.choice([None, _rule(random, 3), _rule(random, 3)]),
        treatments=(
            *(
                Treatment(
                    tier=tuple(random.sample([*Tier], random.randrange(3))),
                    satisfaction=tuple(random.sample([*Band], random.randrange(3))),
                    loyalty=tuple(random.sample([*Band], random.randrange(3))),
                    treatment=f"row-{row}",
                )
                for row in range(4)
            ),
            Treatment(treatment="rest"),
        ),
    )


def _stages(random: Random) -> Stages:
    dormant, active = random.choice([0, 3, 30, 90]), random.choice([0, 3, 30])
    days = ByDays(dormant_after_days=dormant, lost_after_days=dormant + random.choice([1, 20, 200]))
    lost_below, dormant_below = sorted(random.choice([0.0, 0.05, 0.2, 0.5, 1.0, random.random()]) for _ in range(2))
    chance = ByProbability(
        fresh_days=random.choice([0, 5, 30]), dormant_below=dormant_below, lost_below=lost_below, without_model=days
    )
    signs = random.choice([INTEREST, ("inquired",), ("registered", "visited"), ("overridden", "problem_solved")])
    return Stages(
        customers=random.choice([days, chance, chance]),
        prospects=Interest(active_days=active, lost_after_days=active + random.choice([1, 40]), signs=signs),
    )


def _index(random: Random) -> Index:
    low = random.choice([10.0, 40.0, 49.9, 50.0, 55.0])
    return Index(
        weights={
            what: random.choice([0.0, 0.5, -0.5, random.uniform(-10, 10)])
            for what in random.sample([*Evidence], random.randrange(len(Evidence)))
        },
        half_life_days=random.choice([1, 7, 30, 180]),
        min_evidence=random.choice([0.0, 0.0004, 0.5, 1.0, 3.0]),
        low_below=low,
        high_from=low + random.choice([0.1, 5.0, 20.0]),
    )


def _rule(random: Random, depth: int) -> Rule:
    if depth and random.random() < 0.7:
        parts = tuple(_rule(random, depth - 1) for _ in range(random.randrange(1, 4)))
        trees: list[Rule] = [All(all=parts), AnyOf(any=parts), Not.model_validate({"not": parts[0]})]
        return random.choice(trees)
    field = random.choice(["kind", "stage", "tier", "satisfaction", "loyalty", "posture", *["number"] * 4])
    if field == "number":
        number = random.choice(["turnover_minor", "value_minor", "value_minor", "spend_minor", "purchase_days"])
        least = random.randrange(4) if number == "purchase_days" else random.choice([0, random.randrange(20_000)])
        return Comparison(field=number, op=random.choice(["eq", "gte", "lt"]), value=least)
    codes = [*(PartyKind if field == "kind" else SET[field])]
    if random.random() < 0.5:
        return Comparison(field=field, op="eq", value=random.choice(codes))
    return Comparison(field=field, op="in", value=tuple(random.sample(codes, 2)))


def some_model(random: Random) -> Model | None:
    """None, one as populations have them, or one of those in which nobody ever leaves, or everybody."""
    if random.random() < 0.2:
        return None
    r, alpha, a, b = random.choice([
        (0.2425945, 4.4136, 0.79292, 2.42588),
        (random.uniform(0.05, 3), random.uniform(1, 30), random.uniform(0.01, 5), random.uniform(0.1, 20)),
        (0.8, 6.0, 1e-9, 1.0),
        (1.5, 3.0, 1.0, 1e3),
        (0.6, 2.5, 30.0, 1e-3),
        (1e-6, 10.0, 0.5, 0.5),
    ])  # fmt: skip
    p, q, v = random.choice([(6.25, 3.74, 1_544.0), (2.0, 0.8, 400.0), (0.5, 1.0001, 9_000.0), (None, None, None)])
    return Model(
        as_of=date(2024, 1, 1), parties=10, repeaters=5, r=r, alpha=alpha, a=a, b=b, p=p, q=q, v=v,
        mean_minor=random.choice([0.0, 3_456.7]), currency="EUR", log_likelihood=-1.0,
    )  # fmt: skip


def test_both_keep_the_same_calendar() -> None:
    for seed in range(50):
        facts, zone = some_facts(Random(seed), 30, 200), ZONES[seed % len(ZONES)]

        kept = {(date.fromordinal(day), kind, detail): sums for day, kind, detail, *sums in fold(facts, zone).entries}

        assert {key: tuple(sums) for key, sums in kept.items()} == plain_entries(facts, zone)


def both(facts: Sequence[Fact], at: datetime, random: Random) -> tuple[Standing, Standing]:
    """What both say under a policy and a model that chance makes."""
    policy, model, zone = some_policy(random), some_model(random), random.choice(ZONES)
    currency = random.choice(["EUR", "EUR", "JPY", None])
    rates = RATES if currency == "EUR" else []
    ruling = Ruling(policy=policy, cuts=policy.cuts, rates=Rates(currency, rates), zone=zone, model=model)
    plain = plain_standing(
        facts, at, policy, policy.cuts, model=model, currency=currency, rates=rates, zone=zone
    )  # fmt: skip
    return assess(fold(facts, zone), at, ruling), plain


def disagreements(facts: Sequence[Fact], at: datetime, random: Random) -> dict[str, tuple[object, object]]:
    """What both say of the fields in which they differ."""
    first, second = map(msgspec.structs.asdict, both(facts, at, random))
    return {field: (first[field], second[field]) for field in first if first[field] != second[field]}


def some_history(random: Random) -> list[Fact]:
    return some_facts(random, random.choice([1, 2, 4, 10, 30]), random.choice([20, 120, 900]))


@pytest.mark.parametrize("seed", range(150))
def test_both_say_the_same_on_many_days(seed: int) -> None:
    random = Random(seed)
    facts, number = some_history(random), random.randrange(10**9)

    for day in {*random.sample(range(-2, 1_000), 6), *random.sample(range(100), 3)}:
        at = datetime(2023, 11, 20, random.randrange(24), tzinfo=UTC) + timedelta(days=day)
        assert disagreements(facts, at, Random(number)) == {}, (day, number)


HISTORY = st.lists(
    st.builds(
        lambda kind, day, number: _fact(Random(number), kind, _noon(day), 100),
        st.sampled_from([kind for kind in Kind if kind not in DERIVED] + [Kind.PURCHASE] * 5),
        st.integers(0, 20) | st.integers(0, 800),
        st.integers(0, 1_000),
    ),
    max_size=12,
)


def _noon(day: int) -> datetime:
    return datetime(2023, 11, 20, 12, tzinfo=UTC) + timedelta(days=day)


@settings(deadline=None, max_examples=150)
@given(HISTORY, st.integers(-1, 60) | st.integers(0, 1_200), st.integers(0, 10**6))
def test_both_say_the_same_of_any_history_on_any_day(facts: list[Fact], day: int, number: int) -> None:
    assert disagreements(facts, _noon(day), Random(number)) == {}


FAITHFUL = Model(
    as_of=date(2024, 1, 1), parties=10, repeaters=5, r=0.8, alpha=6.0, a=1e-9, b=1.0, p=6.25, q=3.74, v=1_544.0,
    currency="EUR", log_likelihood=-1.0,
)  # fmt: skip
"""Nobody ever leaves, so that what a party is worth falls and falls."""


def bought(day: int, amount_minor: int) -> Fact:
    at = datetime(1900, 1, 1, 12, tzinfo=UTC) + timedelta(days=day)
    return Fact(uuid4(), UUID(int=1), Kind.PURCHASE, at, at, amount_minor, "EUR")


@pytest.mark.parametrize("falls_in", [20_000, 36_400, 36_500, 36_501, 36_700])
@pytest.mark.parametrize("silent", [2_000, 12_000, 36_499, 36_500, 36_501, 36_699, 36_700, 40_000])
def test_both_say_the_same_of_whoever_is_silent_for_decades(silent: int, falls_in: int) -> None:
    facts = [bought(0, 10**9), bought(100, 10**9)]
    worth = FAITHFUL.value_minor(1, 100, 100 + falls_in - 1, 2, 2 * 10**9, 365)
    p = FAITHFUL.p_buys(1, 100, 100 + falls_in - 1, 180)
    customers = ByProbability(dormant_below=p, lost_below=0)
    policy = Policy(name="long", persons=Stages(customers=customers), cuts=Cuts(top=worth, high=1, mid=0))
    ruling = Ruling(policy, policy.cuts, Rates("EUR"), ZONES[0], FAITHFUL)
    at = facts[1].occurred_at + timedelta(days=silent)

    said = assess(fold(facts, ZONES[0]), at, ruling)

    assert said == plain_standing(
        facts, at, policy, policy.cuts, model=FAITHFUL, currency="EUR", rates=[], zone=ZONES[0]
    )
    assert said == assess_together([(fold(facts, ZONES[0]), at)] * 20, ruling)[-1]
    fallen = falls_in <= min(silent, 36_500)
    assert said.tier is (Tier.HIGH if fallen else Tier.TOP)
    if not fallen:
        falls = facts[1].occurred_at.date() + timedelta(days=falls_in)
        changes = None if said.next_change_at is None else said.next_change_at.date()
        assert (changes == falls) is (falls_in <= 36_500)


def test_chance_leads_everywhere() -> None:
    """What is compared above is not always the same."""
    said = []
    for seed in range(400):
        random = Random(seed)
        said.append(
            both(some_history(random), _noon(random.choice([random.randrange(1_000), random.randrange(60)])), random)[1]
        )

    assert {standing.stage for standing in said} == {*Stage, None}
    assert {standing.tier for standing in said} == {*Tier, None}
    assert {standing.satisfaction_band for standing in said} == {*Band, None}
    assert {standing.loyalty_band for standing in said} == {*Band, None}
    assert {standing.posture for standing in said} == {*Posture, None}
    assert {standing.potential for standing in said} == {*Grade, None}
    assert {flag for standing in said for flag in standing.flags} == {
        "high_value", "profit_making", "returning", "satisfied",
    }  # fmt: skip
    assert {standing.vip for standing in said} == {True, False}
    assert {field for standing in said for field in standing.derived} == {*SET}
    assert {standing.next_stage for standing in said} >= {*Stage} - {Stage.STRANGER}
    for name in ("p", "level", "next_change_at", "next_stage_at", "loss_reason"):
        assert {getattr(standing, name) is None for standing in said} == {True, False}
