"""What time and another ruling alone make of parties, of many at once: the changes that `moved` gives for each."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from contracts.scoring import Cause
from services.scoring.domain.facts import Kind
from services.scoring.domain.history import Outcome
from services.scoring.domain.ruling import Ruling
from services.scoring.domain.standing import Standing
from services.scoring.domain.together import assess_together
from services.scoring.domain.trajectory import kind_of
from services.scoring.handlers.changes import Assessed, Change

_OVERRIDDEN = int(Kind.OVERRIDDEN)


def is_quiet(party: Assessed, ruling: Ruling) -> bool:
    """Whether nothing was told of a party, and nothing that was told or set is about a day still to come."""
    assessed_at: datetime | None = party.row["assessed_at"]
    if assessed_at is None or party.facts or party.corrected or party.redirect or party.survives:
        return False
    entries = party.calendar.entries
    if not entries or entries[-1][0] > ruling.day(assessed_at):
        return False
    return all(entry[1] != _OVERRIDDEN for entry in entries)


def passed(
    parties: Sequence[Assessed], ruling: Ruling, reruled: Mapping[int, Cause]
) -> list[tuple[Standing, list[Change]]]:
    """How quiet parties stand, each with its changes of stage and tier since it was assessed last.

    `reruled` is what each older ruling was replaced by. From one day on which anything turns they go to the next.
    """
    ats: list[datetime] = [party.row["assessed_at"] for party in parties]
    stands = assess_together([(party.calendar, at) for party, at in zip(parties, ats, strict=True)], ruling)
    changes: list[list[Change]] = []
    for party, then in zip(parties, stands, strict=True):
        cause = reruled.get(party.row["ruling"], Cause.LATE_FACT)
        changes.append(_changes(party.stood, then, cause, party.at))
    waiting: Sequence[int] = range(len(parties))
    while waiting:
        waiting = [place for place in waiting if _turns(stands[place], parties[place].at)]
        turns = [stands[place].next_change_at or ats[place] for place in waiting]
        calendars = [parties[place].calendar for place in waiting]
        thens = assess_together(list(zip(calendars, turns, strict=True)), ruling)
        for place, then, at in zip(waiting, thens, turns, strict=True):
            changes[place] += _changes((stands[place].stage, stands[place].tier), then, Cause.CLOCK, at)
            stands[place], ats[place] = then, at
    days = {at: ruling.day(at) for at in {*ats, *(party.at for party in parties)}}
    later = [place for place, party in enumerate(parties) if days[ats[place]] < days[party.at]]
    now = assess_together([(parties[place].calendar, parties[place].at) for place in later], ruling)
    for place, then in zip(later, now, strict=True):
        stands[place] = then
    return list(zip(stands, changes, strict=True))


def _turns(then: Standing, until: datetime) -> bool:
    return then.next_change_at is not None and then.next_change_at <= until


def _changes(before: Outcome, then: Standing, cause: Cause, at: datetime) -> list[Change]:
    if before == (then.stage, then.tier):
        return []
    kind = kind_of(before[0], then.stage, cause)
    return [
        Change(
            cause, kind, before[0], then.stage, before[1], then.tier, then.value_minor, then.loss_reason, at
        )
    ]  # fmt: skip
