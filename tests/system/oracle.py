"""What every party has to look like, recomputed slowly from the facts alone."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from services.scoring.domain.facts import Fact
from services.scoring.domain.model import Model
from services.scoring.domain.plain import counting, held, plain_standing
from services.scoring.domain.policy import Policy
from services.scoring.domain.standing import Standing
from services.scoring.domain.tiers import Cuts

Holdings = Mapping[UUID, Sequence[tuple[UUID, date | None]]]
"""Of each assigned identity its holders with their first local days, in day order."""


def expected(
    facts: Iterable[Fact],
    withdrawn: Iterable[tuple[UUID, UUID]],
    holdings: Holdings,
    at: datetime,
    policy: Policy,
    cuts: Cuts,
    *,
    model: Model | None = None,
    currency: str | None,
    rates: Sequence[tuple[date, str, Decimal]] = (),
    zone: ZoneInfo,
) -> dict[UUID, Standing]:
    """The standing of every party for which a fact counts up to the instant; without a model fixed days decide.

    Facts may repeat and come in any order; `withdrawn` names (fact, identity) of those withdrawn or replaced, known
    or not.
    """
    counted = counting(facts, withdrawn)
    parties = {fact.identity_id for fact in counted} | {party for held_by in holdings.values() for party, _ in held_by}
    standings = {
        party: plain_standing(
            held(counted, holdings, party, zone),
            at,
            policy,
            cuts,
            model=model,
            currency=currency,
            rates=rates,
            zone=zone,
        )
        for party in parties
    }
    return {party: standing for party, standing in standings.items() if standing.stage is not None}
