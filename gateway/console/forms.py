"""Forms that only our own pages can send: how they are read, and what of them a page may send again."""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from fastapi import Request

from chassis.problems import ContentTooLarge
from contracts.problems import Problem
from gateway.console.api import Refused

FIELD, HEADER = "csrf", "x-csrf-token"
SENDER = "sent_from"
"""The field with the page that a form was filled in on, where another one sends it."""
VISITOR = "shuke_visitor"
"""The cookie that a form is bound to before anybody has signed in."""
LARGEST, MOST = 1_000_000, 1_000
"""Bytes and fields of a form. Files are read piece by piece, and have a limit of their own."""
OPENS = frozenset({"password", "current", "new", "again", "code", "secret", "uri", "token", "ticket"})
"""Fields of what somebody comes in by, which no page sends back to a browser."""

_MASK_BYTES = 32

Fields = Mapping[str, str | list[str]]
"""By name; a list where one came several times."""


class NotOurForm(Problem):
    """A form came that no page of this browser had sent out."""

    status = 403

    def __init__(self) -> None:
        super().__init__("This form is not one of this browser's pages, or it is too old. Load the page again.")


def refuse_foreign(request: Request) -> None:
    """Raise `NotOurForm` for what a browser says to come from somewhere else."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise NotOurForm


def refuse_unless_ours(secret: str, bound_to: str, token: str) -> None:
    """Raise `NotOurForm` for a form without the token of a page of this browser."""
    if not is_ours(secret, bound_to, token):
        raise NotOurForm


def is_of_here(request: Request) -> bool:
    """Whether the browser vouches that a page of ours has sent this, whatever token it came with."""
    said = request.headers.get("sec-fetch-site")
    return said == "same-origin" if said else _place(request.headers.get("origin", ""), request) is not None


async def fields(request: Request) -> Fields:
    """What a form was filled in with; files are left to the page. Raises `ContentTooLarge`."""
    if not is_whole(request):
        return {}
    sent = bytearray()
    async for piece in request.stream():
        # The rest is read and let go: who still writes would not read why it was refused.
        if len(sent) <= LARGEST:
            sent += piece
    if len(sent) > LARGEST or sent.count(b"&") >= MOST:
        raise ContentTooLarge(f"A form may have {LARGEST} bytes and {MOST} fields.")
    found: dict[str, list[str]] = {}
    for name, value in parse_qsl(sent.decode(errors="replace"), keep_blank_values=True):
        found.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def is_whole(request: Request) -> bool:
    """Whether the body is a form without files."""
    return request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")


def token_apart(request: Request, sent: Fields) -> tuple[str, Fields]:
    """The token that came with a form, and the form without it."""
    token = request.headers.get(HEADER) or sent.get(FIELD) or request.query_params.get(FIELD, "")
    return token if isinstance(token, str) else "", {name: said for name, said in sent.items() if name != FIELD}


def sender(request: Request, sent: Fields) -> str:
    """Path and query of the page of ours on which a form was filled in; the first page where nobody says which."""
    said = sent.get(SENDER) or _place(request.headers.get("referer", ""), request)
    return inside(said) if isinstance(said, str) else "/"


def repeated(request: Request, sent: Fields) -> list[tuple[str, str]] | None:
    """What a page may offer to send once more: names and values; None of a form with files, or what somebody comes in
    by.
    """
    if not is_whole(request) or OPENS & sent.keys():
        return None
    every = ((name, [said] if isinstance(said, str) else said) for name, said in sent.items() if name != SENDER)
    return [(name, value) for name, values in every for value in values]


def inside(target: str) -> str:
    """Where to go on, if that is a page of ours: no address of somebody else."""
    return target if target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable() else "/"


def unreadable(name: str, example: str) -> Refused:
    """What is said of a field in which something else stands than a day or a time."""
    detail = f"Write it as in {example}."
    said = {
        "code": "invalid_request",
        "detail": "This is no day or time.",
        "errors": [{"pointer": f"#/{name}", "detail": detail}],
    }
    return Refused(422, said)


def _place(url: str, request: Request) -> str | None:
    """Path and query of an address on the host that was asked; None of any other."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if not parts.netloc or parts.netloc != request.headers.get("host"):
        return None
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


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
