"""Lists as people keep them: one under each name."""

from uuid import UUID

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, delete, select

from chassis.clock import now
from chassis.ids import uuid7
from gateway.domain.views import MOST, TooManyViews
from gateway.models.views import NewView, ViewRow


async def views_of(session: AsyncSession, holder: str, of: str | None, after: UUID, *, limit: int) -> list[ViewRow]:
    """What somebody keeps, of one list or of all, in the order in which it was first kept."""
    statement = select(ViewRow).where(col(ViewRow.holder) == holder, col(ViewRow.id) > after)
    if of is not None:
        statement = statement.where(col(ViewRow.list) == of)
    return list((await session.execute(statement.order_by(col(ViewRow.id)).limit(limit))).scalars())


async def keep_view(session: AsyncSession, holder: str, wanted: NewView) -> tuple[ViewRow, bool]:
    """The view under its name, and whether there was none of that name. Raises `TooManyViews`."""
    count = select(func.count()).select_from(ViewRow).where(col(ViewRow.holder) == holder)
    values = {"holder": holder, **wanted.model_dump(), "changed_at": now()}
    id = uuid7()
    statement = insert(ViewRow).values(id=id, **values)
    statement = statement.on_conflict_do_update(
        index_elements=["holder", "list", "name"], set_={"query": wanted.query, "changed_at": values["changed_at"]}
    )
    row = (
        await session.execute(statement.returning(ViewRow), execution_options={"populate_existing": True})
    ).scalar_one()
    if row.id == id and (await session.execute(count)).scalar_one() > MOST:
        raise TooManyViews(f"Nobody keeps more than {MOST} views; remove one that you use no more.")
    return row, row.id == id


async def forget_view(session: AsyncSession, holder: str, view_id: UUID) -> bool:
    """Keep a view no more; false where the holder has none with this id."""
    statement = delete(ViewRow).where(col(ViewRow.holder) == holder, col(ViewRow.id) == view_id)
    return bool((await session.execute(statement)).rowcount)  # type: ignore[attr-defined]
