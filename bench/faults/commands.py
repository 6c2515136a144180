"""What a command is: a request that changes something, and that says the same to every installation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias
from uuid import UUID

from contracts.identity import Scheme, identity_id

KEY = "7a" * 32
"""The identity key of both installations that are compared."""
SYSTEM = "shop"
REGISTERED = "customers.party_registered.v1"
FIRST, DAYS = datetime(2025, 1, 1, tzinfo=UTC), 500

Body: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Command:
    """A request that changes something; what it says is the same for every installation."""

    name: str
    path: str
    """`{}` stands for the id that the command `of` was answered with, a second one for that of `by`."""
    body: Mapping[str, Any] = field(default_factory=dict)
    rows: Sequence[Body] = ()
    """Of a bulk command, in the place of a body."""
    needs: tuple[str, ...] = ()
    """Commands without whose answers it is not sent."""
    of: str = ""
    by: str = ""
    also: tuple[str, str] | None = None
    """A field of the body that is the id which another command was answered with: its name, and the command."""
    method: str = "POST"
    search: str = ""
    """A list that is read until something is in it; the id of the first is what `of` stands for."""
    not_yet: frozenset[str] = frozenset()
    """Codes of refusals that pass: what is needed is recorded, and not read yet."""
    tells: str = ""
    """The wire type of the one event by which others learn of it; empty where there may be more, or none."""
    about: str = ""
    """The command that made what this event is about, where it is not this one."""

    def sent(self, ids: Mapping[str, str]) -> tuple[str, Body | Sequence[Body]]:
        """Path and content, by the ids that an installation gave."""
        path = self.path.format(*(ids[each] for each in (self.of, self.by) if each))
        body = dict(self.body) | ({self.also[0]: ids[self.also[1]]} if self.also else {})
        return path, self.rows or body


def identifier(customer: str) -> Body:
    """How a customer is named."""
    return {"scheme": "external", "system": SYSTEM, "value": customer}


def identity_of(customer: str) -> UUID:
    """The id of the identity, and of the party as it was named."""
    return identity_id(bytes.fromhex(KEY), Scheme.EXTERNAL, customer, system=SYSTEM)


def party_of(customer: str) -> str:
    """As it is written in paths and bodies."""
    return f"party_{identity_of(customer).hex}"


def identity_text(customer: str) -> str:
    """The identity as it is written in paths."""
    return f"identity_{identity_of(customer).hex}"
