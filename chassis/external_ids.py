"""The ids of parties in other systems, as the services that know some give them to the gateway."""

from collections.abc import Iterable
from typing import Annotated
from uuid import UUID

import msgspec
from pydantic import Field
from starlette.responses import Response

from chassis.fields import Body

OUTER = "party_"


class AskedParties(Body):
    """Parties whose external ids are wanted."""

    party_ids: Annotated[list[Annotated[str, Field(pattern=rf"^{OUTER}[0-9a-f]{{32}}$")]], Field(max_length=20_000)]

    @property
    def hex_ids(self) -> list[str]:
        """Their ids as the database driver takes them. A file asks for millions: each is read but once."""
        return [party_id[len(OUTER) :] for party_id in self.party_ids]


class ExternalId(msgspec.Struct, frozen=True, gc=False):
    """An id of a party in another system."""

    party_id: str
    """As it is shown outside."""
    system: str
    value: str

    @classmethod
    def of(cls, party_id: UUID, system: str, value: str) -> "ExternalId":
        """One of a party."""
        return cls(OUTER + party_id.hex, system, value)


def told(external_ids: Iterable[ExternalId]) -> Response:
    """The external ids of parties, the oldest of each first, as `data`."""
    return Response(msgspec.json.encode({"data": external_ids}), media_type="application/json")
