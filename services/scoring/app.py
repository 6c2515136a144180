"""The parts of the scoring service."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from math import nan
from typing import Never

import structlog
from fastapi import FastAPI
from prometheus_client import Gauge
from pydantic import Field

from chassis import consumer, pressure
from chassis.app import create_app
from chassis.clock import now
from chassis.db import Database, connect, declare_topics, driver
from chassis.publisher import publish_log
from chassis.settings import ServiceSettings
from chassis.worker import work
from contracts.topics import INTERACTIONS, LEADS, MEMBERS, PARTIES, PURCHASES, topics_of
from services.scoring.domain.fitting import MARGIN
from services.scoring.handlers.batches import apply
from services.scoring.handlers.fitting import Activating, carry_out_fits, keep_asking
from services.scoring.handlers.rebuilding import carry_out_rebuilds
from services.scoring.handlers.retelling import tell_again
from services.scoring.handlers.sweeping import sweep
from services.scoring.handlers.trying import carry_out_trials
from services.scoring.handlers.verifying import keep_verifying
from services.scoring.queries.activations import refusals
from services.scoring.queries.proof import verified
from services.scoring.queries.recording import deciding_instant
from services.scoring.queries.rulings import decided_for_good, open_installation
from services.scoring.queries.trials import forget_moves
from services.scoring.queries.watermark import wait_for, watermark
from services.scoring.routes import router

log = structlog.get_logger()

HEARD = (PARTIES, PURCHASES, INTERACTIONS, LEADS, MEMBERS)
"""What it learns from."""
TOPICS = tuple(topic.name for topic in HEARD)

VERIFIED = Gauge("shuke_verified_parties", "Parties that were compared with what their facts give, again and again.")
DISAGREEMENTS = Gauge("shuke_verify_disagreements", "Stored fields that were found not to be what the facts give.")
REFUSED = Gauge("shuke_refused_activations", "Planned activations that could not take place when their instant came.")
WATERMARK_AGE = Gauge("shuke_watermark_age_seconds", "How long ago every event was read; time passes no further.")


FREE_TEXT = ("why", "end_reason")
"""Members of answers that hold any text."""


class Settings(ServiceSettings, env_prefix="SCORING_"):
    """The scoring service: its database, and whose events it reads."""

    source_urls: Mapping[str, str] = Field(default_factory=dict)
    """Database of each service whose log is read, as JSON, with a role that may only read it: time waits for all."""
    currency: str | None = Field(None, pattern=r"^[A-Z]{3}$", validation_alias="SHUKE_CURRENCY")
    """Reporting currency; where it is not set, that of the first import, and before one of the first money."""
    silence_s: float = Field(600, gt=0)
    """Seconds without an answer to a statement after which a connection to the database is given up. Reports take
    longer than what others ask."""
    verify_every_s: float = Field(60, ge=0)
    """Seconds between two looks of the sweeper at a few parties, whether they stand as their facts say; 0 is never."""
    model_every_days: float = Field(7, ge=0, le=3_650)
    """Days between two fits of a model by the sweeper; 0 is never. Where too few bought again it tries each day."""
    model_activate: Activating = Activating.BY_HAND
    """Who has such a model decide: `by_hand`, or `by_rule` at once, unless it was not judged or is worse."""
    model_margin: float = Field(MARGIN, ge=0, le=1)
    """By so much a model may be worse than the active one, by AUC or Brier score, and be activated without force."""
    trial_moves_retention_days: int = Field(90, ge=1, le=36_500)
    """Days after the end of a trial for which the moves that it kept can be read; its result stays."""


def app() -> FastAPI:
    """The API."""
    settings = Settings()
    forget = partial(forget_moves, days=settings.trial_moves_retention_days)
    return create_app(
        "scoring",
        router=router,
        free_text=FREE_TEXT,
        settings=settings,
        lifespan=opened,
        ready=what_to_heed,
        hears=HEARD,
        handler=apply,
        source_urls=settings.source_urls,
        forgets=(forget,),
    )


@asynccontextmanager
async def opened(app: FastAPI) -> AsyncIterator[None]:
    """Start only with the reporting currency that was set."""
    await _open(app.state.database, app.state.settings)
    yield


async def what_to_heed(app: FastAPI) -> Mapping[str, int]:
    """What the standing check of the sweeper has found so far, and which planned activations were refused.

    For Prometheus also how far time has passed, which no sweeper tells that has ended or is busy with a long pass.
    """
    async with app.state.database.transaction() as session:
        connection = await driver(session)
        so_far, refused = await verified(connection), await refusals(connection)
        until = await watermark(connection)
    VERIFIED.set(so_far.parties)
    DISAGREEMENTS.set(so_far.disagreements)
    REFUSED.set(refused)
    # As old as it is when it is told: while the database is away nobody comes here again.
    WATERMARK_AGE.set_function(partial(_age_s, until))
    return {
        "verified_parties": so_far.parties,
        "verify_disagreements": so_far.disagreements,
        "refused_activations": refused,
    }


def _age_s(until: datetime | None) -> float:
    return (now() - until).total_seconds() if until else nan


async def worker() -> Never:
    """Turn events into standings; any number of these processes share the partitions."""
    settings = Settings()
    database = connect(settings.database_url, pool_size=1)
    try:
        await _open(database, settings)
    finally:
        await database.close()
    await work("scoring", settings, settings.source_urls, HEARD, apply, announces=True, lookups=True)


async def sweeper() -> Never:
    """Move standings as time passes and under new rulings, rebuild, verify, try policies and fit models.

    Any number of these processes may run.
    """
    settings = Settings()
    database = connect(settings.database_url, pool_size=4, settings=consumer.SESSION_SETTINGS, silence_s=60)
    # Trials and fits read one state of the database for longer than a transaction may take that others wait for.
    patient = connect(settings.database_url, pool_size=5)
    try:
        await _open(database, settings)
        async with database.transaction() as session:
            await wait_for(await driver(session), settings.source_urls, now())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(pressure.watch(database, service="scoring", settings=settings))
            tasks.create_task(sweep(database, settings.source_urls, TOPICS))
            tasks.create_task(carry_out_rebuilds(database))
            tasks.create_task(carry_out_trials(patient))
            tasks.create_task(carry_out_fits(patient, settings.model_margin))
            if settings.model_every_days:
                every = timedelta(days=settings.model_every_days)
                tasks.create_task(keep_asking(patient, every, settings.model_activate))
            if settings.verify_every_s:
                tasks.create_task(keep_verifying(database, settings.verify_every_s))
    finally:
        await database.close()
        await patient.close()
    raise AssertionError("unreachable")


async def publisher() -> Never:
    """Hand the log to Kafka, one process at a time."""
    await publish_log(Settings(), "scoring")


async def decided(database_url: str) -> tuple[str | None, str | None]:
    """The time zone that the calendars are kept in and the reporting currency that stays; None where still open."""
    database = connect(database_url, pool_size=1)
    try:
        async with database.transaction() as session:
            return await decided_for_good(await driver(session))
    finally:
        await database.close()


async def tell_standings_again(database_url: str, epoch: int) -> int:
    """Tell how every party stands, in a database that was just restored into an epoch; return of how many."""
    database = connect(database_url, pool_size=1)
    try:
        return await tell_again(database, epoch)
    finally:
        await database.close()


async def _open(database: Database, settings: Settings) -> None:
    await declare_topics(database, topics_of("scoring"))
    async with database.transaction() as session:
        connection = await driver(session)
        at = await deciding_instant(connection, now())
        kept = await open_installation(connection, settings.time_zone, settings.currency, at)
    if kept != settings.time_zone:
        log.warning("days are counted in another time zone than set", set=settings.time_zone, kept=kept)
