"""Reports on everybody: few at once, none in the way of other answers, and none for whoever has left."""

from typing import TypeVar

from fastapi import Request

from chassis.apart import while_awaited
from services.scoring.domain.reports.busy import MOST, ReportsBusy
from services.scoring.queries.reports.apart import Report, reads_many, report_apart
from services.scoring.queries.rulings import Connection

T = TypeVar("T")


async def reported(request: Request, snapshot: Connection, report: Report[T], *arguments: object) -> T:
    """A report on everybody in one state of the database. It ends where the client leaves. Raises `ReportsBusy`."""
    if not await reads_many(snapshot):
        return await report(snapshot, *arguments)
    state = request.app.state
    under_way: int = getattr(state, "reports_under_way", 0)
    if under_way >= MOST:
        raise ReportsBusy(
            f"{MOST} reports on everybody are being computed. Ask again when one of them has ended.", retry_after_s=10
        )
    state.reports_under_way = under_way + 1
    try:
        return await while_awaited(request, report_apart(snapshot, request.app.state.database.url, report, *arguments))
    finally:
        state.reports_under_way -= 1
