"""What changes next if nothing else happens."""

from collections.abc import Iterator
from datetime import date

from contracts.scoring import Stage, Tier
from services.scoring.domain.grades import Grades
from services.scoring.domain.reasons.ground import Ground, Subject

Output = str | bool | int | float | tuple[str, ...] | None
"""A part of a standing: a code, whether somebody is a VIP, the flags, or a number that a person set."""


class Change(Ground):
    """A part of the standing that is another one."""

    field: str
    before: Output
    after: Output


class Coming(Ground):
    """What holds from a day on if nothing else happens."""

    day: date
    stage: Stage | None
    tier: Tier | None
    changes: tuple[Change, ...]
    """Against the day of the assessment."""


def changes(before: Grades, after: Grades) -> Iterator[Change]:
    """The parts of a standing that differ."""
    for field, was, becomes in zip(Grades._fields, before, after, strict=True):
        if was != becomes:
            yield Change(field=field, before=was, after=becomes)


def coming(of: Subject, turn: int | None) -> Coming | None:
    """What holds from the day of a turn on."""
    if turn is None:
        return None
    then = of.history.grades(turn)
    changed = list(changes(of.grades, then))
    was, becomes = of.history.loss_reason(of.day), of.history.loss_reason(turn)
    if then.stage is of.grades.stage and was != becomes:
        # Of another stage it goes without saying.
        changed.append(Change(field="loss_reason", before=was, after=becomes))
    if renumbered := of.history.renumbered(turn):
        numbers = of.history.numbers(turn, of.history.set_on(turn))
        changed += [
            Change(field=field, before=getattr(of.numbers, field), after=getattr(numbers, field))
            for field in renumbered
        ]
    return Coming(day=date.fromordinal(turn), stage=then.stage, tier=then.tier, changes=tuple(changed))
