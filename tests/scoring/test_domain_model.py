"""The model on one party: the published numbers, the series behind the quadrature, and what must hold for all."""

from datetime import date
from math import exp, isfinite, log1p
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from services.scoring.domain import bgnbd
from services.scoring.domain.model import LONGEST, Model

CDNOW = {"r": 0.2425945, "alpha": 4.4136, "a": 0.79292, "b": 2.42588}
"""Fader, Hardie, Lee (2005), table 2, with more digits; weeks."""
WEEKS_39 = 273
"""In days."""


def model(**told: object) -> Model:
    known = {"as_of": date(1997, 9, 30), "parties": 2_357, "repeaters": 946, "log_likelihood": -9_582.4, **CDNOW}
    amounts = {"p": 6.25, "q": 3.74, "v": 1_544.0, "mean_minor": 3_508.0, "currency": "USD"}
    return Model.model_validate({**known, **amounts, **told})


@pytest.mark.parametrize(
    ("x", "tx", "T", "alive", "expected", "buys"),
    [
        (0, 0, 38.857, 1.0, 0.19479, 0.14434),
        (2, 30.43, 38.86, 0.72661, 1.22591, 0.55461),
        (1, 1.71, 38.86, 0.21223, 0.20325, 0.11672),
        (7, 29.43, 38.86, 0.64180, 3.33719, 0.63568),
    ],
)
def test_the_published_rows_come_out_to_the_digits_printed(
    x: int, tx: Any, T: Any, alive: float, expected: float, buys: float
) -> None:
    # As printed: weeks, cut after two or three digits, so that they are no whole days. So are the parameters cut, which
    # may move the last digit by one.
    here, tx, T = model(), 7 * tx, 7 * T
    assert here.p_alive(x, tx, T) == pytest.approx(alive, abs=1.5e-5)
    assert here.expected_purchases(x, tx, T, WEEKS_39) == pytest.approx(expected, abs=1.5e-5)
    assert here.p_buys(x, tx, T, WEEKS_39) == pytest.approx(buys, abs=1.5e-5)


def by_series(of: Model, x: int, T: int, days: int) -> float:
    """E[purchases] if alive, as a sum over how many purchases there would be if nobody left.

    Of j such purchases the i-th is made by whoever has not left at the i - 1 before it.
    """
    n, share = of.r + x, days / (7 * of.alpha + T)
    chance, active, made, whole, j = exp(-n * log1p(share)), 1.0, 0.0, 0.0, 0
    while True:
        chance *= share / (1 + share) * (n + j) / (j + 1)
        made += active
        active *= (of.b + x + j) / (of.a + of.b + x + j)
        j += 1
        whole += chance * made
        if chance * made < 1e-17 * whole and j > n * share:
            return whole


POPULATIONS = [
    (0.2426, 4.41, 0.793, 2.426),
    (0.3, 4.0, 1e-9, 1e3),
    (0.3, 4.0, 1e-9, 0.5),
    (0.3, 4.0, 1.0, 2.4),
    (0.3, 4.0, 0.999999, 2.4),
    (0.3, 4.0, 50.0, 1e4),
    (1e3, 1e4, 2.0, 1e5),
    (0.2, 7.0, 30.0, 0.01),
]


@pytest.mark.parametrize("parameters", POPULATIONS)
def test_the_expectation_is_the_sum_of_its_series_also_where_the_closed_form_cancels(
    parameters: tuple[float, float, float, float],
) -> None:
    here = model(**dict(zip(("r", "alpha", "a", "b"), parameters, strict=True)))
    for x, T in [(0, 0), (0, 100), (1, 30), (3, 400), (30, 90), (120, 1_000)]:
        alive = here.expected_purchases(x, T, T, 365) / here.p_alive(x, T, T)
        assert alive == pytest.approx(by_series(here, x, T, 365), rel=1e-9)


@pytest.mark.parametrize(("alpha", "days"), [(1.0, 3_650), (0.2, 365), (0.1, 730)])
def test_the_expectation_is_the_sum_of_its_series_also_where_people_buy_daily_and_the_window_is_long(
    alpha: float, days: int
) -> None:
    here = model(r=2.0, alpha=alpha, a=0.05, b=0.05)
    for x, T in [(0, 0), (1, 1), (3, 10)]:
        alive = here.expected_purchases(x, T, T, days) / here.p_alive(x, T, T)
        assert alive == pytest.approx(by_series(here, x, T, days), rel=1e-11)
        assert bgnbd.if_alive(here.parameters, np.array([x]), np.array([T]), days) == pytest.approx(alive, rel=1e-13)


def test_the_expectation_is_that_of_the_nbd_where_nobody_leaves() -> None:
    here = model(a=1e-12, b=10.0)
    assert here.expected_purchases(3, 100, 140, 365) == pytest.approx((here.r + 3) / (here.alpha + 20) * 365 / 7)


def test_the_expected_amount_goes_from_the_mean_of_all_to_the_own_one() -> None:
    here = model()
    assert here.expected_amount(0, 0) == 3_508
    assert here.expected_amount(2, 20_000) == pytest.approx(6.25 * (1_544 + 20_000) / (6.25 * 2 + 2.74))
    assert here.expected_amount(10_000, 10_000 * 500) == pytest.approx(500, rel=1e-3)


@pytest.mark.parametrize("amounts", [{"p": None, "q": None, "v": None}, {"q": 0.9}, {"q": 1.0}])
def test_everybody_has_the_mean_amount_where_amounts_have_no_model(amounts: dict[str, float | None]) -> None:
    assert model(**amounts).expected_amount(2, 20_000) == 3_508


def test_half_of_the_parameters_of_amounts_are_no_model() -> None:
    with pytest.raises(ValidationError, match="together"):
        model(q=None)


@pytest.mark.parametrize("name", ["r", "alpha", "a", "b", "p", "q", "v", "log_likelihood"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_model_holds_finite_numbers(name: str, value: float) -> None:
    with pytest.raises(ValidationError):
        model(**{name: value})


@st.composite
def parameters(draw: st.DrawFn) -> Model:
    positive = st.floats(min_value=1e-6, max_value=1e4)
    return model(r=draw(positive), alpha=draw(st.floats(0.01, 1e4)), a=draw(positive), b=draw(positive))


@st.composite
def lives(draw: st.DrawFn) -> tuple[int, int, int]:
    T = draw(st.integers(0, LONGEST))
    tx = draw(st.integers(0, T))
    return (draw(st.integers(1, 100_000)) if tx else 0), tx, T


@given(parameters(), lives(), st.integers(1, 3_650))
@settings(max_examples=300, deadline=None)
def test_probabilities_and_expectations_are_what_they_may_be_for_everybody(
    here: Model, life: tuple[int, int, int], days: int
) -> None:
    x, tx, T = life
    assert 0 <= here.p_alive(x, tx, T) <= 1
    assert 0 <= here.p_buys(x, tx, T, days) <= 1
    most = (here.r + x) / (here.alpha + T / 7) * days / 7
    assert 0 <= here.expected_purchases(x, tx, T, days) <= most * (1 + 1e-9)
    assert isfinite(here.expected_amount(x, 100 * x))
    assert here.value_minor(x, tx, T, x + 1, 100 * (x + 1), days) >= 0


@given(parameters(), lives(), st.integers(1, 3_650), st.integers(0, 2_000))
@settings(max_examples=300, deadline=None)
def test_probability_and_value_fall_as_time_passes(
    here: Model, life: tuple[int, int, int], days: int, later: int
) -> None:
    x, tx, T = life
    assert here.p_buys(x, tx, T + later, days) <= here.p_buys(x, tx, T, days)
    before, after = (here.expected_purchases(x, tx, then, days) for then in (T, T + later))
    assert after <= before * (1 + 1e-6)


@given(st.integers(0, 40), st.integers(0, 2_000), st.sampled_from([0.0, 0.05, 0.2, 0.5, 0.9, 1.0]))
@settings(max_examples=200, deadline=None)
def test_the_day_below_a_threshold_is_the_first_such_day(x: int, tx: int, threshold: float) -> None:
    here, tx = model(), tx if x else 0
    first = here.first_below(x, tx, threshold, 180)
    if first is None:
        assert here.p_buys(x, tx, tx + LONGEST, 180) >= threshold
    else:
        assert here.p_buys(x, tx, tx + first, 180) < threshold
        assert first == 1 or here.p_buys(x, tx, tx + first - 1, 180) >= threshold


def test_a_model_is_named_by_what_it_says() -> None:
    assert model().content_hash == model().content_hash != model(r=0.25).content_hash
    assert Model.model_validate_json(model().model_dump_json()) == model()
