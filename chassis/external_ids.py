"""The ids of parties in other systems, as the services that know some give them to the gateway."""

from typing import Annotated

from pydantic import Field

from chassis.fields import Body, PartyId, Shown


class AskedParties(Body):
    """Parties whose external ids are wanted."""

    party_ids: Annotated[list[PartyId], Field(max_length=20_000)]


class ExternalId(Shown):
    """An id of a party in another system."""

    party_id: PartyId
    system: str
    value: str


class ExternalIds(Shown):
    """The external ids of parties, the oldest of each first."""

    data: list[ExternalId]
