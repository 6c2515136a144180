"""The parts of the community service."""

from collections.abc import Mapping
from typing import Never

from fastapi import APIRouter, FastAPI
from pydantic import Field

from chassis.app import create_app
from chassis.assignments import learn
from chassis.imports import importer as importing
from chassis.imports import routes as imports
from chassis.imports.settings import ImportingSettings
from chassis.installation import checked
from chassis.publisher import publish_log
from chassis.worker import work
from contracts.topics import PARTIES
from services.community.handlers.imports.kinds import KINDS
from services.community.routes import groups, internal, members, posts, referrals

router = APIRouter()
for room in (
    members.router,
    groups.router,
    posts.router,
    referrals.router,
    imports.router,
    imports.streams,
    internal.router,
):
    router.include_router(room)

HEARD = (PARTIES,)
"""Whose events tell whose identity is whose."""


FREE_TEXT = ("bio", "text", "excerpt")
"""Members of answers that hold any text."""


class Settings(ImportingSettings, env_prefix="COMMUNITY_"):
    """The community service."""

    source_urls: Mapping[str, str] = Field(default_factory=dict)
    """Database of each service whose log is read, as JSON, with a role that may only read it."""


def app() -> FastAPI:
    """The API."""
    settings = Settings()
    made = create_app(
        "community",
        router=router,
        free_text=FREE_TEXT,
        settings=settings,
        lifespan=checked,
        hears=HEARD,
        handler=learn,
        source_urls=settings.source_urls,
        body_limits={"/v1/imports": settings.max_import_bytes},
    )
    made.state.installation = settings.installation()
    made.state.import_kinds = KINDS
    return made


async def importer() -> Never:
    """Carry out imports, one at a time; any number of these processes may run."""
    await importing.run("community", Settings(), KINDS)


async def worker() -> Never:
    """Learn whose identity is whose; any number of these processes share the partitions."""
    settings = Settings()
    await work("community", settings, settings.source_urls, HEARD, learn)


async def publisher() -> Never:
    """Hand the log to Kafka, one process at a time."""
    await publish_log(Settings(), "community")
