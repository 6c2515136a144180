"""The days of a party one after the other, in the second implementation: what happened up to each."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING

from contracts.customers import PartyKind
from services.scoring.domain.facts import Kind
from services.scoring.domain.plain_indexes import Entries, Fading, pieces
from services.scoring.domain.policy import Policy
from services.scoring.domain.stages import ByProbability, Stages

if TYPE_CHECKING:
    from services.scoring.domain.model import Model

_AGAINST = frozenset({Kind.LEAD_LOST, Kind.LEAD_DISQUALIFIED, Kind.DECLINED})
_TOUCHES = frozenset({
    Kind.PURCHASE, Kind.INQUIRED, Kind.CONTACTED, Kind.REACHED, Kind.COMPLAINED, Kind.PRAISED, Kind.POSTED,
    Kind.REPLIED, Kind.REACTED, Kind.LEAD_CAPTURED,
})  # fmt: skip
"""Contact or purchase."""
_CONTACTS = frozenset({
    Kind.PURCHASE, Kind.RETURN, Kind.INQUIRED, Kind.CONTACTED, Kind.VISITED, Kind.REACHED, Kind.DECLINED,
    Kind.COMPLAINED, Kind.PRAISED, Kind.PROBLEM_OPENED, Kind.JOINED, Kind.POSTED, Kind.REPLIED, Kind.REACTED,
    Kind.REFERRED, Kind.LEAD_CAPTURED,
})  # fmt: skip
"""Of theirs with us, or of ours with them."""


class Days:
    """Stands on one day (ordinal) after the other; of each it knows whatever happened up to it and nothing later."""

    def __init__(
        self,
        entries: Entries,
        gross: Mapping[int, int],
        net: Mapping[int, int],
        policy: Policy,
        model: "Model | None",
        start: int,
    ) -> None:
        """Before the first day of all, or before `start` where that is earlier. Amounts are converted, by day."""
        self.policy, self.model = policy, model
        self._gross, self._net = gross, net
        self._happened: defaultdict[int, list[tuple[Kind, str]]] = defaultdict(list)
        self._costs: defaultdict[int, int] = defaultdict(int)
        for (day, kind, detail), (count, _) in entries.items():
            self._happened[day.toordinal()].append((kind, detail))
            self._costs[day.toordinal()] += count * policy.profit.cost_minor.get(kind.name.lower(), 0)
        self._touched = {day for day, done in self._happened.items() if any(kind in _TOUCHES for kind, _ in done)}
        every = pieces(entries, gross, policy)
        self.satisfaction, self.loyalty = Fading(policy.satisfaction, every), Fading(policy.loyalty, every)
        self.day = min([start, *self._happened]) - 1
        self.quiet_from = self._last_turn()
        """From this day on only what falls little by little changes anything: chances, value, and both indexes."""
        self.known = self.organisation = False
        self.first_bought: int | None = None
        self.bought: int | None = None
        """The last purchase day, as the two below are the last days of their kind."""
        self.declared: int | None = None
        """A lead lost or disqualified, or the party declined."""
        self.declined: int | None = None
        self._contacted: int | None = None
        self._signs: dict[PartyKind, int | None] = dict.fromkeys(PartyKind)
        self._declared_reasons: frozenset[str] = frozenset()
        self._declined_reasons: frozenset[str] = frozenset()
        self.days_bought = self.turnover = self.spend = 0
        self._costing = self._later = self._earlier = self._paid_days = self._paid = 0
        self._overrides: list[str] = []
        self.graded = ""
        """When a lead was last graded, and how."""

    def _last_turn(self) -> int:
        """Every way in which a day reaches another one, by its longest arm."""
        policy, last = self.policy, max(self._happened, default=self.day)
        arms = [policy.turnover_days, 2 * policy.posture.window_days]
        for stages in _both(policy):
            by = stages.customers
            arms += [stages.prospects.lost_after_days + 1, stages.prospects.active_days + 1]
            if isinstance(by, ByProbability):
                arms.append(by.fresh_days + 1)
                by = by.without_model
            arms += [by.lost_after_days + 1, by.dormant_after_days + 1]
        entering = [day for index in (self.satisfaction, self.loyalty) if (day := index.last_day) is not None]
        untils = [
            date.fromisoformat(until).toordinal() + 1
            for done in self._happened.values()
            for kind, detail in done
            if kind is Kind.OVERRIDDEN and (until := detail.split("|")[3])
        ]
        return max([last + max(arms), *entering, *untils])

    def step(self) -> None:
        """Go on to the next day, and take in what happens on it."""
        self.day += 1
        day, window = self.day, self.policy.posture.window_days
        before = day - self.policy.turnover_days
        self.turnover += self._net.get(day, 0) - self._net.get(before, 0)
        self._costing += self._costs.get(day, 0) - self._costs.get(before, 0)
        self._later += (day in self._touched) - (day - window in self._touched)
        self._earlier += (day - window in self._touched) - (day - 2 * window in self._touched)
        if day in self._happened:
            self._take_in(self._happened[day])

    def _take_in(self, done: list[tuple[Kind, str]]) -> None:
        day, kinds = self.day, {kind for kind, _ in done}
        self._overrides += [detail for kind, detail in done if kind is Kind.OVERRIDDEN]
        self.known = self.known or bool(kinds - {Kind.OVERRIDDEN, Kind.LEAD_GRADED})
        self.graded = max((detail for kind, detail in done if kind is Kind.LEAD_GRADED), default=self.graded)
        self.organisation = self.organisation or (Kind.REGISTERED, PartyKind.ORGANISATION.value) in done
        for whose in PartyKind:
            if any(kind.name.lower() in self.policy.stages(whose).prospects.signs for kind in kinds):
                self._signs[whose] = day
        if kinds & _CONTACTS:
            self._contacted = day
        if Kind.PURCHASE in kinds:
            self.first_bought = day if self.first_bought is None else self.first_bought
            self.bought = day
            self.days_bought += 1
            self.spend += self._gross[day]
            if self._gross[day] > 0:
                self._paid_days += 1
                self._paid += self._gross[day]
        against = frozenset(detail for kind, detail in done if kind in _AGAINST)
        if against:
            self.declared, self._declared_reasons = day, against
        declining = frozenset(detail for kind, detail in done if kind is Kind.DECLINED)
        if declining:
            self.declined, self._declined_reasons = day, declining

    @property
    def kind(self) -> PartyKind:
        """What the party is, as far as it is known."""
        return PartyKind.ORGANISATION if self.organisation else PartyKind.PERSON

    @property
    def sign(self) -> int | None:
        """The last day with a sign of interest, as it counts for this kind of party."""
        return self._signs[self.kind]

    @property
    def contact(self) -> int | None:
        """The last day with anything between them and us, or with a sign of interest."""
        return max((day for day in (self._contacted, self.sign) if day is not None), default=None)

    def overridden(self) -> dict[str, str]:
        """What is set by hand on this day, by field: of what still lasts the one set last."""
        lasting: defaultdict[str, list[tuple[str, str, str]]] = defaultdict(list)
        for detail in sorted(self._overrides):
            said, field, value, until = detail.split("|")
            set_at, *ended = said.split()
            if value:
                lasting[field].append((value, until, set_at))
            else:
                lasting[field] = [each for each in lasting[field] if ended and each[2] not in ended]
        today = date.fromordinal(self.day).isoformat() if lasting else ""
        there = {
            field: [value for value, until, _ in all_ if not until or today <= until] for field, all_ in lasting.items()
        }
        return {field: values[-1] for field, values in there.items() if values}

    def rest(self, day: int) -> None:
        """Go on to a later day at once, where the stage stays and nothing happens any more."""
        self.day = day


def _both(policy: Policy) -> list[Stages]:
    return [policy.persons] if policy.organisations is None else [policy.persons, policy.organisations]
