"""The ids by which others know parties, as the services that know them tell."""

from collections.abc import Iterable, Sequence

import structlog

from chassis.contact import masked
from contracts.problems import Problem
from gateway.domain.export import oldest
from gateway.queries.services import Services

log = structlog.get_logger()

EXTERNAL_IDS = "/internal/external-ids"


class ExternalIds:
    """An id that customers knows comes before those of leads, which are told as far as leads answers."""

    def __init__(self, services: Services, *, contact: bool = True) -> None:
        """Without `contact`, ids that are e-mail addresses or phone numbers are masked."""
        self._contact = contact
        self._services = services
        self._leads_answers = "leads" in services.addresses

    async def of(self, party_ids: Iterable[str]) -> dict[str, str]:
        """The id of each party that has one."""
        asked = list(dict.fromkeys(party_ids))
        found = await self._told("customers", asked)
        if self._leads_answers and (left := [party_id for party_id in asked if party_id not in found]):
            try:
                found |= await self._told("leads", left)
            except Problem as problem:
                self._leads_answers = False
                log.warning("a file goes on without the ids of leads", reason=problem.code())
        return found if self._contact else {party_id: masked(id) for party_id, id in found.items()}

    async def _told(self, service: str, party_ids: Sequence[str]) -> dict[str, str]:
        told = await self._services.json(service, "POST", EXTERNAL_IDS, {"party_ids": party_ids})
        return oldest(told["data"])
