"""How fast anybody may try passwords: from one address, for one account from there, from a known device.

Nobody is locked out. An attempt takes a place in a bucket that fills again steadily, kept as the instant at which it is
full, and a good one gives its place back.
"""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from contracts.problems import Problem
from gateway.domain.rates import neighbourhood

DEVICE_PREFIX = "shuked_"


@dataclass(frozen=True, slots=True)
class Pace:
    """How many attempts may come at once, and how long each takes to be forgotten."""

    burst: int
    each: timedelta

    @property
    def whole(self) -> timedelta:
        """How long a bucket that is used up takes to fill."""
        return self.burst * self.each


ACCOUNT = Pace(5, timedelta(seconds=30))
"""For one account, from one address: 2,880 guesses a day, and nobody elsewhere waits for them."""
ADDRESS = Pace(60, timedelta(seconds=5))
"""From one address, whatever the account: the morning of an office, and no list of leaked passwords."""
DEVICE = Pace(10, timedelta(seconds=30))
"""For one account, from a device on which its owner signed in before, whatever comes from elsewhere."""
CODE = Pace(5, timedelta(seconds=60))
"""Codes of the second step for one account, from everywhere: only who knows the password gets so far."""


class TooManyAttempts(Problem):
    """Too many attempts to sign in came from here."""

    status = 429


def places(email_key: str, address: str, device: str | None) -> list[tuple[bytes, Pace]]:
    """The buckets that an attempt takes from. `device` names a device that is known for this account."""
    if device is not None:
        return [(_named("device", email_key, device), DEVICE)]
    here = neighbourhood(address)
    return [(_named("account", email_key, here), ACCOUNT), (_named("address", here), ADDRESS)]


def code_place(user_id: UUID, device: str | None) -> tuple[bytes, Pace]:
    """The bucket that an attempt at the second step takes from; a known device has one of its own."""
    return _named("code", user_id.hex, device or ""), CODE


def device_token(key: bytes, user_id: UUID, random: bytes) -> str:
    """A token that says: this person signed in here before. It opens nothing; it only has a bucket of its own.

    `random` has 16 bytes. It carries the id of nobody else, and needs no table.
    """
    return DEVICE_PREFIX + _text(random + _signature(key, user_id, random))


def device_of(key: bytes, user_id: UUID, token: str | None) -> str | None:
    """The name of the device in a token, if it was made for this person."""
    if token is None or not token.startswith(DEVICE_PREFIX):
        return None
    try:
        said = base64.urlsafe_b64decode(token[len(DEVICE_PREFIX) :] + "==")
    except (ValueError, binascii.Error):
        return None
    random, signature = said[:16], said[16:]
    return random.hex() if hmac.compare_digest(signature, _signature(key, user_id, random)) else None


def _signature(key: bytes, user_id: UUID, random: bytes) -> bytes:
    return hmac.digest(key, b"device" + user_id.bytes + random, hashlib.sha256)


def _text(of: bytes) -> str:
    return base64.urlsafe_b64encode(of).decode().rstrip("=")


def _named(*parts: str) -> bytes:
    # Hashed: what was typed as an address stands nowhere, least of all where it was a password.
    return hashlib.sha256("\0".join(parts).encode()).digest()
