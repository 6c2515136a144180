"""Many parties looked at together add to a trial what each of them adds that is looked at alone."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from random import Random
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.scoring import MoveKind
from services.scoring.domain.calendar import Calendar, fold
from services.scoring.domain.crowd import falls, trials
from services.scoring.domain.crowd.bands import BANDS, bands
from services.scoring.domain.crowd.told import told
from services.scoring.domain.crowd.trials import Kept, Seen, tried_together
from services.scoring.domain.days import start_of_day
from services.scoring.domain.facts import Fact, Kind
from services.scoring.domain.history import History
from services.scoring.domain.model import Model
from services.scoring.domain.money import Rates
from services.scoring.domain.policy import Policy
from services.scoring.domain.presets import PRESETS
from services.scoring.domain.ruling import Ruling
from services.scoring.domain.trials import Scope, Side, Tally, Trial, tried
from tests.scoring.test_domain_plain_agrees import HISTORY, RATES, ZONES, some_facts, some_model, some_policy

MODEL = Model(
    as_of=date(2026, 1, 1), parties=2_357, repeaters=1_411, r=0.243, alpha=4.414, a=0.793, b=2.426,
    p=6.25, q=3.74, v=1_544.0, mean_minor=3_522.0, currency="EUR", log_likelihood=-9_582.4,
)  # fmt: skip
BEGIN = datetime(2023, 11, 20, 12, tzinfo=UTC)


def one_by_one(trial: Trial, seen: Sequence[Seen]) -> tuple[Tally, list[Kept]]:
    tally: Tally = Counter()
    kept: list[Kept] = []
    for party_id, calendar, at in seen:
        counted, moves = tried(trial, calendar, at)
        tally.update(counted)
        kept += [
            (party_id, start_of_day(move.day.toordinal(), trial.draft.zone), move.from_stage, move.to_stage,
             move.from_tier, move.to_tier, move.kind, why)
            for move, why in moves
        ]  # fmt: skip
    return tally, kept


def some_trial(random: Random, at: datetime) -> Trial:
    currency, zone = random.choice(["EUR", "EUR", "JPY", None]), random.choice(ZONES)
    rates = Rates(currency, RATES if currency == "EUR" else [])
    draft, active = (_ruling(some_policy(random), some_model(random), rates, random) for _ in range(2))
    first = random.choice([None, (at - timedelta(days=random.randrange(400))).toordinal()])
    return Trial(
        _in_zone(draft, zone), _in_zone(active, zone), Scope(first, random.choice([1, 30, draft.policy.horizon_days]))
    )


def _ruling(policy: Policy, model: Model | None, rates: Rates, random: Random) -> Ruling:
    cuts = random.choice([policy.cuts, *(other.cuts for other in PRESETS.values())])
    return Ruling(policy, cuts, rates, ZONES[0], model)


def _in_zone(ruling: Ruling, zone: object) -> Ruling:
    return Ruling(ruling.policy, ruling.cuts, ruling.rates, zone, ruling.model)  # type: ignore[arg-type]


def some_parties(random: Random, trial: Trial, at: datetime, number: int) -> Iterator[Seen]:
    """Half of them with nothing set by hand, and some looked at before their last day."""
    until = trial.draft.day(at)
    for party in range(number):
        facts = some_facts(random, random.choice([0, 1, 2, 4, 10, 30]), random.choice([20, 120, 900]))
        if random.random() < 0.5:
            facts = [fact for fact in facts if fact.kind is not Kind.OVERRIDDEN]
        calendar = fold(facts, trial.draft.zone)
        if random.random() < 0.9:
            calendar = type(calendar)(tuple(entry for entry in calendar.entries if entry[0] <= until))
        yield UUID(int=party + 1), calendar, at


@pytest.mark.parametrize("seed", range(120))
def test_together_they_add_up_to_what_each_adds_alone(seed: int) -> None:
    random = Random(seed)
    at = BEGIN + timedelta(days=random.choice([random.randrange(60), random.randrange(1_500)]))
    trial = some_trial(random, at)
    seen = list(some_parties(random, trial, at, 12))

    assert tried_together(trial, seen, keeps=True) == one_by_one(trial, seen)
    assert tried_together(trial, seen, keeps=False) == (one_by_one(trial, seen)[0], [])


@settings(deadline=None, max_examples=200)
@given(st.lists(HISTORY, max_size=4), st.integers(-1, 60) | st.integers(0, 1_200), st.integers(0, 10**6))
def test_they_do_so_whatever_their_histories_are(histories: list[list[Fact]], day: int, number: int) -> None:
    at = BEGIN + timedelta(days=day)
    trial = some_trial(Random(number), at)
    seen = [(UUID(int=party + 1), fold(facts, trial.draft.zone), at) for party, facts in enumerate(histories)]

    assert tried_together(trial, seen, keeps=True) == one_by_one(trial, seen)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("number", range(4))
def test_they_do_so_under_every_preset(preset: str, number: int) -> None:
    random = Random(f"{preset} {number}")
    at, policy = BEGIN + timedelta(days=1_000), PRESETS[preset]
    other = random.choice([*PRESETS.values()])
    rates = Rates("EUR", RATES)
    draft, active = (_ruling(each, some_model(random), rates, random) for each in (policy, other))
    trial = Trial(draft, active, Scope(None, policy.horizon_days))
    seen = list(some_parties(random, trial, at, 60))

    assert tried_together(trial, seen, keeps=True) == one_by_one(trial, seen)


@pytest.mark.parametrize("near", [1e-3, 1e6])
def test_who_is_too_near_a_limit_is_looked_at_alone(monkeypatch: pytest.MonkeyPatch, near: float) -> None:
    random, at = Random(1), BEGIN + timedelta(days=700)
    draft, active = (_ruling(PRESETS[name], MODEL, Rates("EUR"), random) for name in ("retention_first", "default-1"))
    trial = Trial(draft, active, Scope(None, 180))
    seen = list(some_parties(random, trial, at, 40))
    expected, alone = one_by_one(trial, seen), []

    def noted(trial: Trial, calendar: Calendar, at: datetime) -> object:
        alone.append(calendar)
        return tried(trial, calendar, at)

    monkeypatch.setattr(trials, "tried", noted)
    tried_together(trial, seen, keeps=True)
    usually = len(alone)
    monkeypatch.setattr(falls, "NEAR", near)

    assert tried_together(trial, seen, keeps=True) == expected
    assert len(alone) - usually > usually


def test_lives_longer_than_what_is_looked_up_are_looked_at_alone() -> None:
    random, at = Random(2), BEGIN + timedelta(days=40_000)
    draft, active = (_ruling(PRESETS[name], MODEL, Rates("EUR"), random) for name in ("retention_first", "default-1"))
    trial = Trial(draft, active, Scope(None, 180))
    first, last = BEGIN.toordinal(), at.toordinal()
    busy = tuple((day, int(Kind.PURCHASE), "EUR", 1, 500) for day in range(last - 900, last, 3))
    rich = tuple((day, int(Kind.PURCHASE), "EUR", 1, 2**61) for day in range(last - 90, last, 30))
    old = ((first, int(Kind.PURCHASE), "EUR", 1, 500),)
    seen = [(UUID(int=place), Calendar(entries), at) for place, entries in enumerate((busy, rich, old), 1)]

    assert tried_together(trial, seen, keeps=True) == one_by_one(trial, seen)


@pytest.mark.parametrize("seed", range(40))
def test_their_bands_are_those_of_each(seed: int) -> None:
    random = Random(seed)
    policy, rates = some_policy(random), Rates("EUR", RATES)
    ruling = _ruling(policy, None, rates, random)
    calendars, days = [], []
    for _ in range(200):
        facts = [fact for fact in some_facts(random, random.choice([2, 6]), 30) if fact.kind is not Kind.OVERRIDDEN]
        calendar, years = fold(facts, ruling.zone), random.choice([0, 0, 365, 730])
        if calendar:
            calendars.append(calendar)
            days.append(calendar.entries[-1][0] + random.randrange(12) + years)

    *codes, unsure = bands(told(calendars, days, rates), policy)

    for place, (calendar, day) in enumerate(zip(calendars, days, strict=True)):
        each = [index.band(day) for index in History(calendar, ruling).indexes]
        assert unsure[place] or [BANDS[of[place]] for of in codes] == each, (place, day)
    assert unsure.sum() < len(calendars) / 2


def test_chance_leads_everywhere_and_seldom_to_those_that_are_looked_at_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is compared above is not always the same, nor the same code twice."""
    alone = 0

    def noted(*arguments: object) -> object:
        nonlocal alone
        alone += 1
        return tried(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(trials, "tried", noted)
    parties, tally, whys = 0, Counter[tuple[str, ...]](), set()
    for seed in range(60):
        random = Random(seed)
        at = BEGIN + timedelta(days=random.randrange(1_500))
        trial = some_trial(random, at)
        seen = [
            (party_id, fold(
                [fact for fact in some_facts(random, 12, 400) if fact.kind is not Kind.OVERRIDDEN], trial.draft.zone
            ).between(None, at.date()), at)
            for party_id, *_ in some_parties(random, trial, at, 12)
        ]  # fmt: skip
        counted, kept = tried_together(trial, seen, keeps=True)
        tally.update(counted)
        whys |= {why.split(" instead")[0].split(": ")[0].split(" for ")[0] for *_, why in kept}
        parties += sum(bool(calendar) for _, calendar, _ in seen)

    assert {key[3] for key in tally if key[0] == "month"} == {*MoveKind} - {MoveKind.VANISHED}
    assert {key[3] for key in tally if key[:2] == ("judged", Side.DRAFT)} == {"moves", "decided", "wrong"}
    assert {key[3] for key in tally if key[:2] == ("work", Side.ACTIVE)} == {"at_risk", "lost", "follow_ups"}
    assert tally["flapped", Side.DRAFT, "moves"]
    assert whys >= {"a purchase", "a sign of interest", "a fact", "declared lost", "no purchase", "top", "mid", "low"}
    assert alone < parties / 4, (alone, parties)
