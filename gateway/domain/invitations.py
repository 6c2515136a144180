"""One-time links: for the first person, for a new one, for one who forgot the password."""

import re
from datetime import datetime, timedelta
from enum import StrEnum

from contracts.problems import Conflict, NotFound

PREFIX = "shukei_"
LASTS = timedelta(days=7)

_SPELLING = re.compile(r"shukei_[A-Za-z0-9_-]{43}")


class Kind(StrEnum):
    """What a link is for."""

    FIRST = "first"
    """Makes the owner of an installation that has nobody yet."""
    NEW = "new"
    """Somebody who was made by another person sets a password."""
    RESET = "reset"
    """Somebody sets another password."""


class InvitationNotFound(NotFound):
    """No link that still works has this token."""


class FirstPersonThere(Conflict):
    """The installation has its owner; everybody else is invited."""


class NobodyToInvite(Exception):
    """No owner has this address, or there is an owner already."""


def looks_like_invitation(text: str) -> bool:
    """Whether a text has the form of a link's token."""
    return _SPELLING.fullmatch(text) is not None


def path(token: str) -> str:
    """Where the console takes it. Behind the question mark, since paths are logged and queries are not."""
    return f"/invitation?token={token}"


def works(at: datetime, *, expires_at: datetime, used_at: datetime | None, withdrawn_at: datetime | None) -> bool:
    """Whether a link still works at an instant."""
    return used_at is None and withdrawn_at is None and at < expires_at
