"""Where a manager's list differs from what stands, the habits of one party, and who left for whom."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from chassis.conditions import Conditions
from contracts.customers import PartyKind
from contracts.loss import LossReason
from contracts.scoring import Stage, Tier
from services.scoring.domain.calendar import Share
from services.scoring.domain.days import start_of_day
from services.scoring.domain.facts import DECLARATIONS, Kind
from services.scoring.domain.moment import Care
from services.scoring.domain.overrides import Field
from services.scoring.domain.reports.losses import Defections
from services.scoring.domain.reports.patterns import Bought, Patterns, patterns
from services.scoring.domain.reports.surprises import Given, HeldAs, Stands, given
from services.scoring.domain.reports.zoom import NONE, ZoomBy, group
from services.scoring.domain.rules import comparisons
from services.scoring.domain.ruling import Ruling
from services.scoring.domain.trajectory import Move
from services.scoring.queries.reports.seeing import Seen, those
from services.scoring.queries.reports.zooming import SEGMENT
from services.scoring.queries.rulings import Connection, present
from services.scoring.queries.standings import FALLEN

COMPETITOR = LossReason.COMPETITOR


class Named(NamedTuple):
    """A party as it stands, and what the facts alone give of it."""

    party_id: UUID
    stands: Stands | None
    given: Given


async def named(connection: Connection, party_ids: Sequence[UUID], ruling: Ruling, now: datetime) -> list[Named]:
    """How the parties of a list stand, those merged since as the party that they are now, each once."""
    rows = await connection.fetch(_NAMED, list(party_ids))
    asks_kind = ruling.policy.vip is not None and any(leaf.field == "kind" for leaf in comparisons(ruling.policy.vip))
    kinds = (
        {seen.party_id: seen.history.kind(seen.day) async for seen in those(connection, party_ids, None, now)}
        if asks_kind
        else {}
    )
    found = await _set_by_hand(connection, Conditions([row["party_id"] for row in rows]), "party_id = ANY($1)", now)
    return [_named(row, found, kinds.get(row["party_id"])) for row in rows]


class Missed(NamedTuple):
    """Who is derived to be something without being named."""

    total: int
    value_minor: int
    first: list[Named]
    """Those worth most."""


async def missed(
    connection: Connection,
    held: HeldAs,
    listed: Sequence[UUID],
    now: datetime,
    *,
    owner_id: UUID | None,
    team_id: UUID | None,
    care: Care | None = None,
    limit: int,
) -> Missed:
    """Parties that are by the facts what a list holds its own to be, and are not on it."""
    conditions = Conditions(list(listed))
    conditions.equal(owner_id=owner_id, team_id=team_id)
    if care is not None:
        conditions.either(owner_id=care[0], team_id=care[1])
    others = f"stage IS NOT NULL AND party_id <> ALL($1){conditions}"
    found = await _set_by_hand(connection, conditions, others, now)
    are = "vip" if held is HeldAs.VIP else f"tier = ANY({conditions.place(list(held.tiers))})"
    derived = {
        party_id: each.stands.value_minor for party_id, each in found.items() if each.stands and each.stands.are(held)
    }
    ids, values = conditions.place(list(derived)), conditions.place(list(derived.values()))
    by_hand, worth = conditions.place(list(found)), "coalesce(by_facts, value_minor)"
    there = (
        f"FROM party LEFT JOIN unnest({ids}::uuid[], {values}::bigint[]) AS given (given_id, by_facts)"
        f" ON given_id = party_id WHERE {others} AND (given_id IS NOT NULL OR ({are} AND party_id <> ALL({by_hand})))"
    )
    of = await connection.fetchrow(
        f"SELECT count(*) AS total, coalesce(sum({worth}), 0)::bigint AS worth {there}", *conditions.arguments
    )
    assert of is not None
    rows = await connection.fetch(
        f"SELECT {_STANDS} {there} ORDER BY {worth} DESC, party_id DESC LIMIT {int(limit)}", *conditions.arguments
    )
    return Missed(of["total"], of["worth"], [_named(row, found, None) for row in rows])


async def patterns_of(connection: Connection, seen: Seen, until: date) -> Patterns:
    """The habits of a party by its facts up to a whole local day."""
    ruling = seen.history.ruling
    rates, end = ruling.rates, start_of_day(until.toordinal() + 1, ruling.zone)
    bought: list[Bought] = []
    reasons: list[LossReason] = []
    for day, row in await _facts_of(connection, seen, [Kind.PURCHASE, *DECLARATIONS], end):
        if row["kind"] == Kind.PURCHASE:
            bought.append(Bought(day, rates.converted(row["amount_minor"], row["detail"], day), row["channel"]))
        else:
            reasons.append(LossReason(row["detail"]))
    # Lots are drawn, of a long history for a second and more: who asks something else meanwhile does not wait.
    return await asyncio.to_thread(patterns, bought, reasons, until)


async def defections(connection: Connection, found: Defections, by: ZoomBy, now: datetime) -> Defections:
    """Who left for a competitor. It reads those parties alone of which somebody said so at any time."""
    rows = await connection.fetch(_TOLD_OF_COMPETITORS)
    async for seen in those(connection, [row["party_id"] for row in rows], found.until, now):
        end = start_of_day(found.until.toordinal() + 1, seen.history.ruling.zone)
        told = await _facts_of(connection, seen, list(DECLARATIONS), end)
        names = {day: row["competitor"] for day, row in told if row["detail"] == COMPETITOR and row["competitor"]}
        found.take(seen.moves(found.since.toordinal()), names, seen.told, partial(_segment, by, seen))
    return found


def _segment(by: ZoomBy, seen: Seen, move: Move) -> str:
    """Where a party stood before a move that lost it, or how it was graded on the eve; who has it is who does today."""
    eve, row = move.day.toordinal() - 1, seen.row
    match by:
        case ZoomBy.STAGE:
            return move.from_stage or Stage.STRANGER
        case ZoomBy.TIER:
            return move.from_tier or Tier.UNPROVEN
        case ZoomBy.OWNER:
            return f"user_{row['owner_id'].hex}" if row["owner_id"] else NONE
        case ZoomBy.TEAM:
            return f"team_{row['team_id'].hex}" if row["team_id"] else NONE
        case ZoomBy.KIND:
            return seen.history.kind(eve)
        case _:
            return group(by, seen.history.grades(eve))


async def at_risk(
    connection: Connection, by: ZoomBy, within_days: int, now: datetime
) -> dict[str, tuple[int, int]] | None:
    """How many stored standings fall within so many days if nothing happens, and what they are worth, by segment.

    It reads the index of those who fall. None by kind of party, which is not stored.
    """
    if by is ZoomBy.KIND:
        return None
    ruling = (await present(connection)).ruling
    until = start_of_day(ruling.day(now) + within_days, ruling.zone)
    rows = await connection.fetch(_AT_RISK[by], FALLEN, until)
    return {row["segment"]: (row["count"], row["value_minor"]) for row in rows}


async def _facts_of(
    connection: Connection, seen: Seen, kinds: Sequence[int], end: datetime
) -> list[tuple[int, asyncpg.Record]]:
    """Facts of some kinds that count for a party before an instant, by time, each with its local day."""
    held: defaultdict[UUID, list[Share]] = defaultdict(list)
    for identity, share in seen.members:
        held[identity].append(share)
    rows = await connection.fetch(_FACTS, list(held), list(map(int, kinds)), end)
    days = [(seen.history.ruling.day(row["occurred_at"]), row) for row in rows]
    return [(day, row) for day, row in days if any(_holds(share, day) for share in held[row["identity_id"]])]


def _holds(share: Share, day: int) -> bool:
    begun = share.start is None or share.start.toordinal() <= day
    return begun and (share.until is None or day < share.until.toordinal())


async def _set_by_hand(connection: Connection, conditions: Conditions, where: str, now: datetime) -> dict[UUID, Given]:
    """What the facts alone give of those parties of which anything is set by hand now."""
    rows = await connection.fetch(f"{_OVERRIDDEN} AND {where}", *conditions.arguments)
    found = {}
    async for seen in those(connection, [row["party_id"] for row in rows], None, now):
        if seen.history.set_on(seen.day):
            found[seen.party_id] = given(seen.history, seen.day)
    return found


def _named(row: asyncpg.Record, found: Mapping[UUID, Given], kind: PartyKind | None) -> Named:
    stands = _stands(row)
    return Named(row["party_id"], stands, found.get(row["party_id"]) or Given(stands, {**_facts(row), "kind": kind}))


def _stands(row: asyncpg.Record) -> Stands | None:
    if row["stage"] is None:
        return None
    return Stands(
        stage=Stage(row["stage"]),
        tier=Tier(row["tier"]),
        since=row["since"],
        value_minor=row["value_minor"],
        purchase_days=row["purchase_days"],
        last_day=row["last_day"],
        vip=row["vip"],
    )


def _facts(row: asyncpg.Record) -> dict[str, Any]:
    as_stored = ("stage", "tier", "posture", "turnover_minor", "value_minor", "spend_minor", "purchase_days")
    bands = {"satisfaction": row["satisfaction_band"], "loyalty": row["loyalty_band"]}
    return {field: row[field] for field in as_stored} | bands


_STANDS = """party_id, stage, tier, since, value_minor, purchase_days, last_day, vip, posture, turnover_minor,
    spend_minor, satisfaction_band, loyalty_band"""

_NAMED = f"""
SELECT {_STANDS} FROM party
WHERE party_id IN (SELECT resolves_to FROM party WHERE party_id = ANY($1)) ORDER BY value_minor DESC, party_id DESC
"""

_FACTS = """
SELECT identity_id, kind, occurred_at, amount_minor, detail, channel, competitor
FROM fact
WHERE identity_id = ANY($1) AND kind = ANY($2) AND occurred_at < $3
  AND NOT EXISTS (
      SELECT FROM withdrawal
      WHERE withdrawal.fact_id = fact.fact_id AND withdrawal.identity_id = fact.identity_id
  )
ORDER BY occurred_at, fact_id
"""

# Who was assessed behind the last day of an override has it no more.
_OVERRIDDEN = """
SELECT DISTINCT party_id FROM (
    SELECT coalesce(holder.party_id, override.identity_id) AS party_id, until_day
    FROM override LEFT JOIN holder USING (identity_id) WHERE ends IS NULL
) AS overridden JOIN party USING (party_id)
WHERE (until_day IS NULL OR until_day >= (assessed_at AT TIME ZONE 'UTC')::date - 1)
"""

# The reason stands in the statement itself, as the index holds it: a parameter would not fit the index.
_TOLD_OF_COMPETITORS = f"""
SELECT DISTINCT coalesce(holder.party_id, told.identity_id) AS party_id
FROM (
    SELECT identity_id FROM fact WHERE detail = '{COMPETITOR}'
    UNION ALL
    SELECT identity_id FROM override WHERE field = '{Field.LOSS_REASON}' AND value = '{COMPETITOR}'
) AS told LEFT JOIN holder USING (identity_id)
"""

_AT_RISK = {
    by: f"""
    SELECT {segment} AS segment, count(*) AS count, sum(value_minor)::bigint AS value_minor FROM party
    WHERE next_stage = ANY($1) AND next_stage_at <= $2 GROUP BY 1
    """
    for by, segment in SEGMENT.items()
}
