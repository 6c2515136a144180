"""What only the gateway asks for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from fastapi.routing import APIRoute

from chassis import status
from chassis.clock import now
from chassis.db import driver
from chassis.fields import PartyId
from chassis.http import Limit, Session, Streamed, TransactionalRoute
from chassis.timelines import Timeline, WhatIsAsked, timeline
from services.scoring.domain.days import start_of_day
from services.scoring.domain.moment import Care
from services.scoring.domain.money import CurrencyFixed
from services.scoring.domain.trajectory import named
from services.scoring.models.clocks import Question
from services.scoring.models.overrides import OVERRIDING
from services.scoring.models.overrides import entry as overriding
from services.scoring.models.rulings import ReportingCurrency, ReportingCurrencyNow
from services.scoring.models.standings import MOVED, entry
from services.scoring.queries.chain import heads, lag, progress
from services.scoring.queries.clocks import moment_asked
from services.scoring.queries.overall import file_of
from services.scoring.queries.overrides import overrides_of
from services.scoring.queries.reach import reached
from services.scoring.queries.reading import implied_moves, moment, one, snapshot
from services.scoring.queries.recording import deciding_instant
from services.scoring.queries.rulings import present, set_currency
from services.scoring.routes.clocks import Asked
from services.scoring.routes.reach import CareOf
from services.scoring.routes.snapshots import Snapshot, population

router = APIRouter(prefix="/internal", include_in_schema=False, route_class=TransactionalRoute)
streams = APIRouter(prefix="/internal", include_in_schema=False, route_class=APIRoute)


@streams.get("/status")
async def read_scoring_status(request: Request) -> dict[str, Any]:
    """What every service tells, and how far scoring is behind its sources, what holds time, who takes part."""
    urls = request.app.state.settings.source_urls
    report, *read = await asyncio.gather(status.read_service_status(request), *(heads(url) for url in urls.values()))
    async with snapshot(request.app.state.database) as connection:
        behind = [row for head in read if head is not None for row in await lag(connection, head)]
        further = await progress(connection)
    away = [source for source, head in zip(urls, read, strict=True) if head is None]
    return {**report, "lag": behind, "unreachable_sources": away, **further}


@router.post("/reporting-currency")
async def fix_reporting_currency(body: ReportingCurrency, session: Session) -> ReportingCurrencyNow:
    """Fix the currency in which standings are told, if nothing has fixed it yet; tell which it is."""
    connection = await driver(session)
    at = await deciding_instant(connection, now())
    with suppress(CurrencyFixed):
        await set_currency(connection, body.currency, provisional=body.provisional, at=at)
    here = await present(connection)
    return ReportingCurrencyNow(currency=here.currency, fixed=here.currency_fixed)


@streams.get("/parties/{party_id}/timeline")
async def read_timeline_of_party(
    party_id: PartyId, snapshot: Snapshot, asked: WhatIsAsked, care: CareOf, limit: Limit = 50
) -> Timeline:
    """The moves of a party, as its facts imply them, and what people set, behind an entry of any service, the latest
    first."""
    kinds = () if asked.departments else asked.among([MOVED, *OVERRIDING])
    seen = care is None or bool(await reached(snapshot, care, [party_id]))
    read = await one(snapshot, party_id) if kinds and seen else None
    if read is None:
        return timeline([], limit=limit)
    then, entries = await moment(snapshot, None, now()), []
    if MOVED in kinds:
        entries += [
            entry(id, start_of_day(move.day.toordinal(), then.ruling.zone), move)
            for id, move in named(read.row["party_id"], await implied_moves(snapshot, read, then))
        ]
    if set(kinds) & OVERRIDING:
        said = await overrides_of(snapshot, read.members, then.ruling.zone)
        entries += [overriding(each, then.ruling.rates.currency) for each in said]
    wanted = [each for each in entries if each.kind in kinds and (each.at, each.id) < asked.place]
    return timeline(sorted(wanted, key=lambda each: (each.at, each.id), reverse=True), limit=limit)


@streams.get("/standings/export", response_class=Streamed)
async def export_standings(request: Request, asked: Asked, care: CareOf) -> Streamed:
    """Every standing as a line of CSV, in the order of party ids, below a line with the names of the columns."""
    # What cannot be answered is said before the first line: a stream that has begun can only break off.
    async with snapshot(request.app.state.database) as connection:
        await moment_asked(connection, asked, now())
    return Streamed(_exported(request, asked, care), media_type="text/csv")


async def _exported(request: Request, asked: Question, care: Care | None) -> AsyncIterator[bytes]:
    async with snapshot(request.app.state.database) as connection:
        then = msgspec.structs.replace(await moment_asked(connection, asked, now()), care=care)
        async with aclosing(file_of(population(request, connection), then)) as pieces:
            async for piece in pieces:
                yield piece
