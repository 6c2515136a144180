import json
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from contracts.scoring import Cause, MoveKind, Stage, Tier
from services.scoring.domain.calendar import Calendar, fold
from services.scoring.domain.digest import Digest, line
from services.scoring.domain.facts import DECLARATIONS, MONEY, Fact, Kind
from services.scoring.domain.history import History
from services.scoring.domain.money import Rates
from services.scoring.domain.plain import counting, held, plain_entries
from services.scoring.domain.policy import Policy
from services.scoring.domain.presets import DAYS_1
from services.scoring.domain.ruling import Ruling
from services.scoring.domain.stages import ByDays, Stages
from services.scoring.domain.standing import assess
from services.scoring.domain.tiers import Cuts
from services.scoring.domain.trajectory import Activation, moves, stage_moves, trajectory
from tests.scoring.test_domain_plain_agrees import some_policy
from tests.scoring.test_domain_together import some_parties, some_ruling

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


def test_a_day_begins_with_the_clock_so_that_a_purchase_on_the_day_of_the_loss_wins_back() -> None:
    first = date(2026, 1, 1)
    lost_on = first + timedelta(days=366)
    both = calendar(fact(1, str(first)), fact(2, str(lost_on)))

    *_, lost, won_back = trajectory(both, noon("2027-02-01"), RULING)

    assert (lost.day, lost.kind, lost.cause, lost.from_stage) == (
        lost_on, MoveKind.LOST, Cause.CLOCK, Stage.DORMANT_CUSTOMER,
    )  # fmt: skip
    assert (won_back.day, won_back.kind, won_back.cause) == (lost_on, MoveKind.WON_BACK, Cause.FACT)
    assert assess(both, noon("2027-02-01"), RULING).since == lost_on


@pytest.mark.parametrize("seed", range(12))
def test_moves_to_another_stage_are_the_same_where_no_other_day_is_valued(seed: int) -> None:
    random = Random(seed)
    ruling = some_ruling(random, some_policy(random))
    found = 0
    for told, at in some_parties(random, ruling, all_kinds=True):
        history, until = History(told, ruling), ruling.day(at)
        for after in (None, until - random.randint(1, 400)):
            staged = [each for each in moves(history, after, until) if each.from_stage is not each.to_stage]
            quickly = [each for each in stage_moves(history, after, until) if each.from_stage is not each.to_stage]
            assert quickly == staged
            found += len(staged)
    assert found > 20


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
        *("customer", "low", None, "serve", "middle", "high", "small", "developing"),
        *(["profit_making", "returning"], False, 1, 10, 59, 1_500, 1_500, 1_500, "EUR"),
        *("2026-01-01", "2026-04-01", DAYS_1.content_hash, None),
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
