"""The bands of satisfaction and loyalty of many parties, each on the day on which it is looked at; see `evidence`."""

import numpy as np

from contracts.scoring import Band
from services.scoring.domain.columns import SPAN
from services.scoring.domain.crowd.told import Told
from services.scoring.domain.evidence import OVERDUE
from services.scoring.domain.facts import Kind
from services.scoring.domain.fadings import Fadings, Pieces, pieces
from services.scoring.domain.likelihood import Whole
from services.scoring.domain.policy import Policy
from services.scoring.domain.rounding import Holds

BANDS = tuple(Band)
"""By their codes."""


def bands(of: Told, policy: Policy) -> tuple[Whole, Whole, Holds]:
    """The codes of both bands of each party at the end, and where one of them is unsure. Raises `TooLarge`."""
    parts = pieces(of.rows, of.purchases, of.gross, policy), _overdue(of, policy.problem_limit_days)
    found, day = Pieces(*(np.concatenate(column) for column in zip(*parts, strict=True))), of.until % SPAN
    satisfaction, unsure = Fadings(found, policy.satisfaction).band(day)
    loyalty, also = Fadings(found, policy.loyalty).band(day)
    return satisfaction, loyalty, unsure | also


def _overdue(of: Told, limit_days: int) -> Pieces:
    """Problems that were not solved in time."""
    opens = of.rows.kind == Kind.PROBLEM_OPENED
    days, keys = of.rows.days(opens), of.rows.party * SPAN + of.rows.day
    left = of.rows.sums(opens, days, of.rows.times)
    solved = np.flatnonzero((keys <= of.opened + limit_days) & np.isin(of.opened, days.keys))
    np.subtract.at(left, np.searchsorted(days.keys, of.opened[solved]), of.rows.times[solved])
    late = left > 0
    enters = days.day[late] + limit_days + 1
    return Pieces(days.party[late], enters, np.full(len(enters), OVERDUE), left[late])
