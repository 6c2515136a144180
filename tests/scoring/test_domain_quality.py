"""How good a model is, on numbers that can be counted by hand and on a real history."""

from collections import Counter
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.scoring import Stage, Tier
from services.scoring.domain.bgnbd import NotEnough
from services.scoring.domain.buyers import Ledger
from services.scoring.domain.fitting import Fitted, fit, fitted, worse
from services.scoring.domain.model import Model
from services.scoring.domain.policy import Policy
from services.scoring.domain.presets import DAYS_1, DEFAULT_1
from services.scoring.domain.quality import (
    Beside,
    Quality,
    auc,
    brier,
    judge,
    probabilities,
    stages,
    tenths,
    top_share,
    values,
)
from services.scoring.domain.stages import ByProbability
from tests.scoring.cdnow import ledger, needs_cdnow


def array(*numbers: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array(numbers)


def whole(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(numbers)


def facts(*happened: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.array(happened, dtype=bool)


BY_HAND = Ledger(
    party=whole(0, 0, 0, 1, 2, 2),
    day=whole(10, 15, 40, 12, 20, 50),
    amount=whole(500, 0, 700, 900, 100, 300),
)


def test_probabilities_are_held_against_what_happened_by_tenths() -> None:
    found = tenths(array(0.0, 0.299999, 0.3, 0.31, 1.0), facts(0, 1, 0, 1, 1))
    assert [(each.from_p, each.parties, each.bought_again) for each in found] == [
        (0.0, 1, 0.0),
        (0.2, 1, 1.0),
        (0.3, 2, 0.5),
        (0.9, 1, 1.0),
    ]
    assert found[2].expected == pytest.approx(0.305)


def test_a_ledger_tells_who_had_bought_by_a_day() -> None:
    of = BY_HAND.buyers(20)
    assert of.party.tolist() == [0, 1, 2]
    assert of.x.tolist() == [1, 0, 0]
    assert of.tx.tolist() == [5, 0, 0]
    assert of.T.tolist() == [10, 8, 0]
    assert of.paid_days.tolist() == [1, 1, 1]
    assert of.paid.tolist() == [500, 900, 100]
    assert BY_HAND.buyers(11).party.tolist() == [0]
    assert not len(BY_HAND.buyers(9).x)
    assert BY_HAND.last_day() == 50


def test_a_ledger_tells_what_came_after_a_day_and_not_what_came_on_it() -> None:
    bought, paid = BY_HAND.afterwards(BY_HAND.buyers(15), 15, 40)
    assert bought.tolist() == [1, 0]
    assert paid.tolist() == [700, 0]
    bought, paid = BY_HAND.afterwards(BY_HAND.buyers(20), 20, 50)
    assert bought.tolist() == [1, 0, 1]
    assert paid.tolist() == [700, 0, 300]


def test_an_empty_ledger_has_no_buyers() -> None:
    nobody = Ledger(*np.zeros((3, 0), int))
    assert not len(nobody.buyers(100).x)
    assert nobody.last_day() == 0
    assert fitted(nobody, date(2026, 1, 1), 365, "EUR") == NotEnough(0, 0, 30)


def test_the_auc_counts_pairs_and_halves_ties() -> None:
    assert auc(array(0.9, 0.8, 0.1), facts(1, 1, 0)) == 1
    assert auc(array(0.1, 0.8, 0.9), facts(1, 0, 0)) == 0
    assert auc(array(0.5, 0.5, 0.5), facts(1, 0, 0)) == 0.5
    assert auc(array(0.5, 0.5, 0.2), facts(1, 0, 0)) == 0.75
    assert auc(array(0.5, 0.4), facts(1, 1)) is None
    assert auc(array(0.5, 0.4), facts(0, 0)) is None


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
@settings(deadline=None)
def test_the_auc_is_that_of_counting_every_pair(rows: list[tuple[int, bool]]) -> None:
    those, others = ([score for score, it in rows if it is wanted] for wanted in (True, False))
    pairs = [(one > other) + (one == other) / 2 for one in those for other in others]
    found = auc(whole(*(score for score, _ in rows)), facts(*(it for _, it in rows)))
    assert found == pytest.approx(sum(pairs) / len(pairs) if pairs else None)


def test_the_brier_score_is_the_mean_squared_distance() -> None:
    assert brier(array(1.0, 0.0), facts(1, 0)) == 0
    assert brier(array(0.7, 0.4), facts(1, 0)) == pytest.approx((0.09 + 0.16) / 2)


def test_the_share_of_the_top_splits_ties_at_its_edge() -> None:
    assert top_share(whole(5, 4, 3, 2), whole(10, 20, 30, 40), 0.5) == pytest.approx(0.3)
    assert top_share(whole(5, 4, 4, 2), whole(10, 20, 30, 40), 0.5) == pytest.approx((10 + 25) / 100)
    assert top_share(whole(1, 1), whole(0, 0)) is None


def test_stages_are_by_probability_and_the_fresh_days() -> None:
    by = ByProbability(fresh_days=30, dormant_below=0.5, lost_below=0.2)
    p, silent = array(0.5, 0.499999, 0.2, 0.199999, 0.0, 0.0), whole(31, 31, 31, 31, 30, 31)
    assert stages(p, silent, by).tolist() == [0, 1, 1, 2, 0, 2]


def test_where_amounts_are_not_fitted_tiers_are_cut_by_what_parties_are_worth_then() -> None:
    # A thousand paid once within the year, and 35 of them came back for nothing. What they paid before is nothing now.
    paid = [(who, 10 * who % 360, 2_000 + 10 * who) for who in range(1_000)]
    before, back = [(who, -1, 900_000 - who) for who in range(0, 60, 3)], [(who, 361, 0) for who in range(35)]
    party, day, amount = (whole(*column) for column in zip(*sorted(before + paid + back), strict=True))
    model = fitted(Ledger(party, 730_000 + day, amount), date.fromordinal(730_364), 365, "EUR")

    assert isinstance(model, Model)
    assert model.p is None
    assert "amounts_not_fitted" in model.flags
    assert model.cuts is not None
    tiers = Counter(model.cuts.tier(2_000 + 10 * who) for who in range(1_000))
    assert tiers == {Tier.TOP: 50, Tier.HIGH: 150, Tier.MID: 300, Tier.LOW: 500}


def test_arrays_say_of_everybody_what_the_model_says_of_one() -> None:
    random = np.random.default_rng(8)
    rows = sorted({(int(who), int(day)) for who, day in random.integers((0, 0), (400, 700), (1_500, 2)) if who})
    numbers = {who: place for place, who in enumerate(sorted({who for who, _ in rows}))}
    people = Ledger(whole(*(numbers[who] for who, _ in rows)), whole(*(day + 730_000 for _, day in rows)),
                    random.integers(0, 9_000, len(rows)))  # fmt: skip
    model = fitted(people, date.fromordinal(730_650), 365, "EUR")
    assert isinstance(model, Model)
    of = people.buyers(730_650)
    chances, worth = probabilities(model, of, 180), values(model, of, 365)
    for place in range(len(of.x)):
        x, tx, T, paid_days, paid = (int(column[place]) for column in of[1:])
        assert model.p_buys(x, tx, T, 180) == pytest.approx(chances[place], abs=1.1e-6)
        assert model.value_minor(x, tx, T, paid_days, paid, 365) == pytest.approx(worth[place], abs=1)


@needs_cdnow
@pytest.mark.parametrize("policy", [DEFAULT_1, DAYS_1])
def test_on_a_real_history_stages_and_values_are_in_the_right_order_at_three_days(policy: Policy) -> None:
    found = fit(ledger(), date(1998, 6, 30), policy, "USD", None)
    assert isinstance(found, Fitted)
    assert [period.as_of for period in found.quality.periods] == [
        date(1997, 7, 5),
        date(1997, 10, 3),
        date(1998, 1, 1),
    ]
    for period in found.quality.periods:
        rates = [group.bought_again or 0 for group in period.stages]
        assert rates == sorted(rates, reverse=True)
        assert len(set(rates)) == 3
        assert period.auc is not None
        assert period.auc_of_stages is not None
        assert period.auc > period.auc_of_stages > 0.65
        assert period.top_tier_share is not None
        assert period.top_tier_share > 0.05
    assert found.model.calibration == pytest.approx(found.quality.periods[-1].calibration, rel=1e-5)
    assert "not_judged" not in found.model.flags


@needs_cdnow
def test_judging_knows_nothing_of_what_came_after_the_day() -> None:
    history, day = ledger(), date(1997, 9, 30)
    until = history.day <= day.toordinal()
    cut = Ledger(*(column[until] for column in history))
    assert fitted(history, day, 365, "USD") == fitted(cut, day, 365, "USD")


@needs_cdnow
def test_a_history_too_short_for_a_closed_period_says_that_the_model_is_not_judged() -> None:
    found = fit(ledger(), date(1997, 6, 30), DEFAULT_1, "USD", None)
    assert isinstance(found, Fitted)
    assert found.quality.periods == ()
    assert found.model.flags == ("not_judged",)
    assert found.model.calibration == 1


@needs_cdnow
def test_the_active_model_is_judged_on_the_same_days_and_a_worse_one_is_told() -> None:
    history, until = ledger(), date(1998, 6, 30)
    good = fitted(history, date(1997, 12, 1), 365, "USD")
    assert isinstance(good, Model)
    bad = good.model_copy(update={"r": 500.0, "alpha": 1.0})
    beside_good, beside_bad = (fit(history, until, DEFAULT_1, "USD", active) for active in (good, bad))
    assert isinstance(beside_good, Fitted)
    assert isinstance(beside_bad, Fitted)
    quality = beside_good.quality
    assert quality.active
    assert quality.active.model == good.content_hash
    assert worse(quality, good.content_hash, None, 0.01) is None
    assert worse(beside_bad.quality, bad.content_hash, None, 0.01) is None
    [*_, last] = quality.periods
    other = "0" * 64
    better = Quality(
        horizon_days=180,
        periods=quality.periods,
        active=Beside(model=other, auc=(last.auc or 0) + 0.02, brier=last.brier),
    )
    assert worse(better, other, None, 0.01) == {"auc": 0.02, "brier": 0.0}
    assert worse(better, other, None, 0.05) is None
    assert worse(better, "one that was never judged", None, 0.01) is None
    assert worse(better, "one that was judged alone", quality, 0.01) is None


def test_judging_nobody_gives_no_period() -> None:
    model = Model(as_of=date(1, 1, 5), parties=1, repeaters=1, r=1, alpha=1, a=1, b=1, log_likelihood=0)
    assert judge(model, BY_HAND, 10, 365, ByProbability()) is None
    period = judge(model.model_copy(update={"as_of": date(1, 1, 20)}), BY_HAND, 30, 365, ByProbability())
    assert period
    assert (period.parties, period.repeaters, period.purchases, period.revenue_minor) == (3, 1, 2, 1_000)
    assert [(group.stage, group.parties) for group in period.stages] == [
        (Stage.CUSTOMER, 3),
        (Stage.DORMANT_CUSTOMER, 0),
        (Stage.LOST_CUSTOMER, 0),
    ]
