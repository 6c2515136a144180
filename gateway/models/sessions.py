"""Sessions and one-time links: the tables, and what is said and shown of them."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field
from sqlalchemy import LargeBinary
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlmodel import Field as Column
from sqlmodel import SQLModel

from chassis.fields import Body, Shown
from chassis.ids import prefixed
from gateway.domain.invitations import Kind
from gateway.domain.sessions import Means
from gateway.models.users import Code, Email, Me, Name, Password

SessionId = Annotated[UUID, prefixed("session")]

_Instant = TIMESTAMP(timezone=True)


class UserSession(SQLModel, table=True):
    """Somebody who signed in. The token is not here, only its hash."""

    __tablename__ = "session"

    id: UUID = Column(primary_key=True)
    token_hash: bytes = Column(sa_type=LargeBinary)
    user_id: UUID
    means: str
    created_at: datetime = Column(sa_type=_Instant)
    last_seen_at: datetime = Column(sa_type=_Instant)
    expires_at: datetime = Column(sa_type=_Instant)
    ended_at: datetime | None = Column(default=None, sa_type=_Instant)
    address: str | None = None
    agent: str | None = None


class Invitation(SQLModel, table=True):
    """A one-time link. The token is not here, only its hash."""

    __tablename__ = "invitation"

    id: UUID = Column(primary_key=True)
    token_hash: bytes = Column(sa_type=LargeBinary)
    kind: str
    user_id: UUID | None = None
    """Nobody yet, for the first one."""
    made_by: str
    created_at: datetime = Column(sa_type=_Instant)
    expires_at: datetime = Column(sa_type=_Instant)
    used_at: datetime | None = Column(default=None, sa_type=_Instant)
    withdrawn_at: datetime | None = Column(default=None, sa_type=_Instant)


Device = Annotated[str | None, Field(max_length=200)]
"""What the last sign-in of this person on this device gave; with it nobody elsewhere can slow this one down."""
Token = Annotated[str, Field(max_length=100)]


class SignIn(Body):
    """Who wants to come in."""

    email: Annotated[str, Field(max_length=254)]
    password: Password
    code: Code | None = None
    """Where the answer was `code_needed`."""
    device: Device = None


class SecondStepSignIn(Body):
    """The code of somebody whose password was right."""

    ticket: Annotated[str, Field(max_length=200)]
    """As the problem `code_needed` told it, at most 5 minutes ago."""
    code: Code
    device: Device = None


class OidcWay(Shown):
    """The way to the OpenID provider."""

    url: str
    """Where to send the browser."""
    state: str
    """What comes back with it."""
    flow: str
    """To be kept by the browser that goes there, for 10 minutes."""


class OidcReturn(Body):
    """What came back from the OpenID provider."""

    code: Annotated[str, Field(min_length=1, max_length=4_000)]
    state: Annotated[str, Field(min_length=1, max_length=200)]
    flow: Annotated[str, Field(min_length=1, max_length=4_000)]


class SignedIn(Shown):
    """A session: the only time that its token is shown."""

    token: str
    """To be sent as `Authorization: Bearer …`."""
    expires_at: datetime
    """At the latest; it ends earlier where it lies idle, or is ended."""
    device: str
    """To be kept on the device and sent with the next sign-in there; it opens nothing."""
    user: Me


class SessionShown(Shown):
    """Somebody's session."""

    id: SessionId
    means: Means
    created_at: datetime
    last_seen_at: datetime
    """To some ten seconds."""
    expires_at: datetime
    address: str | None
    """From where it was begun."""
    agent: str | None
    """What the browser called itself."""
    current: bool
    """Whether this request came with it."""

    @classmethod
    def shown(cls, row: UserSession, *, current: UUID | None) -> Self:
        """A row as it is shown to the session that asks."""
        return cls(**row.model_dump(exclude={"token_hash", "user_id", "ended_at"}), current=row.id == current)


class SessionList(Shown):
    """All sessions of a person that are open, the latest first."""

    data: list[SessionShown]


class Ended(Shown):
    """How many sessions were ended."""

    ended: int


class LinkToken(Body):
    """The token of a one-time link."""

    token: Token


class InvitationShown(Shown):
    """What a link is for."""

    kind: Kind
    name: str | None
    """Whose; null for the first person, who says it."""
    email: str | None
    expires_at: datetime
    second_step: bool
    """Whether `code` is asked for beside the password."""
    shortest: int
    """Characters that a password has at least."""


class Accepted(Body):
    """A link that is used: the password, and for the first person who it is."""

    token: Token
    password: Password
    name: Name | None = None
    """For the first person."""
    email: Email | None = None
    """For the first person."""
    code: Code | None = None
    """Where the account has a second step."""
    device: Device = None
