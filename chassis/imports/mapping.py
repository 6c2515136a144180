"""Which column of a file is what: said by its user, or guessed by its name and checked against what it holds."""

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from chassis.imports.fields import OCCURRED_AT, Field
from chassis.imports.headers import ID_WORDS, SPOILERS, TAXES, WITH_OR_WITHOUT, words_of
from chassis.imports.kinds import ImportKind
from contracts.problems import Invalid

Kind = ImportKind[Any]


NO_CONSTANTS: Mapping[str, str] = {}


class UnknownField(Invalid):
    """A mapping names a field that does not exist."""


class UnknownColumn(Invalid):
    """A mapping names a column that the file does not have."""


class ColumnMissing(Invalid):
    """No column could be guessed for a field that every row needs."""


def mapping_of(
    kind: Kind,
    columns: Sequence[str],
    sample: Sequence[Sequence[str]],
    said: Mapping[str, str],
    *,
    one_day: bool = False,
    constants: Mapping[str, str] = NO_CONSTANTS,
    unfinished: bool = False,
) -> dict[str, str]:
    """The column of each field: what was said, then what can be guessed. An empty name says that there is none.

    Factors of a field are guessed all together where no column is that field, and a column that tells parts of a thing
    apart is by what the first rows show.

    `one_day`: the day of rows that name none was said, so that a column with dates is not looked for; nor is one for a
    field of `constants`. Raises `UnknownField`, `UnknownColumn` or `ColumnMissing`, each naming what exists; the last
    not for a mapping that is `unfinished`.
    """
    known: dict[str, str] = {}
    absent = {*constants, OCCURRED_AT.name} if one_day else {*constants}
    for name, column in said.items():
        _field(kind, name)
        if column:
            known[name] = _column(column, columns)
        else:
            absent.add(name)
    mapping = _guessed(kind, columns, sample, known, absent)
    for field in (field for field in kind.fields if field.factors):
        there = all(factor in mapping or factor in constants for factor in field.factors)
        if not there or field.name in mapping or field.name in absent:
            absent |= {factor for factor in field.factors if factor not in known}
            whole = {field.name: mapping[field.name]} if field.name in mapping else {}
            mapping = _guessed(kind, columns, sample, known | whole, absent)
    if kind.one_of_any:
        first = next((name for name in kind.any_of if name in mapping), None)
        for name in kind.any_of:
            if name != first and name not in known:
                mapping.pop(name, None)
    grouping = kind.grouping
    if grouping and grouping.part not in mapping and grouping.part not in absent:
        places = {field: columns.index(column) for field, column in mapping.items()}
        rows = [{field: row[at].strip() for field, at in places.items() if len(row) > at} for row in sample]
        if told_by := grouping.guess(rows):
            mapping[grouping.part] = mapping[told_by]
    _check(kind, columns, {**constants, **mapping}, one_day=one_day, unfinished=unfinished)
    return {field.name: mapping[field.name] for field in kind.fields if field.name in mapping}


def _guessed(
    kind: Kind, columns: Sequence[str], sample: Sequence[Sequence[str]], known: Mapping[str, str], absent: Set[str]
) -> dict[str, str]:
    """The columns that are known, and those that can be guessed of fields that are not absent."""
    mapping = dict(known)
    part = kind.grouping.part if kind.grouping else None
    for field, column in _guesses(kind, columns, sample):
        taken = {other for name, other in mapping.items() if name != part}
        if field.name not in mapping and field.name not in absent and column not in taken:
            mapping[field.name] = column
    return mapping


def constants_of(kind: Kind, said: Mapping[str, str]) -> dict[str, str]:
    """What rows have that do not say it, where it is anything. Raises `UnknownField`."""
    for name in said:
        if _field(kind, name).name == OCCURRED_AT.name:
            raise UnknownField("Say the day of all rows with date=YYYY-MM-DD.", fields=_names(kind))
    return {name: text.strip() for name, text in said.items() if text.strip()}


def _field(kind: Kind, name: str) -> Field:
    field = kind.field(name)
    if field is None:
        raise UnknownField(f"There is no field {name!r} in {kind.name}.", fields=_names(kind))
    return field


def _names(kind: Kind) -> list[str]:
    return [field.name for field in kind.fields]


def _check(kind: Kind, columns: Sequence[str], mapping: Mapping[str, str], *, one_day: bool, unfinished: bool) -> None:
    known = ", ".join(columns)
    if kind.any_of and not unfinished and not mapping.keys() & set(kind.any_of):
        raise ColumnMissing(
            f"Which column is the {' or the '.join(kind.any_of)}? Say it with {kind.any_of[0]}=COLUMN; "
            f"the columns are {known}.",
            field=kind.any_of[0],
            columns=list(columns),
        )
    for field in () if unfinished else kind.fields:
        if field.needed and field.name not in mapping and not (one_day and field.name == OCCURRED_AT.name):
            way_out = ", or the day of all rows with date=YYYY-MM-DD" if field.name == OCCURRED_AT.name else ""
            raise ColumnMissing(
                f"Which column is the {field.name}? Say it with {field.name}=COLUMN{way_out}; the columns are {known}.",
                field=field.name,
                columns=list(columns),
            )
    for field in () if unfinished else kind.fields:
        missing = [factor for factor in field.factors if factor not in mapping]
        if field.name not in mapping and 0 < len(missing) < len(field.factors):
            raise ColumnMissing(
                f"An {field.name} is the product of {' and '.join(field.factors)}: say {missing[0]}=COLUMN, or "
                f"{field.name}=COLUMN; the columns are {known}.",
                field=missing[0],
                columns=list(columns),
            )
    if kind.grouping and kind.groups(mapping) and kind.grouping.by not in mapping:
        part, by = kind.grouping.part, kind.grouping.by
        raise ColumnMissing(
            f"A {part} is a part of what has one {by}: say {by}=COLUMN.", field=by, columns=list(columns)
        )


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
        (_score(field.words, column), -position, field, column)
        for field in kind.fields
        if field.words
        for position, column in enumerate(columns)
    ]
    for score, position, field, column in sorted(scored, key=lambda row: (-row[0], -row[1])):
        believed = field.believed and score >= SURE
        if score > 0 and (believed or field.fits([row[-position].strip() for row in sample if len(row) > -position])):
            yield field, column


SURE = 35
"""The score of a word that means a field, alone in its header."""


def _score(words: Mapping[str, int], column: str) -> int:
    """How well a header names a field: a word of the field, better with nothing beside it."""
    own = words_of(column)
    if not WITH_OR_WITHOUT.isdisjoint(own):
        own = [word for word in own if word not in WITH_OR_WITHOUT | TAXES]
    best = max((words.get(word, 0) for word in own), default=0)
    if not best or any(word in SPOILERS and word not in words for word in own):
        return 0
    beside = [word for word in own if word not in words and word not in ID_WORDS]
    return best * 10 + 5 * (not beside) - len(beside)
