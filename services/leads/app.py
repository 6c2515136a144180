"""The parts of the leads service."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Never

from fastapi import APIRouter, FastAPI
from pydantic import Field

from chassis import assignments
from chassis.app import create_app
from chassis.clock import now
from chassis.db import Database, connect
from chassis.imports import importer as importing
from chassis.imports import routes as imports
from chassis.imports.settings import ImportingSettings
from chassis.installation import checked
from chassis.publisher import publish_log
from chassis.worker import work
from contracts.topics import PARTIES
from services.leads.handlers.grading import carry_out_gradings
from services.leads.handlers.imports.kinds import KINDS
from services.leads.queries.rubrics import open_rubrics
from services.leads.routes import internal, leads, rubrics

router = APIRouter()
for room in (
    rubrics.router,
    leads.commands,
    leads.router,
    imports.router,
    imports.streams,
    internal.router,
    internal.reports,
):
    router.include_router(room)

HEARD = (PARTIES,)
"""Whose events tell whose identity is whose."""


FREE_TEXT = ("note",)
"""Members of answers that hold any text."""


class Settings(ImportingSettings, env_prefix="LEADS_"):
    """The leads service."""

    source_urls: Mapping[str, str] = Field(default_factory=dict)
    """Database of each service whose log is read, as JSON, with a role that may only read it."""


def app() -> FastAPI:
    """The API."""
    settings = Settings()
    made = create_app(
        "leads",
        router=router,
        free_text=FREE_TEXT,
        settings=settings,
        lifespan=opened,
        hears=HEARD,
        handler=assignments.learn,
        source_urls=settings.source_urls,
        body_limits={"/v1/imports": settings.max_import_bytes},
    )
    made.state.installation = settings.installation()
    made.state.import_kinds = KINDS
    return made


@asynccontextmanager
async def opened(app: FastAPI) -> AsyncIterator[None]:
    """Start only with the identity key under which the database was filled, and with a rubric."""
    async with checked(app):
        await _open(app.state.database)
        yield


async def importer() -> Never:
    """Carry out imports, one at a time; any number of these processes may run."""
    settings = Settings()
    await _have_rubric(settings)
    await importing.run("leads", settings, KINDS)


async def worker() -> Never:
    """Learn whose identity is whose, and grade by what was activated; any number of these processes may run."""
    settings = Settings()
    await _have_rubric(settings)
    beside = [carry_out_gradings]
    await work("leads", settings, settings.source_urls, HEARD, assignments.learn, announces=True, beside=beside)


async def publisher() -> Never:
    """Hand the log to Kafka, one process at a time."""
    await publish_log(Settings(), "leads")


async def _have_rubric(settings: Settings) -> None:
    database = connect(settings.database_url, pool_size=1)
    try:
        await _open(database)
    finally:
        await database.close()


async def _open(database: Database) -> None:
    async with database.transaction() as session:
        await open_rubrics(session, now())
