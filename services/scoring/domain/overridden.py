"""What a person may set in the place of what the facts say, and what became of what was set."""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

import msgspec

from contracts.leads import Grade
from contracts.loss import LossReason
from contracts.problems import Conflict, Invalid, NotFound
from contracts.scoring import Band, Posture, Stage, Tier
from services.scoring.domain.overrides import NUMBERS, Field, written
from services.scoring.domain.policy import Policy


class OverrideNotFound(NotFound):
    """No override of the party has this id."""


class UnknownValue(Invalid):
    """This part of a standing has no such value."""


class NoSuchNumber(Invalid):
    """This part of a standing is a number, and never this one."""


class UntilPassed(Invalid):
    """The last day on which an override is to hold has passed."""


class OverrideSuperseded(Conflict):
    """Another override holds in its place, or will again."""


class NoIdentity(Conflict):
    """The party holds no identity any more under which anything could be recorded."""


class State(StrEnum):
    """Where an override is."""

    HOLDS = "holds"
    SUPERSEDED = "superseded"
    """One that was set later holds; when that one's last day is over, this one holds again if it lasts."""
    ENDED = "ended"
    """Before its last day, by somebody."""
    EXPIRED = "expired"
    """Its last day is over."""


class Said(msgspec.Struct, frozen=True):
    """An override as it was set; with an empty value, an end."""

    id: UUID
    field: Field
    value: str
    detail: str
    """Of its fact."""
    day: int
    """The local day (ordinal) of its setting."""
    until: int | None
    """The last one."""
    ended: frozenset[UUID] | None = None
    """What an end ends; None where that is all that were set before."""


class Fate(NamedTuple):
    """What became of an override."""

    state: State
    by: UUID | None = None
    """What ended it, or holds in its place."""


def fates(said: Iterable[Said], today: int) -> Mapping[UUID, Fate]:
    """What became, up to a local day, of each override that a party ever had."""
    found: dict[UUID, Fate] = {}
    # Of two ends the one before counts: the later one had nothing left to end.
    ended: dict[UUID, Said] = {}
    all_ended: dict[Field, Said] = {}
    holding: dict[Field, UUID] = {}
    for each in sorted(said, key=lambda each: each.detail, reverse=True):
        ends = [end for end in (ended.get(each.id), all_ended.get(each.field)) if end]
        end = min(ends, key=lambda end: end.detail, default=None)
        if not each.value:
            if each.ended is None:
                all_ended[each.field] = each
            else:
                ended |= dict.fromkeys(each.ended, each)
        elif each.until is not None and each.until < (end.day if end else today):
            found[each.id] = Fate(State.EXPIRED)
        elif end:
            found[each.id] = Fate(State.ENDED, end.id)
        elif each.field in holding:
            found[each.id] = Fate(State.SUPERSEDED, holding[each.field])
        else:
            holding[each.field] = each.id
            found[each.id] = Fate(State.HOLDS)
    return found


class Span(NamedTuple):
    """Within what a number of a standing may be set."""

    least: int
    most: int
    decimals: int


_MINOR = Span(-(10**15), 10**15, 0)
_INDEX = Span(0, 100, 1)
SPANS: Mapping[Field, Span] = {
    Field.VALUE_MINOR: _MINOR,
    Field.TURNOVER_MINOR: _MINOR,
    Field.P: Span(0, 1, 6),
    Field.SATISFACTION_INDEX: _INDEX,
    Field.LOYALTY_INDEX: _INDEX,
}
"""Within what each of the numbers may be set."""


def values(field: Field, policy: Policy) -> list[str]:
    """What a part of a standing that is no number may be set to."""
    match field:
        case Field.STAGE:
            return list(Stage)
        case Field.TIER:
            return list(Tier)
        case Field.SATISFACTION | Field.LOYALTY:
            return list(Band)
        case Field.POSTURE:
            return list(Posture)
        case Field.POTENTIAL:
            return list(Grade)
        case Field.LEVEL:
            return [level.name for level in policy.levels]
        case Field.TREATMENT:
            return sorted({row.treatment for row in policy.treatments})
        case Field.HIGH_VALUE | Field.PROFIT_MAKING | Field.RETURNING | Field.SATISFIED | Field.VIP:
            return ["true", "false"]
        case Field.LOSS_REASON:
            return list(LossReason)
        case _:
            return []


def in_one_spelling(field: Field, value: str, policy: Policy) -> str:
    """A value as it is kept; numbers as a standing has them.

    Raises `UnknownValue` and `NoSuchNumber` for what a part of a standing is never under a policy.
    """
    if (span := SPANS.get(field)) is not None:
        return _number(field, value, span)
    if value not in (allowed := values(field, policy)):
        raise UnknownValue(f"The {field} of a standing has no such value.", field=str(field), allowed=allowed)
    return value


def _number(field: Field, value: str, span: Span) -> str:
    least, most, decimals = span
    digits = re.fullmatch(r"(-?[0-9]{1,16})(?:\.([0-9]{1,16}))?", value)
    if digits and len((digits[2] or "").rstrip("0")) <= decimals:
        number = NUMBERS[field](value if decimals else digits[1])
        if least <= number <= most:
            # Zero has no sign.
            return written(number or abs(number))
    raise NoSuchNumber(
        f"The {field} of a standing is a number from {least} to {most} with at most {decimals} decimals.",
        field=str(field),
        least=least,
        most=most,
        decimals=decimals,
    )
