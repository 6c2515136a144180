"""What time and another ruling make of many parties at once is what they make of each alone."""

from datetime import timedelta
from random import Random
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest

from contracts.scoring import Cause
from services.scoring.domain.history import History
from services.scoring.domain.standing import assess, standing
from services.scoring.handlers.changes import Assessed, moved
from services.scoring.handlers.passing import is_quiet, passed
from services.scoring.queries.rulings import Present
from tests.scoring.test_domain_plain_agrees import some_policy
from tests.scoring.test_domain_together import some_parties, some_ruling


@pytest.mark.parametrize("seed", range(60))
def test_quiet_parties_change_together_as_they_do_alone(seed: int) -> None:
    random = Random(seed)
    before = some_ruling(random, some_policy(random))
    after = before if seed % 2 else msgspec.structs.replace(some_ruling(random, some_policy(random)), zone=before.zone)
    reruled = {} if after is before else {1: Cause.POLICY}
    parties = []
    for number, (calendar, at) in enumerate(some_parties(random, before, all_kinds=seed % 3 == 0)):
        stood = assess(calendar, at, before)
        row: dict[str, Any] = {
            "party_id": UUID(int=number), "stage": stood.stage, "tier": stood.tier, "assessed_at": at, "ruling": 1,
            "resolves_to": UUID(int=number),
        }  # fmt: skip
        parties.append(Assessed(cast("Any", row), calendar, None, at + timedelta(days=random.choice([0, 1, 40, 900]))))
    here = Present(2, after, (), currency_fixed=True, rebuilding=False, applied=False)

    quiet = [party for party in parties if is_quiet(party, after)]
    found = passed(quiet, after, reruled)

    assert len(quiet) > len(parties) / 8
    for party, (now, changes) in zip(quiet, found, strict=True):
        history = History(party.calendar, after)
        alone = standing(history, party.at)
        assert (now, changes) == (alone, list(moved(party, history, alone, here, reruled.get(1)))), party
