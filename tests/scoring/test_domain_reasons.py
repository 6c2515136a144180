import csv
import gzip
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache, partial
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import pytest

from contracts.customers import PartyKind
from contracts.leads import Grade
from contracts.loss import LossReason
from contracts.scoring import Band, Posture, Stage, Tier
from services.scoring.domain.buyers import Gathering
from services.scoring.domain.calendar import Calendar
from services.scoring.domain.days import start_of_day
from services.scoring.domain.facts import CART, DECLARATIONS, MONEY, Kind
from services.scoring.domain.fitting import fitted
from services.scoring.domain.grades import Flag
from services.scoring.domain.history import History
from services.scoring.domain.model import Model
from services.scoring.domain.money import Rates
from services.scoring.domain.overrides import NUMBERS, Field, detail
from services.scoring.domain.policy import Policy, Profit
from services.scoring.domain.presets import DAYS_1, DEFAULT_1, VIP
from services.scoring.domain.reasons.otherwise import Otherwise, without_facts
from services.scoring.domain.reasons.raising import with_fact
from services.scoring.domain.reasons.reason import Reason, reason
from services.scoring.domain.rules import AnyOf, Comparison, Not
from services.scoring.domain.ruling import Ruling
from services.scoring.domain.sentences import Language, sentence
from services.scoring.domain.stages import ByDays, ByProbability, Interest, Stages
from services.scoring.domain.standing import Standing, assess
from tests.scoring.by_hand import decided
from tests.scoring.handmade import MODEL

UTC_ZONE = ZoneInfo("UTC")
DAYS = Ruling(DAYS_1, DAYS_1.cuts, Rates("EUR", [(date(2020, 1, 1), "USD", Decimal("0.85"))]), UTC_ZONE)
CHANCES = Ruling(DEFAULT_1, DEFAULT_1.cuts, DAYS.rates, UTC_ZONE, MODEL)
ELABORATE = Policy(
    name="elaborate",
    horizon_days=90,
    persons=Stages(customers=ByProbability(fresh_days=0, dormant_below=0.4, lost_below=0.1)),
    organisations=Stages(
        customers=ByDays(dormant_after_days=120, lost_after_days=400),
        prospects=Interest(active_days=60, lost_after_days=200, signs=("visited", "inquired")),
    ),
    turnover_days=200,
    profit=Profit(margin=0.175, cost_minor={"complained": 900, "contacted": 155, "return": 300}),
    vip=AnyOf(
        any=(
            VIP,
            Comparison(field="kind", op="eq", value="organisation"),
            Not.model_validate({"not": {"field": "posture", "op": "in", "value": ("steady", "conservative")}}),
            Comparison(field="value_minor", op="gte", value=20_000),
            Comparison(field="spend_minor", op="lt", value=500),
        )
    ),
)
ODD = Ruling(ELABORATE, ELABORATE.cuts, DAYS.rates, UTC_ZONE, MODEL)
BARE = Ruling(
    DEFAULT_1, DEFAULT_1.cuts, DAYS.rates, UTC_ZONE, MODEL.model_copy(update={"p": None, "q": None, "v": None})
)
RULINGS = {"days": DAYS, "model": CHANCES, "odd": ODD, "no_amounts": BARE}

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def noon(day: str) -> datetime:
    return datetime.fromisoformat(day + "T12:00:00+00:00")


def calendar(told: str) -> Calendar:
    """Facts such as `purchase 2026-01-20 200.00`, `declined 2026-02-01 price` or `visited 2026-01-05`."""
    entries = []
    for fact in told.split(", "):
        name, day, *more = fact.split()
        kind = Kind[name.upper()]
        amount = round(100 * float(more[0])) if kind in MONEY else 0
        said = "EUR" if kind in MONEY else more[0] if more else ""
        entries.append((date.fromisoformat(day).toordinal(), int(kind), said, 1, amount))
    return Calendar.of(entries)


def override(day: str, field: Field, value: str, until: str = "") -> Calendar:
    said = detail(noon(day), field, value, date.fromisoformat(until) if until else None)
    return Calendar(((date.fromisoformat(day).toordinal(), int(Kind.OVERRIDDEN), said, 1, 0),))


def because(told: Calendar, day: str, ruling: Ruling = DAYS) -> Reason:
    found = reason(told, noon(day), ruling)
    assert found is not None
    return found


def anybody(random: Random) -> Calendar:
    """Somebody about whom anything may be known."""
    first = date(2024, 1, 1).toordinal()
    span = random.choice([60, 400, 900])
    bought = random.choice([0, 2, 30])
    entries = []
    for _ in range(random.choice([1, 3, 12, 40])):
        day, count = first + random.randrange(span), random.choice([1, 1, 2])
        kind = random.choices([Kind.PURCHASE, *Kind], [bought, *[0.5] * len(Kind)])[0]
        if kind is Kind.PURCHASE and not bought:
            continue
        amount = 0
        if kind in MONEY:
            said, amount = random.choice(["EUR", "EUR", "USD", "JPY"]), random.choice([0, random.randrange(60_000)])
        elif kind in DECLARATIONS:
            said = random.choice(list(LossReason))
        elif kind is Kind.PROBLEM_SOLVED:
            said = date.fromordinal(day - random.randrange(12)).isoformat()
            entries.append((day - random.randrange(12), int(Kind.PROBLEM_OPENED), "", 1, 0))
        elif kind is Kind.REGISTERED:
            said = random.choice(list(PartyKind))
        elif kind is Kind.OVERRIDDEN:
            said, count = some_override(random, day), 1
        elif kind is Kind.LEAD_GRADED:
            grade = random.choice([*Grade])
            hour = f"{random.randrange(24):02}:00:00.000000+00:00"
            said = f"{date.fromordinal(day)}T{hour}|{'DCBA'.index(grade)}|{grade}"
        else:
            said = ""
        entries.append((day, int(kind), said, count, amount))
    return Calendar.of(entries)


def some_override(random: Random, day: int) -> str:
    values: dict[Field, list[str]] = {
        Field.STAGE: [Stage.CUSTOMER, Stage.LOST_CUSTOMER],
        Field.TIER: [Tier.TOP, Tier.LOW],
        Field.SATISFACTION: [Band.LOW, Band.HIGH],
        Field.LOYALTY: [Band.HIGH],
        Field.POSTURE: [*Posture],
        Field.POTENTIAL: [*Grade],
        Field.LEVEL: ["large", "another"],
        Field.TREATMENT: ["care", "special"],
        Field.LOSS_REASON: [LossReason.PRICE, LossReason.UNKNOWN],
        Field.VALUE_MINOR: ["0", "30000", "90000"],
        Field.TURNOVER_MINOR: ["-1", "0", "60000"],
        Field.P: ["0.0", "0.5"],
        Field.SATISFACTION_INDEX: ["5.0", "50.0", "95.0"],
        Field.LOYALTY_INDEX: ["5.0", "50.0", "95.0"],
        **{Field(field): ["true", "false"] for field in (*Flag, "vip")},
    }
    field = random.choice(list(Field))
    until = date.fromordinal(day + random.randrange(200)) if random.random() < 0.5 else None
    value = random.choice(["", *values[field] * 3])
    at = datetime(2024, 1, 1, random.randrange(24), tzinfo=UTC) + timedelta(days=day - date(2024, 1, 1).toordinal())
    return detail(at, field, value, until)


def outputs(standing: Standing) -> dict[str, object]:
    """All that is discrete of a standing."""
    return {
        "stage": standing.stage,
        "tier": standing.tier,
        "satisfaction": standing.satisfaction_band,
        "loyalty": standing.loyalty_band,
        "level": standing.level,
        "posture": standing.posture,
        "treatment": standing.treatment,
        "flags": standing.flags,
        "vip": standing.vip,
        "potential": standing.potential,
    }


def otherwise_known(whole: Calendar, other: Otherwise, ruling: Ruling) -> Calendar:
    """The calendar with what a counterfactual takes away and adds."""
    changed = without_facts(whole, {Kind[code.upper()] for code in other.without_kinds}, other.without)
    if other.added is None or other.added_on is None:
        return changed
    currency = ruling.rates.currency or "" if other.added_minor is not None else ""
    day = other.added_on.toordinal()
    return with_fact(changed, day, Kind[other.added.upper()], currency, other.added_minor or 0)


def check(whole: Calendar, at: datetime, ruling: Ruling) -> Reason | None:
    """That a reason can be decided again by hand, and that all it says would come out so through `assess`."""
    stands, found = assess(whole, at, ruling), reason(whole, at, ruling)
    if found is None:
        assert stands.stage is None
        return None
    by_hand = decided(found.model_dump(mode="json", by_alias=True))
    assert by_hand == {**outputs(stands), "flags": list(stands.flags)} | {
        "p": stands.p,
        "value_minor": stands.value_minor,
        "turnover_minor": stands.turnover_minor,
        "satisfaction_index": stands.satisfaction,
        "satisfaction_evidence": stands.satisfaction_evidence,
        "loyalty_index": stands.loyalty,
        "loyalty_evidence": stands.loyalty_evidence,
        "loss_reason": stands.loss_reason,
    }
    assert {each.field: each.derived for each in found.overrides} == dict(stands.derived)
    for other in found.otherwise:
        then = start_of_day(other.on.toordinal(), ruling.zone) if other.on != found.day else at
        before = outputs(assess(whole, then, ruling))
        after = outputs(assess(otherwise_known(whole, other, ruling), then, ruling))
        assert {change.field: change.before for change in other.changes} == {
            field: was for field, was in before.items() if was != after[field]
        }
        assert before | {change.field: change.after for change in other.changes} == after
        assert (other.stage, other.tier) == (after["stage"], after["tier"])
        assert other.changes
    check_what_comes(whole, found, stands, ruling)
    assert sentence(found, Language.ENGLISH).isascii()
    assert sentence(found, Language.TRADITIONAL_CHINESE).encode("big5")
    assert sentence(found, Language.SIMPLIFIED_CHINESE).encode("gb2312")
    return found


def check_what_comes(whole: Calendar, found: Reason, stands: Standing, ruling: Ruling) -> None:
    assert (found.coming is None) == (stands.next_change_at is None)
    if found.coming is not None:
        turned = start_of_day(found.coming.day.toordinal(), ruling.zone)
        assert stands.next_change_at == turned
        then = outputs(assess(whole, turned, ruling))
        becomes = {change.field: change.after for change in found.coming.changes}
        reason = becomes.pop("loss_reason", stands.loss_reason)
        numbers = {field: becomes.pop(field) for field in [*becomes] if field in NUMBERS}
        whole_then = assess(whole, turned, ruling)
        assert {field: getattr(whole_then, field.removesuffix("_index")) for field in numbers} == numbers
        assert outputs(stands) | becomes == then
        # Of another stage it goes without saying.
        assert "stage" in becomes or reason == assess(whole, turned, ruling).loss_reason
        assert found.coming.changes
    assert (found.coming_stage and found.coming_stage.stage) == stands.next_stage


@pytest.mark.parametrize("name", RULINGS)
@pytest.mark.parametrize("seed", range(40))
def test_anybody_is_decided_again_by_hand_and_every_counterfactual_comes_true(seed: int, name: str) -> None:
    random = Random(seed)
    whole, at = anybody(random), datetime(2024, 1, 1, 12, tzinfo=UTC) + timedelta(days=random.randrange(1_200))

    check(whole, at, RULINGS[name])


Told = dict[str, list[tuple[int, int, str, int, int]]]
"""The entries of the calendar of each party."""


def table(name: str, file: str) -> Iterator[dict[str, str]]:
    with gzip.open(DATA / name / f"{file}.csv.gz", "rt", newline="") as text:
        yield from csv.DictReader(text)


def orders(name: str) -> Told:
    told: Told = defaultdict(list)
    for row in table(name, "orders"):
        told[row["customer_id"]].append(bought(row["ts"], row["amount"]))
    return told


def leads(name: str, dated: str = "") -> Told:
    """Leads, all of one day where they have none of their own; whoever did not buy is lost on the day of the lead."""
    converted = {row["lead_id"]: row["converted"] == "1" for row in table(name, "outcomes")}
    told: Told = {}
    for row in table(name, "leads"):
        day = date.fromisoformat(row[dated] if dated else "2026-01-05").toordinal()
        outcome = (Kind.LEAD_WON, "") if converted[row["lead_id"]] else (Kind.LEAD_LOST, str(LossReason.UNKNOWN))
        came = (Kind.LEAD_CAPTURED, ""), outcome
        told[row["lead_id"]] = [(day, int(kind), said, 1, 0) for kind, said in came]
    return told


def views(name: str) -> Told:
    did = {"view": Kind.VISITED, "cart": Kind.INQUIRED}
    told: Told = defaultdict(list)
    for row in table(name, "events"):
        day, kind = date.fromisoformat(row["event_time"][:10]).toordinal(), did.get(row["event_type"])
        said = CART if kind is Kind.INQUIRED else ""
        seen = (day, int(kind), said, 1, 0) if kind else bought(row["event_time"], row["price"])
        told[row["user_id"]].append(seen)
    return told


def bought(at: str, amount: str) -> tuple[int, int, str, int, int]:
    return date.fromisoformat(at[:10]).toordinal(), int(Kind.PURCHASE), "USD", 1, round(100 * float(amount))


SETS: Mapping[str, Callable[[str], Told]] = {
    "cdnow_sample": orders,
    "complete_journey": orders,
    "olist_leads": partial(leads, dated="first_contact_date"),
    "xeducation_leads": leads,
    "rees46": views,
}
"""What is told of the parties of each public data set."""


@cache
def everybody(name: str) -> Mapping[str, Calendar]:
    return {who: Calendar.of(entries) for who, entries in SETS[name](name).items()}


@cache
def fitted_to(name: str) -> Model:
    """The model of a data set at the middle of its time; another one where nobody in it came back."""
    gathering, every = Gathering(Rates("USD")), set[int]()
    for whole in everybody(name).values():
        gathering.take(whole)
        every |= {entry[0] for entry in whole.entries}
    middle = date.fromordinal((min(every) + max(every)) // 2)
    model = fitted(gathering.ledger(), middle, 365, "USD")
    return model if isinstance(model, Model) else MODEL


def some_of(name: str) -> Iterator[tuple[Calendar, datetime]]:
    """Twenty parties of a data set, each on a day from its first fact to a year after everybody's last."""
    random, of = Random(name), everybody(name)
    end = max(entry[0] for whole in of.values() for entry in whole.entries) + 365
    for who in random.sample(sorted(of), 20):
        day = random.randint(of[who].entries[0][0], end)
        yield of[who].between(None, date.fromordinal(day + 1)), start_of_day(day, UTC_ZONE) + timedelta(hours=12)


@pytest.mark.parametrize("by", ["days", "model"])
@pytest.mark.parametrize("name", SETS)
def test_twenty_parties_of_a_public_data_set_are_decided_again_by_hand(name: str, by: str) -> None:
    if not (DATA / name).is_dir():
        pytest.skip(f"needs the public data set {name} in {DATA}")
    rates = Rates("USD")
    model = fitted_to(name)
    ruling = (
        Ruling(DAYS_1, DAYS_1.cuts, rates, UTC_ZONE)
        if by == "days"
        else Ruling(DEFAULT_1, model.cuts or DEFAULT_1.cuts, rates, UTC_ZONE, model)
    )

    found = [check(whole, at, ruling) for whole, at in some_of(name)]

    assert len([each for each in found if each and each.otherwise]) == 20


def test_nobody_has_a_reason_before_the_first_fact() -> None:
    assert reason(calendar("purchase 2026-02-01 10.00"), noon("2026-01-31"), DAYS) is None


def test_taking_away_what_keeps_the_stage_takes_the_stage() -> None:
    bought = calendar("purchase 2025-01-01 10.00, purchase 2026-01-01 10.00, purchase 2026-02-01 10.00")

    without = because(bought, "2026-02-10").otherwise[0]

    assert without.without == (date(2026, 1, 1), date(2026, 2, 1))
    assert without.stage is Stage.LOST_CUSTOMER


def test_under_probability_no_more_is_taken_away_than_it_takes() -> None:
    bought = calendar(", ".join(f"purchase 2025-{month:02}-01 30.00" for month in range(3, 9)))

    without = because(bought, "2025-09-10", CHANCES).otherwise[0]

    assert (without.without, without.stage) == ((date(2025, 7, 1), date(2025, 8, 1)), Stage.DORMANT_CUSTOMER)
    fewer = without_facts(bought, {Kind.PURCHASE}, without.without[1:])
    assert assess(fewer, noon("2025-09-10"), CHANCES).stage is Stage.CUSTOMER


def test_taking_away_the_signs_takes_the_interest_and_one_more_revives() -> None:
    asked = calendar("visited 2025-01-01, inquired 2026-01-01")

    without, asking, buying, *_ = because(asked, "2026-03-10").otherwise

    assert (without.without, without.without_kinds, without.stage) == (
        (date(2026, 1, 1),),
        ("inquired",),
        Stage.STRANGER,
    )
    assert (asking.added, asking.stage) == ("inquired", Stage.PROSPECT)
    assert (buying.added, buying.stage) == ("purchase", Stage.CUSTOMER)


def test_taking_away_the_declaration_takes_the_loss() -> None:
    gone = calendar("purchase 2026-01-01 10.00, declined 2026-01-20 price")

    without = because(gone, "2026-02-10").otherwise[0]

    assert (without.without, without.without_kinds) == ((date(2026, 1, 20),), ("declined",))
    assert without.stage is Stage.CUSTOMER


@pytest.mark.parametrize(
    ("facts", "declared"),
    [
        ("inquired 2025-08-01, lead_lost 2025-08-05 price", date(2025, 8, 5)),
        ("purchase 2025-01-01 10.00, declined 2025-01-20 price", date(2025, 1, 20)),
    ],
)
def test_a_declaration_that_silence_has_overtaken_is_not_what_keeps_the_loss(facts: str, declared: date) -> None:
    early, late = (because(calendar(facts), day) for day in ("2025-09-01", "2026-03-01"))

    assert early.otherwise[0].without == (declared,)
    assert [other.without for other in late.otherwise] == [()] * len(late.otherwise)
    assert "would do alone" in sentence(late)
    assert "would do alone" not in sentence(early)


def test_what_is_stated_in_a_contact_goes_with_it() -> None:
    rated = calendar("inquired 2026-01-01, complained 2026-01-01, rated_poorly 2026-01-01")

    without = because(rated, "2026-01-05").otherwise[0]

    assert without.without_kinds == ("inquired", "complained", "rated_poorly")
    assert without.stage is None


def test_a_low_band_is_laid_to_the_evidence_that_does_most_for_it() -> None:
    unhappy = calendar(
        "purchase 2026-01-01 400.00, complained 2026-01-10, complained 2026-01-12, problem_opened 2026-01-12"
    )

    found = because(unhappy, "2026-01-13")

    without = next(other for other in found.otherwise if other.without_kinds == ("complained",))
    assert without.without == (date(2026, 1, 10), date(2026, 1, 12))
    assert (found.satisfaction.band, found.treatment.treatment) == (Band.LOW, "recover")
    assert {change.field: change.after for change in without.changes} == {
        "satisfaction": Band.MIDDLE,
        "treatment": "develop",
    }


def test_the_least_purchase_that_makes_a_higher_tier_is_told_to_the_cent() -> None:
    bought = calendar("purchase 2025-06-01 20.00, purchase 2025-09-01 20.00, purchase 2025-10-01 25.00")

    other = next(each for each in because(bought, "2025-10-20", CHANCES).otherwise if each.added == "purchase")

    assert other.added_minor is not None
    assert (other.tier, other.added_minor > 1) == (Tier.MID, True)
    day = date(2025, 10, 20).toordinal()
    less = with_fact(bought, day, Kind.PURCHASE, "EUR", other.added_minor - 1)
    assert assess(less, noon("2025-10-20"), CHANCES).tier is Tier.LOW


def test_whoever_is_lost_without_having_been_dormant_is_kept_by_a_purchase_as_well() -> None:
    first = date(2023, 1, 1).toordinal()
    daily = Calendar.of((first + n, int(Kind.PURCHASE), "EUR", 1, 1_000) for n in range(500))

    found = check(daily, start_of_day(first + 500, UTC_ZONE), CHANCES)

    assert found is not None
    assert found.coming_stage is not None
    assert found.coming_stage.stage is Stage.LOST_CUSTOMER
    assert f"One purchase before {found.coming_stage.day} keeps this customer." in sentence(found)


def test_older_evidence_is_told_together_and_adds_up_all_the_same() -> None:
    daily = date(2024, 1, 1).toordinal()
    active = Calendar.of((daily + 3 * n, int(Kind.PURCHASE), "EUR", 1, 1_000 + n % 7) for n in range(300))

    found = check(active, start_of_day(daily + 950, UTC_ZONE), CHANCES)

    assert found is not None
    assert any(each.first_day < each.last_day for each in found.loyalty.contributions)
    assert sum(each.count for each in found.loyalty.contributions if each.evidence == "repeat_purchase") == 299
    assert len({each.first_day for each in found.loyalty.contributions if each.first_day == each.last_day}) <= 101
    assert (len(found.stage.facts.days), found.stage.facts.days_total) == (100, 300)


def test_what_a_person_set_stands_beside_what_follows_from_the_facts() -> None:
    bought = calendar("purchase 2026-01-01 20.00") + override("2026-01-05", Field.TIER, "top", "2026-02-01")

    [told] = because(bought, "2026-01-10").overrides

    assert (told.field, told.value, told.derived, told.until) == ("tier", "top", "low", date(2026, 2, 1))
    assert told.set_at == noon("2026-01-05")
    assert because(bought, "2026-01-10").treatment.treatment == "care"
    assert because(bought, "2026-02-02").overrides == ()


@pytest.mark.parametrize(
    ("field", "value", "until", "said"),
    [
        (
            Field.VALUE_MINOR, "125000", "2026-02-01",
            "Worth 1250.00 EUR, as set by hand: tier top. "
            "1 day with contact or purchase in the last 90, 0 in the 90 before: developing. Treatment: care. "
            "Set by hand until 2026-02-01: value 1250.00 EUR (it would be 20.00 EUR). "
            "If nothing else happens: tier low, treatment serve, flags profit making, value 20.00 EUR from 2026-02-02",
        ),
        (Field.TURNOVER_MINOR, "-5", "", "Set by hand: turnover -0.05 EUR (it would be 20.00 EUR)."),
        (Field.P, "0.00005", "", "Set by hand: probability 0.005% (it would be none)."),
        (Field.SATISFACTION_INDEX, "12.5", "", "Satisfaction is 12.5 of 100, as set by hand: low."),
        (Field.LOYALTY_INDEX, "50.0", "", "Loyalty is 50 of 100, as set by hand: middle."),
    ],
)  # fmt: skip
def test_a_number_that_is_set_is_told_in_words(field: Field, value: str, until: str, said: str) -> None:
    bought = calendar("purchase 2026-01-01 20.00") + override("2026-01-05", field, value, until)

    found = because(bought, "2026-01-10")

    assert said in sentence(found, Language.ENGLISH)
    check(bought, noon("2026-01-10"), DAYS)
    chinese = sentence(found, Language.TRADITIONAL_CHINESE)
    assert "人工設" in chinese
    assert "人工设" in sentence(found, Language.SIMPLIFIED_CHINESE)


def test_an_index_that_is_set_to_what_the_facts_give_has_a_band_all_the_same() -> None:
    bought = calendar("purchase 2026-01-01 20.00") + override("2026-01-05", Field.SATISFACTION_INDEX, "50.0")

    found = because(bought, "2026-01-10")

    assert (found.overrides, found.satisfaction.as_set, found.satisfaction.band) == ((), 50.0, Band.MIDDLE)
    assert because(calendar("purchase 2026-01-01 20.00"), "2026-01-10").satisfaction.band is Band.UNKNOWN
    check(bought, noon("2026-01-10"), DAYS)


def test_the_end_of_a_number_changes_something_only_where_another_follows() -> None:
    bought = calendar("purchase 2026-01-01 20.00")
    pinned = bought + override("2026-01-05", Field.VALUE_MINOR, "2000", "2026-01-31")
    raised = bought + override("2026-01-05", Field.VALUE_MINOR, "2001", "2026-01-31")

    assert because(pinned, "2026-01-10").coming == because(bought, "2026-01-10").coming
    told = because(raised, "2026-01-10").coming
    assert told is not None
    assert (told.day, [(each.field, each.before, each.after) for each in told.changes]) == (
        date(2026, 2, 1), [("value_minor", 2001, 2000)]
    )  # fmt: skip


def test_of_two_that_a_person_set_the_reason_names_the_one_that_holds() -> None:
    bought = calendar("purchase 2026-01-01 20.00") + override("2026-01-05", Field.TIER, "high")
    both = bought + override("2026-01-06", Field.TIER, "top", "2026-01-20")

    held, later = (because(both, day).overrides[0] for day in ("2026-01-10", "2026-01-21"))

    assert (held.value, held.set_at, held.until) == ("top", noon("2026-01-06"), date(2026, 1, 20))
    assert (later.value, later.set_at, later.until) == ("high", noon("2026-01-05"), None)


def test_a_problem_that_is_overdue_is_laid_to_the_day_on_which_it_was_opened() -> None:
    left_open = calendar("purchase 2026-01-01 20.00, problem_opened 2026-01-02")

    without = [other for other in because(left_open, "2026-01-12").otherwise if "problem_opened" in other.without_kinds]

    assert [other.without for other in without] == [(date(2026, 1, 2),)]


def test_what_is_as_many_days_ago_as_a_window_is_long_lies_in_the_one_before() -> None:
    bought = calendar("purchase 2026-01-01 20.00")

    days = [because(bought, day).posture for day in ("2026-03-31", "2026-04-01", "2026-06-29", "2026-06-30")]

    assert [(each.later_days, each.earlier_days) for each in days] == [(1, 0), (0, 1), (0, 1), (0, 0)]


@pytest.mark.parametrize(
    ("facts", "rule", "told"),
    [
        (
            "joined 2026-01-01",
            "known_without_interest",
            "Known, but without a purchase or a sign of interest that counts: stranger. Treatment: win. "
            "One sign of interest now makes this stranger a prospect. "
            "One purchase now makes this stranger a customer.",
        ),
        (
            "lead_captured 2026-02-01",
            "silent_days_within_active_days",
            "Last showed interest on 2026-02-01, 28 days ago (dormant after 30, lost after 180): prospect. "
            "1 day with contact or purchase in the last 90, 0 in the 90 before: developing. Treatment: win. "
            "If nothing else happens: dormant prospect from 2026-03-04 on. "
            "One purchase now makes this prospect a customer. "
            "One sign of interest before 2026-03-04 keeps this prospect.",
        ),
        (
            "inquired 2025-08-01, reached 2025-08-01, lead_lost 2025-08-03 no_budget",
            "declared_lost_since_last_sign",
            "Last showed interest on 2025-08-01, and was declared lost on 2025-08-03 "
            "(212 days of silence would do alone, lost after 180): lost prospect, reason no budget. Treatment: win. "
            "One sign of interest now makes this lost prospect a prospect. "
            "One purchase now makes this lost prospect a customer.",
        ),
        (
            "lead_disqualified 2026-02-01 not_a_customer",
            "declared_lost_since_last_sign",
            "Showed no interest, and was declared lost on 2026-02-01: lost prospect, reason not a customer. "
            "Treatment: win. One sign of interest now makes this lost prospect a prospect. "
            "One purchase now makes this lost prospect a customer.",
        ),
        (
            "purchase 2026-02-01 10.00, declined 2026-02-09 service",
            "declined_after_last_purchase",
            "Last bought on 2026-02-01, and declined on 2026-02-09: lost customer, reason service. "
            "Net turnover of the last 365 days is 10.00 EUR: tier low. "
            "1 day with contact or purchase in the last 90, 0 in the 90 before: developing. Treatment: serve. "
            "If nothing else happens: posture conservative from 2026-05-02 on. "
            "One purchase now makes this lost customer a customer.",
        ),
        (
            "purchase 2026-01-01 120.50",
            "silent_days_within_dormant_after_days",
            "Last bought on 2026-01-01, 59 days ago (dormant after 90, lost after 365): customer. "
            "Net turnover of the last 365 days is 120.50 EUR: tier mid. "
            "1 day with contact or purchase in the last 90, 0 in the 90 before: developing. Treatment: develop. "
            "If nothing else happens: posture conservative from 2026-04-01 on; dormant customer from 2026-04-02 on. "
            "One purchase of 179.50 EUR now makes tier high. One purchase before 2026-04-02 keeps this customer.",
        ),
    ],
)
def test_a_reason_reads_as_sentences(facts: str, rule: str, told: str) -> None:
    found = because(calendar(facts), "2026-03-01")

    assert (found.stage.rule, sentence(found)) == (rule, told)


def test_under_a_model_chance_and_expectation_are_told() -> None:
    bought = "purchase 2025-03-01 900.00, purchase 2025-06-01 1000.00, purchase 2025-07-01 1100.00, referred 2025-07-02"

    assert sentence(because(calendar(bought), "2025-07-10", CHANCES)) == (
        "Bought on 3 days, last on 2025-07-01, 9 days ago; will buy within 180 days with a probability of 64.4% "
        "(dormant below 50%, lost below 20%; a customer in any case for 30 days after a purchase): customer. "
        "Expected of the next 365 days are 2.77 purchases of 876.99 EUR, in all 2433.24 EUR: tier top. "
        "Satisfaction is 81.9 of 100: high, most of all by referral (1). "
        "Loyalty is 91.0 of 100: high, most of all by repeat purchase (2). "
        "2 days with contact or purchase in the last 90, 1 in the 90 before: developing. Treatment: care, as a VIP. "
        "If nothing else happens: posture steady from 2025-08-30 on; dormant customer from 2025-09-01 on. "
        "One purchase before 2025-09-01 keeps this customer."
    )


def test_a_purchase_that_would_come_too_early_is_not_told_to_keep_anybody() -> None:
    assert "One purchase on 2025-03-31, but not one now, keeps this customer." in sentence(
        because(calendar("purchase 2025-03-01 20.00"), "2025-03-01", CHANCES)
    )


def test_the_same_is_told_in_traditional_and_in_simplified_characters() -> None:
    bought = calendar("purchase 2026-01-01 120.50") + override("2026-02-01", Field.TIER, "top", "2026-03-31")

    found = because(bought, "2026-03-01")

    assert sentence(found, Language.TRADITIONAL_CHINESE) == (
        "最近一次購買是 2026-01-01，距今 59 天（超過 90 天為休眠，超過 365 天為流失）：成交客戶。"
        "最近 365 天的淨營業額為 120.50 EUR：價值層級為「中」。"
        "最近 90 天內有 1 天有聯繫或購買，再往前 90 天內有 0 天：關係持續發展。對待方式：關懷。"
        "人工設定（至 2026-03-31 為止）：價值層級為「頂級」（原應為「中」）。"
        "若沒有其他變化，自 2026-04-01 起價值層級為「中」、關係為「相對保守」、對待方式為「培育」、標記為「創利」；"
        "自 2026-04-02 起成為休眠的成交客戶。只要在 2026-04-02 之前再購買一次，就仍是成交客戶。"
    )
    assert sentence(found, Language.SIMPLIFIED_CHINESE) == (
        "最近一次购买是 2026-01-01，距今 59 天（超过 90 天为休眠，超过 365 天为流失）：成交客户。"
        "最近 365 天的净营业额为 120.50 EUR：价值层级为“中”。"
        "最近 90 天内有 1 天有联系或购买，再往前 90 天内有 0 天：关系持续发展。对待方式：关怀。"
        "人工设定（至 2026-03-31 为止）：价值层级为“顶级”（原应为“中”）。"
        "若没有其他变化，自 2026-04-01 起价值层级为“中”、关系为“相对保守”、对待方式为“培育”、标记为“创利”；"
        "自 2026-04-02 起成为休眠的成交客户。只要在 2026-04-02 之前再购买一次，就仍是成交客户。"
    )


@pytest.mark.parametrize("name", RULINGS)
def test_a_customer_by_hand_alone_has_a_reason(name: str) -> None:
    known = calendar("visited 2026-01-05") + override("2026-01-06", Field.STAGE, "customer")

    found = because(known, "2026-01-10", RULINGS[name])

    assert (found.stage.stage, found.overrides[0].value) == (Stage.STRANGER, "customer")


@pytest.mark.parametrize("name", RULINGS)
def test_what_is_read_anew_from_a_change_on_alone_gives_the_reason_that_all_of_it_gives(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    random, ruling = Random(name), RULINGS[name]
    seen = [(anybody(random), noon(f"202{random.randrange(4, 7)}-05-{random.randrange(10, 30)}")) for _ in range(60)]
    reasons = [reason(party, at, ruling) for party, at in seen]

    monkeypatch.setattr(History, "changed", lambda history, whole, since: History(whole, history.ruling))

    assert reasons == [reason(party, at, ruling) for party, at in seen]
    assert sum(len(each.otherwise) for each in reasons if each) > 100
