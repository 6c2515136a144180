"""API keys: random, shown once, kept as a hash."""

import hashlib
import re

from contracts.problems import Conflict, NotFound

PREFIX = "shuke_"
RANDOM_BYTES = 32
"""Enough that a plain SHA-256 keeps the secret: nobody guesses 256 bits."""

_SPELLING = re.compile(r"shuke_[A-Za-z0-9_-]{43}")


class KeyNotFound(NotFound):
    """There is no such key."""


class LastAdminKey(Conflict):
    """Without an admin key nobody could make another one."""


def looks_like_key(text: str) -> bool:
    """Whether a text has the form of a key; anything else need not be looked up."""
    return _SPELLING.fullmatch(text) is not None


def secret_hash(key: str) -> bytes:
    """What is stored of a key."""
    return hashlib.sha256(key.encode()).digest()
