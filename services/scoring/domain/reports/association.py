"""Whether an index goes with what parties buy later: a rank correlation that knows how little it may prove."""

from collections.abc import Sequence
from enum import StrEnum
from math import atanh, sqrt, tanh
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from contracts.scoring import Band
from services.scoring.domain.evidence import Piece
from services.scoring.domain.fading import Fading
from services.scoring.domain.indexes import Evidence, Index
from services.scoring.domain.reports.proportions import Z

Floats: TypeAlias = NDArray[np.float64]
Places: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]

LEVEL = 0.05
"""So often chance alone is taken for a proof."""
LEAST_EFFECT = 0.1
"""A smaller correlation is negligible (Cohen 1988), and nothing to act upon however sure it is."""
LEAST_PARTIES = 30
"""With fewer the test says nothing."""
BY_LOT = 2_000
"""Of up to so many parties outcomes are dealt by lot. Of more, an index that few have apart from the rest cannot reach
`LEAST_EFFECT` by chance, while dealing takes time."""
DRAWS = 2_000
BATCH = 100
"""Draws that are made at once: up to 20 MB of 2,000 parties and 12 starts."""
ENOUGH = 100
"""After so many draws as far from 0 the p-value, 0.05 or more, is known well enough."""

OF_PURCHASES = frozenset({Evidence.REPEAT_PURCHASE, Evidence.UPGRADE})
"""What purchases themselves say of satisfaction."""


class Verdict(StrEnum):
    """What is shown."""

    GOES_WITH = "goes_with"
    """Who has more of the index buys more later."""
    GOES_AGAINST = "goes_against"
    """Who has more of it buys less later."""
    NOT_PROVEN = "not_proven"
    """Neither is."""


class Effect(StrEnum):
    """How large a correlation is, without its sign (Cohen 1988)."""

    NEGLIGIBLE = "negligible"
    SMALL = "small"
    """From 0.1."""
    MEDIUM = "medium"
    """From 0.3."""
    LARGE = "large"
    """From 0.5."""


class Association(msgspec.Struct, frozen=True):
    """A rank correlation within each starting day, over all of them."""

    pairs: int
    """An index at a start and what was bought after it."""
    parties: int
    rho: float | None
    """Spearman's, between -1 and 1, rounded to 4 decimals as the interval is; None where nothing differs."""
    low: float | None
    high: float | None
    p_value: float | None
    """How often chance alone makes a correlation as far from 0."""
    effect: Effect
    verdict: Verdict


def association(index: Floats, bought: Floats, start: Places, party: Places) -> Association:
    """Spearman's rank correlation of an index with what was bought later.

    All four are of one length: the index of a pair, what was bought, the number of its starting day, the number of
    its party. Ranks (ties share the middle one) are taken within each starting day, so that no season counts. The
    pairs of one party are not independent of each other: test and interval take each party as one observation.
    """
    whose, when, indexed = _table(party, start, _within(index, start))
    _, _, outcomes = _table(party, start, _within(bought, start))
    parties = len(indexed)
    nothing = Association(len(index), parties, None, None, None, None, Effect.NEGLIGIBLE, Verdict.NOT_PROVEN)
    spread, other = float((indexed**2).sum()), float((outcomes**2).sum())
    if parties < 3 or min(spread, other) == 0:
        return nothing
    scale = sqrt(spread * other)
    each = (indexed * outcomes).sum(axis=1) / scale
    rho = float(each.sum())
    there = np.zeros(indexed.shape, dtype=np.bool_)
    there[whose, when] = True
    by_chance = _error_by_chance(indexed, outcomes, there) / scale
    if parties <= BY_LOT:
        p_value = _by_lot(indexed, outcomes, there)
    else:
        p_value = _by_error(rho, max(sqrt(float(each @ each)), by_chance), parties)
    # The influence of a party on the correlation, which is a ratio (delta method).
    influence = each - rho / 2 * ((indexed**2).sum(axis=1) / spread + (outcomes**2).sum(axis=1) / other)
    low, high = _interval(rho, sqrt(float(influence @ influence)), by_chance)
    effect = effect_of(rho)
    proven = parties >= LEAST_PARTIES and p_value < LEVEL and effect is not Effect.NEGLIGIBLE
    shown = Verdict.GOES_WITH if rho > 0 else Verdict.GOES_AGAINST
    return Association(
        pairs=len(index),
        parties=parties,
        rho=round(rho, 4),
        low=round(low, 4),
        high=round(high, 4),
        p_value=round(p_value, 6),
        effect=effect,
        verdict=shown if proven else Verdict.NOT_PROVEN,
    )


def proven(whole: Association, without_purchases: Association) -> Verdict:
    """What is shown by an index as it is and by the same without purchases: only what both show.

    Who bought often goes on buying, satisfied or not: an index that counts purchases goes with later ones by that.
    """
    return whole.verdict if whole.verdict is without_purchases.verdict else Verdict.NOT_PROVEN


def effect_of(rho: float) -> Effect:
    """How large a correlation is."""
    size = abs(rho)
    if size < LEAST_EFFECT:
        return Effect.NEGLIGIBLE
    return Effect.SMALL if size < 0.3 else Effect.MEDIUM if size < 0.5 else Effect.LARGE


def _within(values: Floats, start: Places) -> Floats:
    """Ranks within each start, from -0.5 to 0.5."""
    ranks = np.empty(len(values))
    for day in np.unique(start):
        here = start == day
        _, place, counts = np.unique(values[here], return_inverse=True, return_counts=True)
        middle = np.cumsum(counts) - (counts - 1) / 2
        ranks[here] = (middle[place] - (len(place) + 1) / 2) / len(place)
    return ranks


def _table(party: Places, start: Places, values: Floats) -> tuple[Places, Places, Floats]:
    """The row and column of each value, and values by party and start, 0 where there is none."""
    parties, whose = np.unique(party, return_inverse=True)
    starts, when = np.unique(start, return_inverse=True)
    table = np.zeros((len(parties), len(starts)))
    table[whose, when] = values
    return whose, when, table


def _by_lot(indexed: Floats, outcomes: Floats, there: Bools) -> float:
    """How often the sum of products is as far from 0 where whole parties draw their outcomes by lot from each other.

    Whoever is there at the same starts draws among themselves. Unlike an error that the products themselves show, it
    holds where few have an index apart from the rest: as long as none of these bought, their products are all alike
    and that error is next to none (Winkler et al. 2014, on permutation within blocks).
    """
    _, group = np.unique(there, axis=0, return_inverse=True)
    order = np.argsort(group.reshape(-1), kind="stable")
    group, indexed, outcomes = group.reshape(-1)[order], indexed[order], outcomes[order]
    # One part in a billion: sums of the same products in another order are the same.
    bound = abs(float((indexed * outcomes).sum())) * (1 - 1e-9)
    lots = np.random.default_rng(0)  # The same answer to the same question.
    far = drawn = 0
    while drawn < DRAWS and far < ENOUGH:
        dealt = outcomes[np.argsort(group + lots.random((BATCH, len(group))), axis=1)]
        far += int(np.count_nonzero(np.abs(np.einsum("ps,dps->d", indexed, dealt)) >= bound))
        drawn += BATCH
    return (1 + far) / (1 + drawn)


def _error_by_chance(indexed: Floats, outcomes: Floats, there: Bools) -> float:
    """The standard deviation of the sum of products over whole parties, were index and outcomes independent."""
    both = there.T.astype(np.float64) @ there
    square = float(((indexed.T @ indexed) * (outcomes.T @ outcomes) / np.maximum(both, 1)).sum())
    return sqrt(max(square, 0))


def _by_error(rho: float, error: float, parties: int) -> float:
    """By Student's t with one degree of freedom less than there are parties (Liang and Zeger 1986)."""
    from scipy.special import stdtr

    return float(2 * stdtr(parties - 1, -abs(rho) / max(error, 1e-12)))


def _interval(rho: float, error: float, by_chance: float) -> tuple[float, float]:
    """On the scale on which a correlation spreads evenly (Fisher 1915), and there no narrower than by chance alone."""
    inside = max(min(rho, 1 - 1e-9), -1 + 1e-9)
    middle, half = atanh(inside), Z * max(error / (1 - inside * inside), by_chance)
    return tanh(middle - half), tanh(middle + half)


class Pairs:
    """An index at starting days and what was bought after them, party by party."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self._pairs: list[tuple[float, int, int, int]] = []
        self._parties = 0

    def take(self, pieces: Sequence[Piece], after: Sequence[tuple[int, int]]) -> None:
        """One party more: its evidence, and for each starting day (ordinal) on how many days it bought afterwards.

        A start counts where there is evidence enough at the end of that day.
        """
        fading = Fading(pieces, self.index)
        self._parties += 1
        for start, bought in after:
            if fading.band(start) is not Band.UNKNOWN:
                self._pairs.append((fading.value(start), bought, start, self._parties))

    def association(self) -> Association:
        """What all of them say."""
        pairs = np.array(self._pairs, dtype=np.float64).reshape(-1, 4)
        start, party = pairs[:, 2].astype(np.int64), pairs[:, 3].astype(np.int64)
        return association(pairs[:, 0], pairs[:, 1], start, party)


def without_purchases(index: Index) -> Index:
    """An index that purchases do not enter."""
    weights = {kind: weight for kind, weight in index.weights.items() if kind not in OF_PURCHASES}
    return index.model_copy(update={"weights": weights})
