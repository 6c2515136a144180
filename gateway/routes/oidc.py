"""Signing in at an OpenID provider."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, status

from gateway.domain.tokens import OidcNotConfigured
from gateway.models.sessions import OidcReturn, OidcWay, SignedIn
from gateway.queries.provider import Provider
from gateway.routes.door import ANYBODY
from gateway.routes.sessions import ComeIn, From, signed_in

router = APIRouter(prefix="/v1/sessions/oidc", tags=["sessions"])
"""Not in one transaction: none is open while the provider is asked."""


async def provider_of(request: Request) -> Provider:
    """The provider. Raises `OidcNotConfigured`."""
    provider: Provider | None = request.app.state.provider
    if provider is None:
        raise OidcNotConfigured("Nobody signs in elsewhere here: GATEWAY_OIDC_CLIENT_ID is not set.")
    return provider


There = Annotated[Provider, Depends(provider_of)]


@router.get("", openapi_extra=ANYBODY)
async def begin_oidc(provider: There, entrance: ComeIn) -> OidcWay:
    """Where to send a browser, and what it has to keep until it comes back."""
    url, state, flow = await provider.begin(entrance.database)
    return OidcWay(url=url, state=state, flow=flow)


@router.post("", status_code=status.HTTP_201_CREATED, openapi_extra=ANYBODY)
async def finish_oidc(back: OidcReturn, provider: There, entrance: ComeIn, whence: From, request: Request) -> SignedIn:
    """Begin a session by what the provider sent back. Who is new is made here, where the settings allow it."""
    opened = await provider.finish(entrance, back.code, back.state, back.flow, whence)
    return await signed_in(request, entrance, opened)
