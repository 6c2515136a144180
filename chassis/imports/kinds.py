"""A kind of import: what a row of it holds, what it becomes, and how that is recorded and withdrawn."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from chassis.imports.fields import Field
from chassis.imports.plans import Cells, Plan, Refusal, Row, Survey
from chassis.imports.reasons import RowReason
from contracts.identity import Installation
from contracts.telling import Outcome

T = TypeVar("T")
"""What a row, or several, become."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the rows come from."""

    installation: Installation
    source: str
    import_id: UUID
    content_hash: str

    def row_id(self, row: int) -> str:
        """The id in the source of a row that has none: the content of its file, and its number."""
        return f"{self.content_hash[:32]}:{row}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted(Outcome):
    """What became of a row with which something is to be looked at: it was taken, and stands among the rejects too."""

    note: RowReason
    said: str = ""


@dataclass(frozen=True, slots=True)
class Taken(Generic[T]):
    """What can be recorded, with the numbers of its rows."""

    told: T
    rows: tuple[int, ...]
    repeated: tuple[int, ...] = ()
    """Rows that said again what one of the others says."""


@dataclass(frozen=True, slots=True)
class Grouping(Generic[T]):
    """Rows that share an id are parts of one thing, where a column is mapped that tells the parts apart."""

    by: str
    """The field with the id."""
    part: str
    """The field whose mapping says that rows are parts."""
    key: Callable[[str], str]
    """The id as it is kept. Raises `Unreadable`."""
    together: Callable[[Plan, Sequence[T | Refusal]], Taken[T] | list[Refusal]]
    """What the rows of one id become, or why none of them is taken."""
    guess: Callable[[Sequence[Mapping[str, str]]], str | None]
    """Given the first rows by their fields, the field whose column tells parts apart; None where rows are no parts."""


def no_notes(plan: Plan, survey: Survey, first: Sequence[Row]) -> Mapping[str, bool]:
    """Nothing that might surprise."""
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportKind(Generic[T]):
    """What the rows of a file are."""

    name: str
    """As a caller says it: a plural with hyphens."""
    prefix: str
    """Of the ids of what it records, such as `party`."""
    fields: tuple[Field, ...]
    """In this order `read` is given their texts."""
    read: Callable[[Plan, Cells], T | None]
    """What a row tells; None where it says nothing that is to be recorded. Raises `Unreadable`."""
    shown: Callable[[T], Mapping[str, object]]
    """How it is shown before anything is recorded; what is None is left out."""
    record: Callable[[Any, Origin, Sequence[T]], Awaitable[Sequence[Outcome]]]
    """Record what rows tell, in the session's transaction; what became of each, in their order."""
    withdraw: Callable[[Any, UUID, int], Awaitable[int]]
    """Withdraw up to so many things that an import brought, in the session's transaction; 0 when none is left."""
    any_of: tuple[str, ...] = ()
    """Fields of which every file must have one."""
    one_of_any: bool = False
    """Only the first of them that there is, is guessed."""
    priced: bool = False
    """Everything of this kind has an amount, 0 where the file has none. Otherwise there is money only if it has."""
    keeps_attributes: bool = False
    """Columns that are no field are handed to `read` as well."""
    grouping: Grouping[T] | None = None
    notes: Callable[[Plan, Survey, Sequence[Row]], Mapping[str, bool]] = no_notes
    """What was decided about a file and might surprise, each with whether it holds; given its first rows."""

    def field(self, name: str) -> Field | None:
        """The field of a name, if there is one."""
        return next((field for field in self.fields if field.name == name), None)

    def has_money(self, mapping: Mapping[str, str]) -> bool:
        """Whether the rows of a file say an amount."""
        return self.priced or "amount" in mapping

    def groups(self, mapping: Mapping[str, object]) -> bool:
        """Whether rows of a file that share an id are parts of one thing."""
        return self.grouping is not None and self.grouping.part in mapping
