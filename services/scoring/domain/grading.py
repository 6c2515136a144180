"""What a party is worth and how it is graded on any day.

Tier, bands, level, posture, flags, VIP, treatment and potential.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from typing import Any

from contracts.leads import Grade
from contracts.scoring import Band, Posture, Stage, Tier
from services.scoring.domain.calendar import Calendar, Entry
from services.scoring.domain.evidence import SOLVING, Piece, evidence, later_evidence
from services.scoring.domain.fading import Fading
from services.scoring.domain.grades import Flag, Grades, Numbers
from services.scoring.domain.lifecycle import LOST, Lifecycle
from services.scoring.domain.model import LONGEST
from services.scoring.domain.overrides import NUMBERS, Field, written
from services.scoring.domain.reading import cut
from services.scoring.domain.ruling import Ruling


class Grading(Lifecycle):
    """The life of a party with what it is worth and how it is graded. Days are ordinals."""

    __slots__ = ("_indexes", "_known_worths", "_pieces", "_solutions", "_valued")

    def __init__(
        self, calendar: Calendar, ruling: Ruling, like: "Grading | None" = None, since: int = 0, *, spent: bool = False
    ) -> None:
        # Made before its lists are cut, where they are.
        known = None if like is None else (like.pieces, like.solutions, like.indexes)
        super().__init__(calendar, ruling, like, since, spent=spent)
        self._known_worths: list[tuple[int, int, int]] = []
        self._pieces: list[Piece] | None = None
        self._solutions: list[Entry] | None = None
        self._indexes: tuple[Fading, Fading] | None = None
        if like is not None and known is not None:
            pieces, solutions, indexes = known
            entries, later = calendar.entries, calendar.entries[bisect_left(calendar.entries, (since,)) :]
            self._known_worths = cut(like._known_worths, bisect_left(self.purchase_days, since), spent=spent)
            self._solutions = cut(solutions, bisect_left(solutions, (since,)), spent=spent)
            self._solutions += (entry for entry in later if entry[1] == SOLVING)
            self._pieces = cut(pieces, bisect_left(pieces, (since,)), spent=spent)
            days, gross = self.purchase_days, self.gross
            most = self._worths(bisect_left(days, since, 1))[2] if days else 0
            self._pieces += later_evidence(self._solutions, since, entries, days, gross, self.policy, most)
            satisfied, loyal = (Fading(self._pieces, of.index, of, since, spent=spent) for of in indexes)
            self._indexes = satisfied, loyal
        # As the stages are, it is asked of one day again and again.
        self._valued: dict[tuple[int, int], int] = {}

    def forget_days(self) -> None:
        """See `Lifecycle`."""
        super().forget_days()
        self._valued.clear()

    def tier(self, day: int, known: int | None = None, set_on: int | None = None) -> Tier | None:
        """The tier, see `outcome`; None before anything happened."""
        known = day if known is None else known
        if not self.is_known(known):
            return None
        if self.overrides:
            held = self.overrides.on(known if set_on is None else set_on).get("tier")
            if held:
                return Tier(held)
        return self.ruling.cuts.tier(self.worth(day, known, set_on)) if self.has_bought(known) else Tier.UNPROVEN

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
            value = self._valued[day, bought] = model.value_minor(
                *self.asked(day, bought), *self._worths(bought)[:2], self.policy.turnover_days
            )
        return value

    def _worths(self, bought: int) -> tuple[int, int, int]:
        """Of the first so many purchase days: on how many something was paid, how much in all, and how much at most."""
        known = self._known_worths
        days, minor, most = known[-1] if known else (0, 0, 0)
        for worth in self.gross[len(known) :]:
            days, minor, most = days + (worth > 0), minor + worth, max(most, worth)
            known.append((days, minor, most))
        return known[bought - 1]

    def worth(self, day: int, known: int | None = None, set_on: int | None = None) -> int:
        """The value, see `outcome`: as it is set or, where value is turnover, as that is; else what follows."""
        known = day if known is None else known
        if self.overrides and self.is_known(known):
            said = self._set_numbers(self.overrides.on(known if set_on is None else set_on))
            if Field.VALUE_MINOR in said:
                return int(said[Field.VALUE_MINOR])
        return self.value(day, known)

    @property
    def pieces(self) -> list[Piece]:
        """All evidence in the order of its days; see `evidence`."""
        if self._pieces is None:
            self._pieces = evidence(self.calendar.entries, self.purchase_days, self.gross, self.policy)
        return self._pieces

    @property
    def solutions(self) -> list[Entry]:
        """The entries of problems that were solved."""
        if self._solutions is None:
            self._solutions = [entry for entry in self.calendar.entries if entry[1] == SOLVING]
        return self._solutions

    @property
    def indexes(self) -> tuple[Fading, Fading]:
        """Satisfaction and loyalty."""
        if self._indexes is None:
            policy, pieces = self.policy, self.pieces
            self._indexes = Fading(pieces, policy.satisfaction), Fading(pieces, policy.loyalty)
        return self._indexes

    def touched(self, day: int) -> tuple[int, int]:
        """The days with contact or purchase in the window of posture that ends with a day, and in the one before it."""
        days, window = self.touching_days, self.policy.posture.window_days
        begin = bisect_right(days, day - window)
        return bisect_right(days, day) - begin, begin - bisect_right(days, day - 2 * window)

    def _posture(self, day: int) -> Posture:
        """Which way the relationship goes."""
        trend, (later, earlier) = self.policy.posture, self.touched(day)
        if not earlier:
            return Posture.DEVELOPING if later else Posture.CONSERVATIVE
        ratio = later / earlier
        if ratio >= trend.developing_from:
            return Posture.DEVELOPING
        return Posture.CONSERVATIVE if ratio < trend.conservative_below else Posture.STEADY

    def lead_graded(self, day: int) -> tuple[int, Grade] | None:
        """The day up to one on which a lead was last graded, and how; None where none was."""
        place = bisect_left(self.graded, (day + 1,))
        if not place:
            return None
        graded_on, detail = self.graded[place - 1]
        return graded_on, Grade(detail.rpartition("|")[2])

    def potential(self, day: int) -> Grade | None:
        """How promising whoever never bought is, by the last grade of a lead; None of anybody else, and without one."""
        graded = None if not self.graded or self.has_bought(day) else self.lead_graded(day)
        return graded and graded[1]

    def grades(self, day: int) -> Grades:
        """The discrete part of the standing on a day, with what was set in the place of what follows."""
        return self._graded(day, self.set_on(day))

    def numbers(self, day: int, held: Mapping[str, str]) -> Numbers:
        """The numbers of the standing on a day, with what is set in the place of what follows."""
        (satisfied, loyal), turnover = self.indexes, self.turnover(day)
        value = self.value(day) if self.expects else turnover
        follow = Numbers(value, turnover, self.p(day), satisfied.value(day), loyal.value(day))
        return follow._replace(**self._set_numbers(held)) if held else follow

    def _set_numbers(self, held: Mapping[str, str]) -> dict[str, Any]:
        """The numbers that are set, with the value where that is a turnover that is."""
        said = {field: NUMBERS[field](held[field]) for field in held.keys() & NUMBERS.keys()}
        if Field.TURNOVER_MINOR in said and not self.expects:
            said.setdefault(Field.VALUE_MINOR, said[Field.TURNOVER_MINOR])
        return said

    def renumbered(self, day: int) -> list[str]:
        """The numbers that are others on a day than with what was set on the eve, as something else is set."""
        held, before = self.set_on(day), self.set_on(day - 1)
        if held is before or not self.is_known(day):
            return []
        now, otherwise = self.numbers(day, held), self.numbers(day, before)
        return [field for field in Numbers._fields if getattr(now, field) != getattr(otherwise, field)]

    def derived(self, day: int) -> Mapping[str, str]:
        """What follows of each field that is set otherwise, from the rest as it is set; empty for nothing."""
        held = self.set_on(day)
        if not held or not self.is_known(day):
            return {}
        stage, shown = self.stage(day), self._graded(day, held)
        found = {}
        for field in held:
            rest = {other: value for other, value in held.items() if other != field}
            if field in NUMBERS:
                now, then = held[field], written(getattr(self.numbers(day, rest), field))
            elif field == Field.LOSS_REASON:
                now, then = held[field] if stage in LOST else "", self.reason_of(stage, day) or ""
            else:
                now, then = _shown(field, shown), _shown(field, self._graded(day, rest))
            if now != then:
                found[field] = str(then)
        return found

    def _graded(self, day: int, held: Mapping[str, str]) -> Grades:
        if not self.is_known(day):
            return _UNGRADED
        said = self.said(day, held)
        stage, tier, satisfaction, loyalty = said["stage"], said["tier"], said["satisfaction"], said["loyalty"]
        policy, turnover = self.policy, said["turnover_minor"]
        flags: list[str] = []
        if tier is Tier.TOP or tier is Tier.HIGH:
            flags.append(Flag.HIGH_VALUE)
        if self.makes_profit(turnover, day):
            flags.append(Flag.PROFIT_MAKING)
        if said["purchase_days"] > 1:
            flags.append(Flag.RETURNING)
        if satisfaction is Band.HIGH:
            flags.append(Flag.SATISFIED)
        if held:
            flags = [flag for flag in Flag if held.get(flag, "true" if flag in flags else "false") == "true"]
        vip = False
        if "vip" in held:
            vip = held["vip"] == "true"
        elif policy.vip is not None:
            vip = policy.vip.holds(said)
        treatment = held.get("treatment") or policy.treatment(tier, satisfaction, loyalty)
        level = held.get("level") or policy.level(turnover)
        potential = self.potential(day)
        if "potential" in held and not said["purchase_days"]:
            potential = Grade(held["potential"])
        return Grades(
            stage, tier, satisfaction, loyalty, level, said["posture"], treatment, tuple(flags), vip, potential
        )

    def said(self, day: int, held: Mapping[str, str]) -> Mapping[str, Any]:
        """What a rule may be about, by the names of its fields, with what is set in the place of what follows."""
        # Each is looked up once: this runs twice for every party that an event touches.
        satisfied, loyal = self.indexes
        bought, turnover = bisect_right(self.purchase_days, day), self.turnover(day)
        value = self.value(day) if self.expects else turnover
        said: dict[str, Any] = {
            "kind": self.kind(day),
            "stage": self._stage(day, day),
            "tier": self.ruling.cuts.tier(value) if bought else Tier.UNPROVEN,
            "satisfaction": satisfied.band(day),
            "loyalty": loyal.band(day),
            "posture": self._posture(day),
            "turnover_minor": turnover,
            "value_minor": value,
            "spend_minor": self.spend(day),
            "purchase_days": bought,
        }
        return self._with(said, held) if held else said

    def _with(self, said: Mapping[str, Any], held: Mapping[str, str]) -> Mapping[str, Any]:
        """What follows, with what is set in its place, and with what follows from that."""
        numbers, policy = self._set_numbers(held), self.policy
        found = {**said, **{field: numbers[field] for field in numbers.keys() & said.keys()}}
        if Field.VALUE_MINOR in numbers and said["purchase_days"]:
            found["tier"] = self.ruling.cuts.tier(numbers[Field.VALUE_MINOR])
        if Field.SATISFACTION_INDEX in numbers:
            found["satisfaction"] = policy.satisfaction.graded(numbers[Field.SATISFACTION_INDEX])
        if Field.LOYALTY_INDEX in numbers:
            found["loyalty"] = policy.loyalty.graded(numbers[Field.LOYALTY_INDEX])
        return found | {field: SETTABLE[field](held[field]) for field in held.keys() & SETTABLE.keys()}


YES_OR_NO = frozenset({Field.VIP, *(Field(flag) for flag in Flag)})
SETTABLE: Mapping[str, Callable[[str], str]] = {
    "stage": Stage, "tier": Tier, "satisfaction": Band, "loyalty": Band, "posture": Posture,
}  # fmt: skip
"""What of this a person may set, and what is made of the value."""
_UNGRADED = Grades(None, None)


def _shown(field: str, grades: Grades) -> str:
    """The value of a field as it would be set; empty where there is none."""
    if field in YES_OR_NO:
        return "true" if field in grades.flags or (field == Field.VIP and grades.vip) else "false"
    return getattr(grades, field) or ""
