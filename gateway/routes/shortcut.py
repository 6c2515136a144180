"""The short way through the gateway: for what waits for nothing but its service, and comes to a good end.

It takes no task and no layers. Whatever has to wait, is refused or fails goes the way of the layers, also where that
turns out only when the service has been asked: then they go on with what is in flight.
"""

from collections.abc import Callable

import structlog
from fastapi import FastAPI
from starlette.types import Scope

from chassis.auth import Caller
from chassis.heads import Asked
from chassis.limits import CHANGING, COUNTED, Writing
from chassis.telemetry import MARKED, Marks, marks_of, tell
from gateway.domain.audit import UNTRACED, Kind, Operations, kind_of
from gateway.domain.rates import Rates, fields
from gateway.domain.retiring import Retirements
from gateway.domain.rights import PATIENT, Area, UnreadableAddress, area_of, changes, is_open, rights
from gateway.queries.intake import Intake
from gateway.queries.keyring import Keyring
from gateway.queries.meter import Meter
from gateway.queries.services import InFlight, Services
from gateway.queries.trail import Trail
from gateway.routes.audit import entry_of
from gateway.routes.documents import known_operations
from gateway.routes.door import (
    KEY,
    bearer,
    granted,
    refuse_unreadable_parts,
    wanted_headers,
    with_those_wanted,
)
from gateway.routes.proxy import (
    DOUBTFUL,
    IN_FLIGHT,
    OURS,
    SMALL,
    THEIRS,
    Proxied,
    comes_whole,
    own_routes,
    target_of,
    to_pass,
)

log = structlog.get_logger()

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
OPERATION = Proxied.forward.__name__
"""What is passed on is measured as one operation, whichever way it takes."""


class ProxyShortcut:
    """Begins what can go the short way."""

    def __init__(self, app: FastAPI) -> None:
        state = app.state
        self.app = app
        self.services: Services = state.services
        self.trail: Trail = state.trail
        self.writing: Writing = state.writing
        self.retirements: Retirements = state.retirements
        self._keyring: Keyring = state.keyring
        self._meter: Meter = state.meter
        self._intake: Intake = state.intake
        self._own = own_routes(app)
        self._rates: Rates = state.rates
        self._largest = min(SMALL, state.settings.max_body_bytes)

    def __call__(self, asked: Asked) -> Callable[[], None] | None:
        """Begin to answer. See `chassis.heads.Shortcut`."""
        scope, body = asked.scope, asked.body
        method, path = scope["method"], scope["path"]
        if not path.startswith("/v1/") or method not in METHODS or len(body) > self._largest or not asked.taken:
            return None
        there = area_of(path)
        if there is None or there.service is None or self._own.have(path) or is_open(method, path):
            return None
        kind = kind_of(method, path)
        operations = known_operations(self.app, there.service)
        if kind is Kind.ACT or (kind is Kind.READ and (operations is None or self.trail.full)):
            return None
        caller = self._admitted(scope, there)
        if caller is None:
            return None
        marks = scope[MARKED] = marks_of(scope)
        request = ShortcutRequest(self, asked, marks, operations if kind is Kind.READ else None)
        return request.leave if request.begin(there.service, caller, body) else None

    def _admitted(self, scope: Scope, there: Area) -> Caller | None:
        """Who asks, counted, where the door lets it in without a question to the database."""
        method, path, state = scope["method"], scope["path"], scope["state"]
        try:
            refuse_unreadable_parts(scope["raw_path"], scope["query_string"])
        except UnreadableAddress:
            return None
        holder = self._keyring.remembered(self.app.state.database, bearer(scope["headers"]))
        if holder is None or (changes(method, path, there) and not self._intake.is_open):
            return None
        caller = granted(holder.caller, rights(method, path, there))
        if caller is None:
            return None
        rate = self._rates.of(holder.rate, holder.caller.scopes)
        level = self._meter.take(holder.caller.key_id, rate)
        if not level.allowed:
            return None
        state["caller"], state["holder"], state["rate_fields"] = caller, holder, fields(KEY, rate, level)
        return caller


class ShortcutRequest:
    """A request on the short way."""

    def __init__(self, shortcut: ProxyShortcut, asked: Asked, marks: Marks, operations: Operations | None) -> None:
        """`operations` are those of the service, where the trail is to tell of a reading."""
        self._shortcut = shortcut
        self._asked = asked
        self._scope = asked.scope
        self._marks = marks
        self._operations = operations
        self._in_flight: InFlight | None = None
        self._counts = self._scope["method"] in CHANGING

    def begin(self, service: str, caller: Caller, body: bytes) -> bool:
        """Ask the service; False where something has to be waited for."""
        scope = self._scope
        self._in_flight = self._shortcut.services.begin(
            service,
            scope["method"],
            target_of(scope),
            caller=caller,
            headers=to_pass(scope["headers"], OURS),
            body=body or None,
            patient=PATIENT.match(scope["path"]) is not None,
            marks=(self._marks.id, self._marks.span),
            told=self._told,
        )
        if self._in_flight is None:
            return False
        self._shortcut.writing.underway += self._counts
        return True

    def leave(self) -> None:
        """The client has left: the service is told so by the end of its connection."""
        self._end(499)

    def _told(self) -> None:
        try:
            self._go_on()
        except Exception:
            # Nobody stands above this: the client would wait for ever.
            log.exception("request failed", path=self._scope["path"], request_id=self._marks.id)
            self._asked.hang_up()
            self._end(500)

    def _go_on(self) -> None:
        assert self._in_flight is not None
        connection = self._in_flight.connection
        assert connection is not None
        if not connection.failed and connection.status not in DOUBTFUL and self._asked.taken:
            length = next((int(value) for name, value in connection.headers if name == b"content-length"), None)
            if comes_whole(self._scope["method"], connection.status, length):
                if connection.complete:
                    self._answer(connection.status, to_pass(connection.headers, THEIRS), connection.whole())
                return
        self._hand_over()

    def _answer(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        assert self._in_flight is not None
        self._in_flight.answered()
        scope, trail = self._scope, self._shortcut.trail
        if self._operations is not None and status not in UNTRACED:
            trail.note(entry_of(scope, Kind.READ, self._operations, status, headers, self._marks.id))
        headers = [
            *with_those_wanted(headers, wanted_headers(scope, self._shortcut.retirements)),
            *scope["state"]["rate_fields"],
            *self._marks.headers(),
        ]
        self._asked.answer(status, headers, body)
        self._end(status)

    def _hand_over(self) -> None:
        in_flight = self._scope[IN_FLIGHT] = self._in_flight
        self._scope[COUNTED] = True
        assert in_flight is not None
        assert in_flight.connection is not None
        in_flight.connection.told = None
        task = self._asked.hand_over()

        def ended(_: object) -> None:
            in_flight.end()
            self._shortcut.writing.underway -= self._counts

        task.add_done_callback(ended)

    def _end(self, status: int) -> None:
        assert self._in_flight is not None
        self._in_flight.end()
        self._shortcut.writing.underway -= self._counts
        marks = {"request_id": self._marks.id, "traceparent": self._marks.span}
        tell("gateway", OPERATION, self._scope, status, self._marks.started, **marks)
