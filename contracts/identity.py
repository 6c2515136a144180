"""Identity ids: every service computes the same id for the same identifier, alone."""

import hashlib
import hmac
import re
import unicodedata
from enum import StrEnum
from uuid import UUID

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from contracts.problems import Problem


class Scheme(StrEnum):
    """What kind of identifier a value is."""

    EMAIL = "email"
    PHONE = "phone"
    EXTERNAL = "external"


class BadIdentifier(Problem):
    """An identifier that cannot be one of its scheme."""

    status = 422


def normalised(scheme: Scheme, value: str, *, region: str | None = None) -> str:
    """The one spelling of an identifier: e-mail in lower case and NFC, phone in E.164, external trimmed and NFC.

    `region` (ISO 3166 two-letter code) reads national phone numbers; without it they need `+`.
    Raises `BadIdentifier`, whose text never repeats the value.
    """
    text = unicodedata.normalize("NFC", value).strip()
    match scheme:
        case Scheme.EMAIL:
            try:
                return validate_email(text, check_deliverability=False).normalized.lower()
            except EmailNotValidError:
                raise BadIdentifier("This is not an e-mail address.") from None
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


def identity_id(key: bytes, scheme: Scheme, value: str, *, system: str | None = None) -> UUID:
    """The id of a normalised identifier: UUIDv8 over HMAC-SHA256(key, scheme ":" value) (RFC 9562 §5.8).

    `system` names the system of an external id: its scheme is then `external:{system}`.
    """
    name = f"external:{system}" if scheme is Scheme.EXTERNAL else str(scheme)
    digest = bytearray(hmac.digest(key, f"{name}:{value}".encode(), hashlib.sha256)[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return UUID(bytes=bytes(digest))
