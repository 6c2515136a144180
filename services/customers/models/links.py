"""What members of communities are linked to."""

from uuid import UUID

from sqlalchemy import Integer
from sqlmodel import Field as Column
from sqlmodel import SQLModel


class MemberLinkRow(SQLModel, table=True):
    """The latest link of a member that was heard of."""

    __tablename__ = "member_link"

    member_id: UUID = Column(primary_key=True)
    version: int = Column(sa_type=Integer)
    merge_id: UUID | None
    """The merge that the link made; none where it is taken back, or where both were merged already."""
