"""The parts of the leads service."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Never

from fastapi import APIRouter, FastAPI
from pydantic import Field

from chassis import assignments, consumer
from chassis.app import create_app
from chassis.bus import connect_bus
from chassis.clock import now
from chassis.db import Database, connect
from chassis.installation import IdentifyingSettings, check_key
from chassis.publisher import publish_log
from contracts.topics import PARTIES
from services.leads.handlers.grading import carry_out_gradings
from services.leads.queries.rubrics import open_rubrics
from services.leads.routes import internal, leads, rubrics

router = APIRouter()
for room in (rubrics.router, leads.router, internal.router):
    router.include_router(room)

TOPICS = (PARTIES.name,)
"""What it learns from: whose identity is whose."""


class Settings(IdentifyingSettings, env_prefix="LEADS_"):
    """The leads service: its database, and whose events it reads."""

    source_urls: Mapping[str, str] = Field(default_factory=dict)
    """Database of each service whose log is read, as JSON, with a role that may only read it."""


def app() -> FastAPI:
    """The API."""
    settings = Settings()
    made = create_app("leads", router=router, settings=settings, lifespan=opened)
    made.state.installation = settings.installation()
    return made


@asynccontextmanager
async def opened(app: FastAPI) -> AsyncIterator[None]:
    """Start only with the identity key under which the database was filled, and with a rubric."""
    await _open(app.state.database)
    async with app.state.database.transaction() as session:
        await check_key(session, app.state.installation)
    yield


async def worker() -> Never:
    """Learn whose identity is whose, and grade by what was activated; any number of these processes may run."""
    settings = Settings()
    database = connect(settings.database_url, pool_size=4, settings=consumer.SESSION_SETTINGS)
    transport = connect_bus(settings.bus_url, database, settings.source_urls)
    try:
        await _open(database)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(
                consumer.run("leads", database, transport, TOPICS, assignments.learn, settings.source_urls)
            )
            tasks.create_task(carry_out_gradings(database))
    finally:
        await database.close()
    raise AssertionError("unreachable")


async def publisher() -> Never:
    """Hand the log to Kafka, one process at a time."""
    await publish_log(Settings(), "leads")


async def _open(database: Database) -> None:
    async with database.transaction() as session:
        await open_rubrics(session, now())
