"""The parts of the community service."""

from collections.abc import Mapping
from typing import Never

from fastapi import APIRouter, FastAPI
from pydantic import Field

from chassis.app import create_app
from chassis.assignments import learn
from chassis.installation import IdentifyingSettings, checked
from chassis.publisher import publish_log
from chassis.worker import work
from contracts.topics import PARTIES
from services.community.routes import groups, internal, members, posts, referrals

router = APIRouter()
for room in (members.router, groups.router, posts.router, referrals.router, internal.router):
    router.include_router(room)


class Settings(IdentifyingSettings, env_prefix="COMMUNITY_"):
    """The community service."""

    source_urls: Mapping[str, str] = Field(default_factory=dict)
    """Database of each service whose log is read, as JSON, with a role that may only read it."""


def app() -> FastAPI:
    """The API."""
    settings = Settings()
    made = create_app("community", router=router, settings=settings, lifespan=checked)
    made.state.installation = settings.installation()
    return made


async def worker() -> Never:
    """Learn whose identity is whose; any number of these processes share the partitions."""
    settings = Settings()
    await work("community", settings, settings.source_urls, [PARTIES], learn)


async def publisher() -> Never:
    """Hand the log to Kafka, one process at a time."""
    await publish_log(Settings(), "community")
