"""What several services answer together."""

from typing import Any

from pydantic import ConfigDict

from chassis.fields import PartyId, Shown
from chassis.timelines import Entry
from gateway.domain.parts import Status


class ImportList(Shown):
    """A part of the list of all imports; `next_cursor` asks for the part after it."""

    data: list[dict[str, Any]]
    """Each as `GET /v1/imports/{import_id}` answers."""
    has_more: bool
    """Also true while a service in `unavailable` may have more."""
    next_cursor: str | None = None
    unavailable: list[str]
    """Services that did not answer."""


class ImportKinds(Shown):
    """The kinds of files that can be imported."""

    data: list[dict[str, Any]]
    """Each with `kind`, its `fields` (`name`, `needed`), `any_of` of which one is needed, `money` and `attributes`."""
    unavailable: list[str]
    """Services that did not answer."""


class ViewPart(Shown):
    """What one service knows of a party."""

    status: Status
    data: dict[str, Any] | None = None
    """As the service answers; null unless the status is `ok`."""


class PartyView(Shown):
    """What every service knows of a party."""

    party_id: PartyId
    """As it was asked for."""
    resolves_to: PartyId | None
    """The party that the id leads to now; null where neither customers nor scoring answered."""
    party: ViewPart
    """From customers: as `GET /v1/parties/{party_id}` answers."""
    standing: ViewPart
    """From scoring: as `GET /v1/standings/{party_id}` answers."""
    leads: ViewPart
    """From leads: the latest, as `GET /v1/leads` answers."""
    community: ViewPart
    """From community: memberships and what they did last."""
    problems: ViewPart
    """From customers: open ones, as `GET /v1/problems` answers."""
    interactions: ViewPart
    """From customers: the last ones, as `GET /v1/interactions` answers."""


class TimelineRow(Entry):
    """Something that happened with a party; a service may say more of it."""

    model_config = ConfigDict(extra="allow")


class TimelinePage(Shown):
    """A part of a timeline; `next_cursor` asks for the part after it."""

    data: list[TimelineRow]
    has_more: bool
    """Also true while a service in `unavailable` may have more."""
    next_cursor: str | None = None
    unavailable: list[str]
    """Services that did not answer. Their rows come on a later page, once they answer."""
