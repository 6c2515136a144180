"""Identifiers under their ids, and the installation that they belong to."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import TypeAlias
from uuid import UUID
from zoneinfo import ZoneInfo

from contracts.identity import BadIdentifier, Scheme, identity_id, normalised
from contracts.problems import Conflict, Invalid, NotFound

FURTHEST_AHEAD = timedelta(hours=24)
"""Clocks and time zones differ; what lies further ahead is a mistake."""


class PartyNotFound(NotFound):
    """No party has this id or identifier."""


class FutureDate(Invalid):
    """It is said to have happened more than 24 hours ahead."""


class IdentifierTaken(Conflict):
    """An identifier is held by another party; if it is the same one, merge them."""


@dataclass(frozen=True, slots=True)
class Identity:
    """An identifier, normalised, under its id; a random identity has no identifier."""

    id: UUID
    scheme: Scheme | None = None
    system: str | None = None
    """The system that gave an external id."""
    value: str | None = None


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


def check_not_ahead(occurred_at: datetime, now: datetime) -> None:
    """Raise `FutureDate` for more than 24 hours after `now`."""
    if occurred_at > now + FURTHEST_AHEAD:
        raise FutureDate("This lies more than 24 hours ahead.")
