"""Sessions: who signed in has a token, which ends when it lies idle, when it is old, and when it is ended."""

import base64
import binascii
import hashlib
import hmac
import re
import struct
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from contracts.problems import NotFound, Problem

PREFIX = "shukes_"
TICKET_PREFIX = "shuket_"
TICKET_S = 300
"""Seconds for which a right password need not be said again beside the code."""
UNATTENDED = "x-unattended"
"""The header of what a page asks for by itself: that keeps nobody's session from lying idle."""
IDLE_HOURS = 12
LONGEST_DAYS = 30

_SPELLING = re.compile(r"shukes_[A-Za-z0-9_-]{43}")


class Means(StrEnum):
    """How somebody signed in."""

    PASSWORD = "password"
    OIDC = "oidc"
    INVITATION = "invitation"


class SessionNotFound(NotFound):
    """There is no such session of this person."""


class SignInFailed(Problem):
    """Address and password, or the code, do not fit together."""

    status = 401


class CodeNeeded(Problem):
    """The password is right, and this account needs a code as well."""

    status = 401


class CodeRefused(Problem):
    """The code is not one of this moment, or was used before."""

    status = 401


class PasswordRefused(Problem):
    """Who is signed in did not give their own password."""

    status = 403


class UserDisabled(Problem):
    """This person may not sign in any more."""

    status = 403


class PeopleAlone(Problem):
    """This is for people who signed in; an API key has no password and no sessions."""

    status = 403


def looks_like_session(text: str) -> bool:
    """Whether a text has the form of a session's token."""
    return _SPELLING.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Course:
    """What ends a session."""

    last_seen_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    disabled_at: datetime | None
    """Of the person."""

    def refusal(self, at: datetime, idle: timedelta) -> str | None:
        """Why it opens nothing at an instant; None where it does."""
        if self.ended_at is not None or self.disabled_at is not None:
            return "This session was ended. Sign in again."
        if self.expires_at <= at or self.last_seen_at + idle <= at:
            return "This session has ended by itself. Sign in again."
        return None


def ticket(key: bytes, user_id: UUID, kept: str, at: datetime) -> str:
    """What says for a while that somebody knew the password of which `kept` is kept."""
    until = int(at.timestamp()) + TICKET_S
    said = user_id.bytes + struct.pack(">Q", until)
    return TICKET_PREFIX + base64.urlsafe_b64encode(said + _signature(key, said, kept)).decode().rstrip("=")


def ticket_of(text: str) -> tuple[UUID, bytes] | None:
    """Whom a ticket names, and what `ticket_holds` looks at; None for what is no ticket."""
    try:
        said = base64.urlsafe_b64decode(text.removeprefix(TICKET_PREFIX) + "==")
    except (ValueError, binascii.Error):
        return None
    return (UUID(bytes=said[:16]), said) if len(said) == 56 and text.startswith(TICKET_PREFIX) else None


def ticket_holds(key: bytes, said: bytes, kept: str, at: datetime) -> bool:
    """Whether a ticket was given for this password and is not too old."""
    good = hmac.compare_digest(said[24:], _signature(key, said[:24], kept))
    return good and struct.unpack(">Q", said[16:24])[0] > at.timestamp()


def _signature(key: bytes, said: bytes, kept: str) -> bytes:
    return hmac.digest(key, b"ticket" + said + kept.encode(), hashlib.sha256)
