"""What people set in the place of what the facts say."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Response, status

from chassis.auth import Actor
from chassis.clock import now
from chassis.db import driver
from chassis.fields import PartyId
from chassis.http import LATEST, Cursor, Limit, Page, Session, TransactionalRoute, decode_cursor, made, page
from services.scoring.domain.overridden import OverrideNotFound
from services.scoring.domain.standing import assess
from services.scoring.handlers.overriding import end_override, set_override
from services.scoring.models.fields import AnyInstant, OverrideId
from services.scoring.models.overrides import DerivedStanding, NewOverride, Override, OverrideEnd, OverrideTold
from services.scoring.queries.overrides import concerned, fates_of, overrides_of, party_overridden
from services.scoring.queries.parties import Members, members_now
from services.scoring.queries.reading import moment, one
from services.scoring.queries.rulings import Connection, present
from services.scoring.routes.reach import CareOf, check_change, check_read
from services.scoring.routes.snapshots import Snapshot

router = APIRouter(prefix="/v1", tags=["standings"], route_class=TransactionalRoute)


@router.post("/standings/{party_id}/overrides", status_code=status.HTTP_201_CREATED)
async def override_standing(
    party_id: PartyId, body: NewOverride, session: Session, actor: Actor, response: Response
) -> OverrideTold:
    """Set a part of a standing to what the facts do not say, from today on. What follows from them stays in `derived`.

    Of two for one part the one set last holds, as long as it lasts; then an earlier one that still lasts. It moves
    with the party's oldest identity when parties are merged or taken apart.
    """
    await check_change(await driver(session), actor, party_id)
    override_id = await set_override(session, party_id, body, actor.key_id)
    told = await _told(await driver(session), override_id)
    made(response, f"/v1/overrides/override_{override_id.hex}", new=True)
    return told


@router.get("/standings/{party_id}/overrides")
async def list_overrides(
    party_id: PartyId, snapshot: Snapshot, care: CareOf, limit: Limit = 50, cursor: Cursor = None
) -> Page[Override]:
    """What people ever set for a party, the last first: who, why, until when, and what became of it."""
    before = decode_cursor(cursor, tuple[AnyInstant, UUID]) if cursor else LATEST
    await check_read(snapshot, care, party_id)
    whom = await concerned(snapshot, party_id)
    everything = await _all(snapshot, whom.party_id, whom.members)
    found = [each for each in everything if (each.set_at, each.id) < before]
    return page(found, limit=limit, key=lambda override: (override.set_at, override.id))


@router.get("/overrides/{override_id}")
async def read_override(override_id: OverrideId, snapshot: Snapshot, care: CareOf) -> Override:
    """What somebody set for a party, and what became of it."""
    found = await _one(snapshot, override_id)
    await check_read(snapshot, care, found.party_id, OverrideNotFound("There is no such override."))
    return found


@router.post("/overrides/{override_id}/end")
async def end_override_early(
    override_id: OverrideId,
    body: Annotated[OverrideEnd, Body(default_factory=OverrideEnd)],
    session: Session,
    actor: Actor,
) -> OverrideTold:
    """Leave a part of a standing to the facts again, from today on, with all that was set for it before.

    What has ended or expired stays as it is.
    """
    connection = await driver(session)
    await check_change(connection, actor, await party_overridden(connection, override_id))
    await end_override(session, override_id, why=body.why, by=actor.key_id)
    return await _told(await driver(session), override_id)


async def _all(connection: Connection, party_id: UUID, members: Members) -> list[Override]:
    """What was ever set for a party that is not merged into another."""
    ruling = (await present(connection)).ruling
    rows = await overrides_of(connection, members.of((party_id,))[party_id], ruling.zone)
    fates, by_id = fates_of(rows, ruling.zone, ruling.day(now())), {row["fact_id"]: row for row in rows}
    currency = ruling.rates.currency
    return [Override.shown(row, party_id, fates, by_id, currency) for row in rows if row["fact_id"] in fates]


async def _one(connection: Connection, override_id: UUID) -> Override:
    party_id = await party_overridden(connection, override_id)
    everything = await _all(connection, party_id, await members_now(connection, (), (party_id,)))
    return next(each for each in everything if each.id == override_id)


async def _told(connection: Connection, override_id: UUID) -> OverrideTold:
    """The override, and how the locked party stands."""
    override = await _one(connection, override_id)
    read = await one(connection, override.party_id)
    then = await moment(connection, None, now())
    seen = read and then.seen(read.calendar, read.row["assessed_at"])
    decided = seen and assess(*seen, then.ruling)
    standing = None
    if read and seen and decided and decided.stage is not None:
        standing = DerivedStanding.shown(
            override.party_id, read.row["revision"], decided, seen[1], then.ruling, derived=dict(decided.derived)
        )
    return OverrideTold(**override.model_dump(), standing=standing)
