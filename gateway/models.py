"""API keys: the table, and what is shown of them."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import LargeBinary, Text
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP
from sqlmodel import Field as Column
from sqlmodel import SQLModel

from chassis.ids import prefixed
from gateway.domain.rights import Role

KeyId = Annotated[UUID, prefixed("key")]

_Instant = TIMESTAMP(timezone=True)


class ApiKey(SQLModel, table=True):
    """A key and what it may do. The key itself is not here, only its hash."""

    __tablename__ = "api_key"

    id: UUID = Column(primary_key=True)
    name: str
    scopes: list[str] = Column(sa_type=ARRAY(Text))
    secret_hash: bytes = Column(sa_type=LargeBinary)
    created_at: datetime = Column(sa_type=_Instant)
    revoked_at: datetime | None = Column(default=None, sa_type=_Instant)


class NewKey(BaseModel):
    """A key that is wanted."""

    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=100)]
    """Whose key it is, for people."""
    scopes: Annotated[list[Role], Field(min_length=1, max_length=4)]


class Key(BaseModel):
    """A key without its secret."""

    model_config = ConfigDict(from_attributes=True)

    id: KeyId
    name: str
    scopes: list[Role]
    created_at: datetime
    revoked_at: datetime | None = None


class MadeKey(Key):
    """A key just made: the only time that its secret is shown."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    secret: str
    """To be sent as `Authorization: Bearer …`."""
