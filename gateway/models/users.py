"""People and teams: the tables, and what is said and shown of them."""

import unicodedata
from datetime import datetime
from typing import Annotated, Self, TypeVar
from uuid import UUID

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError
from sqlalchemy import BigInteger, LargeBinary, Text
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP
from sqlmodel import Field as Column
from sqlmodel import SQLModel

from chassis.auth import Caller
from chassis.fields import Body, Shown, TeamId, UserId, Versioned
from chassis.ids import prefixed
from gateway.domain.passwords import LONGEST
from gateway.domain.rights import Role
from gateway.domain.users import Language

_Instant = TIMESTAMP(timezone=True)
B = TypeVar("B", bound=Body)


class Team(SQLModel, table=True):
    """People who look after the same parties."""

    __tablename__ = "team"

    id: UUID = Column(primary_key=True)
    name: str
    created_at: datetime = Column(sa_type=_Instant)
    version: int = 1


class AppUser(SQLModel, table=True):
    """Somebody who signs in."""

    __tablename__ = "app_user"

    id: UUID = Column(primary_key=True)
    name: str
    email: str
    email_key: str
    roles: list[str] = Column(sa_type=ARRAY(Text))
    team_id: UUID | None = None
    language: str = Language.ENGLISH
    time_zone: str | None = None
    search_key: bool = True
    password_hash: str | None = None
    password_set_at: datetime | None = Column(default=None, sa_type=_Instant)
    totp_secret: bytes | None = Column(default=None, sa_type=LargeBinary)
    totp_pending: bytes | None = Column(default=None, sa_type=LargeBinary)
    totp_step: int = Column(default=0, sa_type=BigInteger)
    """The step whose code was used last."""
    recovery_hashes: list[bytes] = Column(default_factory=list, sa_type=ARRAY(LargeBinary))
    issuer: str | None = None
    subject: str | None = None
    """Whom the issuer calls so."""
    created_at: datetime = Column(sa_type=_Instant)
    disabled_at: datetime | None = Column(default=None, sa_type=_Instant)
    version: int = 1


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip()


def _said(text: str) -> str:
    if not text:
        raise PydanticCustomError("name", "Input should not be blank")
    return text


Name = Annotated[
    str,
    AfterValidator(_nfc),
    Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$"),
    AfterValidator(_said),
]
Email = Annotated[str, Field(min_length=3, max_length=254)]
Roles = Annotated[list[Role], Field(min_length=1, max_length=8)]
TimeZone = Annotated[str, Field(min_length=1, max_length=64)]
Password = Annotated[SecretStr, Field(min_length=1, max_length=4 * LONGEST)]
"""In JSON a string. How long it must be is said where one is chosen."""
Code = Annotated[str, Field(min_length=6, max_length=40)]
"""Six digits of the authenticator app, or a recovery code."""


class NewUser(Body):
    """A person who is to sign in."""

    name: Name
    email: Email
    roles: Roles
    team_id: TeamId | None = None
    language: Language = Language.ENGLISH
    """Of the page behind the link, and of the console until the person chooses another."""


class UserChange(Versioned):
    """What is to be different about a person; what is left out stays."""

    name: Name | None = None
    email: Email | None = None
    roles: Roles | None = None
    team_id: TeamId | None = None
    """Null takes the person out of the team."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        return _not_null(self, "name", "email", "roles")


class MyChange(Versioned):
    """What a person changes about themselves; what is left out stays."""

    name: Name | None = None
    language: Language | None = None
    time_zone: TimeZone | None = None
    """IANA name; null is that of the installation."""
    search_key: bool | None = None
    """Whether `/` goes to the search on every page of the console."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        return _not_null(self, "name", "language", "search_key")


class NewTeam(Body):
    """A team that is wanted."""

    name: Name


class TeamChange(Versioned):
    """Another name for a team."""

    name: Name


class Account(Shown):
    """What only those see who administer people."""

    email: str
    roles: list[Role]
    language: Language
    time_zone: str | None
    created_at: datetime
    has_password: bool
    """Whether a password was set; without one a link is open, or the person signs in elsewhere."""
    second_step: bool
    """Whether a code is asked for after the password."""
    outside: bool
    """Whether they sign in at the OpenID provider, too."""
    last_seen_at: datetime | None
    """To some ten seconds, in any session that is kept."""
    version: int

    @classmethod
    def of(cls, row: AppUser, last_seen_at: datetime | None) -> Self:
        """Of a row."""
        told = row.model_dump(include={"email", "roles", "language", "time_zone", "created_at", "version"})
        return cls(
            **told,
            has_password=row.password_hash is not None,
            second_step=row.totp_secret is not None,
            outside=row.subject is not None,
            last_seen_at=last_seen_at,
        )


class User(Shown):
    """A person by name; `account` is for those who administer people."""

    id: UserId
    name: str
    team_id: TeamId | None
    disabled: bool
    account: Account | None = None

    @classmethod
    def shown(cls, row: AppUser, *, last_seen_at: datetime | None = None, whole: bool) -> Self:
        """A row as it is shown to somebody who administers people, or to anybody else."""
        account = Account.of(row, last_seen_at) if whole else None
        disabled = row.disabled_at is not None
        return cls(id=row.id, name=row.name, team_id=row.team_id, disabled=disabled, account=account)


class Link(Shown):
    """A one-time link: the only time that it is shown."""

    token: str
    path: str
    """Where the console takes it, behind its address."""
    expires_at: datetime


class MadeUser(User):
    """A person with the link by which they set a password."""

    invitation: Link


class TeamShown(Shown):
    """A team."""

    id: TeamId
    name: str
    members: int
    """People in it who may sign in."""
    created_at: datetime
    version: int


class NamedTeam(Shown):
    """A team by name."""

    id: TeamId
    name: str


class Me(Shown):
    """Who is asking."""

    id: str
    """`user_…` of a person, `key_…` of an API key."""
    name: str
    email: str | None
    """Null for an API key."""
    roles: list[Role]
    scopes: list[Role]
    """All that the roles amount to."""
    team: NamedTeam | None
    reach: Annotated[str, Field(pattern="^(own|team|all)$")]
    """How far the person reads: their own parties, those of the team, or all."""
    contact: bool
    """Whether contact data is shown in clear."""
    language: Language | None
    """Null for an API key."""
    time_zone: str | None
    """Null for that of the installation."""
    search_key: bool
    """Whether `/` goes to the search on every page of the console."""
    has_password: bool
    second_step: bool
    recovery_codes_left: int
    version: int
    """For `If-Match`; 1 for an API key."""

    @classmethod
    def of_person(cls, row: AppUser, team: Team | None, caller: Caller) -> Self:
        """A person."""
        told = row.model_dump(include={"name", "email", "roles", "language", "time_zone", "search_key", "version"})
        return cls(
            id=user_text(row.id),
            **told,
            scopes=[role for role in Role if role in caller.scopes],
            team=NamedTeam(id=team.id, name=team.name) if team else None,
            reach=str(caller.reach),
            contact=caller.contact,
            has_password=row.password_hash is not None,
            second_step=row.totp_secret is not None,
            recovery_codes_left=len(row.recovery_hashes),
        )

    @classmethod
    def of_other(cls, caller: Caller, *, name: str, roles: list[Role]) -> Self:
        """An API key, or somebody with a token of an outside issuer who never signed in here."""
        return cls(
            id=caller.key_id,
            name=name,
            email=None,
            roles=roles,
            scopes=[role for role in Role if role in caller.scopes],
            team=None,
            reach=str(caller.reach),
            contact=caller.contact,
            language=None,
            time_zone=None,
            search_key=True,
            has_password=False,
            second_step=False,
            recovery_codes_left=0,
            version=1,
        )


class SecondStep(Shown):
    """The secret for an authenticator app: the only time that it is shown."""

    secret: str
    """To be typed where no picture can be read."""
    uri: str
    """To be shown as a QR code."""


class RecoveryCodes(Shown):
    """Codes to be written down: each stands once for the authenticator app. The only time that they are shown."""

    recovery_codes: list[str]


class SecondStepCode(Body):
    """A code of the authenticator app."""

    code: Code


class OwnPassword(Body):
    """The password that the person has."""

    password: Password


class NewPassword(Body):
    """One password for another."""

    current: Password
    new: Password
    device: Annotated[str | None, Field(max_length=200)] = None


user_text = prefixed("user").text
team_text = prefixed("team").text


def _not_null(said: B, *names: str) -> B:
    for name in names:
        if name in said.model_fields_set and getattr(said, name) is None:
            raise ValueError(f"{name} cannot be null")
    return said
