"""Imports: the tables of jobs and their rows, what a caller sends with a file, and what is shown."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import UploadFile
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Json
from sqlalchemy import Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field as Column
from sqlmodel import SQLModel

from chassis.fields import Body, CurrencyCode, Day, ImportId, Shown
from chassis.imports.dates import DateOrder
from chassis.imports.jobs import State
from chassis.imports.kinds import ImportKind
from contracts.event import Slug


class ImportJob(SQLModel, table=True):
    """An import and how far it is; its row is the lock of the importer that works on it."""

    __tablename__ = "import_job"

    id: UUID = Column(primary_key=True)
    kind: str = Column(sa_type=Text)
    state: str = Column(sa_type=Text)
    dry_run: bool
    file_name: str = Column(sa_type=Text)
    content_hash: str = Column(sa_type=Text)
    same_as: UUID | None
    """An import of the same content that was not undone."""
    source: str = Column(sa_type=Text)
    currency: str | None = Column(sa_type=Text)
    """Of rows that name none; none where the file has no amounts."""
    day: date | None
    """Of rows that name none."""
    time_zone: str = Column(sa_type=Text)
    dates: str | None = Column(sa_type=Text)
    days_only: bool
    decimal_mark: str | None = Column(sa_type=Text)
    columns: list[str] = Column(sa_type=ARRAY(Text))
    mapping: dict[str, str] = Column(sa_type=JSONB)
    constants: dict[str, str] = Column(default_factory=dict, sa_type=JSONB)
    """Field to what rows have that do not say it."""
    notes: list[str] = Column(sa_type=ARRAY(Text))
    preview: list[Any] = Column(sa_type=JSONB)
    rows: int
    chunks: int
    next_chunk: int = 0
    """The first chunk that is not recorded, or not yet sorted into groups."""
    after_group: str = Column(default="", sa_type=Text)
    """The last group that is recorded, where rows that share an id are parts of one thing."""
    rows_read: int = 0
    accepted: int = 0
    duplicate: int = 0
    conflict: int = 0
    rejected: int = 0
    noted: int = 0
    withdrawn: int = 0
    """Things that undoing has withdrawn."""
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    leased_by: UUID | None = None
    leased_until: datetime | None = None

    @property
    def rows_kept(self) -> bool:
        """Whether its rows can be imported without sending the file again."""
        return self.dry_run and self.state == State.DONE and self.chunks > 0


Constants = Annotated[dict[str, Annotated[str, Field(max_length=500)]], Field(max_length=50)]


class HowToRead(BaseModel):
    """What is said about the rows of a file."""

    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid")

    kind: Annotated[str, Field(max_length=64)] | None = None
    """What its rows are, such as `purchases`, which they are where it is not said."""
    mapping: Json[dict[str, str]] = Field(default_factory=dict)
    """Field to column, as JSON. What is not said is guessed; an empty column says that there is none."""
    constants: Json[Constants] = Field(default_factory=dict)
    """Field to what rows have that do not say it, as JSON. No column is then guessed for the field."""
    source: Slug = "import"
    """The system that the file came from; what it names is known by its id there."""
    currency: CurrencyCode | None = None
    """Of rows that name none."""
    timezone: Annotated[str, Field(max_length=64)] = "UTC"
    """Of times without an offset (IANA name)."""
    dates: DateOrder | None = None
    """Whether `01/12/2011` has the day first (`dmy`) or the month (`mdy`), where the file does not tell."""
    date: Day | None = None
    """The day of rows that name none. No column is then taken for the date unless `mapping` says which."""
    unfinished: bool = False
    """In a dry run, columns that are not found and dates that could be read two ways refuse rows, not the file."""
    dry_run: bool = False
    """Read everything and record nothing; what is there already is not compared.

    The rows are kept for a day: `POST /v1/imports/{import_id}/again` imports them without the file.
    """


class ImportIn(HowToRead):
    """A file: CSV, gzipped CSV or a spreadsheet, with a header row."""

    file: UploadFile


class ImportAgain(Body):
    """How the rows of a dry run are to be read now; what is left out is as it was then."""

    mapping: Annotated[dict[str, Annotated[str, Field(max_length=500)]], Field(max_length=100)] = Field(
        default_factory=dict
    )
    """Field to column, laid over how the file was understood; an empty column says that there is none."""
    constants: Constants | None = None
    """Field to what rows have that do not say it."""
    source: Slug | None = None
    """The system that the file came from."""
    currency: CurrencyCode | None = None
    """Of rows that name none."""
    timezone: Annotated[str, Field(max_length=64)] | None = None
    """Of times without an offset (IANA name)."""
    dates: DateOrder | None = None
    """Whether `01/12/2011` has the day first (`dmy`) or the month (`mdy`), where the file does not tell."""
    date: Day | None = None
    """The day of rows that name none."""
    dry_run: bool = False
    """Record nothing this time either."""
    unfinished: bool = False
    """In a dry run, columns that are not found and dates that could be read two ways refuse rows, not the file."""


class FieldShown(Shown):
    """What a column can be."""

    name: str
    needed: bool
    """Whether every file must have it."""


class KindShown(Shown):
    """A kind of file that is imported."""

    kind: str
    fields: list[FieldShown]
    any_of: list[str]
    """Fields of which every file must have one."""
    money: bool
    """Whether its rows have amounts, so that a currency is of use."""
    attributes: bool
    """Whether columns that are no field are kept as well."""

    @classmethod
    def of(cls, kind: ImportKind[Any]) -> Self:
        """As its service knows it."""
        return cls(
            kind=kind.name,
            fields=[FieldShown(name=field.name, needed=field.needed) for field in kind.fields],
            any_of=list(kind.any_of),
            money=kind.field("amount") is not None,
            attributes=kind.keeps_attributes,
        )


class Kinds(Shown):
    """The kinds of files that are imported."""

    data: list[KindShown]


class Import(BaseModel):
    """An import, how its file is understood and what became of its rows."""

    model_config = ConfigDict(use_attribute_docstrings=True, from_attributes=True)

    id: ImportId
    kind: str
    state: State
    dry_run: bool
    rows_kept: bool
    """Whether its rows can be imported without sending the file again: those of a dry run, for a day."""
    file_name: str
    same_as: ImportId | None
    """An earlier import of the same content: this one will find nothing new."""
    source: str
    currency: str | None
    """Of rows that name none; none where the file has no amounts."""
    date: Day | None
    """Of rows that name none."""
    time_zone: str
    columns: list[str]
    mapping: dict[str, str]
    """Field to column, as said or guessed."""
    constants: dict[str, str]
    """Field to what rows have that do not say it."""
    notes: list[str]
    """What was decided about the file and might surprise."""
    preview: list[dict[str, Any]]
    """The first rows as they are understood."""
    rows: int
    rows_read: int
    accepted: int
    duplicate: int
    """Rows that said what was known."""
    conflict: int
    """Rows with an id that was recorded with other content; they are among the rejects."""
    rejected: int
    noted: int
    """Rows that were taken, and stand among the rejects because something about them is to be looked at."""
    withdrawn: int
    rows_per_s: Annotated[float | None, BeforeValidator(lambda rate: rate and round(rate, 1))]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def shown(cls, job: ImportJob, at: datetime) -> Self:
        """An import as it is at an instant."""
        seconds = ((job.finished_at or at) - job.started_at).total_seconds() if job.started_at else 0
        rate = job.rows_read / seconds if seconds > 0 else None
        more = {"date": job.day, "rows_per_s": rate, "rows_kept": job.rows_kept}
        return cls.model_validate({**job.model_dump(), **more})


def create_tables(execute: Callable[[str], object]) -> None:
    """Make the tables of imports, in a migration; `execute` is Alembic's."""
    for statement in _TABLES.split(";"):
        execute(statement)


_TABLES = """
CREATE TABLE import_job (
    id uuid PRIMARY KEY,
    kind text NOT NULL,
    state text NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed', 'undoing', 'undone')),
    dry_run boolean NOT NULL,
    file_name text NOT NULL,
    content_hash text NOT NULL,
    same_as uuid,
    source text NOT NULL,
    currency text,
    day date,
    time_zone text NOT NULL,
    dates text,
    days_only boolean NOT NULL,
    decimal_mark text,
    columns text[] NOT NULL,
    mapping jsonb NOT NULL,
    constants jsonb NOT NULL DEFAULT '{}',
    notes text[] NOT NULL,
    preview jsonb NOT NULL,
    rows int NOT NULL,
    chunks int NOT NULL,
    next_chunk int NOT NULL DEFAULT 0,
    after_group text NOT NULL DEFAULT '',
    rows_read int NOT NULL DEFAULT 0,
    accepted int NOT NULL DEFAULT 0,
    duplicate int NOT NULL DEFAULT 0,
    conflict int NOT NULL DEFAULT 0,
    rejected int NOT NULL DEFAULT 0,
    noted int NOT NULL DEFAULT 0,
    withdrawn int NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    started_at timestamptz,
    finished_at timestamptz,
    leased_by uuid,
    leased_until timestamptz
);
CREATE INDEX import_job_open ON import_job (id) WHERE state IN ('waiting', 'running', 'undoing');
CREATE INDEX import_job_content ON import_job (content_hash);

CREATE TABLE import_chunk (
    import_id uuid NOT NULL REFERENCES import_job ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    number int NOT NULL,
    rows bytea NOT NULL,
    PRIMARY KEY (import_id, number)
);
ALTER TABLE import_chunk ALTER COLUMN rows SET STORAGE EXTERNAL;

CREATE TABLE import_line (
    import_id uuid NOT NULL,
    group_id text COLLATE "C" NOT NULL,
    row int NOT NULL,
    cells text[] NOT NULL,
    PRIMARY KEY (import_id, group_id, row)
);

CREATE TABLE import_reject (
    import_id uuid NOT NULL,
    row int NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL,
    cells text[] NOT NULL,
    PRIMARY KEY (import_id, row)
)
"""
