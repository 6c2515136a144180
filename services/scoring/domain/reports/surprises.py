"""Where a manager's own list and what the facts say differ."""

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Any

import msgspec

from contracts.money import major
from contracts.scoring import Stage, Tier
from services.scoring.domain.differences import said
from services.scoring.domain.rules import All, Rule


class HeldAs(StrEnum):
    """What a list holds its parties to be: VIPs, or of at least a tier."""

    VIP = "vip"
    TOP = "top"
    HIGH = "high"
    MID = "mid"

    @property
    def tiers(self) -> tuple[Tier, ...]:
        """The tiers that are at least this one; none for VIPs."""
        falling = (Tier.TOP, Tier.HIGH, Tier.MID)
        return () if self is HeldAs.VIP else falling[: falling.index(Tier(self)) + 1]


class Stands(msgspec.Struct, frozen=True):
    """What of a standing is compared with a list."""

    stage: Stage
    tier: Tier
    since: date
    value_minor: int
    purchase_days: int
    last_day: date | None
    vip: bool

    def derived(self, held: HeldAs) -> bool:
        """Whether the facts say so too."""
        return self.vip if held is HeldAs.VIP else self.tier in held.tiers


def agreed(stands: Stands, held: HeldAs, currency: str | None) -> str:
    """Why a party that was named is what it is held to be."""
    return f"Named, and so do the facts say: {_told(stands, held, currency)}."


def missed(stands: Stands, held: HeldAs, currency: str | None) -> str:
    """Why a party that was not named should be looked at."""
    return f"Not named, though the facts say {_held(held)}: {_told(stands, held, currency)}."


def over_rated(
    stands: Stands | None, held: HeldAs, currency: str | None, rule: Rule | None, facts: Mapping[str, Any]
) -> str:
    """Why a party that was named is less than it is held to be. `facts` are what a rule of VIPs looks at."""
    if stands is None:
        return "Named, though no fact counts for it: it has no standing."
    against = ""
    if held is HeldAs.VIP:
        against = (
            "; there is no rule for VIPs"
            if rule is None
            else f"; the rule asks for {', '.join(map(said, _unmet(rule, facts)))}"
        )
    return f"Named, though the facts do not say {_held(held)}: {_told(stands, held, currency)}{against}."


def _unmet(rule: Rule, facts: Mapping[str, Any]) -> list[Rule]:
    """What a rule asks for together and does not find."""
    if isinstance(rule, All):
        return [unmet for part in rule.all for unmet in _unmet(part, facts)]
    return [] if rule.holds(facts) else [rule]


def _held(held: HeldAs) -> str:
    if held is HeldAs.VIP:
        return "VIP"
    return f"tier {held}" if held is HeldAs.TOP else f"tier {held} or higher"


def _told(stands: Stands, held: HeldAs, currency: str | None) -> str:
    worth = f"{major(stands.value_minor, currency or '')} {currency or ''}".strip()
    bought = f"{stands.purchase_days} purchase day{'' if stands.purchase_days == 1 else 's'}"
    last = f", the last on {stands.last_day}" if stands.last_day else ""
    vip = f"{'VIP' if stands.vip else 'not VIP'}, " if held is HeldAs.VIP else ""
    stage = str(stands.stage).replace("_", " ")
    return f"{vip}tier {stands.tier} with a value of {worth}, {stage} since {stands.since}, {bought}{last}"
