"""Reports that read every party: 20 to 40 s for a hundred thousand, which is why each looks at a bounded range."""

import asyncio
from bisect import bisect_right
from collections.abc import Collection
from datetime import date, datetime
from uuid import UUID

import msgspec

from chassis.conditions import Conditions
from contracts.scoring import Stage
from services.scoring.domain.facts import Kind
from services.scoring.domain.moment import Care
from services.scoring.domain.reports.association import Association, Pairs, without_purchases
from services.scoring.domain.reports.doings import days_with, gross, purchase_days, signs
from services.scoring.domain.reports.flows import Flow, Flows
from services.scoring.domain.reports.losses import Losses
from services.scoring.domain.reports.purchases import KindsByMonth, SecondPurchases
from services.scoring.domain.reports.weeks import Weeks
from services.scoring.domain.reports.winback import WinBack
from services.scoring.domain.trajectory import Move, named
from services.scoring.queries.parties import NOBODY
from services.scoring.queries.reach import keep_to
from services.scoring.queries.reports.seeing import everybody, survivors, those
from services.scoring.queries.rulings import Connection, present

SAMPLE = 20_000
"""Parties that a report looks at which need not see all, drawn by a hash of their id: more would make it no surer."""
LOOKED_AT = 10_000
"""Parties that one page of the moves of a flow is looked for among."""
LAST_NAME = UUID(int=2**128 - 1)
"""Behind every move of a party."""


async def sales_weeks(connection: Connection, monday: int, count: int, as_of: date, now: datetime) -> Weeks:
    """So many weeks from a Monday on."""
    weeks = Weeks(monday, count, (await present(connection)).ruling.policy.desire, as_of.toordinal())
    async for seen in everybody(connection, as_of, now):
        shown = signs(seen.calendar, seen.history.stages.prospects.sign_numbers)
        weeks.take(seen.turns(monday), shown, purchase_days(seen.calendar))
    return weeks


async def kinds_by_month(connection: Connection, kinds: KindsByMonth, as_of: date, now: datetime) -> KindsByMonth:
    """What kinds purchase days were."""
    async for seen in everybody(connection, as_of, now):
        days = purchase_days(seen.calendar)
        if days:
            kinds.take(days, gross(seen.history), days_with(seen.calendar, Kind.WAS_REFERRED))
    return kinds


async def second_purchases(
    connection: Connection, second: SecondPurchases, as_of: date, now: datetime
) -> SecondPurchases:
    """Who bought again."""
    async for seen in everybody(connection, as_of, now):
        second.take(purchase_days(seen.calendar))
    return second


async def losses_by_month(connection: Connection, losses: Losses, as_of: date, now: datetime) -> Losses:
    """Who was lost, and why."""
    async for seen in everybody(connection, as_of, now):
        losses.take(seen.moves(losses.since.toordinal()))
    return losses


async def flows(connection: Connection, found: Flows, care: Care | None, now: datetime) -> tuple[Flows, int, int]:
    """From where to where parties moved; how many were drawn, at most `SAMPLE`, and of how many."""
    conditions = Conditions()
    keep_to(care, conditions)
    parties: int = await connection.fetchval(f"SELECT count(*) {_KNOWN}{conditions}", *conditions.arguments)
    first = found.since.toordinal()
    if care is not None or parties > SAMPLE:
        drawn = await _known(connection, conditions, "md5(party_id::text), party_id", SAMPLE)
        looked_at = those(connection, drawn, found.until, now)
    else:
        looked_at = everybody(connection, found.until, now)
    async for seen in looked_at:
        found.take(seen.history.stage(first - 1), seen.moves(first))
    return found, min(parties, SAMPLE), parties


async def moves_of_flow(
    connection: Connection, flow: Flow, care: Care | None, after: tuple[UUID, UUID] | None, limit: int, now: datetime
) -> tuple[list[tuple[UUID, UUID, Move]], tuple[UUID, UUID] | None]:
    """Up to so many moves of a flow as (party, name of the move, move), behind one, and where to go on, if any is left.

    They are looked for among so many parties only, and may be fewer though there are more.
    """
    moved: list[tuple[UUID, UUID, Move]] = []
    looked, place = 0, after or (NOBODY, LAST_NAME)
    # The last party may have more moves: it is looked at again.
    before = UUID(int=max(place[0].int - 1, 0)) if after and after[1] != LAST_NAME else place[0]
    first = flow.since.toordinal()
    if care is None:
        looked_at = everybody(connection, flow.until, now, after=before)
    else:
        conditions = Conditions()
        keep_to(care, conditions)
        conditions.add("party_id > {}", before)
        behind = await _known(connection, conditions, "party_id", LOOKED_AT + 1)
        looked_at = those(connection, behind, flow.until, now)
    async for seen in looked_at:
        if looked == LOOKED_AT:
            return moved, place
        for name, move in named(seen.party_id, seen.moves(first)):
            if (seen.party_id, name) > place and flow.has(move):
                if len(moved) == limit:
                    return moved, (moved[-1][0], moved[-1][1])
                moved.append((seen.party_id, name, move))
        looked, place = looked + 1, max(place, (seen.party_id, LAST_NAME))
    return moved, None


async def _known(connection: Connection, conditions: Conditions, order: str, limit: int) -> list[UUID]:
    query = f"SELECT party_id {_KNOWN}{conditions} ORDER BY {order} LIMIT {limit}"
    return [row["party_id"] for row in await connection.fetch(query, *conditions.arguments)]


async def win_back(
    connection: Connection, programme: WinBack, listed: Collection[UUID] | None, as_of: date, now: datetime
) -> tuple[WinBack, int]:
    """Who of those that stood lost came back, and how many of a list did not stand lost on that day."""
    on_list = None if listed is None else set((await survivors(connection, listed)).values())
    found = 0
    async for seen in everybody(connection, as_of, now):
        if seen.history.stage(programme.lost_on) is not Stage.LOST_CUSTOMER:
            continue
        is_on_list = None if on_list is None else seen.party_id in on_list
        found += bool(is_on_list)
        programme.take(
            purchase_days(seen.calendar),
            gross(seen.history),
            days_with(seen.calendar, Kind.REACHED),
            on_list=is_on_list,
        )
    return programme, 0 if on_list is None else len(on_list) - found


class Associated(msgspec.Struct, frozen=True):
    """Whether satisfaction goes with later purchases."""

    whole: Association
    """The index as it is."""
    without_purchases: Association
    """The index without what purchases themselves say of it: who bought often goes on buying, satisfied or not."""
    sampled: bool
    """Whether there are more customers than were looked at."""


async def satisfaction_and_sales(
    connection: Connection, starts: Collection[int], lag_days: int, as_of: date, now: datetime
) -> Associated:
    """The index at the end of each starting day (ordinals) against the purchase days of so many days after it.

    Customers alone, and at each start those alone of which there is evidence enough.
    """
    policy = (await present(connection)).ruling.policy
    whole, without = Pairs(policy.satisfaction), Pairs(without_purchases(policy.satisfaction))
    rows = await connection.fetch(_CUSTOMERS, SAMPLE + 1)
    async for seen in those(connection, [row["party_id"] for row in rows[:SAMPLE]], as_of, now):
        days = seen.history.purchase_days
        pieces = seen.history.pieces
        after = [
            (start, bisect_right(days, start + lag_days) - bisect_right(days, start))
            for start in starts
            if days and days[0] <= start
        ]
        whole.take(pieces, after)
        without.take(pieces, after)
    # Lots are drawn, for a second and more: who asks something else meanwhile does not wait.
    return Associated(
        await asyncio.to_thread(whole.association), await asyncio.to_thread(without.association), len(rows) > SAMPLE
    )


_CUSTOMERS = """
SELECT party_id FROM party WHERE purchase_days > 0 AND resolves_to = party_id
ORDER BY md5(party_id::text), party_id LIMIT $1
"""

_KNOWN = "FROM party WHERE resolves_to = party_id AND first_identity IS NOT NULL"
