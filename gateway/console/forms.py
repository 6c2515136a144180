"""Forms that only our own pages can send."""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error

FIELD, HEADER = "csrf", "x-csrf-token"
VISITOR = "shuke_visitor"
"""The cookie that a form is bound to before anybody has signed in."""

_MASK_BYTES = 32


def form_token(secret: str, bound_to: str) -> str:
    """A token for the forms of one browser.

    It is spelled anew each time, so that what the length of a compressed page gives away of it is of no use.
    """
    mask = secrets.token_bytes(_MASK_BYTES)
    return urlsafe_b64encode(mask + _masked(_proof(secret, bound_to), mask)).decode()


def is_ours(secret: str, bound_to: str, token: str) -> bool:
    """Whether a token was given to the browser that sends it."""
    try:
        raw = urlsafe_b64decode(token.encode())
    except (Error, ValueError):
        return False
    mask, masked = raw[:_MASK_BYTES], raw[_MASK_BYTES:]
    return len(masked) == _MASK_BYTES and hmac.compare_digest(_masked(masked, mask), _proof(secret, bound_to))


def _proof(secret: str, bound_to: str) -> bytes:
    return hmac.digest(secret.encode(), b"console form\0" + bound_to.encode(), hashlib.sha256)


def _masked(text: bytes, mask: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(text, mask, strict=True))
