"""API keys: the table, and what is shown of them."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, model_validator
from sqlalchemy import LargeBinary, Text
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP
from sqlmodel import Field as Column
from sqlmodel import SQLModel

from chassis.fields import Body, Instant, Shown
from chassis.ids import prefixed
from gateway.domain.keys import GRACE_MOST, Life
from gateway.domain.rates import Rate
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
    last_four: str | None = None
    previous_hash: bytes | None = Column(default=None, sa_type=LargeBinary)
    previous_until: datetime | None = Column(default=None, sa_type=_Instant)
    expires_at: datetime | None = Column(default=None, sa_type=_Instant)
    last_used_at: datetime | None = Column(default=None, sa_type=_Instant)
    rotated_at: datetime | None = Column(default=None, sa_type=_Instant)
    rate_per_s: int | None = None
    rate_burst: int | None = None

    def life(self) -> Life:
        """What ends it."""
        return Life(self.revoked_at, self.expires_at, self.previous_until)

    def rate(self) -> Rate | None:
        """Its own rate; None for that of its roles."""
        return None if self.rate_per_s is None or self.rate_burst is None else Rate(self.rate_per_s, self.rate_burst)


KeyName = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")]
Requests = Annotated[int, Field(strict=True, ge=1, le=999_999)]


class KeyLimit(Body):
    """Requests per second in the long run, and how many may come at once."""

    per_s: Requests
    burst: Requests


class NewKey(Body):
    """A key that is wanted."""

    name: KeyName
    """Whose key it is, for people."""
    scopes: Annotated[list[Role], Field(min_length=1, max_length=5)]
    expires_at: Instant | None = None
    """From when on it works no more; null for one that lasts."""
    limit: KeyLimit | None = None
    """How many requests it may make; null for what its roles may."""


class KeyChange(Body):
    """What is to be different about a key; what is left out stays."""

    name: KeyName | None = None
    expires_at: Instant | None = None
    """Null takes the expiry away."""
    limit: KeyLimit | None = None
    """Null goes back to what its roles may."""

    @model_validator(mode="after")
    def _named(self) -> Self:
        if "name" in self.model_fields_set and self.name is None:
            raise ValueError("a key has a name")
        return self


class Rotation(Body):
    """How a secret is replaced."""

    grace_s: Annotated[int, Field(strict=True, ge=0, le=int(GRACE_MOST.total_seconds()))] = 0
    """Seconds for which the old secret goes on beside the new one."""


class Key(Shown):
    """A key without its secret."""

    id: KeyId
    name: str
    scopes: list[Role]
    last_four: str | None
    """The end of its secret; null for a key from before these were kept."""
    created_at: datetime
    rotated_at: datetime | None
    previous_until: datetime | None
    """Until when the secret before the present one works, too."""
    last_used_at: datetime | None
    """To some ten seconds."""
    expires_at: datetime | None
    revoked_at: datetime | None
    limit: KeyLimit
    """How many requests it may make, by its own limit or that of its roles."""
    own_limit: bool
    """Whether the limit is its own."""
    current: bool
    """Whether it is the key that this request came with."""

    @classmethod
    def shown(cls, row: ApiKey, rate: Rate, *, asking: str) -> Self:
        """A row as it is shown to the key `asking`."""
        return cls(
            **row.model_dump(exclude={"secret_hash", "previous_hash", "rate_per_s", "rate_burst"}),
            limit=KeyLimit(per_s=rate.per_s, burst=rate.burst),
            own_limit=row.rate() is not None,
            current=asking == key_text(row.id),
        )


class MadeKey(Key):
    """A key with the secret just made for it: the only time that it is shown."""

    secret: str
    """To be sent as `Authorization: Bearer …`."""


def key_text(key_id: UUID) -> str:
    """The outer spelling of a key's id."""
    return f"key_{key_id.hex}"
