"""The whole reason of a standing: enough to decide again by hand."""

from datetime import date, datetime

from contracts.customers import PartyKind
from services.scoring.domain.calendar import Calendar
from services.scoring.domain.history import History
from services.scoring.domain.reasons.coming import Coming, coming
from services.scoring.domain.reasons.ground import Ground, Subject
from services.scoring.domain.reasons.indexes import IndexGround, index_grounds
from services.scoring.domain.reasons.otherwise import Otherwise, otherwise
from services.scoring.domain.reasons.overriding import OverrideGround, override_grounds
from services.scoring.domain.reasons.posture import PostureGround, posture_ground
from services.scoring.domain.reasons.potential import PotentialGround, potential_ground
from services.scoring.domain.reasons.stage import StageGround, stage_ground
from services.scoring.domain.reasons.treatment import (
    FlagGround,
    TreatmentGround,
    VipGround,
    flag_grounds,
    treatment_ground,
    vip_ground,
)
from services.scoring.domain.reasons.worth import (
    Bought,
    Chances,
    Fitted,
    ProfitGround,
    TierGround,
    TurnoverGround,
    bought,
    chances,
    fitted,
    profit_ground,
    tier_ground,
    turnover_ground,
)
from services.scoring.domain.ruling import Ruling


class Reason(Ground):
    """What decided, complete enough to decide again by hand."""

    day: date
    """The local day of the assessment."""
    kind: PartyKind
    """A party of which nothing else is known is a person."""
    currency: str | None
    """The reporting currency."""
    policy: str
    """Its name."""
    policy_hash: str
    model: Fitted | None
    """None as long as there is none: then days decide, and value is turnover."""
    bought: Bought | None
    """None without a purchase."""
    chances: Chances | None
    """None without a model or without a purchase."""
    stage: StageGround
    turnover: TurnoverGround
    tier: TierGround
    potential: PotentialGround | None
    """None of who bought, and where no lead was graded."""
    satisfaction: IndexGround
    loyalty: IndexGround
    posture: PostureGround
    profit: ProfitGround
    flags: tuple[FlagGround, ...]
    vip: VipGround
    treatment: TreatmentGround
    overrides: tuple[OverrideGround, ...]
    """Those in force that say something else than the facts."""
    coming: Coming | None
    """The next change of any part, if there is one."""
    coming_stage: Coming | None
    """The next change of the stage."""
    otherwise: tuple[Otherwise, ...]


def reason(calendar: Calendar, at: datetime, ruling: Ruling) -> Reason | None:
    """Why the standing at an instant is what it is; None where the party stands nowhere."""
    history, day = History(calendar, ruling), ruling.day(at)
    if not history.is_known(day):
        return None
    of, policy, model = Subject(history, day), ruling.policy, ruling.model
    past, profit = bought(of), profit_ground(of)
    satisfaction, loyalty = index_grounds(of)
    return Reason(
        day=date.fromordinal(day),
        kind=history.kind(day),
        currency=ruling.rates.currency,
        policy=policy.name,
        policy_hash=policy.content_hash,
        model=None if model is None else fitted(model),
        bought=past,
        chances=chances(of, past),
        stage=stage_ground(of),
        turnover=turnover_ground(of),
        tier=tier_ground(of),
        potential=potential_ground(of),
        satisfaction=satisfaction,
        loyalty=loyalty,
        posture=posture_ground(of),
        profit=profit,
        flags=flag_grounds(of, profit.profit_minor),
        vip=vip_ground(of),
        treatment=treatment_ground(of),
        overrides=override_grounds(of),
        coming=coming(of, history.next_turn(day)),
        coming_stage=coming(of, history.next_stage_turn(day)),
        otherwise=tuple(otherwise(of)),
    )
