"""Referrals: who recommended us to whom, and what became of it."""

from datetime import datetime
from enum import StrEnum

from contracts.problems import Conflict, Invalid, NotFound


class ReferralNotFound(NotFound):
    """There is no such referral."""


class ReferralConflict(Conflict):
    """The id in the source was recorded before with other content."""


class CodeTaken(Conflict):
    """Another referral has this code."""


class AlreadyReferred(Conflict):
    """The referral names somebody else already."""


class ReferredThemselves(Invalid):
    """Nobody refers themselves."""


class ReferralExpired(Conflict):
    """The referral had expired by then."""


class AlreadyConverted(Conflict):
    """The referral led to a sale already, and to another one than this."""


class EndsTooEarly(Invalid):
    """A referral is named, converted and expires after it was made."""


class AmountWithoutCurrency(Invalid):
    """An amount names its currency, and a currency its amount."""


class Outcome(StrEnum):
    """What became of a referral."""

    OPEN = "open"
    CONVERTED = "converted"
    EXPIRED = "expired"


ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""Of codes that are made: no two signs that look or sound alike."""


def code_of(number: int) -> str:
    """The code of a number below 32 to the 8th."""
    return "".join(ALPHABET[number >> shift & 31] for shift in range(35, -1, -5))


def outcome(converted_at: datetime | None, expires_at: datetime | None, at: datetime) -> Outcome:
    """What has become of a referral at an instant; a sale before the end stays a sale."""
    if converted_at is not None:
        return Outcome.CONVERTED
    return Outcome.EXPIRED if expires_at is not None and expires_at <= at else Outcome.OPEN


def check_open(made_at: datetime, expires_at: datetime | None, at: datetime) -> None:
    """Raise `EndsTooEarly` or `ReferralExpired` where something happens outside a referral's time."""
    if at < made_at:
        raise EndsTooEarly("The referral was made later than this.", made_at=made_at)
    if expires_at is not None and at >= expires_at:
        raise ReferralExpired("The referral had expired by then.", expires_at=expires_at)
