"""The stage of a party on any day: since when, why lost, and when it is another if nothing happens."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from contracts.customers import PartyKind
from contracts.loss import LossReason
from contracts.scoring import Stage
from services.scoring.domain.calendar import Calendar
from services.scoring.domain.course import Course, Phase, earliest, following, last
from services.scoring.domain.declared import Declared
from services.scoring.domain.reading import CONTACT, Reading
from services.scoring.domain.ruling import Decided, Ruling
from services.scoring.domain.spans import ByModel, Spans, fixed
from services.scoring.domain.stages import ByProbability, Stages

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


class Courses(NamedTuple):
    """What a party's history is to the stages of one kind of party."""

    stages: Stages
    sign_days: list[int]
    """Days with a sign of interest."""
    interest: Course
    purchases: Course


class Lifecycle(Reading):
    """What happens on a day holds on that whole day.

    Of the facts of one day a purchase comes before a declaration, and that before a sign of interest.
    """

    __slots__ = ("_organisation", "_person", "_staged", "sign_days", "stages")

    def __init__(
        self,
        calendar: Calendar,
        ruling: Ruling,
        like: "Lifecycle | None" = None,
        since: int = 0,
        *,
        spent: bool = False,
    ) -> None:
        super().__init__(calendar, ruling, like, since, spent=spent)
        self._stage_by(like, since)

    def _stage_by(self, like: "Lifecycle | None", since: int) -> None:
        # Of one day it is asked again and again: for the grades, since when, why, and for what comes next.
        self._staged: dict[tuple[int, int], Stage] = {}
        known = like._person if like else None
        self._person: Courses = self._courses(self.policy.persons, self.signs_of_persons, known, since)
        self._organisation: Courses | None = None
        if self.organised is not None and self.policy.organisations is not None:
            stages = self.policy.organisations
            sign_days = self._sign_days(stages.prospects.sign_numbers)
            known = like._organisation if like else None
            self._organisation = self._courses(stages, sign_days, known, since)
        latest = self._organisation or self._person
        self.stages = latest.stages
        """Those of the kind of party that it is known to be at last."""
        self.sign_days = latest.sign_days
        """Days with a sign of interest, as these stages have it."""

    def forget_days(self) -> None:
        """Let go of what was found out of single days, and would be again."""
        self._staged.clear()

    def _courses(self, stages: Stages, sign_days: list[int], like: Courses | None, since: int) -> Courses:
        prospects, customers, by_days, model = stages.prospects, stages.customers, stages.by_days, self.ruling.model
        spans: Spans
        if model is not None and isinstance(customers, ByProbability):
            spans = ByModel(model, customers, self.policy.horizon_days, self.purchase_days)
        else:
            spans = fixed(dormant_after_days=by_days.dormant_after_days, lost_after_days=by_days.lost_after_days)
        interest = fixed(dormant_after_days=prospects.active_days, lost_after_days=prospects.lost_after_days)
        acts, ends = (
            self._without(*each) for each in ((sign_days, self.declared.days), (self.declined.days, self.purchase_days))
        )
        return Courses(
            stages,
            sign_days,
            Course(acts, self.declared.days, interest, like and like.interest, since),
            Course(self.purchase_days, ends, spans, like and like.purchases, since),
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

    def stages_on(self, day: int) -> Stages:
        """The stages of the kind of party that it is known to be on a day."""
        return self._of(day).stages

    def set_on(self, day: int) -> Mapping[str, str]:
        """The value of each field that is overridden on a day."""
        return self.overrides.on(day) if self.overrides else _NOTHING

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

    def _stage(self, day: int, known: int) -> Stage:
        stage = self._staged.get((day, known))
        if stage is None:
            of = self._of(known)
            course, stages = (of.purchases, CUSTOMERS) if self.has_bought(known) else (of.interest, PROSPECTS)
            phase = course.phase(day, known)
            stage = self._staged[day, known] = Stage.STRANGER if phase is None else stages[phase]
        return stage

    def last_sign(self, day: int) -> int | None:
        """The last day up to the day with a sign of interest."""
        return last(self._of(day).sign_days, day)

    def last_contact(self, day: int) -> int | None:
        """The last day up to the day on which they turned to us or we reached them; a sign of interest is one, too."""
        entries, signs = self.calendar.entries, self._of(day).stages.prospects.sign_numbers
        # From the end: nearly every entry is one.
        for place in range(bisect_left(entries, (day + 1,)) - 1, -1, -1):
            on_day, kind = entries[place][:2]
            if kind in CONTACT or kind in signs:
                return on_day
        return None

    def loss_reason(self, day: int, known: int | None = None, set_on: int | None = None) -> LossReason | None:
        """Why a lost party is lost: as set, else what `reason_of` its stage gives."""
        known = day if known is None else known
        stage = self.stage(day, known, set_on)
        if self.overrides and stage in LOST:
            held = self.overrides.on(known if set_on is None else set_on).get("loss_reason")
            if held:
                return LossReason(held)
        return self.reason_of(stage, known)

    def reason_of(self, stage: Stage | None, known: int) -> LossReason | None:
        """Why whoever is in a lost stage is lost by what is known on a day; None of any other stage."""
        if stage not in LOST:
            return None
        said = self.told(stage, known)
        return LossReason.UNKNOWN if said is None else said[1]

    def told(self, stage: Stage | None, known: int) -> tuple[int, LossReason] | None:
        """The day and the reason of the declaration that says why whoever is in a lost stage is lost, if there is one.

        The one that decides or, after mere silence, one since the last act.
        """
        told: tuple[tuple[Declared, int], ...]
        match stage:
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
                return found
        return None

    def since(self, day: int) -> int | None:
        """The first day of the stage that holds on the day, where what decided before has decided until its last day.

        It had its last day by then: who asks of an earlier day asks a ruling `from_the_beginning`.
        """
        begun, stage = self.since_by_this(day), self.stage(day)
        for decided in self.ruling.earlier:
            # What is in force may be asked before all is read of the day from which on it is.
            day = min(day, decided.until)
            if begun is None or begun > day:
                break
            before = self._under(decided)
            if before.stage(day) is not stage:
                return day
            begun = before.since_by_this(day)
        return begun

    def _under(self, decided: Decided) -> "Lifecycle":
        """The same by what decided before. What was read of the calendar is not read again."""
        under = object.__new__(Lifecycle)
        for name in Reading.__slots__:
            setattr(under, name, getattr(self, name))
        under.ruling = msgspec.structs.replace(self.ruling, policy=decided.policy, model=decided.model, earlier=())
        under.policy = decided.policy
        signs = decided.policy.persons.prospects.sign_numbers
        if signs != self.policy.persons.prospects.sign_numbers:
            under.signs_of_persons = under._sign_days(signs)
        under._stage_by(None, 0)
        return under

    def since_by_this(self, day: int) -> int | None:
        """The first day of the stage that holds on the day, as if the ruling had always held."""
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


_NOTHING: Mapping[str, str] = {}
