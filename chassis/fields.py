"""Values that appear in several shapes: ids, amounts, names in other systems, whom something is about."""

from datetime import UTC, date, datetime
from typing import Annotated, Self
from uuid import UUID

from msgspec import Meta
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from chassis.ids import prefixed
from contracts.event import Slug
from contracts.identity import Identity, Installation, PartyRef, Scheme
from contracts.money import MINOR_DIGITS
from contracts.sources import in_source

PartyId = Annotated[UUID, prefixed("party")]
IdentityId = Annotated[UUID, prefixed("identity")]
UserId = Annotated[UUID, prefixed("user")]
TeamId = Annotated[UUID, prefixed("team")]
ImportId = Annotated[UUID, prefixed("import")]
EventId = Annotated[UUID, prefixed("event")]


def _known_currency(code: str) -> str:
    if code not in MINOR_DIGITS:
        raise PydanticCustomError("currency", "Input should be a currency of ISO 4217, such as EUR")
    return code


CurrencyCode = Annotated[str, Field(pattern=r"^[A-Z]{3}$"), AfterValidator(_known_currency)]
AmountMinor = Annotated[int, Field(strict=True, ge=0, lt=2**53)]
SourceId = Annotated[
    str,
    Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$"),
    BeforeValidator(lambda id: in_source(id) if isinstance(id, str) else id),
]
Version = Annotated[int, Field(ge=1, le=2**31 - 1)]
Instant = Annotated[AwareDatetime, Field(ge=datetime(1900, 1, 1, tzinfo=UTC), le=datetime(9000, 1, 1, tzinfo=UTC))]
Day = Annotated[date, Field(ge=date(1900, 1, 1), le=date(8999, 12, 31))]
Whole = Annotated[int, Meta(ge=0, le=2**31 - 1)]
"""A number in a cursor, which is decoded without pydantic."""


class Body(BaseModel):
    """What a caller sends: nothing undeclared is accepted."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True)


class Shown(BaseModel):
    """What a caller is shown."""

    model_config = ConfigDict(use_attribute_docstrings=True, from_attributes=True)


class Versioned(Body):
    """`version`, or If-Match, names the latest one."""

    version: Version | None = None


class Withdrawal(Versioned):
    """It was entered by mistake and never happened. `version`, or If-Match, names the latest one."""


class Identifier(Body):
    """Something that a party is known by."""

    scheme: Scheme
    system: Slug | None = None
    """The system that gave an external id; nothing for e-mail and phone."""
    value: Annotated[str, Field(max_length=400)]

    def identity(self, installation: Installation) -> Identity:
        """Its identity. Raises `BadIdentifier`."""
        return installation.identity(self.scheme, self.value, system=self.system)


class NamesParty(Body):
    """Exactly one of both: a party by its id, or by an identifier (which makes it where nobody has it)."""

    party_id: PartyId | None = None
    identifier: Identifier | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.party_id is None) == (self.identifier is None):
            raise PydanticCustomError("one_party", "Name the party by party_id or by identifier")
        return self

    def party(self, installation: Installation) -> PartyRef:
        """Whom it names. Raises `BadIdentifier`."""
        if self.identifier is not None:
            return self.identifier.identity(installation)
        assert self.party_id is not None
        return self.party_id
