"""What takes facts back."""

from uuid import UUID

from chassis.clock import now
from contracts.community import CommunityFactWithdrawn


def withdrawn(subject: UUID, fact_id: UUID) -> CommunityFactWithdrawn:
    """The event that takes a fact back."""
    return CommunityFactWithdrawn(subject=subject, occurred_at=now(), fact_id=fact_id)
