"""Why a row of a file is not taken."""

from enum import StrEnum


class RowReason(StrEnum):
    """What is wrong with a row, as told in the file of rejects; a service adds its own in a class below this one."""


class Reason(RowReason):
    """What can be wrong with the rows of every kind."""

    NO_PARTY = "no_party"
    """Nobody is named; such a row creates nobody."""
    BAD_PARTY = "bad_party"
    """The party's id is longer than 200 characters or holds control characters."""
    BAD_ID = "bad_id"
    """Another id is longer than 200 characters, holds control characters, or is missing where each row has one."""
    BAD_IDENTIFIER = "bad_identifier"
    """An e-mail address or a phone number that is none."""
    NO_DATE = "no_date"
    BAD_DATE = "bad_date"
    AMBIGUOUS_DATE = "ambiguous_date"
    """Day and month could be swapped, and the file does not decide it."""
    FUTURE_DATE = "future_date"
    """More than 24 hours ahead."""
    BAD_AMOUNT = "bad_amount"
    AMBIGUOUS_AMOUNT = "ambiguous_amount"
    """The mark could separate thousands or decimals, and the file writes both."""
    TOO_MANY_DECIMALS = "too_many_decimals"
    """More decimals than the currency has; nothing is rounded."""
    BAD_CURRENCY = "bad_currency"
    """Not a currency of ISO 4217."""
    OTHER_CURRENCY = "other_currency"
    """The amount is written in another currency than the row says."""
    BAD_VALUE = "bad_value"
    """A value that the field does not have; the detail says which there are."""
    TOO_MANY_CELLS = "too_many_cells"
    """More cells than columns: a mark inside a text that is not quoted, mostly."""
    CONFLICT = "conflict"
    """The same id was recorded before with other content; `correct` puts that right."""


class Unreadable(Exception):
    """A cell that cannot be read; the detail never repeats what it holds."""

    def __init__(self, reason: RowReason, detail: str = "") -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
