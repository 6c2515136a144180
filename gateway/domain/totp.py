"""Codes of an authenticator app, which change every 30 seconds (RFC 6238), and codes for the day that it is lost."""

import base64
import hashlib
import hmac
import re
import struct
from collections.abc import Collection
from urllib.parse import quote, urlencode

from contracts.problems import Conflict

STEP_S = 30
DIGITS = 6
SECRET_BYTES = 20
"""As long as the output of SHA-1 (RFC 4226 §4, R6)."""
DRIFT_STEPS = 1
"""A clock may be so many steps off, each way (RFC 6238 §5.2)."""
RECOVERY_CODES = 10
RECOVERY_BYTES = 10
"""80 random bits: a plain SHA-256 keeps them."""

_SPACES = re.compile(r"[\s-]")


class SecondStepOn(Conflict):
    """The second step of signing in is set up already."""


class SecondStepOff(Conflict):
    """The second step of signing in is not set up, or was not begun."""


def code(secret: bytes, step: int) -> str:
    """The code of a step (RFC 4226 §5.3, RFC 6238 §4)."""
    digest = hmac.digest(secret, struct.pack(">Q", step), hashlib.sha1)
    place = digest[-1] & 0x0F
    number: int = struct.unpack(">I", digest[place : place + 4])[0] & 0x7FFF_FFFF
    return f"{number % 10**DIGITS:0{DIGITS}d}"


def step_of(secret: bytes, given: str, at_s: float, *, after: int) -> int | None:
    """The step whose code this is, among those around an instant (Unix seconds) and after the step used last.

    A code counts once, whoever saw it being typed (RFC 6238 §5.2).
    """
    plain = _SPACES.sub("", given)
    present = int(at_s // STEP_S)
    found = None
    for step in range(present - DRIFT_STEPS, present + DRIFT_STEPS + 1):
        if hmac.compare_digest(code(secret, step).encode(), plain.encode()) and step > after:
            found = step
    return found


def uri(secret: bytes, *, account: str, issuer: str) -> str:
    """What an authenticator app reads from a picture (Key URI Format of Google Authenticator)."""
    asked = {"secret": spelled(secret), "issuer": issuer, "algorithm": "SHA1", "digits": DIGITS, "period": STEP_S}
    return f"otpauth://totp/{quote(issuer)}:{quote(account)}?{urlencode(asked, quote_via=quote)}"


def spelled(secret: bytes) -> str:
    """A secret as people copy it: base32 without padding."""
    return base64.b32encode(secret).decode().rstrip("=")


def recovery_code(random: bytes) -> str:
    """Random bytes as a code that people write down: `abcd-efgh-ijkl-mnop`."""
    text = spelled(random).lower()
    return "-".join(text[place : place + 4] for place in range(0, len(text), 4))


def recovery_hash(given: str) -> bytes:
    """What is kept of a recovery code."""
    return hashlib.sha256(_SPACES.sub("", given).lower().encode()).digest()


def without(kept: Collection[bytes], given: str) -> list[bytes] | None:
    """The recovery codes that are left when one is used; None where it is none of them."""
    hashed = recovery_hash(given)
    left = [each for each in kept if not hmac.compare_digest(each, hashed)]
    return left if len(left) < len(kept) else None
