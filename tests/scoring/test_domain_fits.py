"""Maximum likelihood: the published fits, gradients, populations that have no maximum, and what holds for all."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.scoring.domain import bgnbd, gamma_gamma
from services.scoring.domain.likelihood import LogLikelihood, Numbers, Whole
from tests.scoring.cdnow import ledger, needs_cdnow

CDNOW = bgnbd.Parameters(0.2425945, 4.4136, 0.79292, 2.42588)


def population(size: int, of: bgnbd.Parameters = CDNOW, days: int = 400) -> tuple[Whole, Whole, Whole]:
    """x, tx and T of people who buy and leave as the model says."""
    random = np.random.default_rng(20_260_101)
    rate, leaves = random.gamma(of.r, 1 / of.alpha, size), random.beta(of.a, of.b, size)
    T = random.integers(days // 3, days, size)
    x, tx, reached, active = np.zeros(size, int), np.zeros(size, int), np.zeros(size), np.arange(size)
    while len(active):
        reached[active] += 7 * random.exponential(1 / rate[active])
        active = active[reached[active] <= T[active]]
        x[active] += 1
        tx[active] = np.ceil(reached[active]).clip(max=T[active])
        active = active[random.random(len(active)) >= leaves[active]]
    return x, tx, T


def slopes(of: LogLikelihood, at: Numbers) -> Numbers:
    steps = np.diag(at * 1e-6)
    return np.array([(of(at + step)[0] - of(at - step)[0]) / (2 * step.sum()) for step in steps])


@needs_cdnow
def test_the_fit_of_cdnow_is_the_published_one() -> None:
    until = date(1997, 9, 30).toordinal()
    found = bgnbd.fit(*ledger().buyers(until)[1:4])
    assert isinstance(found, bgnbd.Fit)
    assert [round(value, 3) for value in found.parameters] == [0.243, 4.414, 0.793, 2.426]
    assert round(found.log_likelihood, 1) == -9582.4
    assert found.flags == ()


@needs_cdnow
def test_the_fit_of_the_amounts_of_repeat_purchases_of_cdnow_is_the_published_one() -> None:
    until, whole = date(1997, 9, 30).toordinal(), ledger()
    repeated = np.diff(whole.party, prepend=-1) == 0
    again = type(whole)(*(column[repeated] for column in whole)).buyers(until)
    found = gamma_gamma.fit(again.paid_days, again.paid)
    assert isinstance(found, gamma_gamma.Fit)
    p, q, v = found.parameters
    assert (round(p, 2), round(q, 2), round(v / 100, 2)) == (6.25, 3.74, 15.44)


def test_the_gradients_are_those_of_finite_differences() -> None:
    of = bgnbd.log_likelihood(bgnbd.merged(*population(3_000)))
    for parameters in [CDNOW, (1.0, 30.0, 0.01, 5.0), (5.0, 0.5, 3.0, 0.2)]:
        assert of(np.array(parameters))[1] == pytest.approx(slopes(of, np.array(parameters)), rel=1e-5, abs=1e-3)
    random = np.random.default_rng(1)
    n = random.integers(1, 9, 500)
    amounts = gamma_gamma.log_likelihood(gamma_gamma.merged(n, n * random.integers(100, 9_000, 500)))
    for amounts_of in [(6.25, 3.74, 1_544.0), (0.5, 1.1, 40.0)]:
        assert amounts(np.array(amounts_of))[1] == pytest.approx(slopes(amounts, np.array(amounts_of)), rel=1e-5)


def test_a_fit_finds_again_what_a_population_was_made_of() -> None:
    found = bgnbd.fit(*population(100_000))
    assert isinstance(found, bgnbd.Fit)
    assert found.flags == ()
    assert found.parameters == pytest.approx(CDNOW, rel=0.15)


def test_merging_rows_changes_no_likelihood() -> None:
    x, tx, T = population(2_000)
    merged, single = bgnbd.merged(x, tx, T), bgnbd.Rows(x, tx, T, np.ones(len(x), int))
    assert len(merged.x) < len(x) == merged.number.sum()
    of_merged, of_single = (bgnbd.log_likelihood(rows)(np.array(CDNOW)) for rows in (merged, single))
    assert of_merged[0] == pytest.approx(of_single[0])
    assert of_merged[1] == pytest.approx(of_single[1])


def test_the_order_of_the_people_changes_no_digit() -> None:
    x, tx, T = population(3_000)
    random = np.random.default_rng(2)
    n = random.integers(0, 6, 3_000)
    paid, order = n * random.integers(100, 9_000, 3_000), random.permutation(3_000)
    assert bgnbd.fit(x, tx, T) == bgnbd.fit(x[order], tx[order], T[order])
    assert gamma_gamma.fit(n, paid) == gamma_gamma.fit(n[order], paid[order])
    merged = gamma_gamma.merged(n, paid)
    assert merged.number.sum() == np.count_nonzero(n)


def test_too_few_repeat_buyers_are_told_with_how_many_it_takes() -> None:
    x = np.array([0] * 500 + [1] * 29)
    found = bgnbd.fit(x, 10 * x, np.full(529, 100))
    assert found == bgnbd.NotEnough(parties=529, repeaters=29, needed=30)
    assert isinstance(bgnbd.fit(x, 10 * x, np.full(529, 100), 29), bgnbd.Fit)
    n = np.array([2, 3, 4] * 9)
    assert gamma_gamma.fit(n, 500 * n) == gamma_gamma.NotEnough(payers=27, needed=30)
    assert isinstance(gamma_gamma.fit(n, 500 * n, 27), gamma_gamma.Fit)
    assert bgnbd.fit(*np.zeros((3, 0), int)) == bgnbd.NotEnough(0, 0, 30)
    assert gamma_gamma.fit(np.ones(99, int), np.full(99, 500)) == gamma_gamma.NotEnough(payers=0, needed=30)


def test_where_nobody_leaves_the_fit_says_so_and_probabilities_still_tell_people_apart() -> None:
    T = np.random.default_rng(3).integers(100, 700, 600)
    x = T // 30
    found = bgnbd.fit(x, 30 * x, T)
    assert isinstance(found, bgnbd.Fit)
    assert "nobody_leaves" in found.flags
    seldom, often = bgnbd.p_buys(found.parameters, np.array([2, 20]), np.array([600, 600]), np.array([650, 650]), 30)
    assert seldom < often


@pytest.mark.parametrize(
    ("x", "tx", "T"),
    [
        ([5] * 99, [100] * 99, [200] * 99),
        ([3] * 99, [5] * 99, [36_500] * 99),
        ([1] * 99, [1] * 99, [1] * 99),
        ([100_000] * 50 + [0] * 50, [36_000] * 50 + [0] * 50, [36_500] * 100),
        (list(range(0, 99_000, 1_000)), [0, *range(1_000, 1_098)], [36_500] * 99),
    ],
)
def test_a_fit_ends_with_finite_numbers_for_populations_that_are_all_alike_or_extreme(
    x: list[int], tx: list[int], T: list[int]
) -> None:
    found = bgnbd.fit(np.array(x), np.array(tx), np.array(T))
    assert isinstance(found, bgnbd.Fit)
    assert np.isfinite([*found.parameters, found.log_likelihood]).all()
    assert found.flags


def test_amounts_that_are_all_alike_or_without_a_mean_end_with_finite_numbers_and_a_flag() -> None:
    random = np.random.default_rng(4)
    n = random.integers(1, 5, 400)
    for paid, flag in [
        (n * 1_000, "p_at_bound"),
        ((n * 100 * np.exp(random.normal(0, 4, 400))).astype(int) + 1, "amounts_without_mean"),
        (n * 10**13, "p_at_bound"),
    ]:
        found = gamma_gamma.fit(n, paid)
        assert isinstance(found, gamma_gamma.Fit)
        assert np.isfinite([*found.parameters, found.log_likelihood]).all()
        assert flag in found.flags


rows = st.lists(
    st.tuples(st.integers(0, 36_500), st.integers(0, 36_500), st.integers(1, 100_000)), min_size=1, max_size=50
)
parameters = st.builds(
    bgnbd.Parameters, st.floats(1e-3, 1e3), st.floats(1e-2, 1e5), st.floats(1e-6, 1e3), st.floats(1e-3, 1e5)
)


@given(parameters, rows, st.integers(1, 3_650), st.integers(0, 2_000))
@settings(max_examples=200, deadline=None)
def test_arrays_hold_probabilities_that_fall_as_time_passes_and_no_nan(
    of: bgnbd.Parameters, lives: list[tuple[int, int, int]], days: int, later: int
) -> None:
    T = np.array([max(one, other) for one, other, _ in lives])
    tx = np.array([min(one, other) for one, other, _ in lives])
    x = np.where(tx > 0, np.array([bought for *_, bought in lives]), 0)
    now, then = bgnbd.p_buys(of, x, tx, T, days), bgnbd.p_buys(of, x, tx, T + later, days)
    assert ((now >= 0) & (now <= 1) & (then <= now * (1 + 1e-9))).all()
    expected = bgnbd.expected_purchases(of, x, tx, T, days)
    assert ((expected >= 0) & (expected <= (of.r + x) / (of.alpha + T / 7) * days / 7 * (1 + 1e-9))).all()
    value, gradient = bgnbd.log_likelihood(bgnbd.merged(x, tx, T))(np.array(of))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
