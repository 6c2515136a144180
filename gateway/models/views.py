"""Lists as people keep them for themselves: the table, what is sent, and what is shown."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field
from sqlalchemy import Text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlmodel import Field as Column
from sqlmodel import SQLModel

from chassis.fields import Body, Shown
from chassis.ids import prefixed

ViewId = Annotated[UUID, prefixed("view")]
ListName = Annotated[str, Field(pattern=r"^[a-z][a-z-]{0,39}$")]
"""Which list, such as `parties`."""


class ViewRow(SQLModel, table=True):
    """What somebody asks a list for, under a name of their own."""

    __tablename__ = "kept_view"

    id: UUID = Column(primary_key=True)
    holder: str = Column(sa_type=Text)
    """Whose it is: `user_…` or `key_…`."""
    list: str = Column(sa_type=Text)
    name: str = Column(sa_type=Text)
    query: str = Column(sa_type=Text)
    changed_at: datetime = Column(sa_type=TIMESTAMP(timezone=True))


class NewView(Body):
    """What a list is asked for, to be kept under a name."""

    list: ListName
    name: Annotated[
        str, Field(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$")
    ]
    query: Annotated[str, Field(max_length=2_000, pattern=r"^[\x21-\x7e]*$")]
    """As in an address: `stage=customer&sort=silent`."""


class View(Shown):
    """What somebody asks a list for."""

    id: ViewId
    list: str
    name: str
    query: str
    changed_at: datetime
