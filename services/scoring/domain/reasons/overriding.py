"""What a person set in the place of what follows."""

from datetime import date, datetime

from services.scoring.domain.reasons.ground import Ground, Subject


class OverrideGround(Ground):
    """A part that a person set; who and why is told by the list of overrides."""

    field: str
    value: str
    derived: str
    """What it would be otherwise; empty for nothing."""
    set_at: datetime
    until: date | None
    """The last day on which it holds; None is until it is ended."""


def override_grounds(of: Subject) -> tuple[OverrideGround, ...]:
    """Those in force that say something else than the facts."""
    return tuple(_ground(of, field, str(derived)) for field, derived in sorted(of.derived.items()))


def _ground(of: Subject, field: str, derived: str) -> OverrideGround:
    said = of.history.overrides.said(field, of.day) if of.history.overrides else ""
    set_at, _, value, until = said.split("|")
    return OverrideGround(
        field=field,
        value=value,
        derived=derived,
        set_at=datetime.fromisoformat(set_at),
        until=date.fromisoformat(until) if until else None,
    )
