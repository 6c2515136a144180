"""Money: exact conversion of minor units with dated rates."""

from bisect import bisect_right
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Self

from contracts.money import MINOR_DIGITS
from contracts.problems import Conflict


class CurrencyFixed(Conflict):
    """The reporting currency is set once."""


class NoReportingCurrency(Conflict):
    """There is no reporting currency yet that a rate could lead to, or an amount be in."""


class Rates:
    """What the reporting currency costs: for each other currency the rates, each from its day on."""

    __slots__ = ("_days", "_ratios", "currency")

    def __init__(self, currency: str | None, rows: Iterable[tuple[date, str, Decimal]] = ()) -> None:
        """`rows` are day, currency and how many units of the reporting currency one unit of it is worth.

        Of two rows for one day and currency the later one in `rows` holds. `currency` is None as long as the
        installation has none; then nothing converts.
        """
        self.currency = currency
        """The reporting currency."""
        dated = {(code, day.toordinal()): rate for day, code, rate in rows}
        self._days: dict[str, list[int]] = {}
        self._ratios: dict[str, list[tuple[int, int]]] = {}
        for (code, day), rate in sorted(dated.items()):
            self._days.setdefault(code, []).append(day)
            self._ratios.setdefault(code, []).append(self._ratio(code, rate))

    @classmethod
    def none(cls, currency: str | None = None) -> Self:
        """A reporting currency without any rates."""
        return cls(currency)

    def _ratio(self, code: str, rate: Decimal) -> tuple[int, int]:
        """Minor units of the reporting currency per minor unit of `code`, as a fraction."""
        numerator, denominator = rate.as_integer_ratio()
        shift = MINOR_DIGITS.get(self.currency or "", 2) - MINOR_DIGITS.get(code, 2)
        return numerator * 10 ** max(shift, 0), denominator * 10 ** max(-shift, 0)

    def converted(self, amount_minor: int, currency: str, day: int) -> int | None:
        """The amount in minor units of the reporting currency at the latest rate of the day or before, half-even.

        None without such a rate. Nothing is worth nothing in every currency.
        """
        if currency == self.currency or amount_minor == 0:
            return amount_minor
        index = bisect_right(self._days.get(currency, ()), day)
        if index == 0:
            return None
        numerator, denominator = self._ratios[currency][index - 1]
        return half_even(amount_minor * numerator, denominator)


def half_even(numerator: int, denominator: int) -> int:
    """The nearest integer to a fraction; of two equally near, the even one. `denominator` is positive."""
    quotient, rest = divmod(numerator, denominator)
    twice = 2 * rest
    return quotient + (twice > denominator or (twice == denominator and quotient % 2))
