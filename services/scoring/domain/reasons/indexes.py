"""Why satisfaction and loyalty are what they are: what each piece of evidence adds."""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import date
from itertools import groupby
from math import fsum

from contracts.scoring import Band
from services.scoring.domain.evidence import Piece
from services.scoring.domain.fading import Fading
from services.scoring.domain.indexes import Evidence, Index
from services.scoring.domain.reasons.ground import Ground, Subject

TOLD = 100
"""Days of evidence that are told one by one."""
EVIDENCE = tuple(Evidence)


class Contribution(Ground):
    """Evidence of one kind on one day, or on all days before those that are told one by one."""

    evidence: Evidence
    first_day: date
    last_day: date
    count: int
    weight: float
    """What one piece adds to the log-odds on its day."""
    faded_count: float
    """The count, each piece halved with every half-life that passed since its day."""
    log_odds: float
    """The weight times the faded count."""


class IndexGround(Ground):
    """What decided an index and its band."""

    index: float
    """100 / (1 + exp(-log_odds)), to one decimal."""
    as_set: float | None
    """The index that a person set in its place; the band follows from it, however little evidence there is."""
    band: Band
    """What the facts, or the index as it is set, give."""
    log_odds: float
    """The exact sum of the contributions, rounded once."""
    evidence: float
    """The sum of the faded counts, to three decimals."""
    min_evidence: float
    """The band is unknown below this."""
    low_below: float
    high_from: float
    half_life_days: int
    contributions: tuple[Contribution, ...]


def index_grounds(of: Subject) -> tuple[IndexGround, IndexGround]:
    """What decided satisfaction and loyalty."""
    satisfaction, loyalty = of.history.indexes
    return _index_ground(of, satisfaction, "satisfaction"), _index_ground(of, loyalty, "loyalty")


def _index_ground(of: Subject, fading: Fading, field: str) -> IndexGround:
    index, number = fading.index, f"{field}_index"
    told = tuple(contributions(of.history.pieces, index, of.day))
    return IndexGround(
        index=fading.value(of.day),
        as_set=getattr(of.numbers, number) if number in of.held else None,
        band=Band(of.follows(field)),
        log_odds=fsum(each.log_odds for each in told),
        evidence=fading.amount(of.day),
        min_evidence=index.min_evidence,
        low_below=index.low_below,
        high_from=index.high_from,
        half_life_days=index.half_life_days,
        contributions=told,
    )


def contributions(pieces: Sequence[Piece], index: Index, day: int) -> list[Contribution]:
    """What evidence up to a day adds to an index, oldest first; one by one on the last hundred days that have any.

    What is older is told together by kind. `pieces` are all evidence, in the order of its days.
    """
    weights = index.by_place
    counted = [piece for piece in pieces[: bisect_left(pieces, (day + 1,))] if weights[piece[1]] is not None]
    days = list(dict.fromkeys(piece[0] for piece in counted))
    begun = bisect_left(counted, (days[-TOLD],)) if len(days) > TOLD else 0

    def named(piece: Piece) -> tuple[int, str]:
        return piece[0], EVIDENCE[piece[1]]

    alone = [list(group) for _, group in groupby(sorted(counted[begun:], key=named), key=named)]
    older: dict[str, list[Piece]] = {}
    for piece in counted[:begun]:
        older.setdefault(EVIDENCE[piece[1]], []).append(piece)
    return [_contribution(group, index, day) for group in (*alone, *(older[what] for what in sorted(older)))]


def _contribution(pieces: list[Piece], index: Index, day: int) -> Contribution:
    what, half_life_days = EVIDENCE[pieces[0][1]], index.half_life_days
    faded = fsum(count * 2.0 ** (-(day - of_day) / half_life_days) for of_day, _, count in pieces)
    weight = index.weights[what]
    return Contribution(
        evidence=what,
        first_day=date.fromordinal(pieces[0][0]),
        last_day=date.fromordinal(pieces[-1][0]),
        count=sum(count for _, _, count in pieces),
        weight=weight,
        faded_count=faded,
        log_odds=weight * faded,
    )
