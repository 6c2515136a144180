"""Who stands where: lists as they are stored, one party as it stands now or stood after a day."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import asyncpg
from fastapi import APIRouter, Query

from chassis.db import driver
from chassis.http import Cursor, Limit, Page, Session, TransactionalRoute, decode_cursor, page
from contracts.scoring import Stage, Tier
from services.scoring.domain.policy import Ruling
from services.scoring.domain.standing import Standing as Decided
from services.scoring.models.standings import Order, Standing
from services.scoring.queries.rulings import present
from services.scoring.queries.standings import Filter, keyset, standings

router = APIRouter(prefix="/v1/standings", tags=["standings"], route_class=TransactionalRoute)

Minor = Annotated[int | None, Query(ge=-(2**63), lt=2**63)]
PLACES: Mapping[Order, type[tuple[Any, ...]]] = {
    Order.VALUE: tuple[int, UUID],
    Order.NEXT_CHANGE_AT: tuple[datetime, UUID],
    Order.PARTY: tuple[UUID],
}
"""What the cursor of an order holds."""


@router.get("")
async def list_standings(
    session: Session,
    stage: Stage | None = None,
    tier: Tier | None = None,
    min_value: Minor = None,
    max_value: Minor = None,
    sort: Order = Order.VALUE,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Standing]:
    """Standings as they are stored, each as of its `assessed_at`; values are minor units of the reporting currency."""
    connection = await driver(session)
    ruling = (await present(connection)).ruling
    after = decode_cursor(cursor, PLACES[sort]) if cursor else None
    wanted = Filter(stage, tier, min_value, max_value)
    rows = await standings(connection, wanted, sort, after=after, limit=limit + 1)
    found = page(rows, limit=limit, key=lambda row: keyset(row, sort))
    return Page(
        data=[_stored(row, ruling) for row in found.data], has_more=found.has_more, next_cursor=found.next_cursor
    )


def _stored(row: asyncpg.Record, ruling: Ruling) -> Standing:
    decided = Decided(*(row[field] for field in Decided.__struct_fields__))
    shown = Standing.shown(row["party_id"], row["revision"], decided, row["assessed_at"], ruling)
    return shown.model_copy(update={"currency": row["currency"], "policy": row["policy"]})
