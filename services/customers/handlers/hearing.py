"""What other services found out about who is who, taken in by whole batches."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.consumer import Delivery
from contracts.community import MemberLinked
from services.customers.queries.links import link_members


async def hear(session: AsyncSession, batch: Sequence[Delivery]) -> None:
    """Take a batch of events in. The parties that they concern are locked all at once, in the one order."""
    await link_members(session, [each.event for each in batch if isinstance(each.event, MemberLinked)])
