"""A calendar read under a ruling: what it says of any day."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from contracts.scoring import Band, Posture, Stage, Tier
from services.scoring.domain.calendar import Calendar
from services.scoring.domain.evidence import FARTHEST, Fading, evidence
from services.scoring.domain.grades import Flag, Grades
from services.scoring.domain.lifecycle import Lifecycle
from services.scoring.domain.model import LONGEST
from services.scoring.domain.overrides import Field
from services.scoring.domain.ruling import Ruling

Outcome = tuple[Stage | None, Tier | None]
"""The part of a standing whose change is a move."""
NOWHERE: Outcome = (None, None)
"""No standing."""

Fades = Callable[[int, int], int | None]
"""Gives the first day between two on which something is another than on the first of the two, if nothing happens."""


class History(Lifecycle):
    """The life of a party with what it is worth and how it is graded. Days are ordinals."""

    __slots__ = ("_indexes", "_paid", "_valued")

    def __init__(self, calendar: Calendar, ruling: Ruling) -> None:
        super().__init__(calendar, ruling)
        self._paid: list[tuple[int, int]] | None = None
        self._indexes: tuple[Fading, Fading] | None = None
        # As the stages are, it is asked of one day again and again.
        self._valued: dict[tuple[int, int], int] = {}

    def outcome(self, day: int, known: int | None = None, set_on: int | None = None) -> Outcome:
        """Stage and tier on a day, if nothing happened after the day `known` and what is set is what was on `set_on`.

        `set_on` is `known` where it is not given, and `known` the day itself.
        """
        return self.stage(day, known, set_on), self.tier(day, known, set_on)

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

    @property
    def expects(self) -> bool:
        """Whether value is what a model expects."""
        return self.ruling.model is not None and self.ruling.model.p is not None

    def p(self, day: int) -> float | None:
        """The probability of a purchase within the horizon of the policy; None without a model or a purchase."""
        model, bought = self.ruling.model, self.purchases(day)
        return model.p_buys(*self.asked(day, bought), self.policy.horizon_days) if model and bought else None

    def asked(self, day: int, bought: int) -> tuple[int, int, int]:
        """What a model is asked on a day with, of whoever bought on so many days up to it: x, tx and T (`Model`).

        From `LONGEST` days after the last purchase day on it is asked as on that day, so that nothing falls any more.
        """
        first, then = self.purchase_days[0], self.purchase_days[bought - 1]
        return bought - 1, then - first, min(day, then + LONGEST) - first

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
            if self._paid is None:
                counts, sums = accumulate(worth > 0 for worth in self._gross), accumulate(self._gross)
                self._paid = list(zip(counts, sums, strict=True))
            value = self._valued[day, bought] = model.value_minor(
                *self.asked(day, bought), *self._paid[bought - 1], self.policy.turnover_days
            )
        return value

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

    def next_turn(self, day: int, now: Grades | None = None) -> int | None:
        """The first later day on which any of the grades differs if nothing else happens; None if they stay for ever.

        What fades is looked for in the `FARTHEST` days after the day; value falls in the `LONGEST` days after the last
        purchase day.
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
_UNGRADED = Grades(None, None)
