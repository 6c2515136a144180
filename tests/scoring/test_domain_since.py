"""The first day of a stage is that of the move which led to it, whatever decided when."""

import pickle
from datetime import date, datetime, timedelta
from random import Random

import msgspec
import pytest

from contracts.scoring import Stage
from services.scoring.domain.calendar import Calendar, fold
from services.scoring.domain.days import start_of_day
from services.scoring.domain.plain import plain_standing
from services.scoring.domain.policy import Policy
from services.scoring.domain.presets import DAYS_1, DEFAULT_1
from services.scoring.domain.ruling import Decided, Ruling
from services.scoring.domain.stages import ByDays, Stages
from services.scoring.domain.standing import assess
from services.scoring.domain.together import assess_together
from services.scoring.domain.trajectory import Activation, trajectory
from tests.scoring.test_domain_plain_agrees import RATES, some_facts, some_model, some_policy
from tests.scoring.test_domain_together import some_parties, some_ruling
from tests.scoring.test_domain_trajectory import HASTY, RULING, calendar, fact, noon

HASTY_FROM_FEBRUARY = Ruling(
    HASTY, HASTY.cuts, RULING.rates, RULING.zone, earlier=(Decided(DAYS_1, None, RULING.day(noon("2026-02-01"))),)
)


def one_after_the_other(rulings: list[Ruling], starts: list[datetime]) -> Ruling:
    """The last of them, each later one from its instant on."""
    earlier = [
        Decided(before.policy, before.model, before.day(at)) for before, at in zip(rulings[:-1], starts, strict=True)
    ]
    return msgspec.structs.replace(rulings[-1], earlier=tuple(reversed(earlier)))


def by_moves(told: Calendar, at: datetime, rulings: list[Ruling], starts: list[datetime]) -> date | None:
    """The day of the last move to another stage, or back to the same one on one day."""
    later = [Activation(start, ruling) for start, ruling in zip(starts, rulings[1:], strict=True)]
    moves = [each for each in trajectory(told, at, rulings[0], later) if each.from_stage is not each.to_stage]
    return moves[-1].day if moves and moves[-1].to_stage else None


def some_rulings(random: Random) -> list[Ruling]:
    first = some_ruling(random, some_policy(random))
    found = [first]
    for _ in range(random.randrange(1, 4)):
        policy = random.choice([found[-1].policy, some_policy(random), DEFAULT_1])
        model = random.choice([found[-1].model, some_model(random)])
        found.append(msgspec.structs.replace(first, policy=policy, cuts=policy.cuts, model=model))
    return found


def some_starts(random: Random, first: datetime, last: datetime, number: int) -> list[datetime]:
    days = (last - first).days + 1
    # Some on one day, and some on the days that are asked about.
    return sorted(first + timedelta(days=random.choice([random.randrange(days), days - 1])) for _ in range(number))


def test_since_is_the_day_of_the_last_move_to_the_stage() -> None:
    parties = activated = reset = 0
    for random in map(Random, range(40)):
        rulings = some_rulings(random)
        for told, at in some_parties(random, rulings[0], all_kinds=True):
            first = start_of_day(told.entries[0][0], rulings[0].zone) if told.entries else at
            starts = some_starts(random, min(first, at), at, len(rulings) - 1)
            ruling = one_after_the_other(rulings, starts)
            since = assess(told, at, ruling).since

            assert since == by_moves(told, at, rulings, starts)
            parties += 1
            activated += since is not None and since.toordinal() in [ruling.day(start) for start in starts]
            reset += since != assess(told, at, ruling.from_the_beginning()).since
    assert min(activated, reset) > parties / 20


def test_parties_assessed_together_have_been_there_as_long_as_they_have_alone() -> None:
    parties = reset = 0
    for seed in range(40):
        random = Random(1_000 + seed)
        rulings = some_rulings(random)
        seen = some_parties(random, rulings[0], all_kinds=seed % 3 == 0)
        days = [entry[0] for told, _ in seen for entry in told.entries]
        first, last = (start_of_day(day, rulings[0].zone) for day in (min(days), max(days)))
        ruling = one_after_the_other(rulings, some_starts(random, first, last, len(rulings) - 1))
        alone = [assess(told, at, ruling) for told, at in seen]

        assert assess_together(seen, ruling) == alone
        always = assess_together(seen, ruling.from_the_beginning())
        parties += len(seen)
        reset += sum(one.since != other.since for one, other in zip(always, alone, strict=True))
    assert reset > parties / 20


@pytest.mark.parametrize("seed", range(30))
def test_the_plain_implementation_says_the_same(seed: int) -> None:
    random = Random(2_000 + seed)
    rulings = some_rulings(random)
    zone, days = rulings[0].zone, 400
    for _ in range(6):
        facts = some_facts(random, random.choice([2, 5, 15]), days)
        first = min(each.occurred_at for each in facts)
        at = first + timedelta(days=random.choice([30, days, 2 * days]))
        starts = some_starts(random, first, at, len(rulings) - 1)
        ruling = one_after_the_other(rulings, starts)
        plain = plain_standing(
            facts, at, ruling.policy, ruling.cuts, model=ruling.model, currency=ruling.rates.currency, rates=RATES,
            zone=zone, earlier=ruling.earlier,
        )  # fmt: skip

        assert plain == assess(fold(facts, zone), at, ruling)


def test_who_is_lost_by_an_activation_is_lost_since_its_day() -> None:
    bought = calendar(fact(1, "2026-01-01"))

    stands = assess(bought, noon("2026-02-10"), HASTY_FROM_FEBRUARY)

    assert (stands.stage, stands.since) == (Stage.LOST_CUSTOMER, date(2026, 2, 1))
    assert assess(bought, noon("2026-02-10"), HASTY_FROM_FEBRUARY.from_the_beginning()).since == date(2026, 1, 22)


def test_who_stays_in_a_stage_when_another_policy_is_activated_has_been_there_as_before() -> None:
    bought = calendar(fact(1, "2026-01-01"), fact(2, "2026-01-30"))

    assert assess(bought, noon("2026-02-05"), HASTY_FROM_FEBRUARY).since == date(2026, 1, 1)
    assert assess(bought, noon("2026-02-05"), HASTY_FROM_FEBRUARY.from_the_beginning()).since == date(2026, 1, 30)


def test_what_is_in_force_before_all_is_read_up_to_its_day_decides_from_the_day_that_is_reached() -> None:
    bought, reached = calendar(fact(1, "2026-01-01")), noon("2026-01-25")

    assert assess(bought, reached, HASTY_FROM_FEBRUARY).since == date(2026, 1, 25)
    assert assess_together([(bought, reached)] * 20, HASTY_FROM_FEBRUARY)[0].since == date(2026, 1, 25)


def test_another_policy_that_says_nothing_else_of_stages_moves_nobody() -> None:
    slow = Stages(customers=ByDays(dormant_after_days=10, lost_after_days=200))
    policies = [Policy(name=name, persons=slow) for name in ("slow", "also-slow")]
    rulings = [Ruling(policy, policy.cuts, RULING.rates, RULING.zone) for policy in policies]
    ruling = one_after_the_other(rulings, [noon("2026-03-01")])

    assert assess(calendar(fact(1, "2026-01-01")), noon("2026-06-01"), ruling).since == date(2026, 1, 12)


def test_a_ruling_has_as_many_before_it_as_there_were() -> None:
    days = [RULING.day(noon("2026-01-02")) + day for day in range(1_500)]
    policies = [DAYS_1.model_copy(update={"name": f"of-{day}"}) for day in days]
    earlier = tuple(Decided(policy, None, day) for policy, day in zip(policies, days, strict=True))
    ruling = msgspec.structs.replace(RULING, earlier=earlier[::-1])
    bought, at = calendar(fact(1, "2026-01-01"), fact(2, "2029-12-01")), noon("2031-12-01")
    sent = pickle.loads(pickle.dumps(ruling.unused()))

    assert sent.earlier == ruling.earlier
    for each in (ruling, sent):
        assert assess(bought, at, each).since == date(2030, 12, 2)
        assert {standing.since for standing in assess_together([(bought, at)] * 20, each)} == {date(2030, 12, 2)}
    always = calendar(*(fact(day, f"{2026 + day // 12}-{day % 12 + 1:02}-01") for day in range(48)))
    assert assess(always, noon("2029-12-20"), ruling).since == date(2026, 1, 1)
    assert {each.since for each in assess_together([(always, noon("2029-12-20"))] * 20, ruling)} == {date(2026, 1, 1)}
