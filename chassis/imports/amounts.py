"""Amounts as people write them, read exactly: `1,234.50`, `1.234,50`, `€ 12`, `(3.00)`, `12.50-`."""

import re
from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from chassis.imports.reasons import Reason, Unreadable
from contracts.money import MINOR_DIGITS

MAX_MINOR = 2**53 - 1
"""The largest amount that every reader of the event can hold exactly."""


class DecimalMark(StrEnum):
    """Which of the two marks separates the decimals in a file."""

    POINT = "."
    COMMA = ","
    EITHER = "either"
    """The file has both; a value that could be read both ways is rejected."""


_PLAIN = re.compile(r"(-?)(\d+)(?:\.(\d+))?", re.ASCII)
_EXPONENT = re.compile(r"\d+(?:\.\d+)?[eE][+-]?\d{1,2}", re.ASCII)
_GROUPED = re.compile(r"[1-9]\d{0,2}(?:([.,])\d{3})(?:\1\d{3})*", re.ASCII)
_GAPS = re.compile(r"[\s'’]+|(?<=[^\W\d_])\.")
_WORDS = re.compile(r"[^\d.,+\-()]+")
_SIGNS = {"€": "EUR", "£": "GBP", "₹": "INR", "₩": "KRW", "₫": "VND", "₺": "TRY", "฿": "THB", "₪": "ILS", "₽": "RUB"}
_SHARED_SIGNS = {"$", "US$", "NT$", "HK$", "A$", "C$", "S$", "R$", "¥", "￥", "元", "円", "圓", "KR", "KČ", "ZŁ", "FR"}


def decimal_mark(amounts: Iterable[str]) -> DecimalMark | None:
    """What the amounts of a file say about their decimal mark, or None where they say nothing."""
    seen = {mark for text in amounts if (mark := _evidence(text))}
    if len(seen) > 1:
        return DecimalMark.EITHER
    return seen.pop() if seen else None


def minor_units(text: str, currency: str, mark: DecimalMark | None = None) -> int:
    """The amount in minor units of `currency`, with its sign. Raises `Unreadable` rather than round or guess."""
    digits = MINOR_DIGITS[currency]
    sign, whole, decimals = _read(text, currency, mark)
    if decimals[digits:].strip("0"):
        raise Unreadable(Reason.TOO_MANY_DECIMALS, f"{currency} has {digits} decimals.")
    return _within(int(f"{sign}{whole}{decimals[:digits].ljust(digits, '0')}"))


def minor_units_of(quantity: str, unit_price: str, currency: str, mark: DecimalMark | None = None) -> int:
    """What a quantity costs at a price for each, in minor units of `currency`: exact, then half-even.

    The price may have more decimals than the currency. The sign is that of the product: two that are negative give
    what is above zero. Raises `Unreadable`.
    """
    number, denominator = 10 ** MINOR_DIGITS[currency], 1
    for text in (quantity, unit_price):
        sign, whole, decimals = _read(text, currency, mark)
        number *= int(f"{sign}{whole}{decimals}")
        denominator *= 10 ** len(decimals)
    return _within(round(Fraction(number, denominator)))


def _read(text: str, currency: str, mark: DecimalMark | None) -> tuple[str, str, str]:
    """Sign, whole digits and decimals."""
    plain = _PLAIN.fullmatch(text) if mark in (None, DecimalMark.POINT) else None
    sign, whole, decimals = (plain[1], plain[2], plain[3] or "") if plain else _parts(text, currency, mark)
    if max(len(whole), len(decimals)) > 20:
        raise Unreadable(Reason.BAD_AMOUNT, "The amount is too large.")
    return sign, whole, decimals


def _within(minor: int) -> int:
    if abs(minor) > MAX_MINOR:
        raise Unreadable(Reason.BAD_AMOUNT, "The amount is too large.")
    return minor


def _parts(text: str, currency: str, mark: DecimalMark | None) -> tuple[str, str, str]:
    """Sign, whole digits and decimals of an amount that is more than digits and a point."""
    sign, number = _bare(text, currency)
    if _EXPONENT.fullmatch(number):
        whole, _, decimals = f"{Decimal(number):f}".partition(".")
        return sign, whole, decimals
    separator = _separator(number, currency, mark)
    whole, _, decimals = number.rpartition(separator) if separator else (number, "", "")
    if whole and not (whole.isdecimal() or _GROUPED.fullmatch(whole)):
        raise Unreadable(Reason.BAD_AMOUNT, "This is not an amount.")
    if not (whole or decimals) or (decimals and not decimals.isdecimal()):
        raise Unreadable(Reason.BAD_AMOUNT, "This is not an amount.")
    return sign, re.sub("[.,]", "", whole) or "0", decimals


def _separator(number: str, currency: str, mark: DecimalMark | None) -> str | None:
    """The character in front of the decimals, or None where there are none."""
    points, commas = number.count("."), number.count(",")
    if points and commas:
        return "." if number.rindex(".") > number.rindex(",") else ","
    if points + commas != 1:
        return None
    found = "." if points else ","
    if not _GROUPED.fullmatch(number):
        if mark not in (None, DecimalMark.EITHER, found):
            raise Unreadable(Reason.BAD_AMOUNT, "The file writes its decimals with the other mark.")
        return found
    if mark is DecimalMark.EITHER or (mark is None and found == "," and MINOR_DIGITS[currency] == 3):
        raise Unreadable(Reason.AMBIGUOUS_AMOUNT, "The mark could separate thousands or decimals.")
    return found if found == (mark or DecimalMark.POINT) else None


def _bare(text: str, currency: str) -> tuple[str, str]:
    """The sign and the number, without the currency, the gaps and the signs around it."""
    number = _GAPS.sub("", text.replace("−", "-"))
    if len(number) > 40:
        raise Unreadable(Reason.BAD_AMOUNT, "This is not an amount.")
    for word in _WORDS.findall(number):
        if word in ("e", "E") and _EXPONENT.search(number):
            continue
        if word.upper() not in _SHARED_SIGNS:
            named = _SIGNS.get(word, word.upper())
            if named not in MINOR_DIGITS:
                raise Unreadable(Reason.BAD_AMOUNT, "This is not an amount.")
            if named != currency:
                raise Unreadable(Reason.OTHER_CURRENCY, f"The amount is in {named}, the row in {currency}.")
        number = number.replace(word, "")
    if number.startswith("(") and number.endswith(")"):
        return "-", number[1:-1]
    if number.endswith(("-", "+")):
        number = number[-1] + number[:-1]
    return ("-" if number.startswith("-") else ""), number.removeprefix("-").removeprefix("+")


def _evidence(text: str) -> DecimalMark | None:
    """The decimal mark that this one amount proves."""
    plain = _PLAIN.fullmatch(text)
    if plain and len(plain[3] or "") != 3:
        return DecimalMark.POINT if plain[3] else None
    number = re.sub(r"[^\d.,]", "", text)
    points, commas = number.count("."), number.count(",")
    if points and commas:
        return DecimalMark.POINT if number.rindex(".") > number.rindex(",") else DecimalMark.COMMA
    if points + commas == 0:
        return None
    if _GROUPED.fullmatch(number):
        return None if points + commas == 1 else DecimalMark.COMMA if points else DecimalMark.POINT
    return DecimalMark.POINT if points else DecimalMark.COMMA
