"""Lists of standings as they are stored: filtered, ordered and read page by page."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from chassis.conditions import Conditions
from contracts.leads import Grade
from contracts.loss import LossReason
from contracts.scoring import Band, Posture, Stage, Tier
from services.scoring.domain.moment import Care
from services.scoring.models.standings import Order
from services.scoring.queries.reach import keep_to
from services.scoring.queries.reading import EVERYBODY
from services.scoring.queries.rulings import Connection
from services.scoring.queries.standings import FALLEN, STORED, STORED_FROM

SEEN = "greatest(last_day, last_sign_day)"
"""The last day with a purchase or a sign of interest."""


class Filter(NamedTuple):
    """Which standings are listed; None takes all."""

    stages: Sequence[Stage] | None = None
    tier: Tier | None = None
    min_value_minor: int | None = None
    max_value_minor: int | None = None
    loss_reason: LossReason | None = None
    owner_id: UUID | None = None
    team_id: UUID | None = None
    owned: bool | None = None
    """Whether an owner or a team looks after them."""
    vip: bool | None = None
    treatment: str | None = None
    flag: str | None = None
    """One that they have among others."""
    satisfaction_band: Band | None = None
    loyalty_band: Band | None = None
    posture: Posture | None = None
    level: str | None = None
    potential: Grade | None = None
    min_p: float | None = None
    max_p: float | None = None
    seen_since: date | None = None
    """Who bought or showed interest on this day or later."""
    seen_until: date | None = None
    """Whose last purchase or sign of interest lies on this day or earlier."""
    contact_since: date | None = None
    """With whom anything passed on this day or later, whoever began."""
    contact_until: date | None = None
    """With whom anything passed last on this day or earlier."""
    in_stage_since: date | None = None
    """Who came to the stage on this day or later."""
    in_stage_until: date | None = None
    falls_until: datetime | None = None
    """Whose stage falls up to this instant if nothing happens."""
    changes_until: datetime | None = None
    """What will be graded otherwise up to this instant if nothing happens."""
    care: Care | None = None
    """Those of an owner or a team, which is all that the caller reaches."""
    party_ids: Sequence[UUID] | None = None


async def standings(
    connection: Connection, wanted: Filter, order: Order, *, after: Sequence[object] | None, limit: int
) -> list[asyncpg.Record]:
    """Stored standings in an order, behind a place in it (the values of `keyset`)."""
    # Each once: some lists look into each stage by itself.
    stages, tiers = sorted(set(wanted.stages or Stage)), [wanted.tier] if wanted.tier else list(Tier)
    conditions = Conditions(*_cells(stages, tiers, order, after)) if order in RANKED else Conditions(stages, tiers)
    _narrow(conditions, wanted)
    if after is not None and order not in RANKED:
        conditions.add(_behind(order), *after)
    query = _list(wanted, order).format(conditions=conditions, limit=int(limit))
    return await connection.fetch(query, *conditions.arguments)


def _narrow(conditions: Conditions, wanted: Filter) -> None:
    """Ask for what is wanted besides stages and tiers."""
    conditions.equal(
        loss_reason=wanted.loss_reason, owner_id=wanted.owner_id, team_id=wanted.team_id, treatment=wanted.treatment,
        posture=wanted.posture, level=wanted.level,
    )  # fmt: skip
    if wanted.owned is not None:
        conditions.add(f"coalesce(owner_id, team_id) IS {'NOT ' if wanted.owned else ''}NULL")
    # Written out, so that a plan knows when an index of these parties alone is of use.
    if wanted.vip is not None:
        conditions.add("vip" if wanted.vip else "NOT vip")
    if wanted.potential:
        conditions.add(f"potential = '{wanted.potential}'")
    if wanted.satisfaction_band:
        conditions.add(f"satisfaction_band = '{wanted.satisfaction_band}'")
    if wanted.loyalty_band:
        conditions.add(f"loyalty_band = '{wanted.loyalty_band}'")
    conditions.add("{} = ANY(flags)", wanted.flag)
    conditions.add("value_minor >= {}", wanted.min_value_minor)
    conditions.add("value_minor <= {}", wanted.max_value_minor)
    conditions.add("p >= {}", wanted.min_p)
    conditions.add("p <= {}", wanted.max_p)
    conditions.add(f"{SEEN} >= {{}}", wanted.seen_since)
    conditions.add(f"{SEEN} <= {{}}", wanted.seen_until)
    conditions.add("last_contact_day >= {}", wanted.contact_since)
    conditions.add("last_contact_day <= {}", wanted.contact_until)
    conditions.add("since >= {}", wanted.in_stage_since)
    conditions.add("since <= {}", wanted.in_stage_until)
    conditions.add("next_change_at <= {}", wanted.changes_until)
    if wanted.falls_until is not None:
        conditions.add("next_stage = ANY({}) AND next_stage_at <= {}", FALLEN, wanted.falls_until)
    conditions.add("party_id = ANY({})", wanted.party_ids)
    keep_to(wanted.care, conditions)


def _list(wanted: Filter, order: Order) -> str:
    """The list whose index has the fewest to look at."""
    few, broad = wanted.care is not None or wanted.party_ids is not None, not (wanted.stages and wanted.tier)
    if broad:
        # Of one potential are few among all, and many among those of a stage and tier.
        few = (
            few
            or bool(wanted.vip or (wanted.potential and order in BY_VALUE))
            or Band.LOW in (wanted.satisfaction_band, wanted.loyalty_band)
        )
    if order in RANKED:
        return _BY_RANK_OF_FEW if few else _BY_RANK
    if order not in BY_VALUE:
        return _BY_COLUMN.format(by=_BY[order][0], ordered=_ordered(order))
    if wanted.treatment and broad and not few:
        return _BY_VALUE_TREATED.format(ordered=_ordered(order))
    return (_BY_VALUE_OF_FEW if few else _BY_VALUE).format(ordered=_ordered(order))


def keyset(row: asyncpg.Record, order: Order) -> list[object]:
    """The place of a standing in an order."""
    party_id: UUID = row["party_id"]
    if order in RANKED:
        return [row[RANKED[order].column], row["value_minor"], party_id]
    match order:
        case Order.PARTY:
            return [party_id]
        case Order.LAST_SEEN | Order.SILENT:
            return [max(day for day in (row["last_day"], row["last_sign_day"]) if day), party_id]
    return [row[_BY[order][0]], party_id]


class Ranks(NamedTuple):
    """An order by the places that codes have, and among those of one code by value, the highest first."""

    column: str
    codes: Sequence[Stage] | Sequence[Tier]


RANKED: Mapping[Order, Ranks] = {
    Order.TIER: Ranks("tier", list(Tier)),
    Order.LOWEST_TIER: Ranks("tier", list(Tier)[::-1]),
    Order.STAGE: Ranks("stage", list(Stage)),
    Order.LAST_STAGE: Ranks("stage", list(Stage)[::-1]),
}
MOST_MINOR = 2**63 - 1
"""No value is higher."""


def _cells(
    stages: Sequence[Stage], tiers: Sequence[Tier], order: Order, after: Sequence[object] | None
) -> tuple[list[object], ...]:
    """Columns of the cells that are left behind a place: stage, tier, rank, and below what the list goes on in each."""
    by_stage, codes = RANKED[order].column == "stage", RANKED[order].codes
    ranks = {str(code): rank for rank, code in enumerate(codes)}
    reached, *place = after or (codes[0],)
    first = ranks[str(reached)]
    cells = [
        (stage, tier, rank, *(place if place and rank == first else (MOST_MINOR, EVERYBODY)))
        for stage in stages
        for tier in tiers
        if (rank := ranks[stage if by_stage else tier]) >= first
    ]
    return tuple(map(list, zip(*cells, strict=True))) if cells else ([],) * 5


BY_VALUE = frozenset({Order.VALUE, Order.LOWEST_VALUE})

_BY: Mapping[Order, tuple[str, bool]] = {
    Order.VALUE: ("value_minor", True),
    Order.LOWEST_VALUE: ("value_minor", False),
    Order.NEXT_CHANGE_AT: ("next_change_at", False),
    Order.LAST_SEEN: (SEEN, True),
    Order.SILENT: (SEEN, False),
    Order.LAST_CONTACT: ("last_contact_day", True),
    Order.UNTOUCHED: ("last_contact_day", False),
    Order.PARTY: ("party_id", False),
}
"""By what, and whether the highest comes first."""


def _ordered(order: Order) -> str:
    by, falling = _BY[order]
    way = " DESC" if falling else ""
    return "party_id" if order is Order.PARTY else f"{by}{way}, party_id{way}"


def _behind(order: Order) -> str:
    """What lies behind a place."""
    by, falling = _BY[order]
    return "party_id > {}" if order is Order.PARTY else f"({by}, party_id) {'<' if falling else '>'} ({{}}, {{}})"


_SHOWN = f"SELECT {STORED} FROM {STORED_FROM}"

# The highest of each stage and tier lie side by side in the index, so that no list is ever sorted as a whole. Each cell
# gives a page, of which few are shown: what the index has is read of all, and whole rows of those alone.
_BY_VALUE = f"""
WITH highest AS (
    SELECT of_cell.*
    FROM unnest($1::text[]) AS at_stage CROSS JOIN unnest($2::text[]) AS at_tier CROSS JOIN LATERAL (
        SELECT party_id, value_minor FROM party WHERE stage = at_stage AND tier = at_tier{{{{conditions}}}}
        ORDER BY {{ordered}} LIMIT {{{{limit}}}}
    ) AS of_cell
    ORDER BY {{ordered}} LIMIT {{{{limit}}}}
)
{_SHOWN} WHERE party_id IN (SELECT party_id FROM highest) ORDER BY {{ordered}}
"""

# Likewise those of one treatment in each tier.
_BY_VALUE_TREATED = f"""
WITH highest AS (
    SELECT of_tier.*
    FROM unnest($2::text[]) AS at_tier CROSS JOIN LATERAL (
        SELECT party_id, value_minor FROM party
        WHERE tier = at_tier AND stage IS NOT NULL AND stage = ANY($1){{{{conditions}}}}
        ORDER BY {{ordered}} LIMIT {{{{limit}}}}
    ) AS of_tier
    ORDER BY {{ordered}} LIMIT {{{{limit}}}}
)
{_SHOWN} WHERE party_id IN (SELECT party_id FROM highest) ORDER BY {{ordered}}
"""

# Those whom an index of their own has by value: looked for in each cell, few would be found late.
_BY_VALUE_OF_FEW = f"""
{_SHOWN} WHERE stage = ANY($1) AND tier = ANY($2){{{{conditions}}}} ORDER BY {{ordered}} LIMIT {{{{limit}}}}
"""

_BY_COLUMN = f"""
{_SHOWN} WHERE {{by}} IS NOT NULL AND stage IS NOT NULL AND stage = ANY($1) AND tier = ANY($2){{{{conditions}}}}
ORDER BY {{ordered}} LIMIT {{{{limit}}}}
"""

_CELLS = """unnest($1::text[], $2::text[], $3::int[], $4::bigint[], $5::uuid[])
    AS cell (at_stage, at_tier, rank, most, last)"""

_BY_RANK = f"""
WITH highest AS (
    SELECT of_cell.party_id AS highest_id, rank
    FROM {_CELLS} CROSS JOIN LATERAL (
        SELECT party_id, value_minor FROM party
        WHERE stage = at_stage AND tier = at_tier AND (value_minor, party_id) < (most, last){{conditions}}
        ORDER BY value_minor DESC, party_id DESC LIMIT {{limit}}
    ) AS of_cell
    ORDER BY rank, value_minor DESC, party_id DESC LIMIT {{limit}}
)
{_SHOWN} JOIN highest ON highest_id = party_id ORDER BY rank, value_minor DESC, party_id DESC
"""

_BY_RANK_OF_FEW = f"""
{_SHOWN} JOIN {_CELLS} ON stage = at_stage AND tier = at_tier AND (value_minor, party_id) < (most, last)
WHERE true{{conditions}} ORDER BY rank, value_minor DESC, party_id DESC LIMIT {{limit}}
"""
