"""The parts of the customers service."""

from collections.abc import Mapping
from functools import partial
from typing import Never
from zoneinfo import ZoneInfo

from fastapi import APIRouter, FastAPI
from pydantic import Field

from chassis.app import create_app
from chassis.imports import importer as importing
from chassis.imports import routes as imports
from chassis.imports.settings import ImportingSettings
from chassis.installation import checked
from chassis.publisher import publish_log
from chassis.worker import work
from contracts.topics import LEADS, MEMBERS
from services.customers.handlers.duplicates import decide_pairs
from services.customers.handlers.hearing import hear
from services.customers.handlers.imports.kinds import KINDS
from services.customers.routes import (
    duplicates,
    interactions,
    internal,
    observations,
    owners,
    parties,
    problems,
    purchases,
    returns,
    timelines,
)

HEARD = (LEADS, MEMBERS)
"""Whose events tell who is who."""

router = APIRouter()
for room in (
    parties.router,
    duplicates.router,
    owners.router,
    purchases.commands,
    purchases.router,
    returns.commands,
    returns.router,
    interactions.commands,
    interactions.router,
    problems.router,
    observations.commands,
    observations.router,
    imports.router,
    imports.streams,
    timelines.router,
    internal.router,
    internal.reports,
):
    router.include_router(room)


FREE_TEXT = ("text", "note", "title", "description", "excerpt")
"""Members of answers that hold any text."""


class Settings(ImportingSettings, env_prefix="CUSTOMERS_"):
    """The customers service."""

    source_urls: Mapping[str, str] = Field(default_factory=dict)
    """Database of each service whose log is read, as JSON, with a role that may only read it."""


def app() -> FastAPI:
    """The API."""
    settings = Settings()
    made = create_app(
        "customers",
        router=router,
        free_text=FREE_TEXT,
        settings=settings,
        lifespan=checked,
        hears=HEARD,
        handler=hear,
        source_urls=settings.source_urls,
        body_limits={"/v1/imports": settings.max_import_bytes},
    )
    made.state.installation = settings.installation()
    made.state.import_kinds = KINDS
    return made


async def importer() -> Never:
    """Carry out imports, one at a time; any number of these processes may run."""
    await importing.run("customers", Settings(), KINDS)


async def worker() -> Never:
    """Take in who is who as other services found it out, and decide what follows from it.

    Any number of these processes share the partitions; one at a time decides.
    """
    settings = Settings()
    deciding = partial(decide_pairs, zone=ZoneInfo(settings.time_zone))
    await work("customers", settings, settings.source_urls, HEARD, hear, announces=True, beside=[deciding])


async def publisher() -> Never:
    """Hand the log to Kafka, one process at a time."""
    await publish_log(Settings(), "customers")
