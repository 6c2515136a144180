"""A population whose purchases come about as the published models say, written as scoring keeps it."""

import asyncio
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from datetime import UTC, date, datetime
from multiprocessing import get_context
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import numpy as np
from numpy.typing import NDArray

from bench.product import CURRENCY
from services.scoring.domain.calendar import Calendar, pack
from services.scoring.domain.days import start_of_day
from services.scoring.domain.facts import Kind
from services.scoring.domain.model import Model
from services.scoring.domain.money import Rates
from services.scoring.domain.policy import Policy
from services.scoring.domain.presets import DEFAULT_1, RETENTION_FIRST
from services.scoring.domain.ruling import Ruling
from services.scoring.domain.tiers import Cuts
from services.scoring.domain.together import assess_together
from services.scoring.queries.rulings import BARRIER, new_ruling

WEEKS = 780
"""Weeks in which the population came in, at an even rate."""
SEED = 20_050_401
PAGE = 5_000
AHEAD = 6
"""Pages that may be in the making: of a large population all of them would not fit into memory."""
UTC_ZONE = ZoneInfo("UTC")
MODEL = Model(
    as_of=date(2026, 1, 1), parties=2_357, repeaters=1_411, currency=CURRENCY,
    r=0.243, alpha=4.414, a=0.793, b=2.426, log_likelihood=-9_582.4,
    p=6.25, q=3.74, v=1_544.0, mean_minor=3_522.0, cuts=Cuts(top=20_000, high=7_500, mid=1_500),
)  # fmt: skip
"""CDNOW as published, purchases by Fader, Hardie, Lee (2005), amounts by Fader, Hardie (2013), here in cents."""
ANOTHER = MODEL.model_copy(update={"r": 0.26, "b": 2.6, "cuts": Cuts(top=22_000, high=8_000, mid=1_600)})
"""As a later fit may give it."""
BEFORE, AFTER = (DEFAULT_1, MODEL), (RETENTION_FIRST, ANOTHER)


class Purchases(NamedTuple):
    """In the order of parties and days; every party has at least one."""

    party: NDArray[np.int64]
    day: NDArray[np.int64]
    """Ordinals."""
    amount_minor: NDArray[np.int64]


def simulated(parties: int, until: date) -> Purchases:
    """Purchases up to a day, about five a party.

    Everybody buys as a Poisson process of a rate of their own and leaves after a purchase with a probability of their
    own; a first purchase is theirs when they come. Amounts are Gamma-distributed about a mean of their own.
    """
    shape, q, v = MODEL.p, MODEL.q, MODEL.v
    assert shape is not None
    assert q is not None
    assert v is not None
    chance, last = np.random.default_rng(SEED), until.toordinal()
    rate = np.maximum(chance.gamma(MODEL.r, 1 / (7 * MODEL.alpha), parties), 1e-12)
    leaves = chance.beta(MODEL.a, MODEL.b, parties)
    spread = 1 / chance.gamma(q, 1 / v, parties)
    day = last - chance.uniform(0, 7 * WEEKS, parties)
    whose, found = np.arange(parties), []
    while len(whose):
        paid = np.maximum(1, np.rint(chance.gamma(shape, spread[whose]))).astype(np.int64)
        found.append((whose, np.ceil(day).astype(np.int64), paid))
        day = day + chance.exponential(1 / rate[whose])
        stays = (day <= last - 1) & ((len(found) == 1) | (chance.random(len(whose)) >= leaves[whose]))
        whose, day = whose[stays], day[stays]
    party, days, paid = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.lexsort((days, party))
    return Purchases(party[order], days[order], paid[order])


def identity(number: int) -> UUID:
    """The identity, and with it the party, of a number."""
    return UUID(int=(number + 1) << 96 | 7 << 76 | 2 << 62)


async def load(url: str, parties: int, on: date, *, due: bool) -> int:
    """Write a population into an empty scoring database as it stands when a day begins; return how many purchases.

    As if every purchase had been told by an event. Unless they are to be due, what is due by now is kept apart in the
    table `would_be_due` until it is asked for.
    """
    connection = await asyncpg.connect(url)
    try:
        ruling_id = await activated(connection, *BEFORE, at=datetime.now(UTC))
        await connection.execute("UPDATE ruling SET applied_at = active_from, currency = $1", CURRENCY)
        await connection.execute("UPDATE installation SET refreshed_at = now()")
        await connection.execute("CREATE TABLE would_be_due (party_id uuid PRIMARY KEY, at timestamptz NOT NULL)")
        purchases = simulated(parties, date.fromordinal(on.toordinal() - 1))
        with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
            _in_turn(pool, (Page(url, parties, on, ruling_id, due) for parties in _pages(purchases)))
        await connection.execute(_CELLS)
        await connection.execute("VACUUM ANALYZE")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()
    return len(purchases.day)


async def load_ids(url: str, parties: int) -> None:
    """Write into an empty database of customers that each party of the population has one external id."""
    connection = await asyncpg.connect(url)
    try:
        at = datetime.now(UTC)
        async with connection.transaction():
            for first in range(0, parties, PAGE):
                numbers = range(first, min(first + PAGE, parties))
                ids = [(identity(number), f"C-{number:07}") for number in numbers]
                for table, columns, rows in (
                    ("party", ("id", "resolves_to", "created_at"), [(id, id, at) for id, _ in ids]),
                    (
                        "identity",
                        ("id", "scheme", "system", "value", "created_at"),
                        [(id, "external", "shop", value, at) for id, value in ids],
                    ),
                    ("holding", ("identity_id", "nth", "party_id", "assigned_at"), [(id, 1, id, at) for id, _ in ids]),
                ):
                    await connection.copy_records_to_table(table, records=rows, columns=columns)
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


async def activated(
    connection: "asyncpg.Connection[asyncpg.Record]", policy: Policy, model: Model, *, at: datetime
) -> int:
    """Another policy and another model decide from now on, in one ruling; return its id."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", BARRIER)
        await connection.execute("UPDATE policy SET state = 'retired' WHERE state = 'active'")
        await connection.execute(_POLICY, policy.content_hash, policy.model_dump_json(), at)
        await connection.execute(_MODEL, model.content_hash, model.model_dump_json(), model.as_of, at)
        return await new_ruling(connection, "policy", at, policy=policy.content_hash, model=model.content_hash)


def _in_turn(pool: ProcessPoolExecutor, pages: Iterable["Page"]) -> None:
    """Have each page written; no more of them at once than keeps the processes busy."""
    begun: deque[Future[None]] = deque()
    for page in pages:
        begun.append(pool.submit(_write, page))
        if len(begun) > AHEAD:
            begun.popleft().result()
    while begun:
        begun.popleft().result()


Told = list[tuple[int, int]]
"""Day and amount of the purchases of one party."""
Parties = tuple[tuple[int, Told], ...]
"""The number of each, and what it bought."""


def _pages(purchases: Purchases) -> Iterator[Parties]:
    ends = np.flatnonzero(np.diff(purchases.party, append=-1)) + 1
    begins = np.concatenate(([0], ends[:-1]))
    for first in range(0, len(ends), PAGE):
        page = slice(int(begins[first]), int(ends[min(first + PAGE, len(ends)) - 1]))
        told = list(zip(purchases.day[page].tolist(), purchases.amount_minor[page].tolist(), strict=True))
        places = zip(
            (begins[first : first + PAGE] - page.start).tolist(),
            (ends[first : first + PAGE] - page.start).tolist(),
            strict=True,
        )
        yield tuple((first + place, told[begin:end]) for place, (begin, end) in enumerate(places))


class Page(NamedTuple):
    """Parties that are written at once."""

    url: str
    parties: Parties
    on: date
    ruling_id: int
    due: bool


def _write(page: Page) -> None:
    asyncio.run(_copied(page, *_rows(page)))


async def _copied(page: Page, facts: "Rows", years: "Rows", stands: "Rows") -> None:
    connection = await asyncpg.connect(page.url)
    try:
        async with connection.transaction():
            await connection.copy_records_to_table("fact", records=facts, columns=FACT)
            await connection.copy_records_to_table("calendar", records=years, columns=CALENDAR)
            await connection.copy_records_to_table("party", records=stands, columns=PARTY)
            if not page.due:
                await connection.execute(_PUT_OFF, [stand[0] for stand in stands])
    finally:
        await connection.close()


Rows = list[tuple[Any, ...]]


def _rows(page: Page) -> tuple[Rows, Rows, Rows]:
    """Facts, years of calendars, and standings."""
    facts: Rows = []
    years: Rows = []
    at, (policy, model), kind = start_of_day(page.on.toordinal(), UTC_ZONE), BEFORE, int(Kind.PURCHASE)
    assert model.cuts
    calendars = []
    for number, told in page.parties:
        whose = identity(number)
        for place, (day, paid) in enumerate(told):
            then = start_of_day(day, UTC_ZONE)
            fact_id = UUID(int=whose.int | place + 1)
            facts.append((fact_id, whose, kind, then, then, paid, CURRENCY, "customers.purchases.v1", 0, 1, number))
        calendar = Calendar.of((day, kind, CURRENCY, 1, paid) for day, paid in told)
        years += [(whose, year, days) for year, days in pack(calendar).items()]
        calendars.append((calendar, at))
    decided = assess_together(calendars, Ruling(policy, model.cuts, Rates(CURRENCY), UTC_ZONE, model))
    fields = attrgetter(*DECIDED)
    stands = [
        (whose, whose, 1, whose, at, page.ruling_id, *fields(standing))
        for whose, standing in zip((identity(number) for number, _ in page.parties), decided, strict=True)
    ]
    return facts, years, stands


FACT = (
    "fact_id", "identity_id", "kind", "occurred_at", "recorded_at", "amount_minor", "detail", "topic", "partition",
    "epoch", "seq",
)  # fmt: skip
CALENDAR = ("identity_id", "year", "days")
DECIDED = (
    "stage", "tier", "since", "value_minor", "spend_minor", "purchase_days", "first_day", "last_day", "last_sign_day",
    "last_contact_day", "loss_reason", "next_change_at", "next_stage_at", "next_stage", "p", "turnover_minor", "level",
    "satisfaction", "satisfaction_band", "loyalty", "loyalty_band", "posture", "treatment", "flags", "vip",
)  # fmt: skip
"""Columns of a party that are fields of its standing."""
PARTY = ("party_id", "resolves_to", "revision", "first_identity", "assessed_at", "ruling", *DECIDED)

_PUT_OFF = """
WITH due AS (
    UPDATE party SET next_change_at = NULL WHERE party_id = ANY($1) AND next_change_at <= now()
    RETURNING old.party_id, old.next_change_at
)
INSERT INTO would_be_due SELECT * FROM due
"""
_CELLS = """
INSERT INTO cell_change
SELECT stage, tier, count(*), sum(value_minor) FROM party WHERE stage IS NOT NULL GROUP BY stage, tier
"""
_POLICY = """
INSERT INTO policy (hash, document, state, created_at) VALUES ($1, $2::text::jsonb, 'active', $3)
ON CONFLICT (hash) DO UPDATE SET state = 'active'
"""
_MODEL = """
INSERT INTO model (hash, document, as_of, fitted_at) VALUES ($1, $2::text::jsonb, $3, $4) ON CONFLICT DO NOTHING
"""
