"""Numbers as somebody types them: read, or none; no text makes a page fail."""

from decimal import Decimal

from contracts.money import MINOR_DIGITS

DIGITS = 18
"""So many a whole number may have: what 64 bits hold."""
MOST_MINOR = 2**62


def whole(text: str) -> int | None:
    """A whole number from digits; None where it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= DIGITS else None


def minor_of(text: str, currency: str) -> int | None:
    """An amount, with or without commas, in minor units; None where it is none, below zero, or of broken units."""
    minor = minor_read(text, currency)
    return int(minor) if minor is not None and minor >= 0 and minor == int(minor) else None


def minor_read(text: str, currency: str) -> Decimal | None:
    """An amount, with or without commas, in minor units, which may be broken or below zero; None where it is none."""
    number = number_of(text.replace(",", ""))
    minor = None if number is None else number.scaleb(MINOR_DIGITS.get(currency, 2))
    return minor if minor is not None and abs(minor) < MOST_MINOR else None


def share_of(text: str | None) -> Decimal | None:
    """A share in per cent, with or without its sign, as one from 0 to 1; None where it is none."""
    number = number_of((text or "").rstrip("%"))
    share = None if number is None else number / 100
    return share if share is not None and 0 <= share <= 1 else None


def number_of(text: str) -> Decimal | None:
    """A number; None where it is none, or larger than 64 bits hold."""
    try:
        number = Decimal(text)
        return number if abs(number) < MOST_MINOR else None
    except ArithmeticError:
        return None
