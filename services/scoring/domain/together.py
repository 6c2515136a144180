"""How many parties stand at once: what `assess` says of each, worked out by arrays.

Whoever has what few have is assessed alone, and so is whoever noise in the last bits could decide.
"""

from collections.abc import Sequence
from datetime import date, datetime
from itertools import product, repeat
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from contracts.loss import LossReason
from contracts.scoring import Band, Posture, Stage, Tier
from services.scoring.domain.calendar import Calendar
from services.scoring.domain.columns import GRADES, NEVER, Columns, Days, TooLarge, columns
from services.scoring.domain.courses import FixedSilences, Phases, Silences, SilencesByModel, phases
from services.scoring.domain.days import start_of_day
from services.scoring.domain.facts import DECLARATIONS, Kind
from services.scoring.domain.fadings import HIGH, Faded, Fadings, pieces
from services.scoring.domain.grades import Flag
from services.scoring.domain.holding import hold
from services.scoring.domain.likelihood import Numbers, Whole
from services.scoring.domain.model import LONGEST
from services.scoring.domain.outlook import Past, outlook
from services.scoring.domain.policy import Policy
from services.scoring.domain.reading import ALONE, CONTACT, TOUCHING
from services.scoring.domain.rounding import Holds
from services.scoring.domain.ruling import Ruling
from services.scoring.domain.stages import ByProbability
from services.scoring.domain.standing import Standing, assess
from services.scoring.domain.windows import posture, tier_places, turnover

Things = npt.NDArray[np.object_]

FEW = 16
"""So many parties are sooner assessed one by one."""
MOST = 5_000
"""Parties whose arrays are made at once."""
LONG = 1_000
"""Entries of a calendar that has as many parts of its own: whoever has more is assessed alone."""
EMPTY = Calendar()
LAST = date.max.toordinal() - 100_000
"""From this day on what lies ahead of a day may lie behind the last day there is."""
RARE = [int(kind) for kind in (*DECLARATIONS, Kind.OVERRIDDEN, Kind.PROBLEM_OPENED)]
"""Kinds of facts that make a party be assessed alone."""
UNPROVEN, LOW_TIER, HIGH_TIER = (list(Tier).index(tier) for tier in (Tier.UNPROVEN, Tier.LOW, Tier.HIGH))
LOST = [list(Stage).index(stage) for stage in (Stage.LOST_PROSPECT, Stage.LOST_CUSTOMER)]
FIRST_OF_CUSTOMERS = 3
"""What the number of a phase lacks to the place of a customer's stage."""
FLAGS = [
    tuple(flag for flag, there in zip(Flag, which, strict=True) if there)
    for which in product((False, True), repeat=len(Flag))
]
"""The flags behind a number that has a bit for each of them, the last flag's the lowest."""


def assess_together(seen: Sequence[tuple[Calendar, datetime]], ruling: Ruling) -> list[Standing]:
    """What `assess` gives for each calendar at its instant, in the same order."""
    found: list[Standing] = []
    for begin in range(0, len(seen), MOST):
        some = seen[begin : begin + MOST]
        decided = _decided(some, ruling) if len(some) > FEW else [None] * len(some)
        found += [
            standing or assess(calendar, at, ruling) for standing, (calendar, at) in zip(decided, some, strict=True)
        ]
    return found


def _decided(seen: Sequence[tuple[Calendar, datetime]], ruling: Ruling) -> Sequence[Standing | None]:
    """How each stands; None of whoever is to be assessed alone."""
    days = {at: ruling.day(at) for at in {at for _, at in seen}}
    day = np.array([days[at] for _, at in seen], dtype=np.int64)
    found = graded([calendar for calendar, _ in seen], day, ruling)
    if found is None:
        return [None] * len(seen)
    shown = _shown(found[0], ruling)
    for place in np.flatnonzero(found[1]).tolist():
        shown[place] = None
    return shown


def graded(calendars: Sequence[Calendar], day: Whole, ruling: Ruling) -> "tuple[Graded, Holds] | None":
    """How parties stand on a day (ordinal) each, and who of them is to be assessed alone; None where all are.

    Up to `MOST` of them: what is written of whoever is to be assessed alone means nothing.
    """
    if ruling.policy.vip_by_money:
        return None
    try:
        # Who has nothing is assessed alone.
        of = columns([EMPTY if len(calendar.entries) > LONG else calendar for calendar in calendars], ruling.rates)
        alone = _alone(of, day, ruling)
        found, doubtful = _graded(of.of(~alone), day, ruling)
    except TooLarge:
        return None
    return found, alone | doubtful


def _alone(of: Columns, day: Whole, ruling: Ruling) -> Holds:
    rare = np.isin(of.kind, RARE) | (of.day > day[of.party])
    if ruling.by_kind:
        rare |= of.organised
    known = of.any_of(~np.isin(of.kind, list(ALONE)))
    return of.any_of(rare) | ~known | (day > LAST)


class Graded(NamedTuple):
    """What `Standing` shows of each party, as numbers: codes by their places, days as ordinals."""

    stage: Whole
    tier: Whole
    since: Whole
    value: Whole
    spend: Whole
    bought: Days
    last_sign: Whole
    last_contact: Whole
    turn: Whole
    stage_turn: Whole
    next_stage: Whole
    p: Numbers | None
    turnover: Whole
    level: Whole
    satisfaction: Faded
    loyalty: Faded
    posture: Whole
    flags: Whole
    vip: Holds
    potential: Whole
    """A place in `GRADES`."""

    @property
    def treatment(self) -> Whole:
        """A place in `treatments`."""
        return (self.tier * len(Band) + self.satisfaction.band) * len(Band) + self.loyalty.band


def _graded(of: Columns, day: Whole, ruling: Ruling) -> tuple[Graded, Holds]:
    """How each stands, and where that is doubtful."""
    policy, purchase = ruling.policy, of.kind == Kind.PURCHASE
    signs = policy.persons.prospects.sign_numbers
    bought = of.days(purchase)
    buyer, gross = bought.number > 0, of.sums(purchase, bought, of.worth)
    past = _past(bought, gross, day)
    stage, since, stage_turn, next_stage = _stages(of, bought, day, ruling)
    since = _since(of, stage, since, day, ruling)
    worth = _worth(of, past, buyer, day, ruling)
    evidence = pieces(of, bought, gross, policy)
    satisfaction, loyalty = (Fadings(evidence, index).on(day) for index in (policy.satisfaction, policy.loyalty))
    poised, poised_turn = posture(of.days(np.isin(of.kind, list(TOUCHING))), day, policy.posture)
    has = worth.tier <= HIGH_TIER, worth.profit, bought.number > 1, satisfaction.band == HIGH
    said = {
        "kind": of.any_of(of.organised).astype(np.int64), "stage": stage, "tier": worth.tier,
        "satisfaction": satisfaction.band, "loyalty": loyalty.band, "posture": poised,
        "spend_minor": of.total(purchase, of.worth), "purchase_days": bought.number,
    }  # fmt: skip
    graded = Graded(
        stage, worth.tier, since, worth.value, said["spend_minor"], bought,
        of.days(np.isin(of.kind, list(signs))).last, of.days(np.isin(of.kind, list(CONTACT | signs))).last,
        np.minimum.reduce([stage_turn, worth.turn, satisfaction.turn, loyalty.turn, poised_turn]),
        stage_turn, next_stage, worth.p, worth.turnover, worth.level, satisfaction, loyalty, poised,
        sum(there.astype(np.int64) << place for place, there in enumerate(reversed(has))),
        hold(policy.vip, said) if policy.vip else np.zeros(len(day), np.bool_), np.where(buyer, 0, _potential(of)),
    )  # fmt: skip
    return graded, worth.doubtful | satisfaction.doubtful | loyalty.doubtful


def _potential(of: Columns) -> Whole:
    """How a lead of each was last graded."""
    rows, found = np.flatnonzero(of.grade), np.zeros(of.parties, np.int64)
    # Of several rows of a party the last one stays.
    found[of.party[rows]] = of.grade[rows]
    return found


def _past(bought: Days, gross: Whole, day: Whole) -> Past:
    paid = np.append(0, np.cumsum(gross))
    paid_days = np.append(0, np.cumsum(gross > 0))
    begin, end = bought.begin, bought.end
    there = bought.number > 0
    return Past(
        np.maximum(bought.number - 1, 0),
        bought.last - bought.first,
        np.where(there, np.minimum(day, bought.last + LONGEST) - bought.first, 0),
        paid_days[end] - paid_days[begin],
        paid[end] - paid[begin],
    )


def _stages(of: Columns, bought: Days, day: Whole, ruling: Ruling) -> tuple[Whole, Whole, Whole, Whole]:
    """The stage, its first day, the first day of the next one and that one."""
    policy, stages = ruling.policy, ruling.policy.persons
    customers, by_days, prospects = stages.customers, stages.by_days, stages.prospects
    silences: Silences
    if ruling.model is not None and isinstance(customers, ByProbability):
        silences = SilencesByModel(outlook(ruling.model), customers, policy.horizon_days, bought)
    else:
        silences = FixedSilences(dormant_after_days=by_days.dormant_after_days, lost_after_days=by_days.lost_after_days)
    interest = FixedSilences(dormant_after_days=prospects.active_days, lost_after_days=prospects.lost_after_days)
    of_interest = phases(of.days(np.isin(of.kind, list(prospects.sign_numbers))), day, interest)
    of_purchases = phases(bought, day, silences)
    buyer = bought.number > 0
    found = Phases(*(np.where(buyer, *each) for each in zip(of_purchases, of_interest, strict=True)))
    above = np.where(buyer, FIRST_OF_CUSTOMERS, 0)
    since = np.maximum(found.since, of.days(~np.isin(of.kind, list(ALONE))).first)
    return found.phase + above, since, found.turn, found.then + above


def _since(of: Columns, stage: Whole, since: Whole, day: Whole, ruling: Ruling) -> Whole:
    """The first day of the stage, see `Lifecycle.since`; `since` is the one as if the ruling had always held."""
    since, until = since.copy(), day
    looked_at = since > 0
    for decided in ruling.earlier:
        until = np.minimum(until, decided.until)
        looked_at = looked_at & (since <= until)
        if not looked_at.any():
            break
        known = of.only(looked_at[of.party] & (of.day <= until[of.party]))
        by = msgspec.structs.replace(ruling, policy=decided.policy, model=decided.model)
        before, begun, *_ = _stages(known, known.days(known.kind == Kind.PURCHASE), until, by)
        same = before == stage
        since[looked_at] = np.where(same, begun, until)[looked_at]
        looked_at = looked_at & same
    return since


class Worth(NamedTuple):
    """What each is worth, by turnover and by what a model expects."""

    tier: Whole
    value: Whole
    p: Numbers | None
    turnover: Whole
    level: Whole
    profit: Holds
    turn: Whole
    """The first later day on which any of these but the numbers is another; `NEVER` where they stay."""
    doubtful: Holds


def _worth(of: Columns, past: Past, buyer: Holds, day: Whole, ruling: Ruling) -> Worth:
    policy, model, cuts = ruling.policy, ruling.model, ruling.cuts
    expects = model is not None and model.p is not None
    made = turnover(of, day, policy, None if expects else cuts, buyer)
    value, turn, p = made.minor.copy(), made.turn, None
    doubtful = np.zeros(len(day), np.bool_)
    who = np.flatnonzero(buyer)
    theirs = past.of(who)
    if model is not None:
        p = np.full(len(day), np.nan)
        p[who], doubtful[who] = outlook(model).p_buys(theirs, policy.horizon_days)
    if model is not None and expects:
        value[:] = 0
        value[who], near = outlook(model).value(theirs, policy.turnover_days)
        doubtful[who] |= near
    tier = np.where(buyer, tier_places(cuts, value), UNPROVEN)
    if model is not None and expects:
        turn = turn.copy()
        above = np.flatnonzero(tier < LOW_TIER)
        least = np.array([cuts.top, cuts.high, cuts.mid])[tier[above]]
        some = past.of(above)
        fallen, near = outlook(model).falls(some, policy.turnover_days, least, some.tx + LONGEST)
        doubtful[above] |= near
        turn[above] = np.minimum(turn[above], np.where(fallen < NEVER, day[above] - some.T + fallen, NEVER))
    return Worth(tier, value, p, made.minor, made.level, made.profit, turn, doubtful)


def _shown(of: Graded, ruling: Ruling) -> list[Standing | None]:
    policy, satisfied, loyal = ruling.policy, of.satisfaction, of.loyalty
    lost = np.isin(of.stage, LOST)
    fields: tuple[Any, ...] = (
        _named(list(Stage), of.stage), _named(list(Tier), of.tier), dates(of.since), of.value.tolist(),
        of.spend.tolist(), of.bought.number.tolist(), dates(of.bought.first), dates(of.bought.last),
        dates(of.last_sign), dates(of.last_contact), _named([None, LossReason.UNKNOWN], lost.astype(np.int64)),
        starts(of.turn, ruling), starts(of.stage_turn, ruling), next_stages(of), probabilities(of) or repeat(None),
        of.turnover.tolist(),
        _named(levels(policy), of.level), satisfied.value.tolist(), _named(list(Band), satisfied.band),
        satisfied.amount.tolist(), loyal.value.tolist(), _named(list(Band), loyal.band), loyal.amount.tolist(),
        _named(list(Posture), of.posture), _named(treatments(policy), of.treatment), _named(FLAGS, of.flags),
        of.vip.tolist(), _named(GRADES, of.potential),
    )  # fmt: skip
    return list(map(Standing, *fields))


def levels(policy: Policy) -> list[str | None]:
    """The levels behind the numbers of `Graded`."""
    return [None, *(level.name for level in reversed(policy.levels))]


def treatments(policy: Policy) -> list[str]:
    """Likewise the treatments."""
    return [policy.treatment(*place) for place in product(Tier, Band, Band)]


def next_stages(of: "Graded") -> list[Stage | None]:
    """The next stage of each; None where time does not change it."""
    return _named([*Stage, None], np.where(of.stage_turn < NEVER, of.next_stage, len(Stage)))


def probabilities(of: "Graded") -> list[float | None] | None:
    """The probability of a purchase of each; None of who never bought, and of all where there is no model."""
    return None if of.p is None else [None if p != p else p for p in of.p.tolist()]


def _named(codes: Sequence[Any], places: Whole) -> list[Any]:
    named = np.empty(len(codes), dtype=object)
    named[:] = codes
    found: list[Any] = named[places].tolist()
    return found


def dates(days: Whole) -> list[date | None]:
    """The days behind ordinals; None behind 0."""
    different, place = np.unique(days, return_inverse=True)
    return _named([date.fromordinal(day) if day else None for day in different.tolist()], place)


def starts(days: Whole, ruling: Ruling) -> list[datetime | None]:
    """The instants at which days begin; None where they never do."""
    different, place = np.unique(days, return_inverse=True)
    starts = [None if day == NEVER else start_of_day(day, ruling.zone) for day in different.tolist()]
    return _named(starts, place)
