"""What other services found out about who is who, taken in by whole batches."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.consumer import Delivery
from contracts.community import MemberLinked
from contracts.identity import Identity
from contracts.leads import LeadCaptured, LeadFactWithdrawn
from services.customers.queries.identities import have_identities
from services.customers.queries.links import link_members
from services.customers.queries.pairs import Evidence, Together, see, unsee


async def hear(session: AsyncSession, batch: Sequence[Delivery]) -> None:
    """Take a batch of events in. The parties that they concern are locked all at once, in the one order.

    Whoever they are about is a party from now on, under the id that a first purchase would give it.
    """
    await link_members(session, [each.event for each in batch if isinstance(each.event, MemberLinked)])
    leads = [_together(each, each.event) for each in batch if isinstance(each.event, LeadCaptured)]
    named = {identity for lead in leads for identity in lead.identities} | {each.event.subject for each in batch}
    await have_identities(session, map(Identity, named))
    await see(session, [lead for lead in leads if len(lead.identities) > 1])
    await unsee(session, [each.event.fact_id for each in batch if isinstance(each.event, LeadFactWithdrawn)])


def _together(delivery: Delivery, lead: LeadCaptured) -> Together:
    evidence = Evidence(delivery.event_id, "leads", "lead_captured", lead.occurred_at, lead.source)
    return Together((lead.subject, *lead.other_identities), evidence, lead.given)
