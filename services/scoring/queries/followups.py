"""Whom to follow up: who is about to fall, and who is lost, each list in the order of an index."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from chassis.conditions import Conditions
from contracts.loss import LossReason
from contracts.scoring import Stage, Tier
from services.scoring.domain.moment import Care
from services.scoring.queries.reach import keep_to
from services.scoring.queries.rulings import Connection
from services.scoring.queries.standings import FALLEN, STORED, STORED_FROM


class AtRisk(NamedTuple):
    """Whose fall is listed; None takes all."""

    stage: Stage | None = None
    tier: Tier | None = None
    owner_id: UUID | None = None
    team_id: UUID | None = None
    care: Care | None = None
    """Those of an owner or a team, which is all that the caller reaches."""


class Lost(NamedTuple):
    """Which losses are listed: with any of some reasons; of what follows None takes all."""

    reasons: Sequence[LossReason]
    stage: Stage | None = None
    since: date | None = None
    until: date | None = None
    owner_id: UUID | None = None
    team_id: UUID | None = None
    care: Care | None = None


async def at_risk(
    connection: Connection,
    wanted: AtRisk,
    until: datetime,
    *,
    after: tuple[datetime, int, UUID] | None,
    limit: int,
) -> list[asyncpg.Record]:
    """Parties whose stage falls up to an instant if nothing happens: the first to fall, then the highest value."""
    conditions = Conditions(FALLEN, until)
    conditions.equal(stage=wanted.stage, tier=wanted.tier, owner_id=wanted.owner_id, team_id=wanted.team_id)
    keep_to(wanted.care, conditions)
    if after is not None:
        day, value, party_id = after
        conditions.add("next_stage_at >= {}", day)
        conditions.add("(next_stage_at, -value_minor, party_id) > ({}, {}, {})", day, -value, party_id)
    query = f"{_AT_RISK}{conditions} ORDER BY next_stage_at, value_minor DESC, party_id LIMIT {int(limit)}"
    return await connection.fetch(query, *conditions.arguments)


async def losses(
    connection: Connection, wanted: Lost, *, after: tuple[date, UUID] | None, limit: int
) -> list[asyncpg.Record]:
    """Parties that are lost, the last to be lost first."""
    conditions = Conditions(list(wanted.reasons))
    conditions.equal(stage=wanted.stage, owner_id=wanted.owner_id, team_id=wanted.team_id)
    keep_to(wanted.care, conditions)
    conditions.add("since >= {}", wanted.since)
    conditions.add("since <= {}", wanted.until)
    if after is not None:
        conditions.add("(since, party_id) < ({}, {})", *after)
    query = _LOSSES.format(conditions=conditions, limit=int(limit))
    return await connection.fetch(query, *conditions.arguments)


_SELECT = f"SELECT {STORED} FROM"

_AT_RISK = f"{_SELECT} {STORED_FROM} WHERE next_stage = ANY($1) AND next_stage_at <= $2"

# The latest of each reason lie side by side in the index, so that no list is ever sorted as a whole.
_LOSSES = f"""
WITH party AS (
    SELECT latest.*
    FROM unnest($1::text[]) AS of_reason CROSS JOIN LATERAL (
        SELECT * FROM party WHERE loss_reason = of_reason{{conditions}}
        ORDER BY since DESC, party_id DESC LIMIT {{limit}}
    ) AS latest
)
{_SELECT} {STORED_FROM} ORDER BY since DESC, party_id DESC LIMIT {{limit}}
"""
