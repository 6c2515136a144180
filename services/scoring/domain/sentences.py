"""A reason in words: what decided, what changes next, and what would mend it; from the data of the reason alone."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Protocol

from contracts.scoring import Stage
from services.scoring.domain.chinese import SIMPLIFIED, TRADITIONAL
from services.scoring.domain.english import English
from services.scoring.domain.facts import Kind
from services.scoring.domain.reasons.coming import Coming
from services.scoring.domain.reasons.indexes import IndexGround
from services.scoring.domain.reasons.otherwise import Otherwise
from services.scoring.domain.reasons.overriding import OverrideGround
from services.scoring.domain.reasons.potential import PotentialGround
from services.scoring.domain.reasons.reason import Reason


class Language(StrEnum):
    """The languages in which a reason is told (BCP 47)."""

    ENGLISH = "en"
    TRADITIONAL_CHINESE = "zh-Hant"
    SIMPLIFIED_CHINESE = "zh-Hans"


class Speech(Protocol):
    """How the parts of a reason are said in a language, each as a whole sentence."""

    between: str
    """What stands between two sentences."""

    def stage(self, reason: Reason) -> str:
        """What decided the stage."""

    def worth(self, reason: Reason) -> str:
        """What decided the tier of whoever bought."""

    def potential(self, ground: PotentialGround) -> str:
        """How promising whoever never bought is."""

    def satisfaction(self, ground: IndexGround) -> str:
        """What decided satisfaction."""

    def loyalty(self, ground: IndexGround) -> str:
        """What decided loyalty."""

    def posture(self, reason: Reason) -> str:
        """Which way the relationship goes."""

    def treated(self, reason: Reason) -> str:
        """How they are treated, and whether they are a VIP."""

    def set_by_hand(self, override: OverrideGround, currency: str | None) -> str:
        """What a person set in the place of what follows; amounts are in minor units of the currency."""

    def coming(self, turns: Sequence[Coming], currency: str | None) -> str:
        """What changes if nothing else happens, in the order of days."""

    def keeping(self, stage: Stage, other: Otherwise, *, at_any_time: bool) -> str:
        """What keeps the stage from falling: at any time before it does, or on the day before alone."""

    def mending(self, stage: Stage, other: Otherwise) -> str:
        """What would make another stage."""

    def raising(self, other: Otherwise, currency: str) -> str:
        """Which purchase would make a higher tier."""


SPEECHES: Mapping[Language, Speech] = {
    Language.ENGLISH: English(),
    Language.TRADITIONAL_CHINESE: TRADITIONAL,
    Language.SIMPLIFIED_CHINESE: SIMPLIFIED,
}


def advice(reason: Reason, language: Language = Language.ENGLISH) -> tuple[str, ...]:
    """What the party or the house can do that makes or keeps another stage or tier, a sentence each; often one or two.

    They are the last ones of `sentence`.
    """
    return tuple(_advised(reason, SPEECHES[language]))


def sentence(reason: Reason, language: Language = Language.ENGLISH) -> str:
    """Why a party stands where it stands, what changes next, and what would mend it."""
    speech = SPEECHES[language]
    return speech.between.join(_said(reason, speech))


def _said(reason: Reason, speech: Speech) -> Iterator[str]:
    yield speech.stage(reason)
    if reason.bought is not None:
        yield speech.worth(reason)
    if reason.potential is not None:
        yield speech.potential(reason.potential)
    for ground, say in (reason.satisfaction, speech.satisfaction), (reason.loyalty, speech.loyalty):
        if ground.contributions or ground.as_set is not None:
            yield say(ground)
    if reason.posture.later_days or reason.posture.earlier_days:
        yield speech.posture(reason)
    yield speech.treated(reason)
    yield from (speech.set_by_hand(override, reason.currency) for override in reason.overrides)
    if turns := tuple(_turns(reason)):
        yield speech.coming(turns, reason.currency)
    yield from _advised(reason, speech)


def _advised(reason: Reason, speech: Speech) -> Iterator[str]:
    stage, mended = _standing_stage(reason), set[bool]()
    kept_now = any(other.added_on == reason.day != other.on and other.stage is stage for other in reason.otherwise)
    for other in reason.otherwise:
        changed, buying = {change.field for change in other.changes}, other.added_minor is not None
        if other.added_on == other.on - timedelta(days=1) and other.stage is stage:
            yield speech.keeping(stage, other, at_any_time=kept_now)
        elif other.added_on != other.on or other.added == Kind.COMPLAINED.code:
            continue
        elif "stage" in changed and buying not in mended:
            mended.add(buying)
            yield speech.mending(stage, other)
        elif "tier" in changed and buying and reason.currency:
            yield speech.raising(other, reason.currency)


def _turns(reason: Reason) -> Iterator[Coming]:
    """The next change of all, and the next one of the stage, where that is another."""
    if reason.coming is not None:
        yield reason.coming
    if reason.coming_stage is not None and reason.coming_stage != reason.coming:
        alone = tuple(change for change in reason.coming_stage.changes if change.field == "stage")
        yield reason.coming_stage.model_copy(update={"changes": alone})


def _standing_stage(reason: Reason) -> Stage:
    """The stage as it stands, also where a person set it."""
    return next(
        (Stage(override.value) for override in reason.overrides if override.field == "stage"), reason.stage.stage
    )
