"""The parts of the gateway."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any, Never
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, FastAPI
from starlette.middleware import Middleware

from chassis import auth, pauses, status
from chassis import gaps as stopped
from chassis import letters as dead_letters
from chassis.app import TELEMETRY, create_app
from chassis.consumer import Handler
from chassis.db import Database, connect
from chassis.limits import Patience
from chassis.problems import RENDERERS as RENDERERS_OF_PROBLEMS
from chassis.retention import Forget
from chassis.worker import work
from contracts.topics import INTERACTIONS, LEADS, MEMBERS, PARTIES, PURCHASES, STANDING_CHANGES
from gateway.app.pages import add_pages
from gateway.app.settings import Settings
from gateway.console.refusals import unexpected
from gateway.domain.bulkheads import Bulkhead
from gateway.domain.retiring import Retirements
from gateway.domain.services import ServiceUnavailable
from gateway.domain.tokens import Claims
from gateway.domain.webhooks import Allowed, Endurance
from gateway.handlers.delivering import deliver
from gateway.handlers.feeding import take_in
from gateway.handlers.numbering import number_feed
from gateway.queries import attempts
from gateway.queries import sessions as sessions_kept
from gateway.queries import webhooks as webhooks_kept
from gateway.queries.feed import forget
from gateway.queries.intake import Intake
from gateway.queries.issuer import Issuer, Tokens
from gateway.queries.keyring import Keyring
from gateway.queries.meter import Meter
from gateway.queries.neighbours import hear_and_tell
from gateway.queries.provider import Client, Provider
from gateway.queries.sealing import seal_second_steps
from gateway.queries.services import OWN, Services
from gateway.queries.signing_in import Entrance
from gateway.queries.tail import Tail
from gateway.queries.trail import Trail, forget_old
from gateway.queries.webhooks import Sealer
from gateway.routes import (
    audit,
    composed,
    consumers,
    documents,
    drain,
    gaps,
    imports,
    invitations,
    keys,
    letters,
    me,
    oidc,
    parties,
    proxy,
    replays,
    sessions,
    stream,
    teams,
    trials,
    users,
    views,
    webhooks,
)
from gateway.routes.door import RateFields, SafeHeaders, caller
from gateway.routes.shortcut import ProxyShortcut

PATIENCE_S = 0.05
"""Seconds that the feed gathers what comes: who follows it looks on, and does not wait for an answer."""
HEARD = (STANDING_CHANGES, PARTIES, PURCHASES, INTERACTIONS, LEADS, MEMBERS)
"""What the feed tells, and what it must know to tell whom it is about."""

router = APIRouter()
for room in (
    audit.router,
    keys.router,
    sessions.router,
    oidc.router,
    sessions.own,
    invitations.router,
    invitations.reading,
    invitations.making,
    me.router,
    me.secret,
    users.router,
    users.links,
    teams.router,
    composed.router,
    consumers.router,
    gaps.router,
    letters.router,
    replays.router,
    drain.router,
    imports.router,
    parties.router,
    trials.router,
    stream.router,
    views.router,
    webhooks.router,
    webhooks.showing,
):
    router.include_router(room)


def app() -> FastAPI:
    """The door."""
    settings = Settings()
    says = Claims(settings.roles_claim, settings.roles_mapping, settings.team_claim)
    signs_in = settings.oidc_client_id is not None
    issuer = Issuer(settings.issuer, jwks_url=settings.jwks_url, signs_in=signs_in) if settings.issuer else None
    tokens = Tokens(issuer, settings.audience, says) if issuer and settings.audience else None
    keyring = Keyring(idle=settings.session_idle, outside=tokens)
    meter, tail, trail = Meter(), Tail(), Trail()

    async def documents_followed(_: Database) -> Never:
        await documents.follow(made)

    made = create_app(
        "gateway",
        router=router,
        settings=settings,
        lifespan=connected,
        background={
            "neighbours": partial(hear_and_tell, keyring, meter),
            "audit": trail.run,
            "tail": tail.run,
            "documents": documents_followed,
        },
        guard=caller,
        failure=unexpected,
        ready=ready,
        body_limits={"/v1/imports": settings.max_import_bytes, "/import": settings.max_import_bytes},
        forgets=letting_go(settings),
        middleware=[
            Middleware(Patience, stall_s=settings.stall_s),
            Middleware(RateFields),
            Middleware(audit.Audited),
            Middleware(proxy.Proxied),
        ],
        hears=HEARD,
        source_urls=settings.source_urls,
        documented=False,
    )
    # Outermost: also what is refused before any other layer is an answer.
    made.state.retirements = Retirements()
    made.add_middleware(SafeHeaders, retirements=made.state.retirements)
    add_pages(made)
    made.state.keyring, made.state.meter, made.state.tail, made.state.trail = keyring, meter, tail, trail
    made.state.on_ending.append(tail.end)
    made.state.intake, made.state.rates = Intake(), settings.rates()
    made.state.documents, made.state.operations, made.state.importing = {}, {}, {}
    made.state.reading = reading(made, settings)
    made.state.issuer, made.state.provider = issuer, provider(settings, issuer, says)
    made.state.entrance = entrance(made.state.database, settings)
    return made


def entrance(database: Database, settings: Settings) -> Entrance:
    """Where people sign in by a password."""
    return Entrance(
        database,
        settings.internal_secret.get_secret_value(),
        idle=settings.session_idle,
        longest=timedelta(days=settings.session_days),
    )


def provider(settings: Settings, issuer: Issuer | None, says: Claims) -> Provider | None:
    """Where people sign in elsewhere, if they do."""
    if issuer is None or settings.oidc_client_id is None:
        return None
    secret = settings.oidc_client_secret.get_secret_value() if settings.oidc_client_secret else None
    client = Client(
        settings.oidc_client_id, secret, settings.oidc_redirect_url, settings.oidc_scopes, settings.oidc_makes_people
    )
    return Provider(issuer, client, says, settings.internal_secret.get_secret_value())


def reading(made: FastAPI, settings: Settings) -> FastAPI:
    """What the gateway's own consumer has read and set aside, in the words of a service; no address leads there."""
    inside = FastAPI(
        docs_url=None, redoc_url=None, openapi_url=None, exception_handlers=RENDERERS_OF_PROBLEMS, telemetry=TELEMETRY
    )
    for name in ("database", "signer", "settings", "writing"):
        setattr(inside.state, name, getattr(made.state, name))
    inside.state.name, inside.state.guard, inside.state.handler = OWN, auth.caller, hearing(settings)
    for room in (
        status.router,
        stopped.router,
        pauses.router,
        dead_letters.router,
        dead_letters.putting_back,
    ):
        inside.include_router(room, dependencies=[Depends(auth.caller)])
    return inside


def hearing(settings: Settings) -> Handler:
    """What takes events into the feed."""
    return partial(take_in, zone=ZoneInfo(settings.time_zone), historic_days=settings.feed_historic_days)


@asynccontextmanager
async def connected(app: FastAPI) -> AsyncIterator[None]:
    """Hold the connections to the services."""
    settings: Settings = app.state.settings
    bulkhead = Bulkhead(settings.service_underway, settings.service_waiting)
    async with app.state.database.transaction() as session:
        await seal_second_steps(session, app.state.entrance.steps)
    app.state.services = Services(settings.services, app.state.signer, bulkhead, {OWN: app.state.reading})
    app.state.shortcut = ProxyShortcut(app)
    try:
        yield
    finally:
        app.state.entrance.passwords.close()
        await app.state.trail.close(app.state.database)
        if app.state.issuer is not None:
            await app.state.issuer.close()
        await app.state.services.close()


async def feed() -> Never:
    """Take what the services publish into the feed; any number of these processes share the partitions.

    One at a time numbers.
    """
    settings = Settings()
    urls = settings.source_urls
    numbering = partial(number_feed, scoring_url=urls.get("scoring"))
    await work(OWN, settings, urls, HEARD, hearing(settings), beside=[numbering], patience_s=PATIENCE_S)


async def deliverer() -> Never:
    """Call the webhooks; any number of these processes may run."""
    settings = Settings()
    database = connect(settings.database_url, pool_size=8, silence_s=60)
    sealer = Sealer(settings.internal_secret.get_secret_value())
    try:
        endurance = Endurance(settings.webhook_failures, timedelta(hours=settings.webhook_failing_hours))
        allowed = Allowed.parse(settings.webhook_allow)
        patience_s = settings.webhook_patience_s
        await deliver(database, sealer=sealer, allowed=allowed, endurance=endurance, patience_s=patience_s)
    finally:
        await database.close()


def letting_go(settings: Settings) -> list[Forget]:
    """What lets go of what has had its time."""
    return [
        attempts.forget,
        sessions_kept.forget,
        partial(forget, days=settings.feed_retention_days),
        partial(webhooks_kept.forget, days=settings.feed_retention_days),
        partial(forget_old, days=settings.audit_retention_days),
    ]


async def ready(app: FastAPI) -> Mapping[str, Any]:
    """Every service is ready."""
    answers = await app.state.services.each("GET", "/readyz")
    if missing := sorted(name for name, answer in answers.items() if answer is None):
        raise ServiceUnavailable(f"{', '.join(missing)} is not ready.", services=missing)
    return {"services": sorted(answers)}
