"""Purchases and returns: their tables, what a caller sends, and what is shown."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field
from sqlalchemy import BigInteger, Integer, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field as Column
from sqlmodel import SQLModel

from chassis.bulk import RowOutcome
from chassis.fields import (
    AmountMinor,
    Body,
    CurrencyCode,
    ImportId,
    Instant,
    NamesParty,
    SourceId,
)
from contracts.event import Slug
from contracts.identity import Installation
from services.customers.domain.purchases import Line, NewPurchase, NewReturn, in_order
from services.customers.models.facts import FactCorrection, ShownFact
from services.customers.models.fields import Product, PurchaseId, ReturnId


class PurchaseRow(SQLModel, table=True):
    """A purchase in its latest version; its row is the lock over its corrections."""

    __tablename__ = "purchase"

    id: UUID = Column(primary_key=True)
    identity_id: UUID
    """The subject of its facts."""
    source: str = Column(sa_type=Text)
    source_id: str | None = Column(sa_type=Text)
    occurred_at: datetime
    currency: str = Column(sa_type=Text)
    amount_minor: int = Column(sa_type=BigInteger)
    channel: str | None = Column(sa_type=Text)
    lines: list[Any] = Column(sa_type=JSONB)
    import_id: UUID | None
    fact_id: UUID
    """The event of the latest version."""
    version: int = Column(sa_type=Integer)
    recorded_at: datetime
    withdrawn_at: datetime | None


class ReturnRow(SQLModel, table=True):
    """A return in its latest version."""

    __tablename__ = "purchase_return"

    id: UUID = Column(primary_key=True)
    identity_id: UUID
    purchase_id: UUID | None
    """The purchase, where the caller named it by its id here."""
    source: str = Column(sa_type=Text)
    source_id: str | None = Column(sa_type=Text)
    original_id: str | None = Column(sa_type=Text)
    """The id of the purchase in the source."""
    occurred_at: datetime
    currency: str = Column(sa_type=Text)
    amount_minor: int = Column(sa_type=BigInteger)
    channel: str | None = Column(sa_type=Text)
    import_id: UUID | None
    fact_id: UUID
    version: int = Column(sa_type=Integer)
    recorded_at: datetime
    withdrawn_at: datetime | None


class PurchaseLine(Body):
    """A line of a purchase."""

    product: Product | None = None
    quantity: Annotated[int, Field(strict=True, ge=1, lt=2**31)] | None = None
    amount_minor: Annotated[int, Field(strict=True, gt=-(2**53), lt=2**53)] | None = None
    """Its part of the amount; below zero for a discount."""


Lines = Annotated[list[PurchaseLine], Field(max_length=1_000)]


def lines_of(lines: list[PurchaseLine]) -> tuple[Line, ...]:
    """The lines for the domain."""
    return tuple(Line(line.product, line.quantity, line.amount_minor) for line in lines)


class PurchaseIn(NamesParty):
    """A purchase that a source tells of."""

    source: Slug = "api"
    """The system that the purchase came from."""
    source_id: SourceId | None = None
    """Its id there. Told again with the same content, it changes nothing; without an id it counts every time."""
    occurred_at: Instant
    currency: CurrencyCode
    amount_minor: AmountMinor
    """Gross amount in minor units of `currency`, tax included."""
    channel: Slug | None = None
    lines: Annotated[Lines, Field(default_factory=list)]

    def purchase(self, installation: Installation) -> NewPurchase:
        """For the domain. Raises `BadIdentifier`."""
        return NewPurchase(
            party=self.party(installation),
            lines=lines_of(self.lines),
            **self.model_dump(exclude={"party_id", "identifier", "lines"}),
        )


class ReturnIn(NamesParty):
    """A return whose purchase may be unknown here."""

    source: Slug = "api"
    source_id: SourceId | None = None
    original_id: SourceId | None = None
    """The id of the purchase in the source, where it is known."""
    occurred_at: Instant
    currency: CurrencyCode
    amount_minor: AmountMinor
    """The amount given back, as a positive number."""
    channel: Slug | None = None

    def returned(self, installation: Installation) -> NewReturn:
        """For the domain. Raises `BadIdentifier`."""
        return NewReturn(party=self.party(installation), **self.model_dump(exclude={"party_id", "identifier"}))


class ReturnOfPurchase(Body):
    """A return of a purchase that is known here, by the same customer, in the same currency."""

    source: Slug = "api"
    source_id: SourceId | None = None
    occurred_at: Instant
    amount_minor: AmountMinor
    channel: Slug | None = None


class Correction(FactCorrection):
    """What was wrong and how it should be; what is not named stays. `version`, or If-Match, names the latest one."""

    removable = frozenset({"channel"})

    currency: CurrencyCode | None = None
    amount_minor: AmountMinor | None = None
    channel: Slug | None = None


class PurchaseCorrection(Correction):
    """A correction of a purchase."""

    lines: Lines | None = None

    def changes(self) -> dict[str, Any]:
        """See `FactCorrection.changes`."""
        lines = {} if self.lines is None else {"lines": [list(line) for line in in_order(lines_of(self.lines))]}
        return {name: value for name, value in super().changes().items() if name != "lines"} | lines


class Fact(ShownFact):
    """What purchases and returns show alike."""

    currency: str
    amount_minor: int
    channel: str | None = None
    import_id: ImportId | None = None


class Purchase(Fact):
    """A purchase as it stands."""

    id: PurchaseId
    lines: Annotated[list[PurchaseLine], Field(default_factory=list)]


class PurchaseVersion(Purchase):
    """A purchase as it stood, or stands."""

    changed_at: datetime
    """When this version came to be."""


class Return(Fact):
    """A return as it stands."""

    id: ReturnId
    purchase_id: PurchaseId | None = None
    original_id: str | None = None


class ReturnVersion(Return):
    """A return as it stood, or stands."""

    changed_at: datetime
    """When this version came to be."""


class FactOutcome(RowOutcome):
    """What became of a purchase or a return of a bulk request."""

    purchase_id: PurchaseId | None = None
    return_id: ReturnId | None = None
