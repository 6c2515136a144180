"""Observations: a series for each aspect of a party, kept here and told to nobody."""

from collections.abc import Iterable, Sequence
from datetime import date
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import driver
from chassis.outbox import Origins
from contracts.identity import Installation
from contracts.telling import Outcome, ids_of
from services.customers.domain.observations import NewObservation, ObservationConflict, ObservationNotFound
from services.customers.models.observations import Observation, ObservationRow, ObservationVersion
from services.customers.queries.facts import Kind, record
from services.customers.queries.histories import (
    HELD,
    IN_ITS_TIME,
    MEMBERS,
    Condition,
    Place,
    as_it_stands,
    as_they_stand,
    history,
    to_change,
)
from services.customers.queries.versions import versions

COLUMNS = {"aspect": "text", "text": "text", "rating": "smallint", "certainty": "text", "author_id": "uuid"}

OBSERVATIONS = Kind[NewObservation](
    name="observation",
    table="observation",
    own_columns=COLUMNS,
    own_values=lambda told: [getattr(told, name) for name in COLUMNS],
    conflict=ObservationConflict,
    event=None,
)


async def record_observations(
    session: AsyncSession, rows: Sequence[NewObservation], installation: Installation, origins: Origins = None
) -> list[Outcome]:
    """Record what was noticed about parties; return what became of each, in their order."""
    return await record(session, OBSERVATIONS, rows, installation, origins)


async def observation_to_change(session: AsyncSession, observation_id: UUID) -> ObservationRow:
    """The observation, locked until the transaction ends."""
    return await to_change(session, ObservationRow, observation_id, _missing())


async def observation(session: AsyncSession, observation_id: UUID, installation: Installation) -> Observation:
    """The observation as it is shown. Raises `ObservationNotFound`."""
    row = await as_it_stands(session, "observation", observation_id, installation, _missing())
    return Observation.model_validate(dict(row))


async def recorded_observations(
    session: AsyncSession, outcomes: Iterable[Outcome], installation: Installation
) -> dict[UUID, Observation]:
    """Those that now stand for what was told, as they are shown."""
    rows = await as_they_stand(session, "observation", ids_of(outcomes), installation)
    return {row["id"]: Observation.model_validate(dict(row)) for row in rows}


def _missing() -> ObservationNotFound:
    return ObservationNotFound("There is no such observation.")


async def observations(
    session: AsyncSession,
    installation: Installation,
    *,
    party_id: UUID | None,
    where: Sequence[Condition],
    before: Place,
    limit: int,
) -> list[Observation]:
    """What was noticed about the party that an id leads to, the latest first, without what was withdrawn."""
    rows = await history(
        session, "observation", installation, party_id=party_id, where=where, before=before, limit=limit
    )
    return [Observation.model_validate(dict(row)) for row in rows]


async def latest_observations(
    session: AsyncSession,
    installation: Installation,
    party_id: UUID,
    *,
    as_of: date,
    aspect: str | None,
    before: Place,
    limit: int,
) -> list[Observation]:
    """Of each aspect the latest of the party that an id leads to, up to a whole local day; the latest first."""
    rows = await (await driver(session)).fetch(_LATEST, installation.zone.key, party_id, as_of, aspect, *before, limit)
    return [Observation.model_validate(dict(row)) for row in rows]


async def versions_of_observation(
    session: AsyncSession, observation_id: UUID, installation: Installation, *, before: int, limit: int
) -> list[ObservationVersion]:
    """Every version of an observation, the latest first. Raises `ObservationNotFound`."""
    await observation(session, observation_id, installation)
    rows = await versions(session, "observation", observation_id, installation, before=before, limit=limit)
    return [ObservationVersion.model_validate(dict(row)) for row in rows]


_LATEST = f"""
WITH member AS ({MEMBERS.format(asked="$2")}), held AS ({HELD}), latest AS (
    SELECT DISTINCT ON (fact.aspect) fact.*, held.party_id
    FROM held JOIN observation AS fact ON {IN_ITS_TIME}
    WHERE fact.withdrawn_at IS NULL AND (fact.occurred_at AT TIME ZONE $1)::date <= $3
        AND ($4::text IS NULL OR fact.aspect = $4)
    ORDER BY fact.aspect, fact.occurred_at DESC, fact.id DESC
)
SELECT * FROM latest WHERE (occurred_at, id) < ($5, $6) ORDER BY occurred_at DESC, id DESC LIMIT $7
"""
