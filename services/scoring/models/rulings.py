"""What decides besides the facts, as it is shown and sent."""

from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from chassis.fields import Body, CurrencyCode, Day, Shown
from services.scoring.models.fields import RebuildId


def _positive_decimal(text: str) -> str:
    try:
        rate = Decimal(text)
    except InvalidOperation:
        rate = Decimal(0)
    if not rate > 0:
        raise PydanticCustomError("rate", "Input should be a positive decimal number as text, such as 1.0834")
    return text


def _known_zone(name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (ValueError, OSError, KeyError):
        raise PydanticCustomError(
            "time_zone", "Input should be the IANA name of a time zone, such as Europe/Berlin"
        ) from None


class NewRate(Body):
    """What one unit of a currency is worth in the reporting currency, from a local day on."""

    day: Day
    currency: CurrencyCode
    rate: Annotated[str, Field(max_length=30, pattern=r"^[0-9]+(\.[0-9]+)?$"), AfterValidator(_positive_decimal)]
    """Decimal as text: rates are exact."""


class NewRates(Body):
    """Rates to be appended."""

    rates: Annotated[list[NewRate], Field(min_length=1, max_length=10_000)]


class RatesAdded(Shown):
    """What became of appended rates."""

    added: int
    """Those that said something new; the others changed nothing."""
    reporting_currency: str
    ruling: int
    """The ruling that holds now."""


class Rate(Shown):
    """A rate as it was appended."""

    id: int
    day: date
    currency: str
    rate: str
    reporting_currency: str
    added_at: datetime


class Tiers(Shown):
    """The cut points in force."""

    top_minor: int
    high_minor: int
    mid_minor: int
    currency: str | None
    customers: int | None
    """Parties whose values they were fitted to; none where they are those of the policy."""
    fitted_at: datetime | None
    policy: str
    ruling: int


class ReportingCurrency(Body):
    """The currency in which standings are told."""

    currency: CurrencyCode
    provisional: bool = False
    """Holds only until one is set that is not."""


class ReportingCurrencyNow(Shown):
    """The reporting currency in force."""

    currency: str
    fixed: bool


class RebuildAsked(Body):
    """How calendars are to be computed anew."""

    time_zone: Annotated[str, Field(max_length=64), AfterValidator(_known_zone)] | None = None
    """IANA name of the zone whose days they are to be in; the present one where none is given."""


class Rebuild(Shown):
    """Computing all calendars and standings anew from the facts, and how far it is."""

    id: RebuildId
    state: str
    time_zone: str
    identities: int
    folded: int
    requested_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    reassessed: bool
    """Whether every standing was assessed again since."""
    error: str | None
