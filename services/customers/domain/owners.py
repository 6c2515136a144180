"""Who takes care of a party, and what becomes of that when parties are merged."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from contracts.problems import Invalid


class OwnerReason(StrEnum):
    """Why a party has another owner."""

    ASSIGNED = "assigned"
    HANDED_OVER = "handed_over"
    """All parties of a user went to another one."""
    MERGED = "merged"
    """Nobody gave it one, and a party that was merged with it has this one; none where that merge is gone."""


class HandOverToItself(Invalid):
    """Parties are handed over to somebody else."""


class Care(NamedTuple):
    """Who takes care of a party."""

    owner_id: UUID | None = None
    team_id: UUID | None = None


NOBODY = Care()


def taken_over(
    moved: Mapping[UUID, UUID], stood: Mapping[UUID, UUID], care: Mapping[UUID, Care]
) -> Iterable[tuple[UUID, Care]]:
    """Survivors without an owner, and the care that each takes over from those whom people merged into it.

    `moved` says where parties lead that led elsewhere before, `stood` where they led then. Of several the one that
    stood for itself comes first, then the smallest id. Nobody loses an owner: what a merged party had it has again
    when it is unmerged.
    """
    came = sorted(
        (party != stood[party], party)
        for party, leads_to in moved.items()
        if party != leads_to and care.get(party, NOBODY) != NOBODY
    )
    heirs: dict[UUID, UUID] = {}
    for _, party in came:
        if care.get(moved[party], NOBODY) == NOBODY:
            heirs.setdefault(moved[party], party)
    return [(survivor, care[party]) for survivor, party in sorted(heirs.items())]


def followed(resolves_to: Mapping[UUID, UUID], said: Mapping[UUID, Care]) -> dict[UUID, Care]:
    """The care of each survivor about which nobody said anything: that of the smallest id merged with it that has one.

    It depends on who is one now, not on the order in which they became it, and is nobody's where no such party is left.
    """
    heirs: dict[UUID, Care] = {}
    for party in sorted(resolves_to):
        if said.get(party, NOBODY) != NOBODY:
            heirs.setdefault(resolves_to[party], said[party])
    return {top: heirs.get(top, NOBODY) for top in sorted(set(resolves_to.values())) if top not in said}
