"""Who stands at the door: every public route asks here first."""

from typing import Annotated

from fastapi import Depends, Request

from chassis.auth import Caller, Forbidden, Unauthorized
from contracts.problems import NotFound
from gateway.domain.rights import Area, allowed, area_of
from gateway.queries.keys import Keyring


class PathNotFound(NotFound):
    """Nothing answers under this path."""


async def caller(request: Request) -> Caller:
    """Whose key the request carries, if it may do what it asks for."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise Unauthorized("Send an API key: Authorization: Bearer shuke_…")
    keyring: Keyring = request.app.state.keyring
    known = await keyring.caller(key.strip())
    if not allowed(known.scopes, request.method, area(request)):
        raise Forbidden("This key may not do this.", scopes=sorted(known.scopes))
    return known


def area(request: Request) -> Area:
    """The area of the request's path. Raises `PathNotFound`."""
    found = area_of(request.url.path)
    if found is None:
        raise PathNotFound("Nothing answers under this path.")
    return found


Asking = Annotated[Caller, Depends(caller)]
