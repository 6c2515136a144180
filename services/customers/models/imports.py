"""Imports: the table of jobs, what a caller sends with a file, and what is shown."""

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import UploadFile
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Json
from sqlalchemy import Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field as Column
from sqlmodel import SQLModel

from chassis.fields import CurrencyCode, ImportId
from contracts.event import Slug
from services.customers.domain.imports.dates import DateOrder
from services.customers.domain.imports.fields import Kind
from services.customers.domain.imports.jobs import State


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
    currency: str = Column(sa_type=Text)
    time_zone: str = Column(sa_type=Text)
    dates: str | None = Column(sa_type=Text)
    days_only: bool
    decimal_mark: str | None = Column(sa_type=Text)
    columns: list[str] = Column(sa_type=ARRAY(Text))
    mapping: dict[str, str] = Column(sa_type=JSONB)
    notes: list[str] = Column(sa_type=ARRAY(Text))
    preview: list[Any] = Column(sa_type=JSONB)
    rows: int
    chunks: int
    next_chunk: int = 0
    """The first chunk that is not recorded, or not yet sorted into orders."""
    after_order: str = Column(default="", sa_type=Text)
    """The last order that is recorded, where rows are lines of orders."""
    rows_read: int = 0
    accepted: int = 0
    duplicate: int = 0
    conflict: int = 0
    rejected: int = 0
    withdrawn: int = 0
    """Purchases or returns that undoing has withdrawn."""
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    leased_by: UUID | None = None
    leased_until: datetime | None = None


class ImportIn(BaseModel):
    """A file of purchases or returns: CSV, gzipped CSV or a spreadsheet, with a header row."""

    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid")

    file: UploadFile
    kind: Kind = Kind.PURCHASES
    mapping: Json[dict[str, str]] = Field(default_factory=dict)
    """Field to column, as JSON. What is not said is guessed; an empty column says that there is none."""
    source: Slug = "import"
    """The system that the file came from; parties and orders are known by their ids there."""
    currency: CurrencyCode | None = None
    """Of rows that name none."""
    timezone: Annotated[str, Field(max_length=64)] = "UTC"
    """Of times without an offset (IANA name)."""
    dates: DateOrder | None = None
    """Whether `01/12/2011` has the day first (`dmy`) or the month (`mdy`), where the file does not tell."""
    dry_run: bool = False
    """Read everything and record nothing; what is there already is not compared."""


class Import(BaseModel):
    """An import, how its file is understood and what became of its rows."""

    model_config = ConfigDict(use_attribute_docstrings=True, from_attributes=True)

    id: ImportId
    kind: Kind
    state: State
    dry_run: bool
    file_name: str
    same_as: ImportId | None
    """An earlier import of the same content: this one will find nothing new."""
    source: str
    currency: str
    time_zone: str
    columns: list[str]
    mapping: dict[str, str]
    """Field to column, as said or guessed."""
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
        return cls.model_validate({**job.model_dump(), "rows_per_s": rate})
