"""What the second implementation makes of a model: its parameters alone, put into formulas of its own.

Fader, Hardie and Lee 2005 (BG/NBD), Fader and Hardie 2013 (Gamma-Gamma). Here days are whole days; the rates of the
model are per week.
"""

import math
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.scoring.domain.model import Model

_WEEK = 7
_NEGLIGIBLE = 1e-17
"""What is left of a series when it is cut off, as part of its sum."""
_HUGE = 1e250


def plain_probability(model: "Model", x: int, tx: int, age: int, horizon: int) -> float:
    """The chance of buying within the horizon, to six decimals.

    `x` purchase days after the first one, the last of them `tx` days after it, `age` days after which it is asked.
    """
    if horizon <= 0:
        return 0.0
    events, waited = model.r + x, model.alpha + age / _WEEK
    never = math.exp(events * (math.log(waited) - math.log(waited + horizon / _WEEK)))
    return round(_alive(model, x, tx, age) * (1 - never), 6)


def plain_purchases(model: "Model", x: int, tx: int, age: int, days: int) -> float:
    """How many purchases are to be expected within so many days, not rounded."""
    if days <= 0:
        return 0.0
    return _alive(model, x, tx, age) * _while_alive(model, x, age, days)


def plain_value(model: "Model", x: int, tx: int, age: int, *, paid_days: int, paid_minor: int, days: int) -> int:
    """What is expected to be bought within so many days, in minor units, half to even.

    `paid_days` are purchase days on which something was paid that converts, `paid_minor` is all that was paid on them.
    """
    return round(plain_purchases(model, x, tx, age, days) * _amount(model, paid_days, paid_minor))


def _alive(model: "Model", x: int, tx: int, age: int) -> float:
    """The chance that the party has not left for good: certain for whoever bought once."""
    if x == 0 or model.a == 0:
        return 1.0
    silence = math.log(model.alpha + age / _WEEK) - math.log(model.alpha + tx / _WEEK)
    against = math.log(model.a) - math.log(model.b + x - 1) + (model.r + x) * silence
    return 1 / (1 + math.exp(against)) if against < 700 else 0.0


def _while_alive(model: "Model", x: int, age: int, days: int) -> float:
    """Purchases to be expected of a party that is alive now.

    The rate of buying is gamma distributed, so that the opportunities to buy within the days are negative binomial: `n`
    with weight (r+x)_n / n! * z^n. Of `n` opportunities each is taken as long as the party has not left after the one
    before; the chance of having stayed `k` times is the mean of q^k under the beta distribution. All parts are
    positive, so that nothing cancels however small `a` is, and for a = 0 it is (r+x) / (alpha+T) * t.
    """
    events, kept, may_leave = model.r + x, model.b + x, model.a + model.b + x
    ahead, waited = days / _WEEK, model.alpha + age / _WEEK
    z, mean = ahead / (waited + ahead), events * ahead / waited
    weights, products = [1.0], [0.0]
    weight, taken, stayed, so_far = 1.0, 0.0, 1.0, 0.0
    for n in count():
        taken += stayed
        stayed *= (kept + n) / (may_leave + n)
        weight *= z * (events + n) / (n + 1)
        part = weight * taken
        weights.append(weight)
        products.append(part)
        so_far += part
        if so_far > _HUGE:
            weights, products = [one / _HUGE for one in weights], [one / _HUGE for one in products]
            weight, part, so_far = weight / _HUGE, part / _HUGE, so_far / _HUGE
        if n > mean:
            # From here on each part is to the one before at most as this.
            ratio = z * max(1.0, (events + n + 1) / (n + 2)) * (n + 2) / (n + 1)
            if ratio < 1 and part * ratio <= _NEGLIGIBLE * so_far * (1 - ratio):
                break
    return math.fsum(products) / math.fsum(weights)


def _amount(model: "Model", paid_days: int, paid_minor: int) -> float:
    """The amount of a purchase to be expected, in minor units; that of the population where none of the party is."""
    p, q, v = model.p, model.q, model.v
    if p is None or q is None or v is None or q <= 1 or paid_days == 0:
        return model.mean_minor
    return p * (v + paid_minor) / (p * paid_days + q - 1)
