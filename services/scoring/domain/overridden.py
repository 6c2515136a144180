"""What a person may set in the place of what the facts say, and what became of what was set."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

import msgspec

from contracts.loss import LossReason
from contracts.problems import Conflict, Invalid, NotFound
from contracts.scoring import Band, Posture, Stage, Tier
from services.scoring.domain.overrides import Field
from services.scoring.domain.policy import Policy


class OverrideNotFound(NotFound):
    """No override of the party has this id."""


class UnknownValue(Invalid):
    """This part of a standing has no such value."""


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
    """An override as it was set; with an empty value, the end of all that were set before."""

    id: UUID
    field: Field
    value: str
    detail: str
    """Of its fact."""
    day: int
    """The local day (ordinal) of its setting."""
    until: int | None
    """The last one."""


class Fate(NamedTuple):
    """What became of an override."""

    state: State
    by: UUID | None = None
    """What ended it, or holds in its place."""


def fates(said: Iterable[Said], today: int) -> Mapping[UUID, Fate]:
    """What became, up to a local day, of each override that a party ever had."""
    found: dict[UUID, Fate] = {}
    ended: dict[Field, Said] = {}
    holding: dict[Field, UUID] = {}
    for each in sorted(said, key=lambda each: each.detail, reverse=True):
        end = ended.get(each.field)
        if not each.value:
            ended[each.field] = each
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


def values(field: Field, policy: Policy) -> list[str]:
    """What a part of a standing may be set to."""
    match field:
        case Field.STAGE:
            return list(Stage)
        case Field.TIER:
            return list(Tier)
        case Field.SATISFACTION | Field.LOYALTY:
            return list(Band)
        case Field.POSTURE:
            return list(Posture)
        case Field.LEVEL:
            return [level.name for level in policy.levels]
        case Field.TREATMENT:
            return sorted({row.treatment for row in policy.treatments})
        case Field.HIGH_VALUE | Field.PROFIT_MAKING | Field.RETURNING | Field.SATISFIED | Field.VIP:
            return ["true", "false"]
        case Field.LOSS_REASON:
            return list(LossReason)


def check_value(field: Field, value: str, policy: Policy) -> None:
    """Raise `UnknownValue` where a part of a standing is never so under a policy."""
    if value not in (allowed := values(field, policy)):
        raise UnknownValue(f"The {field} of a standing has no such value.", field=str(field), allowed=allowed)
