"""Values that appear in several shapes."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from chassis.ids import prefixed
from contracts.money import MINOR_DIGITS

PartyId = Annotated[UUID, prefixed("party")]
RebuildId = Annotated[UUID, prefixed("rebuild")]


def _known_currency(code: str) -> str:
    if code not in MINOR_DIGITS:
        raise PydanticCustomError("currency", "Input should be a currency of ISO 4217, such as EUR")
    return code


CurrencyCode = Annotated[str, Field(pattern=r"^[A-Z]{3}$"), AfterValidator(_known_currency)]
Day = Annotated[date, Field(ge=date(1900, 1, 1), le=date(8999, 12, 31))]

Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""A number in a cursor that the database can hold."""
Instant = Annotated[datetime, Meta(tz=True)]
"""An instant in a cursor."""


class Body(BaseModel):
    """What a caller sends: nothing undeclared is accepted."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True)


class Shown(BaseModel):
    """What a caller is shown."""

    model_config = ConfigDict(use_attribute_docstrings=True, from_attributes=True)
