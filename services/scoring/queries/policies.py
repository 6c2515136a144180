"""Policies as they are stored, and their way through life."""

from datetime import datetime
from typing import Any

import asyncpg

from contracts.moments import PolicyNotFound
from services.scoring.domain.lives import Act, Life, State
from services.scoring.domain.policy import Policy
from services.scoring.queries.activations import refuse_planned
from services.scoring.queries.rulings import BARRIER, Connection, new_ruling


async def policy(connection: Connection, hash: str) -> asyncpg.Record:
    """A policy by its content hash. Raises `PolicyNotFound`."""
    row = await connection.fetchrow(f"{_POLICIES} WHERE hash = $1", hash)
    if row is None:
        raise PolicyNotFound
    return row


async def active_policy(connection: Connection) -> Policy:
    """What decides now."""
    found: str = await connection.fetchval(_ACTIVE)
    return Policy.stored(found)


async def policies_before(
    connection: Connection, before: tuple[datetime, str], *, state: State | None, limit: int
) -> list[asyncpg.Record]:
    """Policies made before a place, the newest first."""
    return await connection.fetch(_LISTED, *before, state, limit)


async def states(connection: Connection) -> dict[str, State]:
    """Where every policy is, by its hash."""
    return {row["hash"]: State(row["state"]) for row in await connection.fetch("SELECT hash, state FROM policy")}


async def draft(connection: Connection, policy: Policy, at: datetime, by: str | None) -> bool:
    """Have a policy, as a draft where it is new or retired for good; whether it is new."""
    made = await connection.fetchval(_DRAFT, policy.content_hash, policy.model_dump_json(), at, by)
    if made is None:
        row = await _to_change(connection, policy.content_hash)
        state = _life(row).after(Act.DRAFT)
        if state != row["state"]:
            await _write(connection, policy.content_hash, state, tried_at=None)
    return made is not None


async def tried(connection: Connection, hash: str, at: datetime) -> None:
    """A trial of it came to its end."""
    row = await _to_change(connection, hash)
    await _write(connection, hash, _life(row).after(Act.TRY), tried_at=at)


async def approve(connection: Connection, hash: str, at: datetime, by: str | None) -> None:
    """Somebody who may has approved it. Raises `PolicyNotFound` or `IllegalPolicyMove`."""
    row = await _to_change(connection, hash)
    await _write(connection, hash, _life(row).after(Act.APPROVE), approved_at=at, approved_by=by)


async def check_activation(connection: Connection, hash: str) -> None:
    """Raise what would keep a policy from becoming active, or `ActivationPlanned`. It stays so until the end."""
    row = await _to_change(connection, hash)
    _life(row).after(Act.ACTIVATE)
    await refuse_planned(connection, policy=hash)


async def activate(connection: Connection, hash: str, at: datetime, by: str | None) -> int:
    """Have it decide from an instant on, in the place of the one that does; return the ruling.

    The sweeper applies it to everybody. Raises `PolicyNotFound` or `IllegalPolicyMove`.
    """
    await connection.execute("SELECT pg_advisory_xact_lock($1)", BARRIER)
    rows = {row["hash"]: row for row in await connection.fetch(_WITH_ACTIVE, hash)}
    if hash not in rows:
        raise PolicyNotFound
    state = _life(rows[hash]).after(Act.ACTIVATE)
    for other, row in rows.items():
        if other != hash:
            # It was approved by having been active, whoever was asked: so it can be again.
            approved_at = row["approved_at"] or row["activated_at"] or at
            replaced = _life(row).after(Act.REPLACE)
            await _write(connection, other, replaced, retired_at=at, retired_by=by, approved_at=approved_at)
    await _write(connection, hash, state, activated_at=at, activated_by=by, retired_at=None, retired_by=None)
    return await new_ruling(connection, "policy", at, policy=hash)


async def retire(connection: Connection, hash: str, at: datetime, by: str | None) -> None:
    """Put it away. Raises `PolicyNotFound`, `IllegalPolicyMove` or `ActivationPlanned`."""
    row = await _to_change(connection, hash)
    state = _life(row).after(Act.RETIRE)
    await refuse_planned(connection, policy=hash)
    # Whoever approved it did so for a policy that was to be activated.
    await _write(connection, hash, state, retired_at=at, retired_by=by, approved_at=None, approved_by=None)


async def _to_change(connection: Connection, hash: str) -> asyncpg.Record:
    row = await connection.fetchrow(f"{_POLICIES} WHERE hash = $1 FOR NO KEY UPDATE", hash)
    if row is None:
        raise PolicyNotFound
    return row


def _life(row: asyncpg.Record) -> Life:
    return Life(State(row["state"]), approved=row["approved_at"] is not None)


async def _write(connection: Connection, hash: str, state: State, **columns: Any) -> None:
    changed = "".join(f", {column} = ${place}" for place, column in enumerate(columns, 3))
    await connection.execute(f"UPDATE policy SET state = $2{changed} WHERE hash = $1", hash, state, *columns.values())


_POLICIES = """
SELECT hash, document ->> 'name' AS name, document::text AS document, state, created_at, created_by, tried_at,
       approved_at, approved_by, activated_by, retired_at, retired_by, state = 'active' AS active,
       coalesce(activated_at, (SELECT min(active_from) FROM ruling WHERE policy = hash)) AS activated_at
FROM policy
"""

_LISTED = f"""
{_POLICIES}
WHERE (created_at, hash) < ($1, $2) AND ($3::text IS NULL OR state = $3)
ORDER BY created_at DESC, hash DESC LIMIT $4
"""

_ACTIVE = """
SELECT document::text FROM ruling JOIN policy ON policy.hash = ruling.policy ORDER BY ruling.id DESC LIMIT 1
"""

_DRAFT = """
INSERT INTO policy (hash, document, state, created_at, created_by) VALUES ($1, $2::text::jsonb, 'draft', $3, $4)
ON CONFLICT DO NOTHING RETURNING hash
"""

# In one order, so that two activations do not wait for each other.
_WITH_ACTIVE = f"{_POLICIES} WHERE hash = $1 OR state = 'active' ORDER BY hash FOR NO KEY UPDATE"
