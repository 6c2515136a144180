"""Finds the route of a request among those that begin like its path, and answers HEAD by the route of GET.

FastAPI asks every route of every room, and again at each level of rooms within rooms: with fifty routes that takes
longer than all else that it does for a request.

What tells a route how it was included has no public name: those below are of FastAPI 0.165, and a version without them
fails as it is imported. `tests/chassis/test_dispatch.py` holds each answer to that of the framework alone.
"""

from collections.abc import Iterator

from fastapi import FastAPI
from fastapi.routing import (
    _FASTAPI_EFFECTIVE_ROUTE_CONTEXT_KEY,
    APIRoute,
    _EffectiveRouteContext,
    _get_fastapi_scope,
    _iter_routes_with_context,
)
from fastapi.telemetry._api import _route_selected
from starlette.requests import ClientDisconnect
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Begin = tuple[str, ...]
"""The first two parts of a path."""


class Dispatch:
    """Stands before the router of an app, which has what is not found here: it knows best how to refuse."""

    def __init__(self, owner: FastAPI) -> None:
        self._owner = owner
        self._router: ASGIApp = owner.router.middleware_stack
        self._routes: dict[Begin, list[_EffectiveRouteContext | None]] | None = None
        """By begin, in their order; None where the router has to look. Under no begin those that fit any path."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request to its route."""
        if scope["type"] == "http" and scope["method"] == "HEAD":
            await _head(self._found, scope, receive, send)
        else:
            await self._found(scope, receive, send)

    async def _found(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope.get("root_path"):
            for route in self._beginning(scope["path"]):
                if route is None:
                    break
                match, found = route.matches(scope)
                if match is Match.FULL:
                    await self._hand_over(route, scope, found, receive, send)
                    return
        await self._router(scope, receive, send)

    async def _hand_over(
        self, route: _EffectiveRouteContext, scope: Scope, found: Scope, receive: Receive, send: Send
    ) -> None:
        scope.setdefault("router", self._owner.router)
        scope.update(found)
        scope["route"] = route.original_route
        _get_fastapi_scope(scope)[_FASTAPI_EFFECTIVE_ROUTE_CONTEXT_KEY] = route
        _route_selected(scope=scope, path=route.path_format)
        await route.original_route.handle(scope, receive, send)

    def _beginning(self, path: str) -> list[_EffectiveRouteContext | None]:
        if self._routes is None:
            # Not before the first request: routes are added until then.
            self._routes = self._by_begin()
        return self._routes.get(_begin(path)) or self._routes[()]

    def _by_begin(self) -> dict[Begin, list[_EffectiveRouteContext | None]]:
        known = list(self._known())
        begins = {begin for begin, _ in known}
        return {begin: [route for own, route in known if own in (begin, ())] for begin in {*begins, ()}}

    def _known(self) -> Iterator[tuple[Begin, _EffectiveRouteContext | None]]:
        for route, context in _iter_routes_with_context(self._owner.routes):
            # Of what is mounted, and of other kinds of routes, only the router knows what they fit.
            path = (context or route).path_format if isinstance(route, Route) else "{}"
            begin = _begin(path)
            yield () if "{" in path[:1] + "".join(begin) else begin, context if isinstance(route, APIRoute) else None


async def _head(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer as GET is answered, without the body (RFC 9110 §9.3.2): whoever would write one finds nobody there."""
    told = cut = False

    async def send_head(message: Message) -> None:
        nonlocal told, cut
        if not told:
            # The server knows by the method that a length without a body is no fault.
            scope["method"], told = "HEAD", True
            await send(message)
            await send({"type": "http.response.body"})
        elif message.get("more_body"):
            cut = True
            raise OSError("The answer to HEAD has no body.")

    scope["method"] = "GET"
    try:
        await app(scope, receive, send_head)
    except (OSError, ClientDisconnect):
        if not cut:
            raise
    finally:
        scope["method"] = "HEAD"


def _begin(path: str) -> Begin:
    return tuple(path.split("/", 3)[1:3])


def dispatched(app: FastAPI) -> None:
    """Have an app find its routes so."""
    app.router.middleware_stack = Dispatch(app)
