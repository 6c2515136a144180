"""Referrals: their table, what a caller sends, and what is shown."""

from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import model_validator
from pydantic_core import PydanticCustomError
from sqlalchemy import BigInteger, Integer, Text
from sqlmodel import Field as Column
from sqlmodel import SQLModel

from chassis.fields import (
    AmountMinor,
    Body,
    CurrencyCode,
    Identifier,
    IdentityId,
    Instant,
    PartyId,
    Shown,
    SourceId,
    Versioned,
)
from contracts.event import Slug
from services.community.domain.referrals import Outcome
from services.community.models.fields import Code, MemberId, ReferralId


class ReferralRow(SQLModel, table=True):
    """A referral; its row is the lock over what becomes of it."""

    __tablename__ = "referral"

    id: UUID = Column(primary_key=True)
    code: str = Column(sa_type=Text)
    member_id: UUID | None
    """The member who made it, where it was named so."""
    referrer_id: UUID
    """The identity of who made it."""
    referred_id: UUID | None
    """The identity of whom we were recommended to, once they are named."""
    source: str = Column(sa_type=Text)
    source_id: str | None = Column(sa_type=Text)
    occurred_at: datetime
    expires_at: datetime | None
    told_expires_at: datetime | None
    """As it was told first; `expires_at` may be earlier since."""
    named_at: datetime | None
    converted_at: datetime | None = None
    amount_minor: int | None = Column(default=None, sa_type=BigInteger)
    currency: str | None = Column(default=None, sa_type=Text)
    fact_id: UUID
    """The event of its making."""
    named_fact_id: UUID | None
    named_recorded_at: datetime | None
    converted_fact_id: UUID | None = None
    converted_recorded_at: datetime | None = None
    version: int = Column(default=1, sa_type=Integer)
    recorded_at: datetime
    withdrawn_at: datetime | None = None


class ReferralIn(Body):
    """Somebody recommends us. Who does is named by member_id or by identifier."""

    member_id: MemberId | None = None
    identifier: Identifier | None = None
    referred: Identifier | None = None
    """To whom, where they are known already."""
    code: Code | None = None
    """By which it is found, in capitals or not; one is made where none is given."""
    source: Slug = "api"
    source_id: SourceId | None = None
    """Its id there. Told again with the same content, it changes nothing; without an id it counts every time."""
    occurred_at: Instant | None = None
    """Now where it is not said."""
    expires_at: Instant | None = None
    """From when on it cannot be used any more."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.member_id is None) == (self.identifier is None):
            raise PydanticCustomError("one_referrer", "Name who refers by member_id or by identifier")
        return self


class Redemption(Body):
    """Somebody comes with a code."""

    code: Code
    identifier: Identifier
    occurred_at: Instant | None = None
    """When they did; now where it is not said."""


class Naming(Versioned):
    """Whom we were recommended to."""

    identifier: Identifier
    occurred_at: Instant | None = None
    """When they made themselves known; now where it is not said."""


class Conversion(Versioned):
    """The referral led to a sale."""

    occurred_at: Instant | None = None
    """Now where it is not said."""
    amount_minor: AmountMinor | None = None
    """What it was worth, in minor units of `currency`."""
    currency: CurrencyCode | None = None


class Ending(Versioned):
    """Nothing more becomes of the referral. `version`, or If-Match, names the latest one."""


class Referral(Shown):
    """A referral as it stands."""

    id: ReferralId
    code: str
    outcome: Outcome
    member_id: MemberId | None = None
    referrer_id: IdentityId
    referrer_party_id: PartyId
    """Who made it, as far as it is known."""
    referred_id: IdentityId | None = None
    referred_party_id: PartyId | None = None
    source: str
    source_id: str | None = None
    occurred_at: datetime
    expires_at: datetime | None = None
    named_at: datetime | None = None
    converted_at: datetime | None = None
    amount_minor: int | None = None
    currency: str | None = None
    version: int
    recorded_at: datetime
    withdrawn_at: datetime | None = None
