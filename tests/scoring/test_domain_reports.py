"""The arithmetic of the reports: what it finds where there is something, and how seldom where there is nothing."""

from collections.abc import Sequence
from datetime import date, timedelta
from random import Random

import numpy as np
import pytest
from pydantic import ValidationError

from contracts.loss import LossReason
from contracts.scoring import Cause, MoveKind, Stage, Tier
from services.scoring.domain.facts import Kind
from services.scoring.domain.policy import DESIRE, Desire
from services.scoring.domain.presets import VIP
from services.scoring.domain.reports.association import Association, Effect, Verdict, association
from services.scoring.domain.reports.losses import Defections, Losses
from services.scoring.domain.reports.patterns import LEVEL, Bought, Patterns, channel, interval, patterns
from services.scoring.domain.reports.proportions import compared, median, rate
from services.scoring.domain.reports.purchases import KindsByMonth, PurchaseKind, SecondPurchases, purchase_kinds
from services.scoring.domain.reports.surprises import Given, HeldAs, Stands, agreed, missed, over_rated
from services.scoring.domain.reports.weeks import Weeks, desire, monday
from services.scoring.domain.reports.winback import WinBack
from services.scoring.domain.reports.zoom import Measures, measured
from services.scoring.domain.rules import All, AnyOf, Comparison, Not
from services.scoring.domain.trajectory import Move

TODAY = date(2026, 3, 31)


def at(day: str) -> int:
    return date.fromisoformat(day).toordinal()


def days(*of: str) -> list[int]:
    return [at(day) for day in of]


def watched(seed: int, *, strength: float, parties: int = 200, starts: int = 4) -> Association:
    """Parties with a lasting index and a lasting hunger, watched from several days on, bound by a strength."""
    random = np.random.default_rng(seed)
    content = random.normal(size=parties)
    hunger = strength * content + random.normal(size=parties)
    index = np.concatenate([content + random.normal(scale=0.5, size=parties) for _ in range(starts)])
    bought = np.concatenate([random.poisson(np.exp(hunger - 1)) for _ in range(starts)]).astype(float)
    return association(index, bought, np.repeat(np.arange(starts), parties), np.tile(np.arange(parties), starts))


def test_who_is_content_and_buys_more_is_seen() -> None:
    found = watched(1, strength=1.0)

    assert (found.verdict, found.pairs, found.parties) == (Verdict.GOES_WITH, 800, 200)
    assert found.rho is not None
    assert found.low is not None
    assert found.high is not None
    assert 0.1 < found.low < found.rho < found.high < 1
    assert found.p_value is not None
    assert found.p_value < 0.001


def test_who_is_content_and_buys_less_is_seen_too() -> None:
    assert watched(1, strength=-1.0).verdict is Verdict.GOES_AGAINST


def test_shuffled_data_prove_nothing_as_often_as_the_level_says() -> None:
    found = [watched(seed, strength=0.0) for seed in range(400)]

    by_chance = sum(each.p_value is not None and each.p_value < 0.05 for each in found)
    assert 8 <= by_chance <= 34
    assert sum(each.verdict is not Verdict.NOT_PROVEN for each in found) <= by_chance
    covered = sum(each.low is not None and each.high is not None and each.low <= 0 <= each.high for each in found)
    assert covered >= 360


def apart(few: int, parties: int, bought: Sequence[int], starts: int = 1) -> Association:
    """A few parties with a low index, all others with one that is higher; who is in `bought` buys after each start."""
    index, after = np.full(parties, 59.9), np.zeros(parties)
    index[:few] = 31.0
    after[list(bought)] = 1
    whose, when = np.tile(np.arange(parties), starts), np.repeat(np.arange(starts), parties)
    return association(np.tile(index, starts), np.tile(after, starts), when, whose)


@pytest.mark.parametrize(
    ("few", "parties", "buyers", "starts"),
    [
        (5, 100, 20, 1),
        (5, 100, 20, 4),
        (5, 60, 15, 4),
        (5, 40, 10, 4),
        (10, 100, 50, 1),
        (2, 60, 5, 1),
        (9, 2_001, 9, 1),
    ],
)
def test_shuffled_data_prove_nothing_where_few_are_apart_from_the_rest(
    few: int, parties: int, buyers: int, starts: int
) -> None:
    drawn = [Random(seed).sample(range(parties), buyers) for seed in range(300)]

    found = [apart(few, parties, bought, starts) for bought in drawn]

    assert sum(each.verdict is not Verdict.NOT_PROVEN for each in found) <= 0.05 * len(found)


def test_few_who_are_apart_from_the_rest_and_buy_apart_are_seen() -> None:
    assert apart(5, 100, range(20)).verdict is Verdict.GOES_AGAINST
    assert apart(20, 100, range(20, 60)).verdict is Verdict.GOES_WITH


def test_where_nobody_of_few_bought_the_interval_says_how_little_that_is() -> None:
    found = apart(5, 100, range(5, 25))

    assert found.low is not None
    assert found.high is not None
    assert found.p_value is not None
    assert found.low < 0 < found.high
    # Fisher's exact test says 0.58.
    assert 0.4 < found.p_value < 0.7


def test_who_was_not_there_at_each_start_is_held_against_those_who_came_with_them() -> None:
    random = np.random.default_rng(5)
    by_chance = 0
    for _ in range(200):
        since = random.integers(0, 4, 120)
        whose, when = np.nonzero(np.arange(4) >= since[:, None])
        index = random.normal(size=120)[whose] + 4 - since[whose]
        bought = random.poisson(1 + 4 - since)[whose].astype(float)
        p_value = association(index, bought + random.poisson(1, len(whose)), when, whose).p_value
        by_chance += p_value is not None and p_value < 0.05

    assert by_chance <= 16


def test_pairs_of_one_party_do_not_count_as_if_they_were_many_parties() -> None:
    random = np.random.default_rng(3)
    drawn = random.normal(size=(400, 2, 40))
    starts, whose = np.repeat(np.arange(25), 40), np.tile(np.arange(40), 25)

    found = [association(np.tile(one, 25), np.tile(other, 25), starts, whose) for one, other in drawn]

    assert sum(each.p_value is not None and each.p_value < 0.05 for each in found) <= 34


def test_the_correlation_is_that_of_spearman() -> None:
    index, bought = np.array([1.0, 2, 3, 4, 5, 6]), np.array([2.0, 1, 4, 3, 6, 5])

    found = association(index, bought, np.zeros(6, dtype=int), np.arange(6))

    assert found.rho == pytest.approx(1 - 6 * 6 / (6 * 35), abs=1e-4)
    assert (found.effect, found.verdict) == (Effect.LARGE, Verdict.NOT_PROVEN)


def test_where_nothing_differs_nothing_is_proven() -> None:
    found = association(np.ones(50), np.arange(50.0), np.zeros(50, dtype=int), np.arange(50))

    assert (found.rho, found.p_value, found.verdict) == (None, None, Verdict.NOT_PROVEN)
    none, nobody = np.zeros(0), np.zeros(0, dtype=int)
    assert association(none, none, nobody, nobody).parties == 0


def test_a_fixed_history_has_these_purchase_kinds() -> None:
    bought = {
        "2025-01-10": 5_000,
        "2025-01-20": 3_000,
        "2025-02-19": 5_000,
        "2025-02-25": 5_001,
        "2025-06-01": 4_000,
        "2025-07-02": 1_000,
        "2025-09-01": 9_000,
    }

    assert purchase_kinds(days(*bought), {at(day): worth for day, worth in bought.items()}, []) == [
        PurchaseKind.FIRST,
        PurchaseKind.ADD_ON,
        PurchaseKind.ADD_ON,
        PurchaseKind.UPGRADE,
        PurchaseKind.REPEAT,
        PurchaseKind.REPEAT,
        PurchaseKind.UPGRADE,
    ]


def test_the_first_purchase_after_a_recommendation_is_referred_and_no_later_one_is() -> None:
    two, worth = days("2025-01-10", "2025-01-11"), {at("2025-01-10"): 1, at("2025-01-11"): 1}

    assert purchase_kinds(two, worth, days("2025-01-10")) == [PurchaseKind.REFERRED, PurchaseKind.ADD_ON]
    assert purchase_kinds(two, worth, days("2025-01-11")) == [PurchaseKind.FIRST, PurchaseKind.ADD_ON]
    assert purchase_kinds(two, worth, [], add_on_days=0)[1] is PurchaseKind.REPEAT


def test_what_no_rate_converts_is_no_upgrade() -> None:
    three = days("2025-01-01", "2025-06-01", "2025-12-01")

    assert purchase_kinds(three, {three[0]: 100, three[2]: 101}, [])[1:] == [PurchaseKind.REPEAT, PurchaseKind.UPGRADE]
    assert purchase_kinds(three, {three[2]: 101}, [])[2] is PurchaseKind.REPEAT


def test_months_have_the_share_of_each_kind_and_know_the_days_before_them() -> None:
    kinds = KindsByMonth(date(2025, 2, 1), date(2025, 2, 28))
    kinds.take(days("2025-01-20", "2025-02-01", "2025-03-01"), {at("2025-02-01"): 700}, [])
    kinds.take(days("2025-02-28"), {}, [])

    assert kinds.months() == [date(2025, 2, 1)]
    shares = kinds.shares(date(2025, 2, 1))
    assert {kind: share.hits for kind, share in shares.items() if share.hits} == {
        PurchaseKind.ADD_ON: 1,
        PurchaseKind.FIRST: 1,
    }
    assert shares[PurchaseKind.FIRST].share == 0.5
    assert kinds.amount_minor[date(2025, 2, 1), PurchaseKind.ADD_ON] == 700


def test_who_bought_too_lately_to_be_watched_is_not_held_against_the_rate() -> None:
    second = SecondPurchases(date(2025, 1, 1), date(2025, 3, 31), within_days=30, known=at("2025-03-31"))
    second.take(days("2025-01-01", "2025-01-31"))
    second.take(days("2025-01-01", "2025-02-01"))
    second.take(days("2025-03-02"))
    second.take(days("2025-03-01"))
    second.take(days("2024-12-31", "2025-01-02"))

    january, march = second.rate(date(2025, 1, 1)), second.rate(date(2025, 3, 1))
    assert (january.hits, january.of, january.share) == (1, 2, 0.5)
    assert (march.hits, march.of, second.young[date(2025, 3, 1)]) == (0, 1, 1)
    assert (second.whole().hits, second.whole().of) == (1, 3)


def test_a_share_has_the_interval_of_wilson_and_a_difference_that_of_newcombe() -> None:
    # Newcombe, R. G. (1998), Statistics in Medicine 17, 857-872 (81 of 263) and 873-890 (56 of 70 and 48 of 80).
    assert (rate(81, 263).low, rate(81, 263).high) == (0.2553, 0.3662)
    difference = compared(56, 70, 48, 80)
    assert difference is not None
    assert (difference.low, difference.high) == (0.0524, 0.3339)


def test_the_exact_test_is_that_of_fisher() -> None:
    # The tea that Fisher had tasted: three of four cups told apart.
    tea = compared(3, 4, 1, 4)

    assert tea is not None
    assert tea.p_value == pytest.approx(34 / 70, abs=1e-6)
    assert compared(0, 0, 1, 4) is None


def test_the_middle_of_an_even_number_lies_between_two() -> None:
    assert [median({3: 1}), median({1: 1, 4: 1}), median({1: 3, 9: 2}), median({})] == [3, 2.5, 1, None]


def test_a_programme_is_judged_by_who_came_back_after_everybody_could_have_been_called() -> None:
    programme = WinBack(at("2025-01-01"), contact_days=30, within_days=60, listed=False)
    called, back = days("2025-01-20"), days("2023-05-01", "2025-02-15")
    programme.take(back, {back[1]: 700}, called)
    programme.take(back, {back[1]: 300}, [])
    programme.take(days("2023-05-01"), {}, called)
    programme.take(days("2023-05-01", "2025-01-05"), {}, called)
    programme.take(days("2023-05-01", "2025-01-05"), {}, [])
    programme.take(days("2023-05-01", "2025-04-02"), {}, days("2025-01-01", "2025-02-01"))

    assert (programme.contacted.parties, programme.contacted.back, programme.contacted.bought_minor) == (2, 1, 700)
    assert (programme.others.parties, programme.others.back, programme.early) == (2, 1, 2)


def test_those_on_a_list_were_contacted_and_may_come_back_at_once() -> None:
    programme = WinBack(at("2025-01-01"), contact_days=30, within_days=60, listed=True)
    programme.take(days("2023-05-01", "2025-01-05"), {at("2025-01-05"): 9}, [], on_list=True)
    programme.take(days("2023-05-01"), {}, days("2025-01-05"), on_list=False)

    assert (programme.contacted.rate.hits, programme.contacted.rate.of) == (1, 1)
    assert (programme.others.rate.hits, programme.others.rate.of, programme.early) == (0, 1, 0)


def move(day: str, before: Stage | None, after: Stage, why: LossReason | None = None, worth: int = 10) -> Move:
    tier = Tier.MID if before is Stage.CUSTOMER else Tier.UNPROVEN
    return Move(date.fromisoformat(day), Cause.FACT, MoveKind.LOST, before, after, tier, tier, worth, why)


def test_losses_count_by_month_and_reason_and_only_those_who_were_not_lost_before() -> None:
    losses = Losses(date(2025, 1, 1), date(2025, 2, 28))
    losses.take(
        [
            move("2025-01-05", Stage.CUSTOMER, Stage.LOST_CUSTOMER, LossReason.PRICE),
            move("2025-01-06", Stage.LOST_CUSTOMER, Stage.LOST_CUSTOMER, LossReason.PRICE),
            move("2025-02-01", Stage.LOST_CUSTOMER, Stage.CUSTOMER),
            move("2025-02-28", Stage.CUSTOMER, Stage.LOST_CUSTOMER),
            move("2025-03-01", Stage.PROSPECT, Stage.LOST_PROSPECT),
        ]
    )

    assert losses.count == {
        (date(2025, 1, 1), Stage.LOST_CUSTOMER, LossReason.PRICE): 1,
        (date(2025, 2, 1), Stage.LOST_CUSTOMER, LossReason.UNKNOWN): 1,
    }


def test_who_left_for_a_competitor_counts_where_they_stood_before_and_by_its_name() -> None:
    gone = [move("2025-01-05", Stage.CUSTOMER, Stage.LOST_CUSTOMER, LossReason.COMPETITOR, 500)]
    by_tier, by_stage = (Defections(date(2025, 1, 1), date(2025, 1, 31)) for _ in range(2))

    names = {at("2025-01-04"): "acme", at("2024-05-01"): "other", at("2025-01-05"): "late"}
    by_tier.take(gone, names, lambda _: at("2025-01-04"), lambda move: str(move.from_tier))
    by_stage.take(gone, names, lambda _: None, lambda move: str(move.from_stage))

    assert by_tier.count == {(date(2025, 1, 1), "acme", "mid"): 1}
    assert by_tier.value_minor == {(date(2025, 1, 1), "acme", "mid"): 500}
    assert by_stage.count == {(date(2025, 1, 1), "unknown", "customer"): 1}


def habits(seed: int, *, regular: bool, steady: bool, loyal: bool) -> Patterns:
    """Four years of purchases, with habits or at random."""
    random, day, bought = Random(seed), TODAY - timedelta(days=1_460), []
    while True:
        day += timedelta(days=random.randint(26, 34) if regular else 1 + round(random.expovariate(1 / 30)))
        if day > TODAY:
            break
        amount = round(5_000 * np.exp(random.gauss(0, 0.15 if steady else 0.8)))
        by = "web" if loyal and random.random() < 0.9 else random.choice(["web", "store", "phone"])
        bought.append(Bought(day.toordinal(), amount, by))
    return patterns(bought, [], TODAY)


def test_habits_are_found_where_there_are_some() -> None:
    found = habits(1, regular=True, steady=True, loyal=True)

    assert found.interval.found
    assert found.basket.found
    assert found.channel.found
    assert found.interval.median_days is not None
    assert 26 <= found.interval.median_days <= 34
    assert found.basket.median_minor is not None
    assert 4_000 < found.basket.median_minor < 6_000
    assert found.channel.main == "web"
    assert found.channel.share is not None
    assert found.channel.share > 0.8


def test_habits_are_hardly_ever_found_where_there_are_none() -> None:
    found = [habits(seed, regular=False, steady=False, loyal=False) for seed in range(400)]

    for name in ("interval", "basket", "season", "channel"):
        told = sum(getattr(each, name).found for each in found)
        assert told <= 4 * LEVEL * len(found), name


@pytest.mark.parametrize(("chance", "purchases"), [(0.95, 6), (0.8, 6), (0.8, 10), (0.5, 6), (0.5, 30), (0.1, 10)])
def test_who_buys_on_each_day_with_the_same_chance_has_no_rhythm(chance: float, purchases: int) -> None:
    random, found = Random(7), 0
    for _ in range(300):
        on, day = list[int](), 0
        while len(on) < purchases:
            day += 1
            if random.random() < chance:
                on.append(day)
        found += interval(on).found

    assert found <= 9


def test_a_rhythm_of_two_days_is_found_and_every_single_day_is_none() -> None:
    two, week = interval(range(0, 40, 2)), interval([0, 7, 14, 22, 28, 35, 42])

    assert (two.found, two.median_days) == (True, 2)
    assert week.found
    assert (interval(range(6)).p_value, interval(range(100)).found) == (1, False)


def test_no_channel_is_the_main_one_where_either_of_two_is_taken_by_lot() -> None:
    random = Random(8)
    found = [channel([random.choice(["web", "store"]) for _ in range(50)]) for _ in range(1_000)]

    assert sum(each.found for each in found) <= 13
    assert channel(["web"] * 8).p_value == round(2 / 2**8, 6)


def seasonal(months: Sequence[int], years: int = 4, until: date = TODAY) -> Patterns:
    starts = [date(until.year - back, month, 10) for back in range(years + 1) for month in months]
    return patterns([Bought(day.toordinal(), 100, None) for day in sorted(starts) if day <= until], [], until)


def test_who_buys_at_one_time_of_the_year_has_a_season() -> None:
    found = seasonal([11, 12]).season

    assert found.found
    assert found.middle_month in (11, 12)
    assert sum(found.by_month[:10]) == 0
    assert found.by_month[10] == found.by_month[11] == found.years


def test_who_buys_in_every_month_or_at_both_ends_of_the_year_has_no_season() -> None:
    assert not seasonal(range(1, 13)).season.found
    assert not seasonal([3, 9]).season.found


def test_one_spell_of_buying_is_no_season() -> None:
    spell = [Bought((date(2025, 5, 1) + timedelta(days=day)).toordinal(), 100, None) for day in range(90)]
    early = [Bought(date(2022, 5, 1).toordinal(), 100, None)]

    assert not patterns(early + spell, [], TODAY).season.found


def test_who_leaves_for_the_price_again_and_again_is_sensitive_to_it() -> None:
    price, other = LossReason.PRICE, LossReason.TIMING

    assert patterns([], [price] * 5 + [other], TODAY).price_sensitivity.found
    assert not patterns([], [price, other, other, other], TODAY).price_sensitivity.found
    unknown = patterns([], [LossReason.UNKNOWN] * 9, TODAY).price_sensitivity
    assert (unknown.found, unknown.share, unknown.observations) == (False, None, 0)


def test_too_few_purchases_are_told_and_prove_nothing() -> None:
    found = patterns([Bought(day, 100, "web") for day in days("2025-01-01", "2025-02-01", "2025-03-01")], [], TODAY)

    assert not any((found.interval.found, found.basket.found, found.season.found, found.channel.found))
    assert (found.interval.observations, found.interval.p_value, found.interval.median_days) == (2, None, 29.5)
    assert (found.channel.main, found.channel.share) == ("web", 1.0)
    nothing = patterns([], [], TODAY)
    assert (nothing.interval.median_days, nothing.basket.median_minor, nothing.channel.main) == (None, None, None)


def test_an_amount_that_is_known_in_part_is_no_basket() -> None:
    day = at("2025-01-01")

    assert patterns([Bought(day, 100, None), Bought(day, None, None)], [], TODAY).basket.observations == 0
    assert patterns([Bought(day, 100, None), Bought(day, 50, None)], [], TODAY).basket.median_minor == 150


def test_a_week_that_is_not_over_ends_with_the_last_day_that_is_known() -> None:
    begun, monday_ = at("2026-02-03"), at("2026-03-02")
    weeks = Weeks(monday_, 1, DESIRE, until=at("2026-03-04"))

    weeks.take([(begun, Stage.PROSPECT), (at("2026-03-06"), Stage.DORMANT_PROSPECT)], [(begun, Kind.INQUIRED, 1)], [])

    assert (weeks.weeks[0].last, weeks.weeks[0].active) == (at("2026-03-04"), 1)


def test_one_inquiry_of_today_is_half_of_the_wish_and_fades_by_half_in_two_weeks() -> None:
    day = at("2025-06-01")

    assert desire([(day, Kind.INQUIRED, 1)], day, DESIRE) == 50
    assert desire([(day - 14, Kind.INQUIRED, 2)], day, DESIRE) == 50
    assert desire([(day - 28, Kind.INQUIRED, 9), (day + 1, Kind.INQUIRED, 9)], day, DESIRE) == 0


def test_what_a_sign_is_worth_and_for_how_long_is_policy() -> None:
    day, by = at("2025-06-01"), Desire(points={"visited": 3}, window_days=10, half_life_days=5, half_points=1.5)

    assert desire([(day, Kind.VISITED, 1)], day, by) == 75
    assert desire([(day - 5, Kind.VISITED, 1)], day, by) == 50
    assert desire([(day - 10, Kind.VISITED, 9)], day, by) == 0
    assert desire([(day - 5, Kind.INQUIRED, 3)], day, by) == 50
    for nothing in ("hoped", "purchase"):
        with pytest.raises(ValidationError, match="a sign of interest is one of"):
            Desire(points={nothing: 1})


def test_a_week_tells_who_became_a_prospect_who_is_one_and_how_long_it_took_to_buy() -> None:
    weeks = Weeks(at("2025-06-02"), 3, DESIRE)
    weeks.take(
        [
            (at("2025-05-01"), Stage.STRANGER),
            (at("2025-06-04"), Stage.PROSPECT),
            (at("2025-06-18"), Stage.CUSTOMER),
        ],
        [(at("2025-06-04"), Kind.INQUIRED, 1)],
        days("2025-06-18", "2025-06-20"),
    )
    weeks.take([(at("2025-06-22"), Stage.CUSTOMER)], [], days("2025-06-22"))
    weeks.take(
        [
            (at("2025-01-01"), Stage.PROSPECT),
            (at("2025-02-01"), Stage.DORMANT_PROSPECT),
            (at("2025-06-15"), Stage.PROSPECT),
        ],
        [(at("2025-06-15"), Kind.CONTACTED, 1)],
        [],
    )
    first, second, third = weeks.weeks

    assert [(week.became, week.again, week.active) for week in weeks.weeks] == [(1, 0, 1), (0, 1, 2), (0, 0, 1)]
    assert (first.bought, second.bought, third.bought, third.unannounced) == (0, 0, 2, 1)
    assert third.median_deal_days == 14
    assert first.median_stay_days == {Stage.STRANGER: 34}
    assert second.median_stay_days == {Stage.DORMANT_PROSPECT: 134}
    assert third.median_stay_days == {Stage.PROSPECT: 14}
    assert first.desire == round(100 * (1 - 0.5 ** (0.5 ** (4 / 14))), 1)
    assert monday(at("2025-06-08")) == at("2025-06-02") == monday(at("2025-06-02"))


STANDS = Stands(Stage.CUSTOMER, Tier.HIGH, date(2025, 1, 2), 123_450, 3, date(2025, 5, 1), vip=False)


def test_a_list_of_a_tier_means_that_tier_or_a_higher_one() -> None:
    assert [STANDS.are(held) for held in HeldAs] == [False, False, True, True]


def test_every_surprise_says_why_in_a_sentence() -> None:
    given = Given(STANDS, {"tier": "high", "purchase_days": 3, "stage": "customer"})

    assert agreed(given, HeldAs.MID, "EUR") == (
        "Named, and so do the facts say: tier high with a value of 1234.50 EUR, customer since 2025-01-02,"
        " 3 purchase days, the last on 2025-05-01."
    )
    assert missed(given, HeldAs.HIGH, "EUR").startswith("Not named, though the facts say tier high or higher: tier h")
    assert over_rated(given, HeldAs.VIP, "EUR", VIP).endswith("; the rule asks for tier = top.")
    lost = Comparison(field="stage", op="eq", value="lost_customer")
    either = AnyOf(any=(Comparison(field="tier", op="in", value=("top",)), lost))
    rule = All(all=(Not.model_validate({"not": lost}), either, Comparison(field="purchase_days", op="gte", value=4)))
    assert over_rated(given, HeldAs.VIP, "EUR", rule).endswith(
        "; the rule asks for tier in (top) or stage = lost_customer, purchase_days ≥ 4."
    )
    assert "no standing" in over_rated(Given(None), HeldAs.TOP, "EUR", None)
    assert over_rated(given, HeldAs.VIP, "EUR", None).endswith("; there is no rule for VIPs.")


def test_who_is_not_assessed_by_a_new_rule_yet_is_told_so() -> None:
    given = Given(STANDS, {"tier": "high", "purchase_days": 3, "stage": "customer"})
    rule = Comparison(field="purchase_days", op="gte", value=3)

    assert over_rated(given, HeldAs.VIP, "EUR", rule).endswith(
        "; all that the rule asks for is there, and it is not assessed by it yet."
    )


def test_what_is_set_by_hand_is_told_beside_what_the_facts_say() -> None:
    by_hand = {"vip": "true", "tier": "top", "value_minor": "500000", "satisfied": "false", "loss_reason": "too_dear"}

    assert missed(Given(STANDS, {}, by_hand), HeldAs.MID, "EUR").endswith(
        "the last on 2025-05-01; set by hand: loss reason too dear, not satisfied, tier top, value 5000.00 EUR, VIP."
    )


def test_measures_of_the_parts_add_up_to_those_of_the_whole() -> None:
    random = Random(5)
    parties = [
        measured(
            bought=random.random() < 0.5,
            value_minor=random.randrange(10_000),
            turnover_minor=random.randrange(-100, 10_000),
            p=round(random.random(), 6) if random.random() < 0.7 else None,
            satisfaction=round(100 * random.random(), 1) if random.random() < 0.7 else None,
            at_risk=random.random() < 0.2,
        )
        for _ in range(500)
    ]
    groups = [Measures()] * 7
    for party in parties:
        place = random.randrange(7)
        groups[place] += party

    whole = sum(parties, Measures())
    assert sum(groups, Measures()) == whole
    assert whole.count == 500
    assert whole.expected_buyers == pytest.approx(whole.p_known * (whole.mean_p or 0), abs=1e-3)
    assert (Measures().mean_p, Measures().mean_satisfaction, Measures().expected_buyers) == (None, None, None)
