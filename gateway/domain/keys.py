"""API keys: random, shown once, kept as a hash."""

import hashlib
import hmac
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from contracts.problems import Conflict, Invalid, NotFound
from gateway.domain.rights import Role

PREFIX = "shuke_"
RANDOM_BYTES = 32
"""Enough that a plain SHA-256 keeps the secret: nobody guesses 256 bits."""
GRACE_MOST = timedelta(days=7)
"""How long a rotated secret may go on beside its successor."""

_SPELLING = re.compile(r"shuke_[A-Za-z0-9_-]{43}")


class KeyNotFound(NotFound):
    """There is no such key."""


class LastAdminKey(Conflict):
    """Without an admin key that lasts nobody could make another one."""


class KeyEnded(Conflict):
    """A key that was revoked or has expired does not come back."""


class ExpiryPassed(Invalid):
    """A key cannot expire before now; to end it at once it is revoked."""


class NotForKeys(Invalid):
    """A role that only people have."""


PEOPLES = frozenset({Role.OWNER, Role.MANAGER, Role.AGENT})
"""Roles of people: a key is in no team and owns no party."""
ROLES = tuple(role for role in Role if role not in PEOPLES)
"""Roles that a key may have."""


class Standing(StrEnum):
    """Whether a secret opens the door."""

    GOOD = "good"
    REVOKED = "revoked"
    EXPIRED = "expired"
    ROTATED = "rotated"


REFUSALS = {
    Standing.REVOKED: "This API key was revoked.",
    Standing.EXPIRED: "This API key has expired.",
    Standing.ROTATED: "This secret was replaced by a newer one of the same key.",
}


def looks_like_key(text: str) -> bool:
    """Whether a text has the form of a key; anything else need not be looked up."""
    return _SPELLING.fullmatch(text) is not None


def secret_hash(key: str) -> bytes:
    """What is stored of a key."""
    return hashlib.sha256(key.encode()).digest()


def last_four(key: str) -> str:
    """What people tell keys apart by: 24 of the 256 bits."""
    return key[-4:]


def same_hash(one: bytes, other: bytes | None) -> bool:
    """Whether two hashes are the same, in a time that does not tell how far they are."""
    return other is not None and hmac.compare_digest(one, other)


@dataclass(frozen=True, slots=True)
class Life:
    """What ends a key, or the secret that it had before."""

    revoked_at: datetime | None
    expires_at: datetime | None
    previous_until: datetime | None

    def standing(self, at: datetime, *, previous: bool = False) -> Standing:
        """Whether the secret of the key opens the door at an instant, or the previous one."""
        if self.revoked_at is not None:
            return Standing.REVOKED
        if self.expires_at is not None and self.expires_at <= at:
            return Standing.EXPIRED
        if previous and (self.previous_until is None or self.previous_until <= at):
            return Standing.ROTATED
        return Standing.GOOD


def check_expiry(expires_at: datetime | None, at: datetime) -> None:
    """Raise `ExpiryPassed` for a key that would have ended before it began."""
    if expires_at is not None and expires_at <= at:
        raise ExpiryPassed("This instant has passed. To end a key at once, revoke it.", now=at.isoformat())


def check_admin_left(scopes: Collection[str], others: Collection[object]) -> None:
    """Raise `LastAdminKey` where a lasting admin key would end and no other one lasts."""
    if Role.ADMIN in scopes and not others:
        raise LastAdminKey("This is the only admin key without an expiry; make another one first.")


def check_roles(roles: Collection[Role]) -> None:
    """Raise `NotForKeys` where one of the roles is one of people."""
    if peoples := sorted(PEOPLES.intersection(roles)):
        raise NotForKeys(f"{', '.join(peoples)}: only people have this role.", allowed=ROLES)
