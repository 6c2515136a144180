"""Where a manager's own list and what the facts say differ."""

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Any

import msgspec

from contracts.money import major
from contracts.scoring import Stage, Tier
from services.scoring.domain.calendar import Calendar
from services.scoring.domain.differences import said
from services.scoring.domain.facts import Kind
from services.scoring.domain.grading import YES_OR_NO
from services.scoring.domain.history import History
from services.scoring.domain.overrides import Field
from services.scoring.domain.rules import All, Rule

SET = int(Kind.OVERRIDDEN)


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

    def are(self, held: HeldAs) -> bool:
        """Whether they are what a list holds them to be."""
        return self.vip if held is HeldAs.VIP else self.tier in held.tiers


class Given(msgspec.Struct, frozen=True):
    """What the facts alone give of a party, whatever is set by hand."""

    stands: Stands | None
    """None where no fact counts."""
    facts: Mapping[str, Any] = {}
    """What a rule of VIPs looks at."""
    by_hand: Mapping[str, str] = {}
    """The value of each field that is set in the place of what the facts give."""

    def derived(self, held: HeldAs) -> bool:
        """Whether the facts say so too."""
        return self.stands is not None and self.stands.are(held)


def given(history: History, day: int) -> Given:
    """What the facts of a history alone give on a day, and what is set by hand there."""
    by_hand = history.set_on(day)
    history = History(Calendar(tuple(each for each in history.calendar.entries if each[1] != SET)), history.ruling)
    stage, tier, since, last = history.stage(day), history.tier(day), history.since(day), history.last_purchase(day)
    if stage is None or tier is None or since is None:
        return Given(None)
    stands = Stands(
        stage=stage,
        tier=tier,
        since=date.fromordinal(since),
        value_minor=history.value(day),
        purchase_days=history.purchases(day),
        last_day=None if last is None else date.fromordinal(last),
        vip=history.grades(day).vip,
    )
    return Given(stands, history.said(day, {}), by_hand)


def agreed(given: Given, held: HeldAs, currency: str | None) -> str:
    """Why a party that was named is what it is held to be."""
    return f"Named, and so do the facts say: {_told(given, held, currency)}."


def missed(given: Given, held: HeldAs, currency: str | None) -> str:
    """Why a party that was not named should be looked at."""
    return f"Not named, though the facts say {_held(held)}: {_told(given, held, currency)}."


def over_rated(given: Given, held: HeldAs, currency: str | None, rule: Rule | None) -> str:
    """Why a party that was named is less than it is held to be."""
    if given.stands is None:
        return "Named, though no fact counts for it: it has no standing."
    against = f"; {_against(rule, given.facts)}" if held is HeldAs.VIP else ""
    return f"Named, though the facts do not say {_held(held)}: {_told(given, held, currency)}{against}."


def _against(rule: Rule | None, facts: Mapping[str, Any]) -> str:
    if rule is None:
        return "there is no rule for VIPs"
    if unmet := _unmet(rule, facts):
        return f"the rule asks for {', '.join(map(said, unmet))}"
    # A rule that came into force just now has not assessed everybody yet.
    return "all that the rule asks for is there, and it is not assessed by it yet"


def _unmet(rule: Rule, facts: Mapping[str, Any]) -> list[Rule]:
    """What a rule asks for together and does not find."""
    if isinstance(rule, All):
        return [unmet for part in rule.all for unmet in _unmet(part, facts)]
    return [] if rule.holds(facts) else [rule]


def _held(held: HeldAs) -> str:
    if held is HeldAs.VIP:
        return "VIP"
    return f"tier {held}" if held is HeldAs.TOP else f"tier {held} or higher"


def _told(given: Given, held: HeldAs, currency: str | None) -> str:
    stands = given.stands
    assert stands is not None
    bought = f"{stands.purchase_days} purchase day{'' if stands.purchase_days == 1 else 's'}"
    last = f", the last on {stands.last_day}" if stands.last_day else ""
    vip = f"{'VIP' if stands.vip else 'not VIP'}, " if held is HeldAs.VIP else ""
    stage, worth = str(stands.stage).replace("_", " "), _money(stands.value_minor, currency)
    by_hand = ", ".join(_set(field, value, currency) for field, value in sorted(given.by_hand.items()))
    return (
        f"{vip}tier {stands.tier} with a value of {worth}, {stage} since {stands.since}, {bought}{last}"
        f"{f'; set by hand: {by_hand}' if by_hand else ''}"
    )


def _set(field: str, value: str, currency: str | None) -> str:
    name = "VIP" if field == Field.VIP else field.removesuffix("_minor").replace("_", " ")
    if field in YES_OR_NO:
        return name if value == "true" else f"not {name}"
    told = _money(int(value), currency) if field.endswith("_minor") else value.replace("_", " ")
    return f"{name} {told}"


def _money(minor: int, currency: str | None) -> str:
    return f"{major(minor, currency or '')} {currency or ''}".strip()
