"""A model from a population, and how good it would have been."""

from datetime import date
from typing import NamedTuple

import numpy as np

from contracts.problems import Conflict, Invalid, NotFound
from services.scoring.domain import bgnbd, gamma_gamma, tiers
from services.scoring.domain.bgnbd import NotEnough
from services.scoring.domain.buyers import Ledger
from services.scoring.domain.likelihood import FEWEST
from services.scoring.domain.model import Model
from services.scoring.domain.policy import Policy
from services.scoring.domain.quality import Beside, Period, Quality, judge, worths
from services.scoring.domain.stages import ByProbability
from services.scoring.domain.tiers import SHARES, TierShares

MARGIN = 0.01
"""By so much a model may be worse than the active one by AUC or Brier score."""
BACK = (2.0, 1.5, 1.0)
"""So many horizons before its own day a model is fitted too, to be judged by the horizon after."""


class FitInFuture(Invalid):
    """A model knows what happened up to a day, which has to have come."""


class FitNotFound(NotFound):
    """There is no such fit."""


class FitUnderWay(Conflict):
    """One fit at a time."""


class FitNotJudged(Conflict):
    """A model that was fitted by itself decides by itself only where it was judged."""


class ModelActive(Conflict):
    """The model decides already."""


class ModelWorse(Conflict):
    """The model is worse than the active one by more than the margin."""


class Fitted(NamedTuple):
    """A model with how good it would have been."""

    model: Model
    quality: Quality


def fit(ledger: Ledger, as_of: date, policy: Policy, currency: str | None, active: Model | None) -> Fitted | NotEnough:
    """The model as of a day, judged as a policy has it: by its horizon, and by the stages that it has for persons.

    Its calibration is that of the last closed period: of a fit as of one horizon earlier, which knew nothing of what
    came since. `active` is judged on the same days.
    """
    rules = policy.turnover_days, currency, policy.tier_shares, policy.fewest_repeaters
    model = fitted(ledger, as_of, *rules)
    if isinstance(model, NotEnough):
        return model
    customers = policy.persons.customers
    by = customers if isinstance(customers, ByProbability) else ByProbability()
    horizon = policy.horizon_days

    def judged(earlier: Model) -> Period | None:
        return judge(earlier, ledger, horizon, policy.turnover_days, by)

    days = [date.fromordinal(max(1, as_of.toordinal() - round(back * horizon))) for back in BACK]
    fits = [fitted(ledger, day, *rules) for day in days]
    periods = [judged(earlier) for earlier in fits if isinstance(earlier, Model)]
    quality = Quality(horizon_days=horizon, periods=tuple(period for period in periods if period))
    last = quality.last
    if last is None or last.as_of != days[-1]:
        unjudged = model.model_copy(update={"flags": (*model.flags, "not_judged")})
        return Fitted(unjudged, Quality(horizon_days=horizon, periods=()))
    if active is not None and (beside := judged(active.model_copy(update={"as_of": last.as_of}))):
        told = Beside(model=active.content_hash, auc=beside.auc, brier=beside.brier)
        quality = quality.model_copy(update={"active": told})
    if last.calibration is None:
        return Fitted(model, quality)
    return Fitted(model.model_copy(update={"calibration": float(f"{last.calibration:.6g}")}), quality)


def fitted(
    ledger: Ledger,
    as_of: date,
    value_days: int,
    currency: str | None,
    shares: TierShares = SHARES,
    fewest: int = FEWEST,
) -> Model | NotEnough:
    """The model of all who had bought by a day, with tier amounts by what they are worth over some days.

    It takes so many of them that bought, and that paid, on several days.
    """
    of = ledger.buyers(as_of.toordinal())
    often = bgnbd.fit(of.x, of.tx, of.T, fewest)
    if isinstance(often, NotEnough):
        return often
    much = gamma_gamma.fit(of.paid_days, of.paid, fewest)
    flags = often.flags
    p = q = v = likelihood = None
    if isinstance(much, gamma_gamma.NotEnough):
        flags += ("amounts_not_fitted",)
    else:
        (p, q, v), likelihood, flags = much.parameters, much.log_likelihood, flags + much.flags
    paid_days = int(of.paid_days.sum())
    uncut = Model(
        as_of=as_of,
        parties=len(of.x),
        repeaters=int(np.count_nonzero(of.x)),
        **often.parameters._asdict(),
        p=p,
        q=q,
        v=v,
        mean_minor=float(of.paid.sum()) / paid_days if paid_days else 0.0,
        currency=currency,
        log_likelihood=often.log_likelihood,
        amount_log_likelihood=likelihood,
        flags=flags,
    )
    falling = np.sort(worths(uncut, ledger, of, value_days))[::-1]
    return uncut.model_copy(update={"cuts": tiers.fit(falling.tolist(), shares)})


def worse(candidate: Quality, active_hash: str, active: Quality | None, margin: float) -> dict[str, float] | None:
    """By how much a model is worse than the active one, where that is more than a margin; None where it is not.

    Compared are the AUC of the probability and the Brier score of the last closed period of the candidate where the
    active one was judged on it too, else each on its own last period. What was never judged cannot be compared.
    """
    new = candidate.last
    old: Beside | Period | None = candidate.active
    if candidate.active is None or candidate.active.model != active_hash:
        old = active.last if active else None
    if new is None or old is None:
        return None
    loss = {"brier": new.brier - old.brier}
    if new.auc is not None and old.auc is not None:
        loss["auc"] = old.auc - new.auc
    return {name: round(by, 6) for name, by in loss.items()} if max(loss.values()) > margin else None
