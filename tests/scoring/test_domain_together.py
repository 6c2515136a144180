"""Many parties assessed at once stand as each of them does alone, whatever chance makes of them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.scoring.domain import together
from services.scoring.domain.calendar import Calendar, Entry, fold
from services.scoring.domain.facts import DECLARATIONS, Kind
from services.scoring.domain.indexes import Evidence, Index
from services.scoring.domain.model import Model
from services.scoring.domain.money import Rates
from services.scoring.domain.policy import Policy, Profit
from services.scoring.domain.presets import DEFAULT_1
from services.scoring.domain.ruling import Ruling
from services.scoring.domain.standing import Standing, assess
from services.scoring.domain.together import assess_together
from tests.scoring.test_domain_plain_agrees import FAITHFUL, RATES, ZONES, some_facts, some_model, some_policy

RARE = DECLARATIONS | {Kind.OVERRIDDEN, Kind.PROBLEM_OPENED}
BEGIN = datetime(2023, 11, 20, tzinfo=UTC)


def some_parties(random: Random, ruling: Ruling, *, all_kinds: bool) -> list[tuple[Calendar, datetime]]:
    days = random.choice([5, 60, 500, 2_000])
    seen = []
    for _ in range(40):
        facts = some_facts(random, random.choice([0, 1, 2, 5, 15, 40]), days)
        kept = [fact for fact in facts if all_kinds or fact.kind not in RARE]
        later = random.choice([-days // 2, 0, 1, 30, 300, 9_000] if all_kinds else [1, 30, 300, 9_000])
        at = BEGIN + timedelta(days=days + later, seconds=random.randrange(86_400))
        seen.append((fold(kept, ruling.zone), at))
    return seen


def some_ruling(random: Random, policy: Policy) -> Ruling:
    model = some_model(random)
    currency = random.choice(["EUR", "EUR", "JPY", None])
    return Ruling(policy, policy.cuts, Rates(currency, RATES), random.choice(ZONES), model)


@pytest.mark.parametrize("seed", range(40))
def test_parties_assessed_together_stand_as_they_do_alone(seed: int) -> None:
    random = Random(seed)
    ruling = some_ruling(random, some_policy(random))
    seen = some_parties(random, ruling, all_kinds=seed % 3 == 0)
    for (calendar, at), standing in zip(seen, assess_together(seen, ruling), strict=True):
        assert standing == assess(calendar, at, ruling), calendar


@given(st.integers(min_value=0))
@settings(max_examples=30, deadline=None)
def test_whatever_the_policy_and_the_model(seed: int) -> None:
    test_parties_assessed_together_stand_as_they_do_alone(3 * seed + 1)


def test_few_are_assessed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = 0

    def counted(*one: object, then: Callable[..., Standing] = assess) -> Standing:
        nonlocal alone
        alone += 1
        return then(*one)

    monkeypatch.setattr(together, "assess", counted)
    parties = 0
    for seed in range(20):
        random = Random(seed)
        ruling = some_ruling(random, DEFAULT_1)
        seen = [(calendar, at) for calendar, at in some_parties(random, ruling, all_kinds=False) if calendar]
        parties += len(seen)
        assess_together(seen, ruling)
    assert alone < parties / 20


def test_amounts_beyond_what_arrays_hold_are_exact() -> None:
    ruling = some_ruling(Random(1), DEFAULT_1)
    much = Calendar(((738_000, int(Kind.PURCHASE), "EUR", 9_000, 2**63 - 1),))
    more = Calendar(((738_000, int(Kind.PURCHASE), "EUR", 9_000, 2**65),))
    for calendars in ([much] * 20, [more] * 20):
        seen = [(calendar, BEGIN + timedelta(days=400)) for calendar in calendars]
        assert assess_together(seen, ruling) == [assess(calendar, at, ruling) for calendar, at in seen]


def alike(policy: Policy, day: int, *entries: Entry, model: Model | None = None) -> bool:
    """Whether so many parties of some entries stand on a day as one does alone."""
    ruling = Ruling(policy, policy.cuts, Rates("EUR"), ZONES[0], model)
    at = datetime.fromordinal(day).replace(tzinfo=UTC)
    seen = [(Calendar(entries), at)] * 20
    return assess_together(seen, ruling) == [assess(*seen[0], ruling)] * 20


@pytest.mark.parametrize(("half_life", "least"), [(20_077, 0.784), (24_802, 0.523), (27_889, 0.715), (33_440, 0.559)])
def test_where_little_fades_in_a_day_the_rounded_number_decides_which(half_life: int, least: float) -> None:
    index = Index(
        weights={Evidence.PRAISE: 1.0}, half_life_days=half_life, min_evidence=least, low_below=1, high_from=2
    )
    assert alike(Policy(name="slow", satisfaction=index), 739_000, (738_000, int(Kind.PRAISED), "", 1, 0))


@pytest.mark.parametrize("margin", [1e-20, 1.25e-19, 3e-18, 1 / 3, 0.1234567890123456, 1.0])
def test_a_margin_is_exact_whatever_its_digits_are(margin: float) -> None:
    for amount in (0, 3, 5_000, 2**53):
        bought, returned = (738_000, int(Kind.PURCHASE), "EUR", 1, amount), (738_000, int(Kind.RETURN), "EUR", 1, 4)
        assert alike(Policy(name="thin", profit=Profit(margin=margin)), 738_000, bought, returned)


@pytest.mark.parametrize("visits", [511, 512, 1_024, 2_048])
def test_costs_beyond_what_arrays_hold_are_exact(visits: int) -> None:
    policy = Policy(name="dear", profit=Profit(cost_minor={"visited": 2**53}))
    bought = (738_000, int(Kind.PURCHASE), "EUR", 1, 5_000)
    assert alike(policy, 738_000, bought, (738_000, int(Kind.VISITED), "", visits, 0))


def test_values_beyond_what_arrays_hold_are_exact() -> None:
    rich = FAITHFUL.model_copy(update={"q": 0.5, "mean_minor": 1e20})
    assert alike(DEFAULT_1, 738_000, (738_000, int(Kind.PURCHASE), "EUR", 1, 5_000), model=rich)
