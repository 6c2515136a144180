"""People who sign in, and the teams they are in: who may make whom, and who must stay."""

import hashlib
from collections.abc import Collection, Iterable
from enum import StrEnum
from uuid import UUID

from contracts.identity import Scheme, normalised
from contracts.problems import Conflict, Invalid, NotFound, Problem
from gateway.domain.rights import Role


class Language(StrEnum):
    """What the console speaks to a person (BCP 47)."""

    ENGLISH = "en"
    TRADITIONAL_CHINESE = "zh-Hant"
    SIMPLIFIED_CHINESE = "zh-Hans"


class UserNotFound(NotFound):
    """There is no such person."""


class TeamNotFound(NotFound):
    """There is no such team."""


class EmailTaken(Conflict):
    """Somebody else has this address."""


class TeamNameTaken(Conflict):
    """Another team has this name."""


class TeamInUse(Conflict):
    """A team with people in it does not go."""


class LastOwner(Conflict):
    """Without an owner who can sign in nobody could make one."""


class OwnersAlone(Problem):
    """Only an owner makes, changes and unmakes owners."""

    status = 403


class WhoIsFirst(Invalid):
    """The first person did not say name and address."""


class NoPassword(Conflict):
    """This person has no password: they sign in elsewhere, or have not used their link yet."""


class NoSuchTimeZone(Invalid):
    """No time zone has this name."""


def email_key(email: str) -> str:
    """What tells two addresses apart. Raises `BadIdentifier`."""
    return normalised(Scheme.EMAIL, email)


def check_may_administer(scopes: Collection[str], *roles: Iterable[str]) -> None:
    """Raise `OwnersAlone` where somebody else than an owner would act on one, or make one."""
    if Role.OWNER not in scopes and any(Role.OWNER in each for each in roles):
        raise OwnersAlone("Only an owner makes, changes and unmakes owners.", needed=[str(Role.OWNER)])


def check_owner_left(others: int) -> None:
    """Raise `LastOwner` where nobody else is an owner and can sign in."""
    if not others:
        raise LastOwner("This is the only owner who can sign in; make another one first.")


def id_of_subject(issuer: str, subject: str) -> UUID:
    """The id of whom an outside issuer calls so: the same for a token of its own and for a sign-in.

    UUIDv8 over SHA-256 (RFC 9562 §5.8).
    """
    digest = bytearray(hashlib.sha256(f"{issuer}\0{subject}".encode()).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return UUID(bytes=bytes(digest))
