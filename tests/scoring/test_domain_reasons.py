import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from contracts.loss import LossReason
from contracts.scoring import Cause, MoveKind, Stage, Tier
from services.scoring.domain.calendar import Calendar, fold
from services.scoring.domain.digest import Digest, line
from services.scoring.domain.facts import DECLARATIONS, MONEY, Fact, Kind
from services.scoring.domain.money import Rates
from services.scoring.domain.otherwise import with_fact, without_facts
from services.scoring.domain.plain import counting, held, plain_entries
from services.scoring.domain.policy import ByDays, Policy, Stages
from services.scoring.domain.presets import DAYS_1
from services.scoring.domain.reasons import Reason, reason
from services.scoring.domain.ruling import Ruling
from services.scoring.domain.standing import assess
from services.scoring.domain.tiers import Cuts
from services.scoring.domain.trajectory import Activation, trajectory

UTC_ZONE = ZoneInfo("UTC")
RULING = Ruling(policy=DAYS_1, cuts=DAYS_1.cuts, rates=Rates("EUR"), zone=UTC_ZONE)
HASTY = Policy(
    name="hasty",
    persons=Stages(customers=ByDays(dormant_after_days=10, lost_after_days=20)),
    cuts=Cuts(top=100_000, high=30_000, mid=10_000),
)


def noon(day: str) -> datetime:
    return datetime.fromisoformat(day + "T12:00:00+00:00")


def fact(number: int, day: str, kind: Kind = Kind.PURCHASE, amount_minor: int = 1_000, reason: str = "price") -> Fact:
    said = (amount_minor, "EUR") if kind in MONEY else (0, reason if kind in DECLARATIONS else "")
    return Fact(UUID(int=number), UUID(int=1), kind, noon(day), noon(day), *said)


def calendar(*facts: Fact) -> Calendar:
    return fold(facts, UTC_ZONE)


def random_calendar(random: Random) -> Calendar:
    days = [date(2024, 1, 1) + timedelta(days=random.randrange(900)) for _ in range(random.randint(1, 12))]
    bought = random.choice([0, 3, 30])
    kinds = random.choices([Kind.PURCHASE, Kind.RETURN, *Kind], [bought, 1, *[0.2] * len(Kind)], k=len(days))
    return calendar(
        *(
            fact(n, str(day), kind, random.randrange(60_000), random.choice(list(LossReason)))
            for n, (day, kind) in enumerate(zip(days, kinds, strict=True))
            if bought or kind is not Kind.PURCHASE
        )
    )


@pytest.mark.parametrize("seed", range(60))
def test_every_counterfactual_gives_what_it_says(seed: int) -> None:
    random = Random(seed)
    whole, at = random_calendar(random), datetime(2024, 1, 1, 12, tzinfo=UTC) + timedelta(days=random.randrange(1_200))

    for other in reason(whole, at, RULING).otherwise:
        changed = without_facts(whole, {Kind[code.upper()] for code in other.without_kinds}, other.without)
        if other.added is not None:
            currency = "EUR" if other.added_minor is not None else ""
            changed = with_fact(changed, RULING.day(at), Kind[other.added.upper()], currency, other.added_minor or 0)
        then = assess(changed, at, RULING)
        assert (then.stage, then.tier) == (other.stage, other.tier)
        stands = assess(whole, at, RULING)
        assert (then.stage, then.tier) != (stands.stage, stands.tier)


@pytest.mark.parametrize("seed", range(60))
def test_the_decision_can_be_redone_from_the_reason_and_the_facts(seed: int) -> None:
    random = Random(seed)
    whole, at = random_calendar(random), datetime(2024, 1, 1, 12, tzinfo=UTC) + timedelta(days=random.randrange(1_200))
    given, stands = reason(whole, at, RULING), assess(whole, at, RULING)

    assert stands.stage is decided_by_hand(given, known=stands.stage is not None)
    if given.last_purchase_day is None:
        return
    by_day = {day: 0 for day in given.value_days}
    for ordinal, kind, _, _, amount in whole.entries:
        if (day := date.fromordinal(ordinal)) in by_day and kind in MONEY:
            by_day[day] += amount if kind == Kind.PURCHASE else -amount
    assert sum(by_day.values()) == given.value_minor == stands.value_minor
    assert given.cuts.tier(given.value_minor) is stands.tier


def decided_by_hand(given: Reason, *, known: bool) -> Stage | None:
    """The stage, by nothing but what the reason says."""
    bought, sign, declared = given.last_purchase_day, given.last_sign_day, given.declared_day
    if given.rule == "declined_after_last_purchase":
        assert bought is not None
        return Stage.LOST_CUSTOMER
    if bought is not None:
        assert not (declared and declared > bought and "declined" in given.declared)
        limits = (given.lost_after_days, Stage.LOST_CUSTOMER), (given.dormant_after_days, Stage.DORMANT_CUSTOMER)
    elif declared and declared >= (sign or date.min):
        return Stage.LOST_PROSPECT
    elif sign is None:
        return Stage.STRANGER if known else None
    else:
        limits = (given.prospect_lost_after_days, Stage.LOST_PROSPECT), (given.active_days, Stage.DORMANT_PROSPECT)
    silent = given.silent_days or 0
    return next((stage for limit, stage in limits if silent > limit), Stage.CUSTOMER if bought else Stage.PROSPECT)


def test_taking_away_what_keeps_the_stage_takes_the_stage() -> None:
    bought = calendar(fact(1, "2025-01-01"), fact(2, "2026-01-01"), fact(3, "2026-02-01"))

    without = reason(bought, noon("2026-02-10"), RULING).otherwise[0]

    assert without.without == (date(2026, 1, 1), date(2026, 2, 1))
    assert without.stage is Stage.LOST_CUSTOMER


def test_taking_away_the_signs_takes_the_interest_and_one_more_revives() -> None:
    asked = calendar(fact(1, "2025-01-01", Kind.VISITED), fact(2, "2026-01-01", Kind.INQUIRED))

    without, asking, buying = reason(asked, noon("2026-03-10"), RULING).otherwise

    assert (without.without, without.stage) == ((date(2026, 1, 1),), Stage.STRANGER)
    assert (asking.added, asking.stage) == ("inquired", Stage.PROSPECT)
    assert (buying.added, buying.stage) == ("purchase", Stage.CUSTOMER)


def test_taking_away_the_declaration_takes_the_loss() -> None:
    gone = calendar(fact(1, "2026-01-01"), fact(2, "2026-01-20", Kind.DECLINED))

    without = reason(gone, noon("2026-02-10"), RULING).otherwise[0]

    assert (without.without, without.without_kinds) == ((date(2026, 1, 20),), ("declined",))
    assert without.stage is Stage.CUSTOMER


@pytest.mark.parametrize(
    "facts",
    [
        [fact(1, "2025-08-01", Kind.INQUIRED), fact(2, "2025-08-05", Kind.LEAD_LOST)],
        [fact(1, "2025-01-01"), fact(2, "2025-01-20", Kind.DECLINED)],
    ],
)
def test_a_declaration_that_silence_has_overtaken_is_not_what_keeps_the_loss(facts: list[Fact]) -> None:
    lost = calendar(*facts)

    early, late = (reason(lost, noon(day), RULING) for day in ("2025-09-01", "2026-03-01"))

    assert early.otherwise[0].without == (facts[1].occurred_at.date(),)
    assert [other.without for other in late.otherwise] == [()] * len(late.otherwise)
    assert "would do alone" in late.sentence
    assert "would do alone" not in early.sentence


def test_what_would_change_nothing_is_not_told() -> None:
    top = calendar(fact(1, "2026-02-01", amount_minor=DAYS_1.cuts.top + 1))

    assert [other.added for other in reason(top, noon("2026-02-10"), RULING).otherwise] == [None]


@pytest.mark.parametrize(
    ("facts", "rule", "sentence"),
    [
        (
            [fact(1, "2026-01-01", Kind.JOINED)],
            "known_without_interest",
            "Known, but without a purchase or a sign of interest that counts: stranger.",
        ),
        (
            [fact(1, "2026-02-01", Kind.INQUIRED)],
            "silent_days_within_active_days",
            "Last showed interest on 2026-02-01, 28 days ago (dormant after 30, lost after 180): prospect. "
            "If nothing else happens: dormant prospect, tier unproven from 2026-03-04 on.",
        ),
        (
            [fact(1, "2026-02-01", Kind.INQUIRED), fact(2, "2026-02-03", Kind.LEAD_LOST, reason="no_budget")],
            "declared_lost_since_last_sign",
            "Last showed interest on 2026-02-01, and was declared lost on 2026-02-03: lost prospect, reason no budget.",
        ),
        (
            [fact(1, "2026-02-01", Kind.LEAD_DISQUALIFIED, reason="not_a_customer")],
            "declared_lost_since_last_sign",
            "Showed no interest, and was declared lost on 2026-02-01: lost prospect, reason not a customer.",
        ),
        (
            [fact(1, "2025-08-01", Kind.INQUIRED), fact(2, "2025-08-03", Kind.LEAD_LOST, reason="no_budget")],
            "declared_lost_since_last_sign",
            "Last showed interest on 2025-08-01, and was declared lost on 2025-08-03 "
            "(212 days of silence would do alone, lost after 180): lost prospect, reason no budget.",
        ),
        (
            [fact(1, "2025-08-01", Kind.POSTED)],
            "silent_days_over_prospect_lost_after_days",
            "Last showed interest on 2025-08-01, 212 days ago (dormant after 30, lost after 180): lost prospect, "
            "reason unknown.",
        ),
        (
            [fact(1, "2026-02-01"), fact(2, "2026-02-09", Kind.DECLINED, reason="service")],
            "declined_after_last_purchase",
            "Last bought on 2026-02-01, and declined on 2026-02-09: lost customer, reason service. "
            "Net turnover of the last 365 days is 10.00 EUR: tier low.",
        ),
    ],
)
def test_every_rule_has_its_sentence(facts: list[Fact], rule: str, sentence: str) -> None:
    given = reason(calendar(*facts), noon("2026-03-01"), RULING)

    assert (given.rule, given.sentence) == (rule, sentence)


def test_a_reason_reads_as_a_sentence() -> None:
    given = reason(calendar(fact(1, "2026-01-01", amount_minor=12_050)), noon("2026-03-01"), RULING)

    assert given.sentence == (
        "Last bought on 2026-01-01, 59 days ago (dormant after 90, lost after 365): customer. "
        "Net turnover of the last 365 days is 120.50 EUR: tier mid. "
        "If nothing else happens: dormant customer, tier mid from 2026-04-02 on."
    )


def test_a_return_on_the_day_of_fading_does_not_take_the_blame() -> None:
    both = calendar(fact(1, "2026-01-01", amount_minor=5_000), fact(2, "2026-04-02", Kind.RETURN, 100))

    faded = trajectory(both, noon("2026-05-01"), RULING)[-1]

    assert (faded.day, faded.kind, faded.cause) == (date(2026, 4, 2), MoveKind.FADED, Cause.CLOCK)


def test_clock_and_fact_of_one_day_are_told_apart() -> None:
    both = calendar(fact(1, "2026-01-01", amount_minor=15_000), fact(2, "2026-04-02", Kind.RETURN, 14_000))

    faded, retiered = trajectory(both, noon("2026-05-01"), RULING)[-2:]

    assert (faded.day, faded.kind, faded.cause) == (date(2026, 4, 2), MoveKind.FADED, Cause.CLOCK)
    assert (faded.to_tier, faded.value_minor) == (Tier.MID, 15_000)
    assert (retiered.day, retiered.kind, retiered.cause) == (date(2026, 4, 2), MoveKind.RETIERED, Cause.FACT)


def test_each_ruling_decides_from_its_activation_on() -> None:
    bought = calendar(fact(1, "2026-01-01", amount_minor=5_000))
    hasty = Activation(noon("2026-02-01"), Ruling(policy=HASTY, cuts=HASTY.cuts, rates=RULING.rates, zone=UTC_ZONE))
    back = Activation(noon("2026-02-10"), RULING)

    moves = trajectory(bought, noon("2026-12-31"), RULING, [hasty, back])

    assert [(str(move.day), move.cause, move.to_stage) for move in moves] == [
        ("2026-01-01", Cause.FACT, Stage.CUSTOMER),
        ("2026-02-01", Cause.POLICY, Stage.LOST_CUSTOMER),
        ("2026-02-10", Cause.POLICY, Stage.CUSTOMER),
        ("2026-04-02", Cause.CLOCK, Stage.DORMANT_CUSTOMER),
    ]
    assert [move.kind for move in moves[1:3]] == [MoveKind.REVISED, MoveKind.REVISED]


def test_an_activation_after_the_end_changes_nothing() -> None:
    bought = calendar(fact(1, "2026-01-01"))
    later = Activation(noon("2027-01-01"), Ruling(policy=HASTY, cuts=HASTY.cuts, rates=RULING.rates, zone=UTC_ZONE))

    assert trajectory(bought, noon("2026-06-01"), RULING, [later]) == trajectory(bought, noon("2026-06-01"), RULING)


def test_the_digest_line_holds_codes_integers_and_days_alone() -> None:
    at = noon("2026-03-01")
    stands = assess(calendar(fact(1, "2026-01-01"), fact(2, "2026-01-11", amount_minor=500)), at, RULING)

    told = line(stands, as_of=RULING.day(at), currency="EUR", policy=DAYS_1, zone=UTC_ZONE)

    assert json.loads(told) == [
        *("customer", "low", None, 1, 10, 59, 1_500, 1_500, "EUR", "2026-01-01", "2026-04-12", DAYS_1.content_hash)
    ]
    once, twice = Digest(), Digest()
    for digest in (once, twice, twice):
        digest.take(told)
    assert (once.parties, twice.parties) == (1, 2)
    assert once.hex != twice.hex


def test_facts_go_to_the_holder_of_their_day() -> None:
    facts = [fact(1, "2026-01-01"), fact(2, "2026-02-01"), fact(3, "2026-02-02")]
    first, second = UUID(int=7), UUID(int=8)
    holdings = {UUID(int=1): [(first, None), (second, date(2026, 2, 1))]}

    assert held(facts, holdings, first, UTC_ZONE) == facts[:1]
    assert held(facts, holdings, second, UTC_ZONE) == facts[1:]
    assert held(facts, {}, UUID(int=1), UTC_ZONE) == facts


def test_the_calendar_holds_what_the_facts_say() -> None:
    facts = [fact(1, "2024-02-29"), fact(2, "2024-02-29", amount_minor=0), fact(3, "2024-03-01", Kind.RETURN)]

    counted = counting([*facts, facts[0]], [(UUID(int=3), UUID(int=1))])

    stored = {(date.fromordinal(d), Kind(k), c): (n, a) for d, k, c, n, a in fold(counted, UTC_ZONE).entries}
    assert stored == plain_entries(counted, UTC_ZONE) == {(date(2024, 2, 29), Kind.PURCHASE, "EUR"): (2, 1_000)}


def test_rates_hold_from_their_day_and_a_later_row_puts_an_earlier_one_right() -> None:
    rates = Rates("EUR", [(date(2026, 1, 1), "USD", Decimal("0.5")), (date(2026, 1, 1), "USD", Decimal("0.8"))])

    assert rates.converted(1_000, "USD", date(2025, 12, 31).toordinal()) is None
    assert rates.converted(1_000, "USD", date(2026, 7, 1).toordinal()) == 800
    assert Tier.LOW is DAYS_1.cuts.tier(-5)
