"""Where many parties stand on every day, and their moves.

What a party did last says where it stands; from then on time alone leads it on, at most from active over dormant to
lost, and from one tier to the next lower one. So each such day is a mark, with the days on which time has its way.
"""

from itertools import product
from typing import NamedTuple

import numpy as np

from contracts.loss import LossReason
from contracts.scoring import Cause, MoveKind, Stage, Tier
from services.scoring.domain.columns import SPAN
from services.scoring.domain.crowd.falls import (
    NEAR,
    Last,
    amounts,
    value_below,
    values,
)
from services.scoring.domain.crowd.told import NEVER, REASONS, Declarations, Told, distinct, first_of_party
from services.scoring.domain.likelihood import Numbers, Whole
from services.scoring.domain.model import Model
from services.scoring.domain.outlook import outlook
from services.scoring.domain.rounding import Holds
from services.scoring.domain.ruling import Ruling
from services.scoring.domain.stages import ByProbability, Stages
from services.scoring.domain.trajectory import kind_of

STAGES: tuple[Stage | None, ...] = (None, *Stage)
"""By their codes. Those of whoever never bought, and of whoever did, follow each other as time leads."""
TIERS: tuple[Tier | None, ...] = (None, *Tier)
"""By their codes, as value falls."""
STRANGER, PROSPECT, LOST_PROSPECT, CUSTOMER, LOST_CUSTOMER = (
    STAGES.index(stage)
    for stage in (Stage.STRANGER, Stage.PROSPECT, Stage.LOST_PROSPECT, Stage.CUSTOMER, Stage.LOST_CUSTOMER)
)
LATE = np.iinfo(np.int64).max
"""Behind all keys."""
TOP, UNPROVEN = TIERS.index(Tier.TOP), TIERS.index(Tier.UNPROVEN)
CAUSES = (Cause.CLOCK, Cause.FACT)
"""By their codes, in the order in which they have their way on a day."""
KINDS = tuple(MoveKind)
"""By their codes."""


class Marks(NamedTuple):
    """Days from which on a party stands by time alone, in order; of several on one day the last one counts."""

    keys: Whole
    stages: Whole
    """The stage on the day itself."""
    steps: Whole
    """Two columns: the keys of the first days on which it is one stage farther, and two."""

    def stage(self, keys: Whole, known: Whole) -> Whole:
        """The codes of the stages on days, if nothing happened after the days `known`."""
        place = last(self.keys, known)
        steps = taken(self.steps, place, LATE)
        return np.asarray(taken(self.stages, place, 0) + (keys[:, None] >= steps).sum(axis=1))


class Tiers(NamedTuple):
    """What parties are worth between one purchase day and the next."""

    bought: Whole
    steps: Whole
    """Three columns: the keys of the first days on which value is below the cuts of top, high and mid."""

    def tier(self, keys: Whole, known: Whole) -> Whole:
        """Likewise the codes of the tiers; unproven before the first purchase."""
        place = last(self.bought, known)
        steps = taken(self.steps, place, LATE)
        return np.where(place < 0, UNPROVEN, TOP + (keys[:, None] >= steps).sum(axis=1))


class Turnovers(NamedTuple):
    """What parties turn over in a window that ends with the day, which is their value where no model says more."""

    told: Told
    ruling: Ruling

    @property
    def steps(self) -> Whole:
        """Days on which something leaves the window."""
        return self.told.money + self.ruling.policy.turnover_days

    def value(self, keys: Whole, known: Whole) -> Whole:
        """The turnover of the windows that end with days, of which only days up to `known` count."""
        money, net = self.told.money, self.told.net
        low = np.searchsorted(money, keys - self.ruling.policy.turnover_days, "right")
        return np.asarray(net[np.maximum(np.searchsorted(money, known, "right"), low)] - net[low])

    def tier(self, keys: Whole, known: Whole) -> Whole:
        """See `Tiers.tier`."""
        value, cuts = self.value(keys, known), self.ruling.cuts
        below = np.stack([value < cut for cut in (cuts.top, cuts.high, cuts.mid)]).sum(axis=0)
        return np.where(last(self.told.bought, known) < 0, UNPROVEN, TOP + below)


class Moves(NamedTuple):
    """Changes of stage or tier, party by party, each party's in order."""

    keys: Whole
    causes: Whole
    kinds: Whole
    stages: Whole
    """Two columns: from and to."""
    tiers: Whole
    """Likewise."""

    @property
    def known(self) -> Whole:
        """The last day whose facts each move knows of."""
        return np.asarray(self.keys - (self.causes == CAUSES.index(Cause.CLOCK)))

    def where(self, those: Holds) -> "Moves":
        """Some of them."""
        return Moves(*(column[those] for column in self))


class Paths:
    """The lives of parties of one kind under a ruling, as `History` has them one by one."""

    def __init__(self, told: Told, ruling: Ruling, stages: Stages) -> None:
        self.told, self.ruling = told, ruling
        self.unsure = np.zeros(len(told.until), dtype=bool)
        """The parties of which this may say something else than `History`."""
        self.signs = told.of_kinds(stages.prospects.sign_numbers)
        """Days with a sign of interest."""
        self.marks = self._marks(stages)
        model = ruling.model
        self.worth = Turnovers(told, ruling) if model is None or model.p is None else self._tiers(model)

    def _marks(self, stages: Stages) -> Marks:
        told, bought = self.told, self.told.bought
        strangers, lost = told.known[first_of_party(told.known)], told.declared.keys
        acts, buyers = self._before_bought(np.setdiff1d(self.signs, lost)), bought
        declined = np.setdiff1d(told.declined.keys, bought)
        ends = declined[last(bought, declined) >= 0]
        of = ((strangers, STRANGER), (acts, PROSPECT), (self._before_bought(lost), LOST_PROSPECT), (buyers, CUSTOMER),
              (ends, LOST_CUSTOMER))  # fmt: skip
        keys = np.concatenate([days for days, _ in of])
        order = np.argsort(keys, kind="stable")
        codes = np.repeat([code for _, code in of], [len(days) for days, _ in of])[order]
        keys = keys[order]
        spans = np.full((len(keys), 2), NEVER)
        spans[codes == PROSPECT] = stages.prospects.active_days + 1, stages.prospects.lost_after_days + 1
        spans[codes == CUSTOMER] = self._silences(stages)
        return Marks(keys, codes, keys[:, None] + np.where(spans <= self._until(keys)[:, None], spans, NEVER))

    def _before_bought(self, keys: Whole) -> Whole:
        """Those of some days before which the party had not bought, nor did on the day itself."""
        return np.asarray(keys[last(self.told.bought, keys) < 0])

    def _until(self, keys: Whole) -> Whole:
        """From each day in order how many days it is to the next one of the party, or to the end."""
        parties = keys // SPAN
        following = np.append(keys[1:], len(self.told.until) * SPAN)
        return np.asarray(np.minimum(following, self.told.until[parties]) - keys)

    def _silences(self, stages: Stages) -> Whole:
        """After how many days each purchase would leave its party dormant and lost."""
        model, customers, told = self.ruling.model, stages.customers, self.told
        if model is None or not isinstance(customers, ByProbability):
            days = stages.by_days
            return np.array([[days.dormant_after_days + 1, days.lost_after_days + 1]])
        horizon_days, least = self.ruling.policy.horizon_days, customers.fresh_days + 1
        spans = [
            np.maximum(outlook(model).first_below(told.nth, told.since_first, threshold, horizon_days), least)
            for threshold in (customers.dormant_below, customers.lost_below)
        ]
        return np.stack(spans, axis=1)

    def _tiers(self, model: Model) -> Tiers:
        told, cuts = self.told, self.ruling.cuts
        of = Last(told.nth, told.since_first, self._until(told.bought))
        amount, days = self._amounts(model), self.ruling.policy.turnover_days
        found = [value_below(model, of, amount, days, cut) for cut in (cuts.top, cuts.high, cuts.mid)]
        for each in found:
            self.unsure[told.purchases.party[each.unsure]] = True
        return Tiers(told.bought, told.bought[:, None] + np.stack([each.after for each in found], axis=1))

    def _amounts(self, model: Model) -> Numbers:
        return amounts(model, self.told.paid_days, self.told.paid)

    def values(self, moves: Moves) -> list[int]:
        """What parties who had bought were worth by moves of theirs, exactly, in minor units."""
        if isinstance(self.worth, Turnovers):
            found: list[int] = self.worth.value(moves.keys, moves.known).tolist()
            return found
        told, model, days = self.told, self.ruling.model, self.ruling.policy.turnover_days
        assert model is not None
        place = last(told.bought, moves.known)
        of = Last(told.nth[place], told.since_first[place], moves.keys - told.bought[place])
        value = values(model, of, self._amounts(model)[place], of.most, days)
        found = np.rint(value).astype(np.int64).tolist()
        for which in np.flatnonzero(np.abs(value % 1 - 0.5) <= NEAR * (1 + value)).tolist():
            x, tx, after = (int(column[which]) for column in of)
            paid_days, paid = int(told.paid_days[place[which]]), int(told.paid[place[which]])
            found[which] = model.value_minor(x, tx, tx + after, paid_days, paid, days)
        return found

    def moves(self) -> Moves:
        """All moves up to the end."""
        told, until = self.told, self.told.until
        steps = np.concatenate((self.marks.steps.ravel(), self.worth.steps.ravel()))
        steps = steps[steps <= until[steps // SPAN]]
        keys = distinct(np.sort(np.concatenate((told.known, steps))))
        outcomes = np.stack([self._outcomes(keys, known) for known in (keys - 1, keys)], axis=1)
        # A day begins as the one before it ended, and nobody stands anywhere before the first one.
        before = np.append(0, outcomes[:-1, 1])
        before[first_of_party(keys)] = 0
        befores = np.stack((before, outcomes[:, 0]), axis=1)
        days, causes = np.nonzero(befores != outcomes)
        ways = np.stack((befores[days, causes], outcomes[days, causes]), axis=1)
        stages, tiers = np.divmod(ways, len(TIERS))
        return Moves(keys[days], causes, _KIND_OF[stages[:, 0], stages[:, 1], causes], stages, tiers)

    def _outcomes(self, keys: Whole, known: Whole) -> Whole:
        stage = self.marks.stage(keys, known)
        return np.where(stage == 0, 0, stage * len(TIERS) + self.worth.tier(keys, known))

    def stands(self) -> tuple[Whole, Whole]:
        """The codes of stage and tier of each party at the end."""
        stages, tiers = np.divmod(self._outcomes(self.told.until, self.told.until), len(TIERS))
        return stages, tiers

    def loss_reasons(self, moves: Moves) -> Whole:
        """Of each move to a lost stage the place of its reason in `REASONS`; see `Lifecycle.loss_reason`."""
        known, told = moves.known, self.told
        bought, sign = (_day_of(days, known) for days in (told.bought, self.signs))
        by_anybody, why = _declared(told.declared, known)
        by_them, of_theirs = _declared(told.declined, known)
        customers = moves.stages[:, 1] == LOST_CUSTOMER
        counts = (by_anybody >= np.where(customers, bought, sign)) & (by_anybody >= 0)
        return np.where(customers & (by_them > bought), of_theirs, np.where(counts, why, _UNKNOWN))


def last(days: Whole, keys: Whole) -> Whole:
    """The place of the last of a party's days up to each key; -1 where there is none."""
    place = np.searchsorted(days, keys, "right") - 1
    if not len(days):
        return place
    return np.where(days[place] // SPAN == keys // SPAN, place, -1)


def taken(column: Whole, places: Whole, none: int) -> Whole:
    """What a column has in places, and something else where there is none (-1)."""
    nothing = np.full((1, *column.shape[1:]), none)
    return np.asarray(np.concatenate((column, nothing))[places])


def _day_of(days: Whole, keys: Whole) -> Whole:
    """The last of a party's days up to each key; -1 where there is none."""
    return taken(days, last(days, keys), -1)


def _declared(declared: Declarations, keys: Whole) -> tuple[Whole, Whole]:
    """The last day up to each key on which a party was declared lost, -1 where there is none, and the reason."""
    place = last(declared.keys, keys)
    return taken(declared.keys, place, -1), taken(declared.reasons, place, _UNKNOWN)


_UNKNOWN = REASONS.index(LossReason.UNKNOWN)


def _kinds() -> Whole:
    table = np.zeros((len(STAGES), len(STAGES), len(CAUSES)), dtype=np.int64)
    for (before, from_), (after, to), (code, cause) in product(enumerate(STAGES), enumerate(STAGES), enumerate(CAUSES)):
        table[before, after, code] = KINDS.index(kind_of(from_, to, cause))
    return table


_KIND_OF = _kinds()
