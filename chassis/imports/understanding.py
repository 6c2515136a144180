"""From the rows of a chunk to what can be recorded, and from what was recorded to what became of each row."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic

from chassis.imports.kinds import ImportKind, Noted, T, Taken
from chassis.imports.plans import Plan, Refusal, Row
from chassis.imports.reasons import Reason, Unreadable
from contracts.telling import Outcome, Status


@dataclass(slots=True)
class Understood(Generic[T]):
    """What a chunk says: what to record, and the rows that are not taken."""

    taken: list[Taken[T]] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    silent: int = 0
    """Rows that say nothing that is to be recorded."""


def read(kind: ImportKind[T], plan: Plan, row: int, cells: Sequence[str]) -> T | Refusal | None:
    """What a row tells, or why it is not taken."""
    try:
        return kind.read(plan, plan.cells(row, cells))
    except Unreadable as unreadable:
        return Refusal(row, unreadable.reason, unreadable.detail)


def rows_understood(kind: ImportKind[T], plan: Plan, rows: Sequence[Row]) -> Understood[T]:
    """Rows that are one thing each."""
    found: Understood[T] = Understood()
    for row, cells in rows:
        told = read(kind, plan, row, cells)
        if isinstance(told, Refusal):
            found.refusals.append(told)
        elif told is None:
            found.silent += 1
        else:
            found.taken.append(Taken(told, (row,)))
    return found


def groups_understood(kind: ImportKind[T], plan: Plan, groups: Iterable[Sequence[Row]]) -> Understood[T]:
    """Rows that are parts, already sorted by what they are parts of."""
    found: Understood[T] = Understood()
    assert kind.grouping is not None
    for rows in groups:
        parts = [told for row, cells in rows if (told := read(kind, plan, row, cells)) is not None]
        group = kind.grouping.together(plan, parts)
        if isinstance(group, Taken):
            found.taken.append(group)
        else:
            found.refusals.extend(group)
    return found


def group_of(kind: ImportKind[T], plan: Plan, cells: Sequence[str]) -> str | None:
    """What a row is a part of; none where it names nothing that is read."""
    assert kind.grouping is not None
    at = plan.positions[kind.grouping.by]
    try:
        return kind.grouping.key(cells[at]) if len(cells) > at else None
    except Unreadable:
        return None


@dataclass(slots=True)
class Tally:
    """What became of the rows of a chunk."""

    accepted: int = 0
    duplicate: int = 0
    conflict: int = 0
    rejected: int = 0
    noted: int = 0
    """Rows that were taken, and with which something is to be looked at."""
    refusals: list[Refusal] = field(default_factory=list)
    """Rows to be kept with a reason: those not taken, and those noted."""


def tally(prefix: str, understood: Understood[T], outcomes: Mapping[int, Outcome]) -> Tally:
    """Count rows; `outcomes` are those of what was taken by position, what has none would have been accepted."""
    counted = Tally(duplicate=understood.silent, rejected=len(understood.refusals), refusals=list(understood.refusals))
    for position, taken in enumerate(understood.taken):
        outcome = outcomes.get(position, ACCEPTED)
        rows = (*taken.rows, *taken.repeated)
        match outcome.status:
            case Status.ACCEPTED:
                counted.accepted += len(taken.rows)
                counted.duplicate += len(taken.repeated)
            case Status.DUPLICATE:
                counted.duplicate += len(rows)
            case Status.CONFLICT:
                counted.conflict += len(rows)
                there = f"{prefix}_{outcome.id.hex}" if outcome.id else "another row"
                counted.refusals += [Refusal(row, Reason.CONFLICT, f"It differs from {there}.") for row in rows]
            case Status.REJECTED:
                counted.rejected += len(rows)
                detail = outcome.problem.detail if outcome.problem else ""
                counted.refusals += [Refusal(row, outcome.reason or "rejected", detail) for row in rows]
        if isinstance(outcome, Noted):
            counted.noted += len(rows)
            counted.refusals += [Refusal(row, outcome.note, outcome.said) for row in rows]
    return counted


ACCEPTED = Outcome(Status.ACCEPTED)
