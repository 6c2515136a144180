"""How many parties come to stand otherwise at once: the standings and the changes that `moved` gives for each.

From one day on which anything turns they go to the next, all of them in one step: first by what was known of them
before, up to the first day of what they did; then by what each of these days brought, up to the next.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import groupby
from typing import TypeAlias
from uuid import UUID

from contracts.scoring import Cause
from services.scoring.domain.calendar import Calendar, fold
from services.scoring.domain.days import start_of_day
from services.scoring.domain.facts import Fact, Kind
from services.scoring.domain.history import NOWHERE, Outcome
from services.scoring.domain.reading import ALONE
from services.scoring.domain.ruling import Ruling
from services.scoring.domain.standing import Standing
from services.scoring.domain.together import assess_together
from services.scoring.domain.trajectory import kind_of
from services.scoring.handlers.changes import Assessed, Change, deciding, least_late

_OVERRIDDEN = int(Kind.OVERRIDDEN)


@dataclass(slots=True)
class Way:
    """What a party goes through, with where it is on it."""

    party: Assessed
    begun: int | None
    """The local day of the last assessment."""
    told: Sequence[tuple[int, Sequence[Fact]]]
    """Its new facts by their local days."""
    until: int
    """That of this assessment."""
    outcome: Outcome
    standing: Standing | None = None
    day: int = 0
    """The local day of that standing."""
    changes: list[Change] = field(default_factory=list)

    def stand(
        self,
        then: Standing,
        day: int,
        cause: Cause,
        at: datetime,
        fact: Fact | None = None,
        late_s: int | None = None,
    ) -> None:
        """Come to stand so on a day."""
        after = then.stage, then.tier
        if after != self.outcome:
            change = Change.made(
                cause,
                kind=kind_of(self.outcome[0], then.stage, cause),
                before=self.outcome,
                after=after,
                value_minor=then.value_minor,
                loss_reason=then.loss_reason,
                at=at,
                fact=fact,
                late_s=late_s,
            )
            self.changes.append(change)
        self.outcome, self.standing, self.day = after, then, day


def way(party: Assessed, ruling: Ruling) -> Way | None:
    """The way of a party; None of one that is better looked at alone.

    That is whoever has an override, or anything that was known before of a day behind the last assessment, and whose
    calendar need not be read.
    """
    entries, policy = party.calendar.entries, ruling.policy
    if party.history or not entries or policy.organisations is not None:
        return None
    if any(entry[1] == _OVERRIDDEN for entry in entries):
        return None
    assessed_at: datetime | None = party.row["assessed_at"]
    until = ruling.day(party.at)
    if entries[-1][0] > until:
        return None
    if assessed_at is None:
        return Way(party, None, (), until, NOWHERE)
    if any(fact.kind is Kind.OVERRIDDEN for fact in party.facts):
        return None
    begun = ruling.day(assessed_at)
    told = [(day, list(facts)) for day, facts in groupby(party.facts, lambda fact: ruling.day(fact.occurred_at))]
    days, behind = {day for day, _ in told}, entries[bisect_left(entries, (begun + 1,)) :]
    if any(day > until for day in days) or any(entry[0] not in days for entry in behind):
        return None
    return Way(party, begun, told, until, party.stood)


Passed: TypeAlias = Mapping[UUID, tuple[Standing, list[Change]]]
"""How parties come to stand, and what became otherwise on the way."""


def passed(parties: Sequence[Assessed], ruling: Ruling, reruled: Mapping[int, Cause]) -> Passed:
    """How parties stand, each with its changes of stage and tier, without those that are better looked at alone.

    `reruled` is what each older ruling was replaced by.
    """
    ways = [each for party in parties if (each := way(party, ruling))]
    known = [each for each in ways if each.begun is not None]
    _by_what_was_known(known, ruling, reruled)
    for nth in range(max((len(each.told) for each in known), default=0)):
        _by_what_was_told([each for each in known if len(each.told) > nth], nth, ruling)
    _stand_now([each for each in ways if each.day < each.until], ruling)
    _appear([each for each in ways if each.begun is None], ruling)
    return {each.party.party_id: (each.standing, each.changes) for each in ways if each.standing}


def _by_what_was_known(ways: Sequence[Way], ruling: Ruling, reruled: Mapping[int, Cause]) -> None:
    """What is thought of the day of the last assessment, and what the clock did since, up to the first day of news."""
    walked: list[tuple[Way, Calendar, datetime]] = []
    for each in ways:
        party, until = each.party, each.party.at
        due: datetime | None = party.row["next_change_at"]
        corrected = party.corrected or reruled.get(party.row["ruling"])
        calendar = party.calendar
        if each.told:
            # Who was current stands as stored until something turns.
            if not corrected and (due is None or due > party.facts[0].occurred_at):
                continue
            day, facts = each.told[0]
            until = start_of_day(day, ruling.zone)
            if day == each.begun:
                calendar = _up_to(calendar, day) - fold(facts, ruling.zone)
            else:
                calendar = _up_to(calendar, day - 1)
        walked.append((each, calendar, until))
    seen = [(calendar, each.party.row["assessed_at"]) for each, calendar, _ in walked]
    for (each, _, _), then in zip(walked, assess_together(seen, ruling), strict=True):
        party = each.party
        cause = party.corrected or reruled.get(party.row["ruling"]) or Cause.LATE_FACT
        each.stand(then, each.begun or 0, cause, party.at, party.late, party.late_s)
    _walk(walked, ruling)


def _by_what_was_told(ways: Sequence[Way], nth: int, ruling: Ruling) -> None:
    """What the new facts of their `nth` day did, and then the clock up to the next of these days, or to the end."""
    seen: list[tuple[Calendar, datetime]] = []
    walked: list[tuple[Way, Calendar, datetime]] = []
    for each in ways:
        party, (day, _), following = each.party, each.told[nth], each.told[nth + 1 : nth + 2]
        calendar = _up_to(party.calendar, day) if following else party.calendar
        seen.append((calendar, party.at if day == each.until else start_of_day(day, ruling.zone)))
        walked.append((each, calendar, start_of_day(following[0][0], ruling.zone) if following else party.at))
    for each, then in zip(ways, assess_together(seen, ruling), strict=True):
        day, facts = each.told[nth]
        fact = deciding(facts, each.outcome, (then.stage, then.tier), ruling.policy.persons)
        each.stand(then, day, Cause.FACT, fact.occurred_at, fact)
    _walk(walked, ruling)


def _up_to(calendar: Calendar, day: int) -> Calendar:
    return calendar.between(None, date.fromordinal(day + 1))


def _walk(ways: Iterable[tuple[Way, Calendar, datetime]], ruling: Ruling) -> None:
    """What the clock does up to an instant to those who stand somewhere, by what a calendar says."""
    waiting = list(ways)
    while True:
        turning = [
            (each, calendar, until, each.standing.next_change_at)
            for each, calendar, until in waiting
            if each.standing and each.standing.next_change_at and each.standing.next_change_at <= until
        ]
        if not turning:
            return
        thens = assess_together([(calendar, at) for _, calendar, _, at in turning], ruling)
        for (each, _, _, at), then in zip(turning, thens, strict=True):
            each.stand(then, ruling.day(at), Cause.CLOCK, at)
        waiting = [(each, calendar, until) for each, calendar, until, _ in turning]


def _stand_now(ways: Sequence[Way], ruling: Ruling) -> None:
    thens = assess_together([(each.party.calendar, each.party.at) for each in ways], ruling)
    for each, then in zip(ways, thens, strict=True):
        each.standing, each.day = then, each.until


def _appear(ways: Sequence[Way], ruling: Ruling) -> None:
    """The first standing: the doing of the first day if it is still what that day made it, else learned of late."""
    firsts = [next((entry[0] for entry in each.party.calendar.entries if entry[1] not in ALONE), 0) for each in ways]
    earlier = [(each, first) for each, first in zip(ways, firsts, strict=True) if 0 < first < each.until]
    seen = [(_up_to(each.party.calendar, first), start_of_day(first, ruling.zone)) for each, first in earlier]
    begins = {
        each.party.party_id: (then.stage, then.tier)
        for (each, _), then in zip(earlier, assess_together(seen, ruling), strict=True)
    }
    for each, first in zip(ways, firsts, strict=True):
        party, now = each.party, each.standing
        if now is None or now.stage is None:
            continue
        after = now.stage, now.tier
        then = [fact for fact in party.facts if ruling.day(fact.occurred_at) == first]
        if party.corrected is None and then and begins.get(party.party_id, after) == after:
            fact = deciding(then, NOWHERE, after, ruling.policy.persons)
            each.stand(now, each.until, Cause.FACT, fact.occurred_at, fact)
        else:
            latest = deciding(party.facts, NOWHERE, after, ruling.policy.persons) if party.facts else None
            cause = party.corrected or Cause.LATE_FACT
            each.stand(now, each.until, cause, party.at, latest, least_late(party.facts))
