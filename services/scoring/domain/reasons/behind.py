"""Which facts are told beside a reason, however many are later."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from enum import IntEnum
from itertools import islice
from typing import NamedTuple

from services.scoring.domain.evidence import ASKING, COUNTED
from services.scoring.domain.facts import Kind
from services.scoring.domain.indexes import Evidence
from services.scoring.domain.policy import Policy
from services.scoring.domain.reasons.indexes import Contribution
from services.scoring.domain.reasons.reason import Reason
from services.scoring.domain.reasons.worth import TurnoverGround


class Decides(IntEnum):
    """What a fact decides; one that decides several things is told for the first."""

    STAGE = 0
    FIRST_PURCHASE = 1
    """How long they have been customers."""
    MONEY = 2
    """The turnover of the window."""
    SATISFACTION = 3
    LOYALTY = 4
    POTENTIAL = 5


MOST: Mapping[Decides, int] = {
    Decides.STAGE: 50,
    Decides.FIRST_PURCHASE: 1,
    Decides.MONEY: 20,
    Decides.SATISFACTION: 10,
    Decides.LOYALTY: 10,
    Decides.POTENTIAL: 1,
}
"""How many facts are told for each."""
KINDS = {
    **{what: tuple(kind for kind in COUNTED if COUNTED[kind] is what) for what in Evidence},
    Evidence.REPEAT_PURCHASE: (Kind.PURCHASE,),
    Evidence.UPGRADE: (Kind.PURCHASE,),
    Evidence.PROBLEM_OVERDUE: (Kind.PROBLEM_OPENED,),
    Evidence.LATE_ANSWER: tuple(sorted(ASKING)),
}
"""The kinds of facts that are evidence; of an anniversary there is none on its day."""


class Behind(NamedTuple):
    """Facts of a kind on a local day; for `RATED_WELL` and `RATED_POORLY` those that were rated so."""

    kind: int
    day: date


class Precedence(NamedTuple):
    """Why facts are told, and which of those come first: of equal rank the latest."""

    decides: Decides
    rank: int = 0


def behind(reason: Reason, policy: Policy) -> Mapping[Behind, Precedence]:
    """The facts that decide most of a standing, by kind and day; no more days than may be told."""
    stage, found = reason.stage, dict[Behind, Precedence]()
    kinds = [kind for kind in Kind if kind.code in stage.facts.kinds]
    for day in stage.facts.days[-MOST[Decides.STAGE] :]:
        found |= {Behind(kind, day): Precedence(Decides.STAGE) for kind in kinds}
    if reason.bought is not None and stage.last_purchase_day is not None:
        first = stage.last_purchase_day - timedelta(days=reason.bought.tx_days)
        found.setdefault(Behind(Kind.PURCHASE, first), Precedence(Decides.FIRST_PURCHASE))
    money = (each for each in _money(reason.turnover) if each not in found)
    found |= dict.fromkeys(islice(money, MOST[Decides.MONEY]), Precedence(Decides.MONEY))
    for index, decides in ((reason.satisfaction, Decides.SATISFACTION), (reason.loyalty, Decides.LOYALTY)):
        for each, rank in _strongest(index.contributions, MOST[decides], policy):
            found.setdefault(each, Precedence(decides, rank))
    if reason.potential is not None:
        found[Behind(Kind.LEAD_GRADED, reason.potential.graded_on)] = Precedence(Decides.POTENTIAL)
    return found


def _money(turnover: TurnoverGround) -> Iterator[Behind]:
    for each in reversed(turnover.days):
        if each.bought_minor:
            yield Behind(Kind.PURCHASE, each.day)
        if each.returned_minor:
            yield Behind(Kind.RETURN, each.day)


def _strongest(told: Iterable[Contribution], most: int, policy: Policy) -> Iterator[tuple[Behind, int]]:
    # What is older than a hundred days of evidence is told together, without its days.
    alone = [each for each in told if each.first_day == each.last_day and KINDS[each.evidence]]
    alone.sort(key=lambda each: (-abs(each.log_odds), -each.last_day.toordinal(), each.evidence))
    late = {Evidence.PROBLEM_OVERDUE: policy.problem_limit_days, Evidence.LATE_ANSWER: policy.answer_within_days}
    for rank, each in enumerate(alone[:most]):
        days = late[each.evidence] + 1 if each.evidence in late else 0
        for kind in KINDS[each.evidence]:
            yield Behind(kind, each.first_day - timedelta(days=days)), rank
