"""What a column can be, and how it is recognised by its name and by what it holds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from chassis.imports.amounts import minor_units
from chassis.imports.dates import stamp_of
from chassis.imports.headers import weighted
from chassis.imports.reasons import Reason, Unreadable
from contracts.money import MINOR_DIGITS

Fits = Callable[[Sequence[str]], bool]


def mostly(test: Callable[[str], bool]) -> Fits:
    """At least half of the values that are there pass the test; without rows nothing speaks against it."""

    def fits(values: Sequence[str]) -> bool:
        given = [value for value in values if value]
        return (not values) or (bool(given) and sum(map(test, given)) * 2 >= len(given))

    return fits


def at_most(length: int) -> Fits:
    """Every value has at most so many characters; a column may be empty."""
    return lambda values: all(len(text) <= length for text in values)


@dataclass(frozen=True, slots=True)
class Field:
    """What a column can be."""

    name: str
    words: Mapping[str, int] = field(default_factory=dict)
    """How surely a word of a header means it (`headers.weighted`); without any it is never guessed."""
    fits: Fits = field(default=at_most(500))
    """Whether the values of a column allow the guess."""
    needed: bool = False
    """Every file must have it."""
    believed: bool = False
    """A column that is called so is believed whatever it holds: its rows are refused rather than passed over."""
    factors: tuple[str, ...] = ()
    """The fields whose product it is where no column is mapped; they are guessed all together, or none of them."""

    def called(self, words: Mapping[int, str]) -> "Field":
        """The same field, with more words for it."""
        return replace(self, words={**self.words, **weighted(words)})

    def must_be(self) -> "Field":
        """The same field, needed."""
        return replace(self, needed=True)


def _is_amount(text: str) -> bool:
    try:
        minor_units(text, "CLF")
    except Unreadable as unreadable:
        return unreadable.reason is not Reason.BAD_AMOUNT
    return True


PARTY = Field(
    "party",
    weighted(
        {
            3: "party customer cust client buyer member household kunde cliente",
            2: "customerid custid clientid kundennr kundennummer shopper patron user contact",
            1: "account",
        }
    ),
    mostly(lambda text: len(text) <= 200),
)
"""The id of a party in the source."""

OCCURRED_AT = Field(
    "occurred_at",
    weighted({3: "date timestamp datetime ts dt occurred datum fecha", 2: "time created when day", 0: "at on"}),
    mostly(lambda text: stamp_of(text) is not None),
)
"""When it was. The day that was said for all rows stands in for it."""

AMOUNT = Field(
    "amount",
    weighted(
        {
            4: "amount amt total betrag summe importe",
            3: "sum value sales revenue turnover umsatz",
            2: "price spend spent payment paid gross",
            0: "line order grand given",
        }
    ),
    mostly(_is_amount),
    believed=True,
)

QUANTITY = Field("quantity", weighted({3: "quantity qty menge cantidad", 0: "sold ordered"}), mostly(_is_amount))

UNIT_PRICE = Field(
    "unit_price",
    weighted({4: "unitprice", 3: "price preis precio", 0: "unit per item each"}),
    mostly(_is_amount),
)
"""What one of a quantity costs."""

CURRENCY = Field(
    "currency",
    weighted({3: "currency curr ccy waehrung währung moneda"}),
    mostly(lambda text: text.upper() in MINOR_DIGITS),
)

CHANNEL = Field("channel", weighted({3: "channel kanal canal"}), mostly(lambda text: len(text) <= 64))

EMAIL = Field("email", weighted({3: "email mail", 0: "e address"}), mostly(lambda text: "@" in text))

PHONE = Field(
    "phone",
    weighted({3: "phone mobile telephone tel telefon handy", 0: "number cell"}),
    mostly(lambda text: sum(map(str.isdecimal, text)) >= 5),
)
