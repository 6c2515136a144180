"""What a file can hold: purchases or returns, and the fields of their rows."""

from enum import StrEnum


class Kind(StrEnum):
    """What the rows of a file are."""

    PURCHASES = "purchases"
    RETURNS = "returns"


class Field(StrEnum):
    """What a column can be."""

    PARTY = "party"
    """The customer's id in the source."""
    ORDER_ID = "order_id"
    """The id of the purchase, or of the return, in the source."""
    OCCURRED_AT = "occurred_at"
    AMOUNT = "amount"
    CURRENCY = "currency"
    CHANNEL = "channel"
    PRODUCT = "product"
    LINE = "line"
    """The line within its order; mapped, rows of one order are its lines and are added up. Never guessed."""
    ORIGINAL_ORDER_ID = "original_order_id"
    """The id of the purchase that a return belongs to."""


REQUIRED = (Field.PARTY, Field.OCCURRED_AT)


def fields_of(kind: Kind) -> tuple[Field, ...]:
    """The fields that a row of this kind can have."""
    return tuple(field for field in Field if kind is Kind.RETURNS or field is not Field.ORIGINAL_ORDER_ID)
