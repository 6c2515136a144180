"""Contact data: hidden in whatever is answered to a caller who may not see it.

Names and ids in other systems stay. E-mail addresses and phone numbers are masked wherever they stand in a text, and
free text, in which anything may stand, is left out.
"""

import re
from collections.abc import Collection
from typing import Any

import msgspec
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis.auth import HEADER, Caller, Signer, Unauthorized
from contracts.identity import Scheme
from contracts.problems import Problem

HIDDEN = "…"
"""What stands for a text that is hidden, so that it can be told from one that is not there."""
REACHES = frozenset({Scheme.EMAIL, Scheme.PHONE})
"""Identifiers by which somebody can be reached."""

_EMAIL = re.compile(r"[^\s@<>\"'(),;:]+@[^\s@<>\"'(),;:]+")
_PHONE = re.compile(r"(?:\+|\b00)[1-9](?:[ ()./-]*\d){5,}")
_SAID_TO_REACH = re.compile(
    r"e.?mail|phone|mobile|telefon|^tel|fax|whatsapp|address|电话|電話|手机|手機|邮箱|信箱", re.IGNORECASE
)
"""Names of attributes whose values are contact data, whatever they look like."""


class ContactHidden(Problem):
    """Whoever may not see contact data may not search by it either: the answer would tell it."""

    status = 403


def check_search(caller: Caller, scheme: Scheme | None) -> None:
    """Raise `ContactHidden` where a caller to whom contact data is hidden searches by it."""
    if scheme in REACHES and not caller.contact:
        raise ContactHidden(
            "E-mail addresses and phone numbers are hidden from you. Search by an id in another system, or by party.",
            schemes=[scheme for scheme in Scheme if scheme not in REACHES],
        )


def is_said_to_reach(name: str) -> bool:
    """Whether the name of a member says that somebody can be reached by its value, whatever that looks like."""
    return _SAID_TO_REACH.search(name) is not None


def masked(text: str) -> str:
    """A text with its e-mail addresses as `a…@…` and its phone numbers as `+44…89`."""
    return _PHONE.sub(lambda found: _phone(found[0]), _EMAIL.sub(lambda found: f"{found[0][0]}{HIDDEN}@{HIDDEN}", text))


def _phone(number: str) -> str:
    return f"{number[:3]}{HIDDEN}{number[-2:]}"


def hidden(value: Any, free_text: Collection[str]) -> Any:
    """A value of JSON without contact data; `free_text` are the members that hold any text."""
    match value:
        case str():
            return masked(value)
        case list():
            return [hidden(each, free_text) for each in value]
        case dict():
            reaches = value.get("scheme") in REACHES
            return {name: _member(name, each, reaches, free_text) for name, each in value.items()}
        case _:
            return value


def _member(name: str, value: Any, reaches: bool, free_text: Collection[str]) -> Any:
    if not isinstance(value, str):
        return hidden(value, free_text)
    if name in free_text:
        return HIDDEN if value else value
    if reaches and name == "value":
        return f"{value[:1]}{HIDDEN}@{HIDDEN}" if "@" in value else _phone(value)
    return HIDDEN if value and is_said_to_reach(name) else masked(value)


class Hiding:
    """Hides contact data in the JSON that is answered to callers who may not see it; others wait for nothing."""

    def __init__(self, app: ASGIApp, *, signer: Signer, free_text: Collection[str]) -> None:
        self.app = app
        self.signer = signer
        self.free_text = free_text

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http" or self._sees(scope):
            return await self.app(scope, receive, send)
        start: Message | None = None
        pieces: list[bytes] = []

        async def send_hidden(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and _kind(message) in _JSON:
                start = message
            elif start is None or message["type"] != "http.response.body":
                await send(message)
            else:
                pieces.append(message.get("body", b""))
                if not message.get("more_body"):
                    body = self._hidden(b"".join(pieces), problem=_kind(start) == b"application/problem+json")
                    headers = MutableHeaders(raw=start.setdefault("headers", []))
                    headers["content-length"] = str(len(body))
                    await send(start)
                    await send({"type": "http.response.body", "body": body})

        await self.app(scope, receive, send_hidden)

    def _sees(self, scope: Scope) -> bool:
        token = next((value for name, value in scope["headers"] if name == _HEADER), None)
        if token is None:
            return True
        try:
            return self.signer.verify(token.decode("latin-1")).contact
        except Unauthorized:
            return True

    def _hidden(self, body: bytes, *, problem: bool) -> bytes:
        # The title of a problem is ours.
        free_text = () if problem else self.free_text
        return msgspec.json.encode(hidden(msgspec.json.decode(body), free_text)) if body else body


_HEADER = HEADER.lower().encode()
_JSON = frozenset({b"application/json", b"application/problem+json"})


def _kind(start: Message) -> bytes:
    kind: bytes = next((value for name, value in start.get("headers", ()) if name.lower() == b"content-type"), b"")
    return kind.partition(b";")[0].strip()
