"""Activations of a policy or a model that are planned for an instant to come."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import msgspec

from contracts.problems import Problem
from services.scoring.domain.lives import ActivationClosed, ActivationNotFound, ActivationPlanned
from services.scoring.queries.rulings import Connection


async def plan(
    connection: Connection,
    activation_id: UUID,
    active_from: datetime,
    *,
    policy: str | None = None,
    model: str | None = None,
    margin: float | None = None,
    at: datetime,
    by: str | None,
) -> asyncpg.Record:
    """Have a policy or a model, each by its hash, become active at an instant.

    `margin` is by how much a model may then be worse than the active one; None where that does not matter.
    """
    await connection.execute(_PLAN, activation_id, policy, model, active_from, at, by, margin)
    return await planned(connection, activation_id)


async def planned(connection: Connection, activation_id: UUID) -> asyncpg.Record:
    """A planned activation, whatever became of it. Raises `ActivationNotFound`."""
    row = await connection.fetchrow(f"{_PLANNED} WHERE id = $1", activation_id)
    if row is None:
        raise ActivationNotFound("There is no such planned activation. `GET /v1/activations` lists them.")
    return row


async def planned_before(connection: Connection, before: UUID, *, open: bool, limit: int) -> list[asyncpg.Record]:
    """Planned activations before one, the newest first; with `open`, those that are still to come."""
    condition = f"AND {_OPEN}" if open else ""
    return await connection.fetch(f"{_PLANNED} WHERE id < $1 {condition} ORDER BY id DESC LIMIT $2", before, limit)


async def planned_for(
    connection: Connection, *, policy: str | None = None, model: str | None = None
) -> list[asyncpg.Record]:
    """The activations to come of a policy or of a model, the next one first."""
    return await connection.fetch(
        f"{_PLANNED} WHERE {_OPEN} AND (policy = $1 OR model = $2) ORDER BY active_from, id", policy, model
    )


async def refused_of(connection: Connection, versions: Sequence[asyncpg.Record]) -> Mapping[str, asyncpg.Record]:
    """Of policies or models, by their hashes, the last planned activation where it was refused and is not made up for.

    That it is by a later plan, whatever became of it, by having been active since, and by being active.
    """
    activated = {row["hash"]: row["activated_at"] for row in versions if not row["active"]}
    return {
        row["version"]: row
        for row in await connection.fetch(_LAST, list(activated))
        if row["refused"] and (activated[row["version"]] is None or activated[row["version"]] < row["cancelled_at"])
    }


async def refuse_planned(connection: Connection, *, policy: str | None = None, model: str | None = None) -> None:
    """Raise `ActivationPlanned` where a policy or a model is to become active."""
    for plan in await planned_for(connection, policy=policy, model=model):
        raise ActivationPlanned(
            "It is to become active. Cancel that first: `DELETE /v1/activations/{activation_id}`.",
            activation_id=f"activation_{plan['id'].hex}",
            active_from=plan["active_from"].isoformat(),
        )


async def cancel(connection: Connection, activation_id: UUID, at: datetime) -> asyncpg.Record:
    """Have a planned activation not take place. Raises `ActivationNotFound` or `ActivationClosed`."""
    if await connection.fetchval(_CANCEL, activation_id, at) is None:
        row = await planned(connection, activation_id)
        became = "took place" if row["done_at"] else "was refused" if row["refused"] else "was cancelled before"
        raise ActivationClosed(f"This activation {became}.", done_at=row["done_at"], cancelled_at=row["cancelled_at"])
    return await planned(connection, activation_id)


async def due_from(connection: Connection, at: datetime) -> datetime | None:
    """From when the first activation is to count that is due by an instant; None where none is."""
    found: datetime | None = await connection.fetchval(
        f"SELECT min(active_from) FROM planned_activation WHERE {_OPEN} AND active_from <= $1", at
    )
    return found


async def settled_until(connection: Connection, at: datetime) -> datetime:
    """Until when it is settled what decides: an instant, or before the first activation that is due by it still."""
    due = await due_from(connection, at)
    return at if due is None else due - timedelta(microseconds=1)


async def next_due(connection: Connection, at: datetime) -> asyncpg.Record | None:
    """The first activation that should have taken place by an instant, locked. The caller holds the barrier."""
    return await connection.fetchrow(
        f"{_PLANNED} WHERE {_OPEN} AND active_from <= $1 ORDER BY active_from, id LIMIT 1 FOR UPDATE", at
    )


async def refuse(connection: Connection, activation_id: UUID, problem: Problem, at: datetime) -> None:
    """What happened since forbids a planned activation: it does not take place, and why is kept."""
    why = {**problem.extensions, "code": problem.code(), "detail": problem.detail}
    await connection.execute(_REFUSE, activation_id, at, msgspec.json.encode(why).decode())


async def refusals(connection: Connection) -> int:
    """How many planned activations were refused when their instant came."""
    count: int = await connection.fetchval("SELECT count(*) FROM planned_activation WHERE refused IS NOT NULL")
    return count


async def took_place(connection: Connection, activation_id: UUID, at: datetime) -> None:
    """A planned activation was carried out."""
    await connection.execute("UPDATE planned_activation SET done_at = $2 WHERE id = $1", activation_id, at)


_OPEN = "done_at IS NULL AND cancelled_at IS NULL"

_COLUMNS = """
id, policy, model, active_from, planned_at, planned_by, done_at, cancelled_at, refused::text AS refused, margin
"""

_PLANNED = f"SELECT {_COLUMNS} FROM planned_activation"

_LAST = f"""
SELECT DISTINCT ON (version) coalesce(policy, model) AS version, {_COLUMNS} FROM planned_activation
WHERE policy = ANY($1) OR model = ANY($1) ORDER BY version, id DESC
"""

_PLAN = """
INSERT INTO planned_activation (id, policy, model, active_from, planned_at, planned_by, margin)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""

_REFUSE = "UPDATE planned_activation SET cancelled_at = $2, refused = $3::text::jsonb WHERE id = $1"

_CANCEL = f"UPDATE planned_activation SET cancelled_at = $2 WHERE id = $1 AND {_OPEN} RETURNING id"
