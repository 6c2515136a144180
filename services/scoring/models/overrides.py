"""Overrides as they are sent and shown."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import Field as Described

from chassis.fields import Body, Day, PartyId, Shown
from chassis.timelines import Entry
from services.scoring.domain.overridden import Fate, State
from services.scoring.domain.overrides import AMOUNTS, Field
from services.scoring.models.fields import OverrideId
from services.scoring.models.standings import Standing

Why = Annotated[str, Described(min_length=1, max_length=2_000, pattern=r"^[^\x00]*$")]
SET, ENDED = "overridden", "override_ended"
OVERRIDING = frozenset({SET, ENDED})
"""The kinds of its entries in a timeline."""


class NewOverride(Body):
    """What a part of a standing is to be, whatever the facts say."""

    field: Field
    """Which part: `satisfaction` and `loyalty` are the bands, `satisfaction_index` and `loyalty_index` the numbers."""
    value: Annotated[str, Described(max_length=100)]
    """One of the codes of the part; of `treatment` and `level` one of the active policy's, of `vip` and flags `true`
    or `false`; a number of `value_minor` and `turnover_minor` (in the reporting currency), `p` (0 to 1), and both
    indexes (0 to 100)."""
    why: Why
    until: Day | None = None
    """The last local day on which it holds; without one it holds until somebody ends it."""


class OverrideEnd(Body):
    """Why an override ends early."""

    why: Why | None = None


class Override(Shown):
    """A part of a standing as a person set it."""

    id: OverrideId
    """The same digits as those of its fact."""
    party_id: PartyId
    field: Field
    value: str
    currency: str | None
    """Of an amount in minor units."""
    why: str
    until: date | None
    """The last local day on which it holds."""
    state: State
    set_at: datetime
    set_by: str
    """The key that asked for it."""
    ended_at: datetime | None = None
    """When somebody ended it, or one that was set later and held in its place."""
    ended_by: str | None = None
    end_reason: str | None = None
    superseded_by: OverrideId | None = None
    """The one that holds in its place."""

    @classmethod
    def shown(
        cls, row: Any, party_id: UUID, fates: Mapping[UUID, Fate], rows: Mapping[UUID, Any], currency: str | None
    ) -> Self:
        """As it lies in the table, with what became of it; `rows` are all of the party, amounts are in `currency`."""
        state, by = fates[row["fact_id"]]
        end = rows[by] if by and state is State.ENDED else None
        return cls(
            id=row["fact_id"],
            party_id=party_id,
            field=row["field"],
            value=row["value"],
            currency=_currency(row["field"], currency),
            why=row["why"],
            until=row["until_day"],
            state=state,
            set_at=row["set_at"],
            set_by=row["set_by"],
            ended_at=end and end["set_at"],
            ended_by=end and end["set_by"],
            end_reason=end and end["why"],
            superseded_by=by if state is State.SUPERSEDED else None,
        )


class DerivedStanding(Standing):
    """A standing, and what it would be without what people set."""

    derived: dict[str, str]
    """Of each part that a person set to something else, what would hold without; empty for nothing."""


class OverrideTold(Override):
    """An override, and how the party stands with it."""

    standing: DerivedStanding | None
    """None where the party stands nowhere any more."""


def _currency(field: str, reporting: str | None) -> str | None:
    return reporting if field in AMOUNTS else None


def entry(row: Any, currency: str | None) -> Entry:
    """What was set for a party, or ended, in its timeline; amounts are in `currency`."""
    detail = {"field": row["field"], "why": row["why"]}
    if row["ends"] is None:
        detail |= {"value": row["value"], "until": row["until_day"] and row["until_day"].isoformat()}
        detail |= {"set_by": row["set_by"]}
        if (of := _currency(row["field"], currency)) is not None:
            detail |= {"currency": of}
    else:
        detail |= {"override_id": f"override_{row['ends'].hex}", "ended_by": row["set_by"]}
    return Entry(
        at=row["set_at"],
        id=f"override_{row['fact_id'].hex}",
        kind=SET if row["ends"] is None else ENDED,
        service="scoring",
        recorded_at=row["set_at"],
        detail=detail,
    )
