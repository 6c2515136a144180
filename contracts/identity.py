"""Identity ids: every service computes the same id for the same identifier, alone."""

import hashlib
import hmac
import re
import unicodedata
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import TypeAlias
from uuid import UUID
from zoneinfo import ZoneInfo

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from contracts.problems import Invalid, NotFound, Problem

FURTHEST_AHEAD = timedelta(hours=24)
"""Clocks and time zones differ; what lies further ahead is a mistake."""


class Scheme(StrEnum):
    """What kind of identifier a value is."""

    EMAIL = "email"
    PHONE = "phone"
    EXTERNAL = "external"


class Given(StrEnum):
    """What an identifier is, for those who know only its id."""

    EMAIL = "email"
    ROLE_EMAIL = "role_email"
    """An e-mail address of a role, such as `info@`, and not of a person."""
    PHONE = "phone"
    EXTERNAL = "external"

    @property
    def scheme(self) -> "Scheme":
        """The scheme that it says."""
        return Scheme.EMAIL if self is Given.ROLE_EMAIL else Scheme(self.value)


# fmt: off
ROLE_ADDRESSES = frozenset(
    {
        "abuse", "accounting", "accounts", "admin", "administration", "billing", "booking", "bookings", "buchhaltung",
        "careers", "contact", "customerservice", "einkauf", "enquiries", "hello", "help", "helpdesk", "hr", "info",
        "inquiries", "invoice", "invoices", "it", "jobs", "kontakt", "legal", "mail", "marketing", "newsletter",
        "no-reply", "noreply", "office", "orders", "post", "postmaster", "press", "procurement", "purchasing",
        "reception", "sales", "secretary", "service", "shop", "support", "team", "verkauf", "webmaster",
    }
)
# fmt: on
"""What stands before the @ of addresses that belong to a role and not to a person."""


class BadIdentifier(Problem):
    """An identifier that cannot be one of its scheme."""

    status = 422


class PartyNotFound(NotFound):
    """No party has this id or identifier."""


class FutureDate(Invalid):
    """It is said to have happened more than 24 hours ahead."""


def normalised(scheme: Scheme, value: str, *, region: str | None = None) -> str:
    """The one spelling of an identifier: e-mail in lower case and NFC, phone in E.164, external trimmed and NFC.

    `region` (ISO 3166 two-letter code) reads national phone numbers; without it they need `+`.
    Raises `BadIdentifier`, whose text never repeats the value.
    """
    text = unicodedata.normalize("NFC", value).strip()
    match scheme:
        case Scheme.EMAIL:
            return _email(value.strip())
        case Scheme.PHONE:
            try:
                number = phonenumbers.parse(text, region)
            except phonenumbers.NumberParseException:
                raise BadIdentifier("This is not a phone number; write it as +COUNTRY NUMBER.") from None
            if not phonenumbers.is_possible_number(number):
                raise BadIdentifier("No phone number has this length.")
            return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        case Scheme.EXTERNAL:
            if not text or len(text) > 200 or re.search(r"[\x00-\x1f\x7f]", text):
                raise BadIdentifier("An external id has 1 to 200 characters and no control characters.")
            return text


def _email(text: str) -> str:
    """The address in lower case and NFC.

    Signs that only look like letters are refused where reading them would make another address of it: those of a
    domain (`ｅ`, `。`) are mapped to ASCII (UTS 46 §4), and so is the Kelvin sign by NFC.
    """
    try:
        told = validate_email(unicodedata.normalize("NFC", text), check_deliverability=False)
    except EmailNotValidError:
        raise BadIdentifier("This is not an e-mail address.") from None
    plain = told.normalized.lower()
    domain = unicodedata.normalize("NFC", text).rpartition("@")[2].lower()
    if domain not in (told.domain, told.ascii_domain) or (plain.isascii() and not text.isascii()):
        raise BadIdentifier("It has signs that only look like letters; write the address in plain ones.")
    return plain


def identity_id(key: bytes, scheme: Scheme, value: str, *, system: str | None = None) -> UUID:
    """The id of a normalised identifier: UUIDv8 over HMAC-SHA256(key, scheme ":" value) (RFC 9562 §5.8).

    `system` names the system of an external id: its scheme is then `external:{system}`.
    """
    name = f"external:{system}" if scheme is Scheme.EXTERNAL else str(scheme)
    digest = bytearray(hmac.digest(key, f"{name}:{value}".encode(), hashlib.sha256)[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return UUID(bytes=bytes(digest))


@dataclass(frozen=True, slots=True)
class Identity:
    """An identifier, normalised, under its id; a random identity has no identifier."""

    id: UUID
    scheme: Scheme | None = None
    system: str | None = None
    """The system that gave an external id."""
    value: str | None = None


def given(identity: Identity) -> Given:
    """What an identifier is, for those who know only its id. It says nothing of the value but whether a role has it."""
    assert identity.scheme is not None
    if identity.scheme is Scheme.EMAIL and (identity.value or "").partition("@")[0] in ROLE_ADDRESSES:
        return Given.ROLE_EMAIL
    return Given(identity.scheme.value)


PartyRef: TypeAlias = Identity | UUID
"""Whom a command is about: an identifier, or the id of a party."""


@dataclass(frozen=True, slots=True)
class Installation:
    """What never changes under the facts: the identity key and the zone of the local days."""

    key: bytes = field(repr=False)
    zone: ZoneInfo
    region: str | None = None
    """ISO 3166 code of the country whose national phone numbers are understood."""

    def identity(self, scheme: Scheme, value: str, *, system: str | None = None) -> Identity:
        """The identity of an identifier as written. Raises `BadIdentifier`."""
        return _identity(self.key, scheme, value, system, self.region)

    def day(self, instant: datetime) -> date:
        """The local day of an instant."""
        return instant.astimezone(self.zone).date()


@lru_cache(maxsize=65_536)
def _identity(key: bytes, scheme: Scheme, value: str, system: str | None, region: str | None) -> Identity:
    if (scheme is Scheme.EXTERNAL) != (system is not None):
        raise BadIdentifier("An external id names its system, and nothing else does.")
    plain = normalised(scheme, value, region=region)
    return Identity(identity_id(key, scheme, plain, system=system), scheme, system, plain)


def check_not_ahead(occurred_at: datetime | None, now: datetime) -> None:
    """Raise `FutureDate` for more than 24 hours after `now`; None is no time that was said."""
    if occurred_at is not None and occurred_at > now + FURTHEST_AHEAD:
        raise FutureDate("This lies more than 24 hours ahead.")
