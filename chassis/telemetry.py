"""What can be seen from outside: JSON log lines, metrics, and the request id and traceparent that connect them."""

import asyncio
import logging
import re
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple, Never, TextIO, cast

import msgspec
import structlog
from prometheus_client import Gauge, Histogram
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, get_contextvars, merge_contextvars, reset_contextvars

from chassis.ids import random_hex, uuid7_hex

log = structlog.get_logger()

REQUESTS = Histogram(
    "shuke_http_request_seconds",
    "Time from the first to the last byte of a request.",
    ("service", "operation", "status"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
)
OUTBOX_EVENTS = Gauge("shuke_outbox_events", "Events not yet numbered, up to the limit of the intake.", ("service",))
UNPUBLISHED = Gauge("shuke_unpublished_events", "Numbered events not yet on Kafka.", ("service",))
LAG = Gauge("shuke_lag_events", "Events that a consumer has not read yet.", ("consumer", "topic", "partition"))
LAG_AGE = Gauge(
    "shuke_lag_seconds", "Age of the oldest event that a consumer has not read yet.", ("consumer", "topic", "partition")
)
SOURCE_UP = Gauge(
    "shuke_source_up", "Whether the log of a source could be read when it was last asked.", ("consumer", "source")
)
STOPPED = Gauge("shuke_partitions_stopped", "Partitions at which a consumer stands.", ("consumer",))
PAUSED = Gauge(
    "shuke_partitions_paused", "1 where an operator has paused the partition.", ("consumer", "topic", "partition")
)
LETTERS_OPEN = Gauge("shuke_dead_letters_open", "Records set aside that wait for a person.", ("consumer", "topic"))
DATABASE_UP = Gauge("shuke_database_up", "Whether the database answered when it was last asked.", ("service",))
DISK_FREE = Gauge("shuke_disk_free_bytes", "Room on the disk that must not run full.", ("service",))
INTAKE_REFUSED = Gauge("shuke_intake_refused", "Whether what would announce or change is refused.", ("service",))
CONNECTED = Gauge("shuke_bus_connected", "Whether a process has what it reads from or writes to.", ("part", "peer"))
LOOP_LAG = Histogram(
    "shuke_event_loop_lag_seconds",
    "By how much a task of the process was late.",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
OUTBOX_AGE = Gauge("shuke_outbox_oldest_seconds", "Age of the oldest event not yet numbered.", ("service",))
LOG_RETENTION = Gauge("shuke_log_retention_seconds", "So long events stay in the log and on Kafka.", ("service",))
UNPUBLISHED_AGE = Gauge("shuke_unpublished_age_seconds", "Age of the oldest event not yet on Kafka.", ("service",))
FELL_AT = Gauge(
    "shuke_process_fell_timestamp_seconds",
    "When this process took the place of one that had ended without being told to; 0 where none had.",
)

_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_UNSEEN = re.compile(r"[\x80-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What JSON may hold as it is, and some readers or terminals take for a new line or a command."""
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def configure_logging(level: str = "INFO") -> None:
    """One JSON object per line on stderr, for our own lines and those of libraries."""
    global _plain_lines
    _plain_lines = logging.getLevelNamesMapping()[level] <= logging.INFO
    shared: list[Any] = [
        merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(_json)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _LINES)),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(_json),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))


class _Lines:
    """Standard error, without what does not fit: a full disk must not end a process that only has something to say."""

    def write(self, text: str) -> None:
        # Not by `suppress`: every request writes a line, and that would take a sixth of it.
        try:  # noqa: SIM105
            sys.stderr.write(text)
        except OSError:
            pass

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


_LINES = _Lines()
_PLAIN = msgspec.json.Encoder()
_plain_lines = False
"""Whether a line that needs nothing of its context may be written as it is: the logger would take ten times as long."""


def _write_line(told: dict[str, Any]) -> None:
    told["timestamp"] = datetime.now(UTC)
    # Standard error is written out at the end of each line.
    _LINES.write(f"{_seen(_PLAIN.encode(told).decode())}\n")


def _json(value: Any, default: Any = repr, **_: Any) -> str:
    return _seen(msgspec.json.encode(value, enc_hook=default).decode())


def _seen(text: str) -> str:
    return text if text.isascii() else _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


async def measure_loop(every_s: float = 0.5) -> Never:
    """Note again and again how late this task is woken: so late is everything in this process."""
    clock = asyncio.get_running_loop().time
    while True:
        due = clock() + every_s
        await asyncio.sleep(every_s)
        LOOP_LAG.observe(max(0.0, clock() - due))


def disconnected() -> list[str]:
    """What this process is to be connected with and is not."""
    samples = [sample for metric in CONNECTED.collect() for sample in metric.samples]
    return [f"{sample.labels['part']} from {sample.labels['peer']}" for sample in samples if not sample.value]


def request_id() -> str | None:
    """The id of the request being answered in this context."""
    return get_contextvars().get("request_id")


def traceparent() -> str | None:
    """Where this context stands in a trace (W3C Trace Context)."""
    return get_contextvars().get("traceparent")


def child_of(parent: str | None) -> str | None:
    """A span of ours in the same trace."""
    return parent and f"{parent[:36]}{random_hex(8)}{parent[52:]}"


MARKS = frozenset({b"x-request-id", b"traceparent"})
"""What connects a request with its log lines and its trace, on every answer."""
QUIET = frozenset({"healthz", "readyz", "metrics"})
"""Operations that a supervisor calls all the time: measured, not logged."""


class Marks(NamedTuple):
    """What connects a request with its log lines and its trace, and when it began."""

    id: str
    span: str
    started: float
    """Of `time.perf_counter`."""

    def headers(self) -> list[tuple[bytes, bytes]]:
        """What every answer says of them."""
        return [(b"x-request-id", self.id.encode()), (b"traceparent", self.span.encode())]


MARKED = "shuke.marks"
"""Where a scope has the marks of a request that was begun before it came to the app."""


def marks_of(scope: Scope) -> Marks:
    """The ids that a request came with, where they are such, else new ones; it begins now."""
    said: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in MARKS:
            said.setdefault(name, value)
    id = _accepted(_REQUEST_ID, said.get(b"x-request-id")) or uuid7_hex()
    parent = _accepted(_TRACEPARENT, said.get(b"traceparent"))
    # The same trace goes on under a span of ours; without one it starts here, marked as not sampled.
    return Marks(id, child_of(parent) or f"00-{random_hex(16)}-{random_hex(8)}-00", time.perf_counter())


def tell(service: str, operation: str, scope: Scope, status: int, started: float, **marks: str) -> None:
    """Measure a request that has ended, and log it. `marks` are the ids where the context has none."""
    taken = time.perf_counter() - started
    _requests(service, operation, status).observe(taken)
    if operation not in QUIET:
        told = {
            "service": service,
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "ms": round(taken * 1000, 2),
            **marks,
        }
        if _plain_lines and marks:
            told |= {"event": "request", "level": "info"}
            _write_line(told)
        else:
            log.info("request", **told)


class Edge:
    """The outermost layer of an app: ids in and out, one log line and one measurement per request, no exception out.

    `failure` renders what nobody expected.
    """

    def __init__(self, app: ASGIApp, *, service: str, failure: Any) -> None:
        self.app = app
        self.service = service
        self.failure = failure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        marks: Marks = scope.get(MARKED) or marks_of(scope)
        bound = bind_contextvars(request_id=marks.id, traceparent=marks.span)
        try:
            await self._answer(scope, receive, send, marks)
        finally:
            reset_contextvars(**bound)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, marks: Marks) -> None:
        status = 0
        told = marks.headers()

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [pair for pair in message.get("headers", ()) if pair[0] not in MARKS] + told
            await send(message)

        try:
            await self.app(scope, receive, send_marked)
        except ClientDisconnect:
            status = status or 499
        except Exception as error:
            log.exception("request failed", path=scope["path"])
            if status:
                # Half an answer is out: only a broken connection tells the caller.
                raise
            await self.failure(Request(scope), error)(scope, receive, send_marked)
        finally:
            tell(self.service, getattr(scope.get("endpoint"), "__name__", "none"), scope, status, marks.started)


@lru_cache(4_096)
def _requests(service: str, operation: str, status: int) -> Histogram:
    return REQUESTS.labels(service, operation, str(status))


def _accepted(pattern: re.Pattern[str], value: bytes | None) -> str | None:
    text = None if value is None else value.decode("latin-1")
    return text if text is not None and pattern.fullmatch(text) else None
