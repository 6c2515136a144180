"""The parts of the gateway."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Annotated, Any, Never
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, FastAPI
from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode
from starlette.middleware import Middleware

from chassis import auth, status
from chassis import letters as dead_letters
from chassis.app import TELEMETRY, create_app
from chassis.consumer import Handler
from chassis.db import Database, connect
from chassis.limits import Patience
from chassis.problems import RENDERERS as RENDERERS_OF_PROBLEMS
from chassis.retention import Forget
from chassis.settings import ServiceSettings
from chassis.worker import work
from contracts.topics import INTERACTIONS, LEADS, MEMBERS, PARTIES, PURCHASES, STANDING_CHANGES
from gateway.console.frame import RENDERERS
from gateway.console.router import otherwise
from gateway.console.router import router as console
from gateway.domain.bulkheads import Bulkhead
from gateway.domain.rates import Rate, Rates
from gateway.domain.retiring import Retirements
from gateway.domain.rights import Role
from gateway.domain.services import ServiceUnavailable
from gateway.domain.sessions import IDLE_HOURS, LONGEST_DAYS
from gateway.domain.tokens import Claims
from gateway.domain.webhooks import FAILING, FAILURES, Allowed, Endurance
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


def _rate(text: Any) -> Any:
    return Rate.parse(text) if isinstance(text, str) else text


RateText = Annotated[Rate, NoDecode, BeforeValidator(_rate)]


class Settings(ServiceSettings, env_prefix="GATEWAY_"):
    """The gateway: its database, and where the services are."""

    services: Mapping[str, str]
    """Address of each service, as JSON: `{"customers": "http://…", "scoring": "http://…"}`."""
    max_import_bytes: int = Field(2_000_000_000, validation_alias="SHUKE_MAX_IMPORT_BYTES")
    """Largest file that an import may bring."""
    part_s: float = 1
    """Seconds that each service has for its part of an answer that several give together."""
    service_underway: int = Field(256, ge=1, le=100_000)
    """Requests that may be under way from one process to one service; long work has as many slots of its own."""
    service_waiting: int = Field(256, ge=0, le=100_000)
    """Requests that may wait for one of these slots, 5 s at most; what comes beyond is refused (503)."""
    limit_owner: RateText = Rate(1_000, 2_000)
    """Requests per second of an owner, and how many may come at once: `per_s/burst`."""
    limit_admin: RateText = Rate(1_000, 2_000)
    """The same for an admin."""
    limit_operator: RateText = Rate(500, 1_000)
    """The same for an operator."""
    limit_manager: RateText = Rate(200, 400)
    """The same for a manager."""
    limit_agent: RateText = Rate(100, 200)
    """The same for an agent."""
    limit_analyst: RateText = Rate(200, 400)
    """The same for an analyst."""
    limit_ingest: RateText = Rate(1_000, 2_000)
    """The same for who tells."""
    limit_reader: RateText = Rate(200, 400)
    """The same for a reader."""
    limit_stranger: RateText = Rate(2, 60)
    """The same for all requests without a valid key that come from one address."""
    source_urls: Mapping[str, str] = Field(default_factory=dict)
    """Database of each service whose log the feed reads, as JSON, with a role that may only read it."""
    feed_retention_days: int = Field(7, ge=4, le=366)
    """Days for which the feed keeps what it told: longer than webhooks are tried again."""
    feed_historic_days: int = Field(7, ge=1, le=36_500)
    """What happened more days than this before it was recorded is told as historic."""
    webhook_allow: str = ""
    """Hosts and networks inside that webhooks may call, also without TLS, separated by commas."""
    webhook_failures: int = Field(FAILURES, ge=1, le=1_000_000)
    """A webhook is paused when so many tries in a row have failed, and for so long:"""
    webhook_failing_hours: float = Field(FAILING / timedelta(hours=1), ge=0, le=72)
    """Hours for which they must have failed."""
    webhook_patience_s: float = Field(15, gt=0, le=30)
    """Seconds that a receiver has for its answer; later ones do not count."""
    streams: int = Field(1_000, ge=1, le=100_000)
    """Streams that may be open in one process."""
    streams_of_one: int = Field(100, ge=1, le=100_000)
    """Streams that one caller may have open there."""

    audit_retention_days: int = Field(1_096, ge=30)
    """Rows stay in the audit trail for so long."""
    issuer: str | None = None
    """URL of an outside issuer whose tokens are taken, and at which people may sign in."""
    audience: str | None = None
    """What its tokens must be made out for to be taken as bearers; without it none is taken."""
    jwks_url: str | None = None
    """Where its keys are; without it, where its discovery document says."""
    roles_claim: str | None = None
    """Claim, or path with dots, that has the roles; without it they are those that a person has here."""
    roles_mapping: Mapping[str, Role] = Field(default_factory=dict)
    """Words of the issuer for roles, as JSON: `{"crm-admins": "admin"}`; a role's own name needs none."""
    team_claim: str | None = None
    """Claim, or path with dots, that has the team: its id or its name here."""
    oidc_client_id: str | None = None
    """What the issuer knows this installation by; with it people sign in there."""
    oidc_client_secret: SecretStr | None = None
    """The secret that goes with it; none for a public client."""
    oidc_redirect_url: str = "http://127.0.0.1:8000/sign-in/oidc"
    """Where the issuer sends browsers back to: `/sign-in/oidc` behind the address of the console."""
    oidc_scopes: str = "openid profile email"
    """What the issuer is asked to tell."""
    oidc_name: str = "OpenID"
    """What the button of the sign-in page calls the issuer."""
    oidc_makes_people: bool = False
    """Whether somebody new is made at the first sign-in; the roles claim then says what they may."""
    session_idle_hours: float = Field(IDLE_HOURS, gt=0)
    """A session ends that nobody used for so long."""
    session_days: float = Field(LONGEST_DAYS, gt=0)
    """A session ends after so long, however much it is used."""

    @property
    def session_idle(self) -> timedelta:
        """How long a session may lie idle."""
        return timedelta(hours=self.session_idle_hours)

    def rates(self) -> Rates:
        """The limits of the roles."""
        return Rates(
            {
                Role.OWNER: self.limit_owner,
                Role.ADMIN: self.limit_admin,
                Role.OPERATOR: self.limit_operator,
                Role.MANAGER: self.limit_manager,
                Role.AGENT: self.limit_agent,
                Role.ANALYST: self.limit_analyst,
                Role.INGEST: self.limit_ingest,
                Role.READER: self.limit_reader,
            }
        )


def app() -> FastAPI:
    """The door."""
    settings = Settings()
    says = Claims(settings.roles_claim, settings.roles_mapping, settings.team_claim)
    issuer = Issuer(settings.issuer, jwks_url=settings.jwks_url) if settings.issuer else None
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


def add_pages(made: FastAPI) -> None:
    """Add what people look at: the documents of the API, and the console, which answers what nobody else does."""
    made.title = "Shuke"
    made.include_router(documents.router)
    made.router.routes.append(documents.assets)
    made.include_router(console)
    made.include_router(otherwise)
    for wrong, render in RENDERERS.items():
        made.add_exception_handler(wrong, render)


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
    for room in (status.router, dead_letters.router, dead_letters.putting_back):
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
    database = connect(settings.database_url, pool_size=8)
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
