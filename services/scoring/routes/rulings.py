"""What decides besides the facts: cut points of the tiers, rates."""

from fastapi import APIRouter, Request

from chassis.clock import now
from chassis.db import driver
from chassis.fields import CurrencyCode
from chassis.http import Cursor, Limit, Page, Session, TransactionalRoute, decode_cursor, page
from services.scoring.domain.tiers import fit
from services.scoring.models.fields import AnyWhole
from services.scoring.models.rulings import NewRates, Rate, RatesAdded, Tiers
from services.scoring.queries.deciding import rates_before, tiers_now
from services.scoring.queries.overall import values_now
from services.scoring.queries.reading import snapshot
from services.scoring.queries.recording import deciding_instant
from services.scoring.queries.rulings import add_cut_points, add_rates, present
from services.scoring.routes.snapshots import population

router = APIRouter(prefix="/v1", route_class=TransactionalRoute)

NEWEST = 2**63 - 1
"""The cursor before the first page."""


@router.get("/tiers", tags=["tiers"])
async def read_tiers(session: Session) -> Tiers:
    """The smallest value of each tier, in force now."""
    return Tiers.model_validate(dict(await tiers_now(await driver(session))))


@router.post("/tiers/fit", tags=["tiers"])
async def fit_tiers(request: Request, session: Session) -> Tiers:
    """Cut the tiers anew by the values that all customers have now, so that each has its share of them by the policy.

    They hold from now on, and every standing is assessed again.
    """
    # Given back before the barrier is waited for: a rebuild holds it and waits until nobody reads calendars.
    async with snapshot(request.app.state.database) as reading:
        shares = (await present(reading)).ruling.policy.tier_shares
        values = await values_now(population(request, reading), now())
    connection = await driver(session)
    at = await deciding_instant(connection, now())
    await add_cut_points(connection, fit(values, shares), len(values), at)
    return Tiers.model_validate(dict(await tiers_now(connection)))


@router.post("/rates", tags=["rates"])
async def add_new_rates(body: NewRates, session: Session) -> RatesAdded:
    """Tell what other currencies are worth, each from a day on; of two rates for a day the later one told holds.

    Every standing is assessed again.
    """
    connection = await driver(session)
    at = await deciding_instant(connection, now())
    added = await add_rates(connection, [(rate.day, rate.currency, rate.rate) for rate in body.rates], at)
    here = await present(connection)
    return RatesAdded(added=added, reporting_currency=here.currency, ruling=here.ruling_id)


@router.get("/rates", tags=["rates"])
async def list_rates(
    session: Session, currency: CurrencyCode | None = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[Rate]:
    """Rates as they were told, the last one first."""
    before = decode_cursor(cursor, tuple[AnyWhole])[0] if cursor else NEWEST
    rows = await rates_before(await driver(session), currency, before, limit=limit + 1)
    return page([Rate(**row) for row in rows], limit=limit, key=lambda rate: (rate.id,))
