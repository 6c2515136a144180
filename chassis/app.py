"""What a service starts: its database, its background tasks, its HTTP edge."""

import asyncio
import contextlib
import gc
import socket
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Never, cast

import structlog
import uvicorn
from fastapi import APIRouter, Depends, FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from chassis import auth, gaps, health, letters, marks, openapi, pauses, pressure, replays, retention, sequencer, status
from chassis.bus import restore_gate
from chassis.consumer import Handler
from chassis.contact import Hiding
from chassis.db import SILENCE_S, Database, connect, declare_topics
from chassis.dispatch import dispatched
from chassis.heads import BoundedHeads
from chassis.joining import Joiners
from chassis.limits import BodyLimit, Counted, Writing
from chassis.problems import PROBLEM_RESPONSES, RENDERERS, unexpected
from chassis.processes import Processes
from chassis.proxies import TrustedProxies
from chassis.settings import ServiceSettings
from chassis.telemetry import Edge
from contracts.topics import Topic, topics_of

log = structlog.get_logger()

TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}
"""The framework's own is off: `telemetry.Edge` measures and logs, and asking whether it is on costs each request."""
GRACE_S = 5
"""Seconds that requests under way have when a process is told to end."""

Background = Callable[[Database], Coroutine[Any, Any, Never]]
Caller = Callable[..., Any]
Failure = Callable[[Request, Exception], Response]


class BackgroundTaskDied(Exception):
    """A task that must never end has ended; the process must go with it."""


def create_app(
    name: str,
    *,
    router: APIRouter,
    settings: ServiceSettings,
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]] | None = None,
    background: Mapping[str, Background] | None = None,
    guard: Caller = auth.caller,
    ready: Callable[[FastAPI], Coroutine[Any, Any, Mapping[str, Any]]] | None = None,
    body_limits: Mapping[str, int] | None = None,
    forgets: Sequence[retention.Forget] = (),
    hears: Sequence[Topic] = (),
    handler: Handler | None = None,
    source_urls: Mapping[str, str] | None = None,
    free_text: Collection[str] = (),
    middleware: Sequence[Middleware] = (),
    documented: bool = True,
    failure: Failure = unexpected,
    **options: Any,
) -> FastAPI:
    """A service: `app.state` has `database`, `processes`, `joiners`, `settings`, `signer`, `guard`, `failed` and
    `on_ending`.

    `background` tasks run beside the sequencer until the app stops; when one dies, `app.state.failed` is set, the app
    is not ready any more and `serve` ends. What is in `on_ending` is called when the app is told to end, before it
    waits for the requests under way. `guard` is asked before every route of `router`, and tells who the caller is.
    `ready` adds what else must be there, and raises `contracts.problems.Unavailable` if it is not. `body_limits` are
    bytes by the beginning of the path, for routes that take larger bodies piece by piece. `forgets` let go of what the
    service itself keeps for a time. `hears` are the topics that the service's consumer reads in another process: what
    waits there is known before that one has begun. `handler` is that consumer's, for what an operator hands it again,
    and `source_urls` the logs that it reads. `free_text` are the members of its answers that hold any text: they are
    left out for callers who may not see contact data. `documented` is an app that answers with its own OpenAPI
    document. `failure` answers where something went wrong that nobody named.
    """
    topics, writing = topics_of(name), Writing()
    tasks: dict[str, Background] = {"retention": partial(retention.run, settings=settings, forgets=forgets)}
    tasks.update(background or {})
    if topics:
        tasks["pressure"] = partial(pressure.watch, service=name, settings=settings)
        tasks["sequencer"] = partial(sequencer.run, gate=restore_gate(settings.bus_url, name))

    @asynccontextmanager
    async def whole_life(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(app.state.database.close)
            stack.callback(app.state.processes.close)
            stack.push_async_callback(app.state.joiners.close)
            await declare_topics(app.state.database, topics)
            if hears:
                await marks.declare(app.state.database, name, hears)
            if lifespan:
                await stack.enter_async_context(lifespan(app))
            await stack.enter_async_context(_supervised(app, tasks))
            yield

    signer = auth.Signer(settings.internal_secret.get_secret_value())
    database = connect(settings.database_url, pool_size=settings.pool_size, silence_s=settings.silence_s)
    app = FastAPI(
        title=name,
        lifespan=whole_life,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        generate_unique_id_function=lambda route: route.name,
        exception_handlers=RENDERERS,
        redirect_slashes=False,
        telemetry=TELEMETRY,
        separate_input_output_schemas=False,
        middleware=[
            Middleware(Edge, service=name, failure=failure),
            # Without topics it is the gateway, which has bounds for each service behind it and for its streams.
            Middleware(
                Counted,
                writing=writing,
                most=settings.underway if topics else None,
                full=partial(pressure.full, database),
            ),
            Middleware(BodyLimit, largest=settings.max_body_bytes, larger=body_limits or {}),
            Middleware(Hiding, signer=signer, free_text=frozenset(free_text)),
            *middleware,
        ],
        **options,
    )
    dispatched(app)
    app.state.settings = settings
    app.state.database = database
    app.state.processes = Processes()
    app.state.joiners = Joiners(app)
    app.state.signer = signer
    app.state.failed = asyncio.Event()
    app.state.on_ending = []
    app.state.writing, app.state.observed = writing, True
    app.state.name = name
    app.state.guard = guard
    app.state.ready = ready
    app.state.hears, app.state.handler, app.state.source_urls = hears, handler, source_urls or {}
    app.include_router(router, dependencies=[Depends(guard)], responses=PROBLEM_RESPONSES)
    if topics:
        for room in (
            status.router,
            gaps.router,
            pauses.router,
            letters.router,
            letters.putting_back,
            replays.router,
        ):
            app.include_router(room, dependencies=[Depends(guard)])
    app.include_router(health.router)
    if documented:
        app.include_router(openapi.router)
    return app


def probe(name: str, settings: ServiceSettings, *, host: str, port: int) -> FastAPI:
    """What a process without HTTP of its own answers to a supervisor and to Prometheus, on an address of its own.

    It is ready while the database of its service answers and it has what it reads from and writes to.
    """
    app = FastAPI(title=name, docs_url=None, redoc_url=None, openapi_url=None, telemetry=TELEMETRY)
    app.add_middleware(Edge, service=name, failure=unexpected)
    app.state.settings = settings.model_copy(update={"host": host, "port": port})
    app.state.database = connect(settings.database_url, pool_size=1, silence_s=SILENCE_S)
    app.state.failed = asyncio.Event()
    app.state.name, app.state.observed, app.state.ready = name, False, None
    app.include_router(health.router)
    return app


@asynccontextmanager
async def _supervised(app: FastAPI, tasks: Mapping[str, Background]) -> AsyncIterator[None]:
    def ended(task: "asyncio.Task[Never]") -> None:
        if not task.cancelled():
            # First of all: whatever fails in telling of it, the process must not go on without the task.
            app.state.failed.set()
            log.critical("background task died", task=task.get_name(), exc_info=task.exception())

    running = [asyncio.create_task(run(app.state.database), name=task) for task, run in tasks.items()]
    for task in running:
        task.add_done_callback(ended)
    try:
        yield
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


class _Server(uvicorn.Server):
    """Leaves signals to the process, which may run several of them, and tells the app that it ends."""

    stays = False
    """Whether what is there when it begins stays until the process ends."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.stays:
            # Going through routes, models and documents again and again finds nothing, and holds up requests.
            gc.collect()
            gc.freeze()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for told in getattr(self.config.app.state, "on_ending", ()):  # type: ignore[union-attr]
            told()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


async def serve(app: FastAPI, *, sockets: list[socket.socket] | None = None) -> None:
    """Answer requests until cancelled, then finish those under way (5 s at most).

    Raises `BackgroundTaskDied` when one of the app's tasks has ended.
    """
    server = _Server(served(app))
    server.stays = True
    serving = asyncio.create_task(server.serve(sockets))
    failing = asyncio.create_task(app.state.failed.wait())
    try:
        await asyncio.wait({serving, failing}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        server.should_exit = True
        failing.cancel()
        await serving
    if app.state.failed.is_set():
        raise BackgroundTaskDied(app.state.name)


def served(app: FastAPI, *, grace_s: int = GRACE_S) -> uvicorn.Config:
    """How an app is served. `app.state.shortcut`, if the lifespan sets it, is asked before the app."""
    settings: ServiceSettings = app.state.settings
    protocol = partial(
        BoundedHeads,
        stall_s=settings.stall_s,
        trusted=TrustedProxies(settings.trusted_proxies) if settings.trusted_proxies else None,
        shortcut=lambda: getattr(app.state, "shortcut", None),
    )
    return uvicorn.Config(
        app,
        # A partial is as good as a class: it is only called.
        http=cast("type[asyncio.Protocol]", protocol),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        # The protocol sees to it. Left alone, this takes the word of every client on this machine.
        proxy_headers=False,
        # Longer than the gateway keeps idle connections: it must be the one that closes them.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=grace_s,
        backlog=2_048,
    )
