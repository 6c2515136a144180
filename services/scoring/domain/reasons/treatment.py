"""What follows from the rest as it stands: flags, who is a VIP, and how a party is treated."""

from collections.abc import Mapping
from typing import Any, Literal

from contracts.scoring import Band, Tier
from services.scoring.domain.overridden import values
from services.scoring.domain.overrides import Field
from services.scoring.domain.policy import Treatment
from services.scoring.domain.reasons.ground import Ground, Subject
from services.scoring.domain.rules import Comparison, Rule, comparisons


class Compared(Ground):
    """One comparison of a rule."""

    field: str
    op: Literal["eq", "in", "gte", "lt"]
    value: int | str | tuple[str, ...]
    """What it is held against."""
    said: int | str | None
    """What it was."""
    holds: bool


class FlagGround(Ground):
    """One of the four flags, and whether what the standing is otherwise raises it."""

    flag: str
    by: Compared


class VipGround(Ground):
    """Whether somebody is a VIP, and by which rule."""

    vip: bool
    """What the rule gives."""
    rule: Rule | None
    """None: nobody is."""
    comparisons: tuple[Compared, ...]
    """Those of the rule, left to right."""


class TreatmentGround(Ground):
    """Which row of the table fits."""

    treatment: str
    """What the table gives."""
    tier: Tier
    satisfaction: Band
    loyalty: Band
    row: int
    """Counted from 1."""
    rows: tuple[Treatment, ...]
    """The table down to this row, the first that fits."""
    treatments: tuple[str, ...]
    """All that the table knows, sorted."""


def flag_grounds(of: Subject, profit_minor: int) -> tuple[FlagGround, ...]:
    """Each flag with its comparison."""
    rules: Mapping[str, tuple[str, Literal["eq", "in", "gte"], Any, Any]] = {
        "high_value": ("tier", "in", (Tier.TOP.value, Tier.HIGH.value), of.grades.tier),
        "profit_making": ("profit_minor", "gte", 1, profit_minor),
        "returning": ("purchase_days", "gte", 2, of.bought),
        "satisfied": ("satisfaction", "eq", Band.HIGH.value, of.grades.satisfaction),
    }
    raised = {flag: of.derived.get(flag, str(flag in of.grades.flags).lower()) == "true" for flag in rules}
    return tuple(
        FlagGround(flag=flag, by=Compared(field=field, op=op, value=value, said=said, holds=raised[flag]))
        for flag, (field, op, value, said) in rules.items()
    )


def vip_ground(of: Subject) -> VipGround:
    """Whether the party is a VIP."""
    rule, said = of.policy.vip, of.history.said(of.day, of.history.set_on(of.day))
    return VipGround(
        vip=of.follows("vip").lower() == "true",
        rule=rule,
        comparisons=() if rule is None else tuple(_compared(leaf, said) for leaf in comparisons(rule)),
    )


def _compared(leaf: Comparison, said: Mapping[str, Any]) -> Compared:
    return Compared(field=leaf.field, op=leaf.op, value=leaf.value, said=said[leaf.field], holds=leaf.holds(said))


def treatment_ground(of: Subject) -> TreatmentGround:
    """Which row of the table fits."""
    tier, satisfaction = Tier(str(of.grades.tier)), Band(str(of.grades.satisfaction))
    loyalty = Band(str(of.grades.loyalty))
    row = next(number for number, row in enumerate(of.policy.treatments, 1) if row.fits(tier, satisfaction, loyalty))
    return TreatmentGround(
        treatment=of.policy.treatment(tier, satisfaction, loyalty),
        tier=tier,
        satisfaction=satisfaction,
        loyalty=loyalty,
        row=row,
        rows=of.policy.treatments[:row],
        treatments=tuple(values(Field.TREATMENT, of.policy)),
    )
