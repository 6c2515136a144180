"""A model made by hand: the published parameters of one tenth of CDNOW, in weeks, with amounts in cents."""

from datetime import date

from services.scoring.domain.model import Model

MODEL = Model(
    as_of=date(2026, 1, 1),
    parties=2_357,
    repeaters=946,
    r=0.2425945,
    alpha=4.4136,
    a=0.79292,
    b=2.42588,
    p=6.25,
    q=3.74,
    v=1_544.0,
    mean_minor=3_517.0,
    currency="EUR",
    log_likelihood=-9582.4,
)
