"""The model of a million customers who buy and leave as published parameters have it: fitted, and asked about each."""

import time
from datetime import date
from typing import NamedTuple

import numpy as np
from scipy.special import gammaln, hyp2f1

from bench.figures import Figure
from services.scoring.domain import bgnbd, gamma_gamma
from services.scoring.domain.buyers import Buyers
from services.scoring.domain.likelihood import Numbers, Whole
from services.scoring.domain.model import Model
from services.scoring.domain.quality import probabilities, stages, values
from services.scoring.domain.stages import ByProbability
from services.scoring.domain.tiers import Cuts

CUSTOMERS = 1_000_000
DAYS = 546
"""Of history; everybody bought first in its first third."""
OFTEN = bgnbd.Parameters(0.2426, 4.414, 0.793, 2.426)
"""Fader, Hardie, Lee (2005), table 2."""
MUCH = gamma_gamma.Parameters(6.25, 3.74, 1_544.0)
"""Fader, Hardie (2013), in cents."""
HORIZON_DAYS, VALUE_DAYS = 180, 365
GOAL_S = 1.0


def fitted() -> list[Figure]:
    """Seconds from arrays of x, tx, T and amounts to the parameters of both models."""
    of = _customers()
    # What is loaded once in a process is no part of a fit.
    bgnbd.fit(of.x[:5_000], of.tx[:5_000], of.T[:5_000])
    began = time.perf_counter()
    often = bgnbd.fit(of.x, of.tx, of.T)
    often_s = time.perf_counter() - began
    much = gamma_gamma.fit(of.paid_days, of.paid)
    both_s = time.perf_counter() - began
    if not isinstance(often, bgnbd.Fit) or not isinstance(much, gamma_gamma.Fit):
        raise TypeError(f"Nothing was fitted: {often}, {much}")
    began = time.perf_counter()
    raw = _raw_log_likelihood(often.parameters, of)
    raw_s = time.perf_counter() - began
    if abs(raw / often.log_likelihood - 1) > 1e-9:
        raise ValueError(f"The raw log-likelihood is {raw}, ours {often.log_likelihood}")
    how = f"{CUSTOMERS:,} customers; baseline: one log-likelihood of BG/NBD over all rows, as eq. (6) is printed"
    return [
        Figure("fit", "both models, arrays to parameters", both_s, "s", GOAL_S, raw_s, how),
        Figure("fit", "of these, BG/NBD", often_s, "s", baseline=raw_s, how=how),
    ]


def assessed() -> list[Figure]:
    """Seconds to the probability, value, stage and tier of each."""
    of, model = _customers(), _model()
    began = time.perf_counter()
    p = probabilities(model, of, HORIZON_DAYS)
    worth = values(model, of, VALUE_DAYS)
    stood = stages(p, of.T - of.tx, ByProbability())
    tiers = np.searchsorted(np.array([10_000, 30_000, 100_000]), worth, side="right")
    took_s = time.perf_counter() - began
    began = time.perf_counter()
    raw = _raw_values(of)
    raw_s = time.perf_counter() - began
    if np.abs(worth - raw).max() > 1 or not len(stood) == len(tiers) == CUSTOMERS:
        raise ValueError("The raw values are other ones")
    how = f"{CUSTOMERS:,} customers; baseline: the formulas as they are printed, the hypergeometric function for each"
    return [Figure("assess-array", "P, value, stage and tier of each", took_s, "s", GOAL_S, raw_s, how)]


class _Printed(NamedTuple):
    """Times in weeks."""

    x: Numbers
    tx: Numbers
    T: Numbers


def _customers() -> Buyers:
    """People who buy and leave as the models say."""
    random = np.random.default_rng(1)
    rate, leaves = random.gamma(OFTEN.r, 1 / OFTEN.alpha, CUSTOMERS), random.beta(OFTEN.a, OFTEN.b, CUSTOMERS)
    T = random.integers(DAYS * 2 // 3, DAYS, CUSTOMERS)
    x, tx = np.zeros(CUSTOMERS, np.int64), np.zeros(CUSTOMERS, np.int64)
    reached, active = np.zeros(CUSTOMERS), np.arange(CUSTOMERS)
    while len(active):
        reached[active] += bgnbd.DAYS_PER_WEEK * random.exponential(1 / rate[active])
        active = active[reached[active] <= T[active]]
        x[active] += 1
        tx[active] = np.ceil(reached[active]).clip(max=T[active])
        active = active[random.random(len(active)) >= leaves[active]]
    scale = random.gamma(MUCH.q, 1 / MUCH.v, CUSTOMERS)
    paid: Whole = np.maximum(1, random.gamma(MUCH.p * (x + 1), 1 / scale)).astype(np.int64)
    return Buyers(np.arange(CUSTOMERS), x, tx, T, x + 1, paid)


def _model() -> Model:
    p, q, v = MUCH
    return Model(
        as_of=date(2026, 1, 1),
        parties=CUSTOMERS,
        repeaters=CUSTOMERS,
        **OFTEN._asdict(),
        p=p,
        q=q,
        v=v,
        log_likelihood=0.0,
        cuts=Cuts(top=100_000, high=30_000, mid=10_000),
    )


def _printed(of: Buyers) -> _Printed:
    return _Printed(of.x.astype(np.float64), of.tx / bgnbd.DAYS_PER_WEEK, of.T / bgnbd.DAYS_PER_WEEK)


def _raw_log_likelihood(parameters: bgnbd.Parameters, of: Buyers) -> float:
    (r, alpha, a, b), (x, tx, T) = parameters, _printed(of)
    first = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    second = gammaln(a + b) + gammaln(b + x) - gammaln(b) - gammaln(a + b + x)
    third = -(r + x) * np.log(alpha + T)
    fourth = np.log(a) - np.log(b + np.maximum(x, 1) - 1) - (r + x) * np.log(alpha + tx)
    whole = first + second + np.log(np.exp(third) + (x > 0) * np.exp(fourth))
    return float(whole.sum())


def _raw_values(of: Buyers) -> Whole:
    (r, alpha, a, b), (p, q, v), (x, tx, T) = OFTEN, MUCH, _printed(of)
    t, h = VALUE_DAYS / bgnbd.DAYS_PER_WEEK, HORIZON_DAYS / bgnbd.DAYS_PER_WEEK
    alive = 1 / (1 + (x > 0) * a / (b + np.maximum(x, 1) - 1) * ((alpha + T) / (alpha + tx)) ** (r + x))
    chance = alive * (1 - ((alpha + T) / (alpha + T + h)) ** (r + x))
    function = hyp2f1(r + x, b + x, a + b + x - 1, t / (alpha + T + t))
    expected = (a + b + x - 1) / (a - 1) * (1 - ((alpha + T) / (alpha + T + t)) ** (r + x) * function) * alive
    worth = expected * p * (v + of.paid) / (p * of.paid_days + q - 1)
    np.select([chance >= 0.5, chance >= 0.2], [0, 1], 2)
    np.select([worth >= 100_000, worth >= 30_000, worth >= 10_000], [0, 1, 2], 3)
    return np.asarray(np.rint(worth).astype(np.int64))
