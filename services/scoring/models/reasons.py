"""Reasons as they are shown."""

from typing import Self

from services.scoring.domain.reasons.reason import Reason
from services.scoring.domain.sentences import Language, advice, sentence


class ReasonTold(Reason):
    """What decided, complete enough to decide again by hand, and as sentences."""

    sentence: str
    """The same in words, in the language that was asked for."""
    advice: tuple[str, ...]
    """The end of it: what can be done that makes or keeps another stage or tier, a sentence each."""

    @classmethod
    def told(cls, reason: Reason, language: Language) -> Self:
        """A reason in a language."""
        return cls(**dict(reason), sentence=sentence(reason, language), advice=advice(reason, language))
