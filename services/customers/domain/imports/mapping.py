"""Which column of a file is what: said by its user, or guessed by its name and checked against what it holds."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from contracts.money import MINOR_DIGITS
from contracts.problems import Invalid
from services.customers.domain.imports.amounts import minor_units
from services.customers.domain.imports.dates import stamp_of
from services.customers.domain.imports.fields import REQUIRED, Field, Kind, fields_of
from services.customers.domain.imports.headers import FIELD_WORDS, ID_WORDS, RETURN_ID_WORDS, SPOILERS, words_of
from services.customers.domain.imports.reasons import Reason, Unreadable


class UnknownField(Invalid):
    """A mapping names a field that does not exist."""


class UnknownColumn(Invalid):
    """A mapping names a column that the file does not have."""


class ColumnMissing(Invalid):
    """No column could be guessed for a field that every row needs."""


def mapping_of(
    kind: Kind, columns: Sequence[str], sample: Sequence[Sequence[str]], said: Mapping[str, str]
) -> dict[Field, str]:
    """The column of each field: what was said, then what can be guessed. An empty name says that there is none.

    Raises `UnknownField`, `UnknownColumn` or `ColumnMissing`, each naming what exists.
    """
    mapping: dict[Field, str] = {}
    absent: set[Field] = set()
    for name, column in said.items():
        if name not in fields_of(kind):
            raise UnknownField(f"There is no field {name!r} in {kind}.", fields=list(fields_of(kind)))
        if column:
            mapping[Field(name)] = _column(column, columns)
        else:
            absent.add(Field(name))
    for field, column in _guesses(kind, columns, sample):
        taken = {other for known, other in mapping.items() if known is not Field.LINE}
        if field not in mapping and field not in absent and column not in taken:
            mapping[field] = column
    for field in REQUIRED:
        if field not in mapping:
            raise ColumnMissing(
                f"Which column is the {field}? Say it with {field}=COLUMN; the columns are {', '.join(columns)}.",
                field=field,
                columns=list(columns),
            )
    return {field: mapping[field] for field in Field if field in mapping}


def _column(name: str, columns: Sequence[str]) -> str:
    wanted = words_of(name)
    found = [column for column in columns if column == name] or [c for c in columns if words_of(c) == wanted]
    if len(found) != 1:
        raise UnknownColumn(
            f"There is no column {name!r}; the columns are {', '.join(columns)}.", columns=list(columns)
        )
    return found[0]


def _guesses(kind: Kind, columns: Sequence[str], sample: Sequence[Sequence[str]]) -> Iterable[tuple[Field, str]]:
    """Fields with a column each that its name and its values allow, the surest first."""
    scored = [
        (_score(words, column), -position, field, column)
        for field in fields_of(kind)
        if (words := _words_for(kind, field))
        for position, column in enumerate(columns)
    ]
    for score, position, field, column in sorted(scored, key=lambda row: (-row[0], -row[1])):
        # A column called "amount" is believed whatever it holds: its rows are refused, not counted with 0.
        believed = field is Field.AMOUNT and score >= SURE
        if score > 0 and (
            believed or _HOLDS[field]([row[-position].strip() for row in sample if len(row) > -position])
        ):
            yield field, column


SURE = 35
"""The score of a word that means a field, alone in its header."""


def _score(words: Mapping[str, int], column: str) -> int:
    """How well a header names a field: a word of the field, better with nothing beside it."""
    own = words_of(column)
    best = max((words.get(word, 0) for word in own), default=0)
    if not best or any(word in SPOILERS and word not in words for word in own):
        return 0
    beside = [word for word in own if word not in words and word not in ID_WORDS]
    return best * 10 + 5 * (not beside) - len(beside)


def _words_for(kind: Kind, field: Field) -> Mapping[str, int]:
    if kind is Kind.RETURNS and field is Field.ORDER_ID:
        return RETURN_ID_WORDS
    return FIELD_WORDS.get(field, {})


def _mostly(test: Callable[[str], bool]) -> Callable[[Sequence[str]], bool]:
    """At least half of the values that are there pass the test; without rows nothing speaks against it."""

    def holds(values: Sequence[str]) -> bool:
        given = [value for value in values if value]
        return (not values) or (bool(given) and sum(map(test, given)) * 2 >= len(given))

    return holds


def _amount(text: str) -> bool:
    try:
        minor_units(text, "CLF")
    except Unreadable as unreadable:
        return unreadable.reason is not Reason.BAD_AMOUNT
    return True


_HOLDS: dict[Field, Callable[[Sequence[str]], bool]] = {
    Field.PARTY: _mostly(lambda text: len(text) <= 200),
    Field.ORDER_ID: _mostly(lambda text: len(text) <= 200),
    Field.ORIGINAL_ORDER_ID: lambda values: all(len(text) <= 200 for text in values),
    Field.OCCURRED_AT: _mostly(lambda text: stamp_of(text) is not None),
    Field.AMOUNT: _mostly(_amount),
    Field.CURRENCY: _mostly(lambda text: text.upper() in MINOR_DIGITS),
    Field.CHANNEL: _mostly(lambda text: len(text) <= 64),
    Field.PRODUCT: _mostly(lambda text: len(text) <= 500),
}
