"""The ids by which others know parties, as the services that know them tell."""

from collections.abc import Iterable

import structlog

from contracts.problems import Problem
from gateway.domain.export import oldest
from gateway.queries.services import Services

log = structlog.get_logger()

EXTERNAL_IDS = "/internal/external-ids"


class ExternalIds:
    """An id that customers knows comes before those of leads, which are told as far as leads answers."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._leads_answers = "leads" in services.addresses

    async def of(self, party_ids: Iterable[str]) -> dict[str, str]:
        """The id of each party that has one."""
        asked = {"party_ids": list(dict.fromkeys(party_ids))}
        found = (await self._services.json("customers", "POST", EXTERNAL_IDS, asked))["data"]
        if self._leads_answers:
            try:
                found += (await self._services.json("leads", "POST", EXTERNAL_IDS, asked))["data"]
            except Problem as problem:
                self._leads_answers = False
                log.warning("a file goes on without the ids of leads", reason=problem.code())
        return oldest(found)
