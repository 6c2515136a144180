"""A calendar read under a ruling: what it says of any day."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import accumulate
from typing import NamedTuple

from contracts.customers import PartyKind
from contracts.loss import LossReason
from contracts.scoring import Band, Posture, Stage, Tier
from services.scoring.domain.calendar import Calendar
from services.scoring.domain.course import Course, Phase, Spans, earliest, fixed, following, last
from services.scoring.domain.declared import Declared
from services.scoring.domain.evidence import Fading, evidence
from services.scoring.domain.facts import DECLARATIONS, Kind
from services.scoring.domain.model import Model
from services.scoring.domain.overrides import Field, Overrides
from services.scoring.domain.policy import ByProbability, Stages
from services.scoring.domain.ruling import Ruling

Outcome = tuple[Stage | None, Tier | None]
"""The part of a standing whose change is a move."""
NOWHERE: Outcome = (None, None)
"""No standing."""

PROSPECTS: Mapping[Phase, Stage] = {
    Phase.ACTIVE: Stage.PROSPECT,
    Phase.DORMANT: Stage.DORMANT_PROSPECT,
    Phase.LOST: Stage.LOST_PROSPECT,
}
"""The stage of a party without a purchase, by its course of interest."""
CUSTOMERS: Mapping[Phase, Stage] = {
    Phase.ACTIVE: Stage.CUSTOMER,
    Phase.DORMANT: Stage.DORMANT_CUSTOMER,
    Phase.LOST: Stage.LOST_CUSTOMER,
}
"""The stage of a party with a purchase, by its course of purchases."""
LOST = frozenset({Stage.LOST_PROSPECT, Stage.LOST_CUSTOMER})
"""Stages that have a loss reason."""

TOUCHING = frozenset(
    int(kind)
    for kind in (
        Kind.PURCHASE,
        Kind.INQUIRED,
        Kind.CONTACTED,
        Kind.REACHED,
        Kind.COMPLAINED,
        Kind.PRAISED,
        Kind.POSTED,
        Kind.REPLIED,
        Kind.REACTED,
        Kind.LEAD_CAPTURED,
    )
)
"""Contact or purchase: days with one of these say which way a relationship goes."""
REGISTERED, OVERRIDDEN = int(Kind.REGISTERED), int(Kind.OVERRIDDEN)
SAYING = frozenset({*map(int, DECLARATIONS), REGISTERED, OVERRIDDEN})
"""Kinds of facts whose detail says something about the stage."""
ALONE = frozenset({int(Kind.RATED_WELL), int(Kind.RATED_POORLY), OVERRIDDEN})
"""Entries that do not make a party known."""

FARTHEST = 36_500
"""So many days ahead it is looked for what fades."""
Fades = Callable[[int, int], int | None]
"""Gives the first day between two on which something is another than on the first of the two, if nothing happens."""


class Flag(StrEnum):
    """What may be said of a party besides."""

    HIGH_VALUE = "high_value"
    """Of the top or the high tier."""
    PROFIT_MAKING = "profit_making"
    """The margin of the turnover is more than what its facts cost."""
    RETURNING = "returning"
    """Bought on more than one day."""
    SATISFIED = "satisfied"
    """The band of satisfaction is high."""


class Grades(NamedTuple):
    """The discrete part of a standing."""

    stage: Stage | None
    tier: Tier | None
    satisfaction: Band | None = None
    loyalty: Band | None = None
    level: str | None = None
    posture: Posture | None = None
    treatment: str | None = None
    flags: tuple[str, ...] = ()
    """Codes of `Flag`, sorted."""
    vip: bool = False


class ByModel:
    """After a purchase: how long the probability of another one stays at or above the thresholds of a policy."""

    __slots__ = ("_customers", "_days", "_found", "_horizon_days", "_model", "least")

    def __init__(self, model: Model, customers: ByProbability, horizon_days: int, purchase_days: Sequence[int]) -> None:
        self._model, self._customers = model, customers
        self._horizon_days, self._days = horizon_days, purchase_days
        self.least = customers.fresh_days + 1
        # Of one place it is asked some ten times.
        self._found: dict[tuple[int, float], int | None] = {}

    def dormant_in(self, place: int) -> int | None:
        """See `Spans`."""
        return self._first_below(place, self._customers.dormant_below)

    def lost_in(self, place: int) -> int | None:
        """See `Spans`."""
        return self._first_below(place, self._customers.lost_below)

    def _first_below(self, place: int, threshold: float) -> int | None:
        if (place, threshold) not in self._found:
            tx = self._days[place] - self._days[0]
            below = self._model.first_below(place, tx, threshold, self._horizon_days)
            self._found[place, threshold] = None if below is None else max(below, self.least)
        return self._found[place, threshold]


class Courses(NamedTuple):
    """What a party's history is to the stages of one kind of party."""

    stages: Stages
    sign_days: list[int]
    """Days with a sign of interest."""
    interest: Course
    purchases: Course


class History:
    """Days are ordinals. What happens on a day holds on that whole day; days after the one asked for do not count.

    Of the facts of one day a purchase comes before a declaration, and that before a sign of interest.
    """

    __slots__ = (
        "_calendar", "_costs", "_gross", "_indexes", "_net", "_organisation", "_paid", "_person", "_spend",
        "_staged", "_valued", "days", "declared", "declined", "money_days", "organised", "overrides", "policy",
        "purchase_days", "ruling", "sign_days", "stages", "touching_days", "unconverted",
    )  # fmt: skip

    def __init__(self, calendar: Calendar, ruling: Ruling) -> None:
        self.ruling = ruling
        self.policy = ruling.policy
        self._calendar = calendar
        self.days: list[int] = []
        """Days on which anything happened."""
        self.purchase_days: list[int] = []
        self.declared = Declared()
        """By anybody, also by us about a lead."""
        self.declined = Declared()
        """By the party itself, which alone loses a customer."""
        self.unconverted: dict[tuple[int, str], int] = {}
        """Net amounts by day and currency for which there is no rate: they are left out."""
        self.money_days: list[int] = []
        """Days with money that counts."""
        self.organised: int | None = None
        """The day from which the party is known to be an organisation."""
        self.overrides: Overrides | None = None
        self._net = [0]
        self._spend = [0]
        self._gross: list[int] = []
        self._paid: list[tuple[int, int]] | None = None
        self.touching_days: list[int] = []
        """Days with contact or purchase."""
        self._costs: tuple[list[int], list[int]] | None = None
        self._indexes: tuple[Fading, Fading] | None = None
        # Of one day it is asked again and again: for the grades, since when, why, and for what comes next.
        self._staged: dict[tuple[int, int], Stage] = {}
        self._valued: dict[tuple[int, int], int] = {}
        sign_days = self._read()
        self._person = self._courses(self.policy.persons, sign_days)
        self._organisation: Courses | None = None
        if self.organised is not None and self.policy.organisations is not None:
            stages = self.policy.organisations
            self._organisation = self._courses(stages, self._sign_days(stages.prospects.sign_numbers))
        latest = self._organisation or self._person
        self.stages = latest.stages
        """Those of the kind of party that it is known to be at last."""
        self.sign_days = latest.sign_days
        """Days with a sign of interest, as these stages have it."""

    def _read(self) -> list[int]:
        # One pass with names bound once: this runs for every party that an event touches.
        rates, reporting = self.ruling.rates, self.ruling.rates.currency
        purchase, returned, signs = int(Kind.PURCHASE), int(Kind.RETURN), self.policy.persons.prospects.sign_numbers
        days, purchase_days, money_days, sign_days = self.days, self.purchase_days, self.money_days, list[int]()
        nets, spends, gross = self._net, self._spend, self._gross
        overridden: list[tuple[int, str]] = []
        touching, net, spend = self.touching_days, 0, 0
        last_day = last_bought = last_sign = last_money = last_touched = 0
        for day, kind, detail, _, amount in self._calendar.entries:
            if day != last_day and kind not in ALONE:
                days.append(day)
                last_day = day
            if day != last_touched and kind in TOUCHING:
                touching.append(day)
                last_touched = day
            if kind == purchase:
                if day != last_bought:
                    purchase_days.append(day)
                    gross.append(0)
                    last_bought = day
                sign = 1
            elif kind == returned:
                sign = -1
            else:
                if day != last_sign and kind in signs:
                    sign_days.append(day)
                    last_sign = day
                if kind in SAYING:
                    if kind == OVERRIDDEN:
                        overridden.append((day, detail))
                    elif kind != REGISTERED:
                        self._declare(day, kind, detail)
                    elif self.organised is None and detail == PartyKind.ORGANISATION:
                        self.organised = day
                continue
            worth = amount if detail == reporting else rates.converted(amount, detail, day)
            if worth is None:
                self.unconverted[day, detail] = self.unconverted.get((day, detail), 0) + sign * amount
                continue
            net += sign * worth
            if sign > 0:
                spend += worth
                gross[-1] += worth
            if day == last_money:
                nets[-1], spends[-1] = net, spend
            else:
                money_days.append(day)
                nets.append(net)
                spends.append(spend)
                last_money = day
        if overridden:
            self.overrides = Overrides(overridden)
        return sign_days

    def _declare(self, day: int, kind: int, detail: str) -> None:
        reason = LossReason(detail)
        self.declared.add(day, reason)
        if kind == Kind.DECLINED:
            self.declined.add(day, reason)

    def _sign_days(self, signs: frozenset[int]) -> list[int]:
        return list(dict.fromkeys(day for day, kind, *_ in self._calendar.entries if kind in signs))

    def _courses(self, stages: Stages, sign_days: list[int]) -> Courses:
        prospects, customers, by_days, model = stages.prospects, stages.customers, stages.by_days, self.ruling.model
        spans: Spans
        if model is not None and isinstance(customers, ByProbability):
            spans = ByModel(model, customers, self.policy.horizon_days, self.purchase_days)
        else:
            spans = fixed(dormant_after_days=by_days.dormant_after_days, lost_after_days=by_days.lost_after_days)
        interest = fixed(dormant_after_days=prospects.active_days, lost_after_days=prospects.lost_after_days)
        return Courses(
            stages,
            sign_days,
            Course(self._without(sign_days, self.declared.days), self.declared.days, interest),
            Course(self.purchase_days, self._without(self.declined.days, self.purchase_days), spans),
        )

    @staticmethod
    def _without(days: list[int], gone: list[int]) -> list[int]:
        if not (days and gone):
            return days
        out = set(gone)
        return [day for day in days if day not in out]

    def _of(self, day: int) -> Courses:
        if self._organisation is not None and self.kind(day) is PartyKind.ORGANISATION:
            return self._organisation
        return self._person

    def kind(self, day: int) -> PartyKind:
        """What the party is known to be on a day."""
        organised = self.organised is not None and self.organised <= day
        return PartyKind.ORGANISATION if organised else PartyKind.PERSON

    def stages_on(self, day: int) -> Stages:
        """The stages of the kind of party that it is known to be on a day."""
        return self._of(day).stages

    def grades(self, day: int) -> Grades:
        """The discrete part of the standing on a day, with what was set in the place of what follows."""
        return self._graded(day, self.set_on(day))

    def derived(self, day: int) -> Mapping[str, str]:
        """What follows of each field that is set otherwise; of treatment and vip what follows from the rest as set."""
        held = self.set_on(day)
        if not held or not self.is_known(day):
            return {}
        shown, bare = self._graded(day, held), self._graded(day, {})
        follows = self._graded(day, {field: value for field, value in held.items() if field not in FOLLOWING})
        found = {}
        for field in held:
            now, then = getattr(shown, field), getattr(follows if field in FOLLOWING else bare, field)
            if now != then:
                found[field] = str(then).lower() if field == Field.VIP else str(then)
        return found

    def set_on(self, day: int) -> Mapping[str, str]:
        """The value of each field that is overridden on a day."""
        return self.overrides.on(day) if self.overrides else _NOTHING

    def _graded(self, day: int, held: Mapping[str, str]) -> Grades:
        if not self.is_known(day):
            return _UNGRADED
        # Each is looked up once: this runs twice for every party that an event touches.
        policy, (satisfied, loyal) = self.policy, self.indexes
        bought, turnover = bisect_right(self.purchase_days, day), self.turnover(day)
        value = self.value(day) if self.expects else turnover
        stage, posture = self._stage(day, day), self._posture(day)
        tier = self.ruling.cuts.tier(value) if bought else Tier.UNPROVEN
        satisfaction, loyalty = satisfied.band(day), loyal.band(day)
        if held:
            stage, tier = Stage(held.get("stage", stage)), Tier(held.get("tier", tier))
            satisfaction = Band(held.get("satisfaction", satisfaction))
            loyalty, posture = Band(held.get("loyalty", loyalty)), Posture(held.get("posture", posture))
        flags: list[str] = []
        if tier is Tier.TOP or tier is Tier.HIGH:
            flags.append(Flag.HIGH_VALUE)
        if self.makes_profit(turnover, day):
            flags.append(Flag.PROFIT_MAKING)
        if bought > 1:
            flags.append(Flag.RETURNING)
        if satisfaction is Band.HIGH:
            flags.append(Flag.SATISFIED)
        vip = False
        if "vip" in held:
            vip = held["vip"] == "true"
        elif policy.vip is not None:
            vip = policy.vip.holds(
                {
                    "kind": self.kind(day),
                    "stage": stage,
                    "tier": tier,
                    "satisfaction": satisfaction,
                    "loyalty": loyalty,
                    "posture": posture,
                    "turnover_minor": turnover,
                    "value_minor": value,
                    "spend_minor": self.spend(day),
                    "purchase_days": bought,
                }
            )
        treatment = held.get("treatment") or policy.treatment(tier, satisfaction, loyalty)
        level = policy.level(turnover)
        return Grades(stage, tier, satisfaction, loyalty, level, posture, treatment, tuple(flags), vip)

    def outcome(self, day: int, known: int | None = None, set_on: int | None = None) -> Outcome:
        """Stage and tier on a day, if nothing happened after the day `known` and what is set is what was on `set_on`.

        `set_on` is `known` where it is not given, and `known` the day itself.
        """
        return self.stage(day, known, set_on), self.tier(day, known, set_on)

    def stage(self, day: int, known: int | None = None, set_on: int | None = None) -> Stage | None:
        """The stage, see `outcome`; None before anything happened."""
        known = day if known is None else known
        if not self.is_known(known):
            return None
        if self.overrides:
            held = self.overrides.on(known if set_on is None else set_on).get("stage")
            if held:
                return Stage(held)
        return self._stage(day, known)

    def tier(self, day: int, known: int | None = None, set_on: int | None = None) -> Tier | None:
        """The tier, see `outcome`; None before anything happened."""
        known = day if known is None else known
        if not self.is_known(known):
            return None
        if self.overrides:
            held = self.overrides.on(known if set_on is None else set_on).get("tier")
            if held:
                return Tier(held)
        return self.ruling.cuts.tier(self.value(day, known)) if self.has_bought(known) else Tier.UNPROVEN

    def _stage(self, day: int, known: int) -> Stage:
        stage = self._staged.get((day, known))
        if stage is None:
            of = self._of(known)
            course, stages = (of.purchases, CUSTOMERS) if self.has_bought(known) else (of.interest, PROSPECTS)
            phase = course.phase(day, known)
            stage = self._staged[day, known] = Stage.STRANGER if phase is None else stages[phase]
        return stage

    def has_bought(self, day: int) -> bool:
        """Whether there was a purchase up to the day."""
        return bool(self.purchase_days) and self.purchase_days[0] <= day

    def is_known(self, day: int) -> bool:
        """Whether anything happened up to the day."""
        return bool(self.days) and self.days[0] <= day

    def happened(self, day: int) -> bool:
        """Whether anything happened on the day itself."""
        place = bisect_left(self.days, day)
        return place < len(self.days) and self.days[place] == day

    def loss_reason(self, day: int, known: int | None = None, set_on: int | None = None) -> LossReason | None:
        """Why a lost party is lost: the declaration that decides or, after mere silence, one since the last act."""
        known = day if known is None else known
        told: tuple[tuple[Declared, int], ...]
        match self.stage(day, known, set_on):
            case Stage.LOST_PROSPECT:
                told = ((self.declared, self.last_sign(known) or 0),)
            case Stage.LOST_CUSTOMER:
                bought = self.last_purchase(known) or 0
                told = (self.declined, bought + 1), (self.declared, bought)
            case _:
                return None
        for declared, least in told:
            found = declared.last(known)
            if found is not None and found[0] >= least:
                return found[1]
        return LossReason.UNKNOWN

    @property
    def expects(self) -> bool:
        """Whether value is what a model expects."""
        return self.ruling.model is not None and self.ruling.model.p is not None

    def p(self, day: int) -> float | None:
        """The probability of a purchase within the horizon of the policy; None without a model or a purchase."""
        model, bought = self.ruling.model, self.purchases(day)
        if model is None or not bought:
            return None
        first, then = self.purchase_days[0], self.purchase_days[bought - 1]
        return model.p_buys(bought - 1, then - first, day - first, self.policy.horizon_days)

    def value(self, day: int, known: int | None = None) -> int:
        """What a model expects of whoever bought up to the day `known`; without one it is the turnover."""
        model = self.ruling.model
        if model is None or not self.expects:
            return self.turnover(day, known)
        bought = self.purchases(day if known is None else known)
        if not bought:
            return 0
        value = self._valued.get((day, bought))
        if value is None:
            first, then = self.purchase_days[0], self.purchase_days[bought - 1]
            if self._paid is None:
                counts, sums = accumulate(worth > 0 for worth in self._gross), accumulate(self._gross)
                self._paid = list(zip(counts, sums, strict=True))
            value = self._valued[day, bought] = model.value_minor(
                bought - 1, then - first, day - first, *self._paid[bought - 1], self.policy.turnover_days
            )
        return value

    def turnover(self, day: int, known: int | None = None) -> int:
        """Net turnover of the window that ends with the day, of which only days up to `known` count."""
        days = self.money_days
        low = bisect_right(days, day - self.policy.turnover_days)
        return self._net[max(bisect_right(days, day if known is None else known), low)] - self._net[low]

    def spend(self, day: int) -> int:
        """Gross purchases up to the day."""
        return self._spend[bisect_right(self.money_days, day)]

    def last_purchase(self, day: int) -> int | None:
        """The last purchase day up to the day."""
        return last(self.purchase_days, day)

    def last_sign(self, day: int) -> int | None:
        """The last day up to the day with a sign of interest."""
        return last(self._of(day).sign_days, day)

    def purchases(self, day: int) -> int:
        """How many days up to the day had a purchase."""
        return bisect_right(self.purchase_days, day)

    @property
    def indexes(self) -> tuple[Fading, Fading]:
        """Satisfaction and loyalty."""
        if self._indexes is None:
            policy = self.policy
            pieces = evidence(self._calendar.entries, self.purchase_days, self._gross, policy)
            self._indexes = Fading(pieces, policy.satisfaction), Fading(pieces, policy.loyalty)
        return self._indexes

    def _posture(self, day: int) -> Posture:
        """Which way the relationship goes: days with contact or purchase in one window against those of that before."""
        trend, days = self.policy.posture, self.touching_days
        begin = bisect_right(days, day - trend.window_days)
        later = bisect_right(days, day) - begin
        earlier = begin - bisect_right(days, day - 2 * trend.window_days)
        if not earlier:
            return Posture.DEVELOPING if later else Posture.CONSERVATIVE
        ratio = later / earlier
        if ratio >= trend.developing_from:
            return Posture.DEVELOPING
        return Posture.CONSERVATIVE if ratio < trend.conservative_below else Posture.STEADY

    def makes_profit(self, turnover_minor: int, day: int) -> bool:
        """Whether the margin of the turnover of the window that ends with a day is more than what its facts cost."""
        return self.policy.profit.of(turnover_minor) > self.cost(day)

    @property
    def _costs_by_day(self) -> tuple[list[int], list[int]]:
        """The days of facts that cost something, and what they cost up to each, begun with nothing."""
        if self._costs is None:
            by_kind = {int(Kind[code.upper()]): price for code, price in self.policy.profit.cost_minor.items()}
            days, sums = list[int](), [0]
            for on_day, kind, _, count, _ in self._calendar.entries if by_kind else ():
                if kind in by_kind:
                    days.append(on_day)
                    sums.append(sums[-1] + by_kind[kind] * count)
            self._costs = days, sums
        return self._costs

    def cost(self, day: int) -> int:
        """What the facts of the window that ends with a day cost, in minor units of the reporting currency."""
        if not self.policy.profit.cost_minor:
            return 0
        days, sums = self._costs_by_day
        return sums[bisect_right(days, day)] - sums[bisect_right(days, day - self.policy.turnover_days)]

    def since(self, day: int) -> int | None:
        """The first day of the stage that holds on the day."""
        stage = self.stage(day)
        if stage is None:
            return None
        while True:
            begun = self._since(day)
            if not self._boundaries() or self._moved_to(stage, begun):
                return begun
            day = begun - 1

    def _moved_to(self, stage: Stage, day: int) -> bool:
        """Whether a day came to a stage by a move: by silence, by its facts or by what was set, be it from itself."""
        steps = self.stage(day - 1), self.stage(day, day - 1), self.stage(day, set_on=day - 1)
        return any(step is not stage for step in steps)

    def _since(self, day: int) -> int:
        """A day up to this one since which the stage is what it is; before it the stage may be the same."""
        begun = last(self._boundaries(), day) or 0
        if "stage" not in self.set_on(day):
            of = self._of(day)
            course = of.purchases if self.has_bought(day) else of.interest
            begun = max(begun, course.since(day) or 0)
        return max(begun, self.days[0])

    def _boundaries(self) -> Sequence[int]:
        """Days from which on the stage may follow from something else than before."""
        boundaries = list(self.overrides.boundaries) if self.overrides else []
        if self._organisation is not None and self.organised is not None:
            boundaries = sorted({*boundaries, self.organised})
        return boundaries

    def next_stage_turn(self, day: int) -> int | None:
        """The first later day on which the stage differs if nothing else happens."""
        stage, turn, boundaries = self.stage(day), self._next_stage_turn(day), self._boundaries()
        if not boundaries:
            return turn
        while (turn := earliest(self._next_stage_turn(day), following(boundaries, day))) is not None:
            if self.stage(turn) is not stage:
                return turn
            day = turn
        return None

    def _next_stage_turn(self, day: int) -> int | None:
        of = self._of(day)
        if self.has_bought(day):
            return of.purchases.next_turn(day)
        if not self.is_known(day):
            return self.days[0] if self.days else None
        return earliest(of.interest.next_turn(day), self.purchase_days[0] if self.purchase_days else None)

    def next_turn(self, day: int, now: Grades | None = None) -> int | None:
        """The first later day on which any of the grades differs if nothing else happens; None if they stay for ever.

        What fades is looked for in the next `FARTHEST` days.
        """
        now, before, fading = now or self.grades(day), day, self._fading
        for turn in self.turns(day):
            for faded in self._fades(before, turn, fading):
                if self.grades(faded) != now:
                    return faded
            if self.grades(turn) != now:
                return turn
            before = turn
        return next((day for day in self._fades(before, day + FARTHEST + 1, fading) if self.grades(day) != now), None)

    def turning_days(self, after: int | None, until: int) -> Iterator[int]:
        """The days behind one (None: from the beginning) up to another on which stage or tier may change, in order."""
        if after is None:
            after = self.days[0] - 1 if self.days else 0
        fading = (self._falls,) if self.expects else ()
        before = after
        for day in self._in_order(self._turning(after)):
            if day > until:
                break
            if fading:
                yield from self._fades(before, day, fading)
                before = day
            yield day
        if fading:
            yield from self._fades(before, until + 1, fading)

    def _turning(self, after: int) -> Iterator[Iterable[int]]:
        yield _later(self.days, 0, after)
        yield _later(self.money_days, self.policy.turnover_days, after)
        for of in (self._person, self._organisation):
            if of is not None:
                # Of the two courses most parties have one alone.
                yield from (course.silences(after) for course in (of.interest, of.purchases) if course.acts)
        if self.overrides:
            yield _later(self.overrides.boundaries, 0, after)

    def turns(self, after: int) -> list[int]:
        """The days behind one on which any of the grades may change by more than fading, in order."""
        window = self.policy.posture.window_days
        satisfied, loyal = self.indexes
        offsets = ((self.touching_days, window), (self.touching_days, 2 * window), (satisfied.days, 0), (loyal.days, 0))
        entering = (_later(days, offset, after) for days, offset in offsets if days)
        prices = self.policy.profit.cost_minor
        costs = _later(self._costs_by_day[0], self.policy.turnover_days, after) if prices else ()
        return self._in_order((*self._turning(after), *entering, costs))

    @staticmethod
    def _in_order(turning: Iterable[Iterable[int]]) -> list[int]:
        return sorted({day for days in turning for day in days})

    @staticmethod
    def _fades(before: int, turn: int, fading: Sequence[Fades]) -> Iterator[int]:
        """The days between two on which something is another than the day before, as one fading thing after another.

        In between nothing happens, so that whatever fades goes one way and no outcome of it comes back.
        """
        while turn - before > 1:
            first = turn
            for fades in fading:
                faded = fades(before, first)
                first = first if faded is None else faded
            if first == turn:
                return
            yield first
            before = first

    @property
    def _fading(self) -> Sequence[Fades]:
        satisfied, loyal = self.indexes
        # What takes least comes first: what comes behind it is looked for no farther than it has found.
        return (satisfied.fades, loyal.fades, self._falls) if self.expects else (satisfied.fades, loyal.fades)

    def _falls(self, day: int, until: int) -> int | None:
        """The first day between two on which the value is below an amount that matters, if nothing is bought."""
        if not self.has_bought(day):
            return None
        value, amounts = self.value(day), self.ruling.amounts
        place = bisect_right(amounts, value)
        if not place or self.value(until - 1) >= amounts[place - 1]:
            return None
        amount = amounts[place - 1]
        return bisect_left(range(until), True, day + 1, until - 1, key=lambda day: self.value(day) < amount)


def _later(days: Sequence[int], offset: int, after: int) -> Sequence[int]:
    if not days or days[-1] + offset <= after:
        return ()
    return [day + offset for day in days[bisect_right(days, after - offset) :]]


FOLLOWING = frozenset({Field.TREATMENT, Field.VIP})
"""What follows from the other grades as they are set."""
_NOTHING: Mapping[str, str] = {}
_UNGRADED = Grades(None, None)
