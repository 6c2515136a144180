"""What the app knows about the installation, for routes."""

from typing import Annotated

from fastapi import Depends, Request

from services.customers.domain.identities import Installation


async def installation(request: Request) -> Installation:
    """The identity key and the zone of the local days, as the app opened them."""
    known: Installation = request.app.state.installation
    return known


Here = Annotated[Installation, Depends(installation)]
