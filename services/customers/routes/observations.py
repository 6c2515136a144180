"""What was noticed about parties, over HTTP: mood, preferences, needs."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Query, Response, status

from chassis.clock import now
from chassis.fields import Day, PartyId, Whole, Withdrawal
from chassis.http import (
    LAST_VERSION,
    Cursor,
    IfMatch,
    Limit,
    Page,
    Session,
    TransactionalRoute,
    check_seen,
    decode_cursor,
    etag,
    page,
)
from chassis.installation import Here
from chassis.joining import Answer, Join, JoinedRoute, answers
from chassis.outbox import Origins
from contracts.identity import Installation, check_not_ahead
from services.customers.domain.observations import NewObservation
from services.customers.models.fields import ObservationId
from services.customers.models.observations import (
    Aspect,
    Observation,
    ObservationCorrection,
    ObservationIn,
    ObservationVersion,
)
from services.customers.queries import corrections
from services.customers.queries import observations as known
from services.customers.routes.lists import WhatIsAsked

router = APIRouter(prefix="/v1", tags=["observations"], route_class=TransactionalRoute)
commands = APIRouter(prefix="/v1", tags=["observations"], route_class=JoinedRoute)
"""Those that are joined with others of the moment."""

AsOf = Annotated[Day | None, Query(description="Of each aspect only the latest one up to the end of this local day.")]


@commands.post("/parties/{party_id}/observations", status_code=status.HTTP_201_CREATED, response_model=Observation)
async def record_observation(party_id: PartyId, body: ObservationIn, join: Join) -> Response:
    """Record how a party feels, what it likes or needs. The same again, by `source` and `source_id`, changes nothing.

    Nobody is told of it: it is kept here, for whoever speaks with the party.
    """
    check_not_ahead(body.occurred_at, now())
    return await join(record_observations_together, body.observation(party_id))


@router.get("/parties/{party_id}/observations")
async def list_observations(
    party_id: PartyId,
    session: Session,
    here: Here,
    asked: WhatIsAsked,
    aspect: Aspect | None = None,
    as_of: AsOf = None,
    limit: Limit = 50,
) -> Page[Observation]:
    """What was noticed about a party, the latest first, without what was withdrawn: the series of each aspect.

    With `as_of` how it was then: the latest of each aspect, or of one. Source and times ask for nothing there.
    """
    if as_of is None:
        where = asked.also([("fact.aspect = {}", aspect)])
        found = await known.observations(session, here, **where._asdict(), limit=limit + 1)
    else:
        found = await known.latest_observations(
            session, here, party_id, as_of=as_of, aspect=aspect, before=asked.before, limit=limit + 1
        )
    return page(found, limit=limit, key=lambda observation: [observation.occurred_at, observation.id])


@router.get("/observations/{observation_id}")
async def read_observation(
    observation_id: ObservationId, session: Session, here: Here, response: Response
) -> Observation:
    """An observation as it stands, also one that was withdrawn."""
    return await _shown(session, observation_id, here, response)


@router.get("/observations/{observation_id}/versions")
async def list_versions_of_observation(
    observation_id: ObservationId, session: Session, here: Here, limit: Limit = 50, cursor: Cursor = None
) -> Page[ObservationVersion]:
    """Every version of an observation, the latest first: nothing that was put right is lost."""
    [before] = decode_cursor(cursor, tuple[Whole]) if cursor else [LAST_VERSION]
    found = await known.versions_of_observation(session, observation_id, here, before=before, limit=limit + 1)
    return page(found, limit=limit, key=lambda version: [version.version])


@router.post("/observations/{observation_id}/correct")
async def correct_observation(
    observation_id: ObservationId,
    body: ObservationCorrection,
    session: Session,
    here: Here,
    response: Response,
    seen: IfMatch,
) -> Observation:
    """Put an observation right: what is named changes, and every former version stays readable."""
    check_not_ahead(body.occurred_at, now())
    told = await known.observation(session, observation_id, here)
    subject = await corrections.right_subject(session, told, body, here)
    row = await known.observation_to_change(session, observation_id)
    check_seen(row.version, seen, body.version)
    await corrections.correct_observation(session, row, body, subject)
    return await _shown(session, observation_id, here, response)


@router.post("/observations/{observation_id}/withdraw")
async def withdraw_observation(
    observation_id: ObservationId,
    body: Annotated[Withdrawal, Body(default_factory=Withdrawal)],
    session: Session,
    here: Here,
    response: Response,
    seen: IfMatch,
) -> Observation:
    """Take an observation back that was entered by mistake. Twice is once."""
    row = await known.observation_to_change(session, observation_id)
    if row.withdrawn_at is None:
        check_seen(row.version, seen, body.version)
        await corrections.withdraw(session, row)
    return await _shown(session, observation_id, here, response)


async def record_observations_together(
    session: Session, rows: Sequence[NewObservation], here: Installation, origins: Origins
) -> list[Answer]:
    """Record observations of any number of commands; the answer to each."""
    outcomes = await known.record_observations(session, rows, here, origins)
    shown = await known.recorded_observations(session, outcomes, here)
    return answers(outcomes, shown, "/v1/observations/observation_")


async def _shown(session: Session, observation_id: UUID, here: Installation, response: Response) -> Observation:
    observation = await known.observation(session, observation_id, here)
    response.headers["ETag"] = etag(observation.version)
    return observation
