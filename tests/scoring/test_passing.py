"""What facts, time and another ruling make of many parties at once is what they make of each alone."""

from datetime import datetime, timedelta
from random import Random
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest

from contracts.scoring import Cause
from services.scoring.domain.calendar import fold
from services.scoring.domain.facts import Fact
from services.scoring.domain.history import History
from services.scoring.domain.presets import DEFAULT_1
from services.scoring.domain.ruling import Ruling
from services.scoring.domain.standing import assess, standing
from services.scoring.handlers.changes import Assessed, moved
from services.scoring.handlers.passing import passed
from services.scoring.queries.rulings import Present
from tests.scoring.test_domain_plain_agrees import some_facts, some_policy
from tests.scoring.test_domain_together import BEGIN, RARE, some_ruling


def some_party(random: Random, number: int, before: Ruling, after: Ruling) -> Assessed:
    """As a batch finds it: what was known and how it stood, and what is new since then."""
    days, zone = random.choice([5, 60, 500]), before.zone
    at = BEGIN + timedelta(days=random.randrange(days), seconds=random.randrange(86_400))
    later = at + timedelta(days=random.choice([0, 0, 1, 40, 900]), seconds=random.randrange(3_600))
    facts = some_facts(random, random.choice([0, 1, 2, 5, 15]), days)
    known = [fact for fact in facts if random.random() < 0.05 or (fact.kind not in RARE and fact.occurred_at <= at)]
    calendar = fold(known, zone)
    stood = assess(calendar, at, before)
    new = random.random() < 0.2 and not known
    row: dict[str, Any] = {
        "party_id": UUID(int=number), "stage": stood.stage, "tier": stood.tier, "assessed_at": None if new else at,
        "next_change_at": stood.next_change_at, "ruling": None if new else 1, "resolves_to": UUID(int=number),
    }  # fmt: skip
    told = [_moved(random, fact, at, later) for fact in some_facts(random, random.choice([0, 1, 1, 2, 6]), days)]
    told = sorted((fact for fact in told if fact.kind not in RARE), key=lambda fact: fact.occurred_at)
    late = [fact for fact in told if not new and after.day(fact.occurred_at) < after.day(at)]
    return Assessed(
        cast("Any", row), calendar + fold(told, zone), None, later,
        corrected=Cause.LATE_FACT if late else random.choice([None, None, None, Cause.ASSIGNMENT]),
        late=late[-1] if late else None,
        late_s=late[-1].late_s if late else None,
        facts=[fact for fact in told if fact not in late],
    )  # fmt: skip


def _moved(random: Random, fact: Fact, at: datetime, later: datetime) -> Fact:
    """Mostly to the day of one of the two assessments, as it is in life, or to one between them."""
    day = random.choice([at, later, later, at + random.random() * (later - at), fact.occurred_at])
    return msgspec.structs.replace(fact, occurred_at=max(day, at) if random.random() < 0.9 else fact.occurred_at)


@pytest.mark.parametrize("seed", range(120))
def test_parties_change_together_as_they_do_alone(seed: int) -> None:
    random = Random(seed)
    before = some_ruling(random, some_policy(random) if seed % 3 else DEFAULT_1)
    another = some_ruling(random, some_policy(random) if seed % 2 else DEFAULT_1)
    after = before if seed % 4 else msgspec.structs.replace(another, zone=before.zone, rates=before.rates)
    reruled = {} if after is before else {1: Cause.POLICY}
    parties = [some_party(random, number, before, after) for number in range(40)]
    here = Present(2, after, (), currency_fixed=True, rebuilding=False, applied=False)

    found = passed(parties, after, reruled)

    assert after.policy.organisations or len(found) > len(parties) / 3
    for party in parties:
        if party.party_id in found:
            history = History(party.calendar, after)
            now = standing(history, party.at)
            changes = list(moved(party, history, now, here, reruled.get(party.row["ruling"])))
            assert found[party.party_id] == (now, changes), party


def test_all_that_may_happen_happens_together() -> None:
    """What is compared above is not always the same."""
    causes, several = set(), 0
    for seed in range(60):
        random = Random(seed)
        before = some_ruling(random, DEFAULT_1)
        parties = [some_party(random, number, before, before) for number in range(40)]
        for _, changes in passed(parties, before, {}).values():
            causes |= {(change.cause, change.kind.value) for change in changes}
            several += len(changes) > 1
    assert {cause for cause, _ in causes} == {Cause.FACT, Cause.LATE_FACT, Cause.CLOCK, Cause.ASSIGNMENT}
    assert {kind for _, kind in causes} >= {"appeared", "advanced", "faded", "lost", "won_back", "retiered", "revised"}
    assert several
