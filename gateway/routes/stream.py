"""The feed as a stream of server-sent events, for open pages and for systems that keep a connection."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, aclosing
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from chassis.auth import Caller, Reach, Unauthorized
from chassis.db import Database, database_is_away
from chassis.fields import PartyId
from contracts.scoring import Stage, Tier
from gateway.domain.feed import HistoryGone, Told, Wanted, known_types
from gateway.models.feed import FeedEvent
from gateway.queries.tail import Ended, Stream, Tail
from gateway.routes.door import Asking, known

router = APIRouter(tags=["stream"])

HEARTBEAT_S = 15.0
"""Seconds of silence after which a comment shows that the connection stands; and how often who asks is looked at."""
RETRY_MS = 3_000
"""How long a client waits before it comes again."""
LAST_ID = r"^[0-9]{1,18}$"

EXAMPLE = """retry: 3000
id: 4711

id: 4712
event: scoring.standing_changed.v1
data: {"sequence":4712,"id":"event_01980f6dd7b67e4a828e38e38e38e1f0","type":"scoring.standing_changed.v1",\
"party_id":"party_907f517e6c6488709f59fa26a3782c5f","occurred_at":"2026-03-02T09:15:00Z",\
"recorded_at":"2026-03-02T09:15:04.007Z","historic":false,"data":{"revision":2,"cause":"fact","kind":"advanced",\
"from_stage":"stranger","to_stage":"customer","from_tier":"unproven","to_tier":"mid","value_minor":12900,\
"currency":"EUR"}}

: 2026
id: 4713

"""

STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events until one side ends it.",
        "model": FeedEvent,
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": EXAMPLE}},
    }
}


class EventStream(Response):
    """Sends blocks as they come, and ends with its client."""

    media_type = "text/event-stream"

    def __init__(
        self, blocks: AsyncGenerator[bytes, None], place: AbstractContextManager[None], left: Callable[[], None]
    ):
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._blocks, self._place, self._left = blocks, place, left

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        watching = asyncio.create_task(self._watch(receive))
        try:
            with self._place:
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                async with aclosing(self._blocks) as blocks:
                    async for block in blocks:
                        await send({"type": "http.response.body", "body": block, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
        finally:
            watching.cancel()
            self._left()

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._left()


@router.get("/v1/stream", status_code=200, response_class=EventStream, responses=STREAM)
async def read_stream(
    request: Request,
    asking: Asking,
    types: Annotated[list[str] | None, Query(description="Only of these types, separated by commas.")] = None,
    stage: Annotated[
        list[Stage] | None, Query(description="Only what leaves its party in one of these stages; may be repeated.")
    ] = None,
    tier: Annotated[
        list[Tier] | None, Query(description="Only what leaves its party in one of these tiers; may be repeated.")
    ] = None,
    party_id: Annotated[
        list[PartyId] | None, Query(description="Only about these parties; may be repeated.", max_length=200)
    ] = None,
    historic: Annotated[
        bool, Query(description="Also what was long past when it was recorded, as an import of old files tells.")
    ] = False,
    after: Annotated[
        int | None, Query(ge=0, lt=10**18, description="Go on after this `sequence`; 410 where that is not kept.")
    ] = None,
    last_event_id: Annotated[
        str | None, Header(pattern=LAST_ID, description="The same, as browsers send it; answered by `reset` instead.")
    ] = None,
) -> Response:
    """Follow what happens: standings that change and what the departments record, as server-sent events.

    Each event has its `sequence` as `id`; a client that comes back with it as `Last-Event-ID`, to any gateway, misses
    nothing and gets nothing twice. Without one it begins now. Where what followed is kept no longer, it is told so by
    an event `reset` with `oldest` and `latest`, and goes on from `latest`: read anew what you show. A comment comes
    after 15 seconds of silence, with the `id` up to which nothing else was for you. A client that does not take what
    waits for it is cut off, and may come again.
    """
    tail: Tail = request.app.state.tail
    wanted = Wanted(
        types=known_types(name for part in types for name in part.split(",")) if types else None,
        stages=frozenset(stage) if stage else None,
        tiers=frozenset(tier) if tier else None,
        parties=frozenset(party_id) if party_id else None,
        historic=historic,
    )
    place, gone = await beginning(tail, request.app.state.database, after, last_event_id)
    settings = request.app.state.settings
    counted = tail.counted(asking.key_id, most=settings.streams, most_of_one=settings.streams_of_one)
    stream = Stream(place, wanted, sees(asking))
    return EventStream(told(request, stream, gone), counted, lambda: leave(tail, stream))


async def beginning(tail: Tail, database: Database, after: int | None, last_event_id: str | None) -> tuple[int, bytes]:
    """After which `sequence` a stream goes on, and what tells a browser at first that it has missed something.

    Raises `HistoryGone` where it is no browser that comes back.
    """
    try:
        return await tail.start(database, after if last_event_id is None else int(last_event_id)), b""
    except HistoryGone as problem:
        if last_event_id is None:
            raise
        return problem.extensions["latest"], reset(problem)


async def told(request: Request, stream: Stream, gone: bytes) -> AsyncGenerator[bytes, None]:
    """What a stream sends: where it begins, what was missed, what comes, and signs of life."""
    tail: Tail = request.app.state.tail
    database: Database = request.app.state.database
    yield b"retry: %d\n%sid: %d\n\n" % (RETRY_MS, gone, stream.reached)
    looked = time.monotonic()
    try:
        async with aclosing(tail.follow(database, stream)) as missed:
            async for block in missed:
                yield block
        while True:
            block = await stream.take(HEARTBEAT_S)
            yield block or b": %d\nid: %d\n\n" % (int(time.time()), tail.passed(stream))
            if time.monotonic() - looked >= HEARTBEAT_S:
                if (await known(request, used=False)).caller != request.state.holder.caller:
                    return
                looked = time.monotonic()
    except HistoryGone as problem:
        yield reset(problem) + b"id: %d\n\n" % problem.extensions["latest"]
    except (Ended, Unauthorized):
        return
    except Exception as error:
        if not database_is_away(error):
            raise
    finally:
        tail.leave(stream)


def leave(tail: Tail, stream: Stream) -> None:
    """Have a stream end whose client is gone."""
    tail.leave(stream)
    stream.end()


def reset(problem: HistoryGone) -> bytes:
    """What tells a browser, which hears of no status, that it has missed something."""
    return b"event: reset\ndata: %s\n" % msgspec.json.encode(problem.extensions)


def sees(asking: Caller) -> Callable[[Told], bool]:
    """What tells whether an event is about a party in the caller's reach, by who looks after it now."""
    user, team = asking.user_id, asking.team_id
    match asking.reach:
        case Reach.ALL:
            return lambda event: True
        case Reach.TEAM if team is not None:
            return lambda event: event.team_id == team or (user is not None and event.owner_id == user)
    return lambda event: user is not None and event.owner_id == user
