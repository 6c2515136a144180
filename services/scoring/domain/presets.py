"""Policies to begin with."""

from collections.abc import Mapping

from contracts.scoring import Band, Stage, Tier
from services.scoring.domain.policy import Policy, Treatment
from services.scoring.domain.rules import All, Comparison
from services.scoring.domain.stages import ByDays, ByProbability, Interest, Stages

VIP = All(
    all=(
        Comparison(field="tier", op="eq", value=Tier.TOP),
        Comparison(field="purchase_days", op="gte", value=2),
        Comparison(field="stage", op="eq", value=Stage.CUSTOMER),
    )
)
"""Worth most, came back, and still a customer."""

DEFAULT_1 = Policy(name="default-1", vip=VIP)
"""Whoever bought stands by the probability of buying again; by fixed days as long as there is no model."""

DAYS_1 = Policy(name="days-1", persons=Stages(customers=ByDays()), vip=VIP)
"""Fixed days alone."""

RETENTION_FIRST = Policy(
    name="retention_first",
    persons=Stages(customers=ByProbability(fresh_days=21, dormant_below=0.6, lost_below=0.15)),
    vip=VIP,
    treatments=(
        Treatment(satisfaction=(Band.LOW,), treatment="recover"),
        Treatment(tier=(Tier.TOP, Tier.HIGH), treatment="care"),
        Treatment(tier=(Tier.MID,), treatment="develop"),
        Treatment(tier=(Tier.UNPROVEN,), treatment="win"),
        Treatment(treatment="serve"),
    ),
)
"""For a company that lives from those it has: dormant is told early, lost late, and whoever is unhappy comes first."""

ACQUISITION_FIRST = Policy(
    name="acquisition_first",
    persons=Stages(prospects=Interest(active_days=14, lost_after_days=365)),
    vip=VIP,
    treatments=(
        Treatment(tier=(Tier.UNPROVEN,), treatment="win"),
        Treatment(tier=(Tier.TOP,), treatment="care"),
        Treatment(tier=(Tier.HIGH, Tier.MID), treatment="develop"),
        Treatment(treatment="serve"),
    ),
)
"""For a company that has to win customers first: interest fades after two weeks, and is not given up for a year."""

PRESETS: Mapping[str, Policy] = {
    policy.name: policy for policy in (DEFAULT_1, DAYS_1, RETENTION_FIRST, ACQUISITION_FIRST)
}
