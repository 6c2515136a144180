"""What the page about standings says is what decides: every number on it is computed again."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from contracts.loss import LossReason
from contracts.scoring import Band, Stage, Tier
from services.scoring.domain.calendar import Calendar
from services.scoring.domain.days import end_of_day
from services.scoring.domain.evidence import ASKING
from services.scoring.domain.facts import ABOUT, DECLARATIONS, DERIVED, MONEY, Kind
from services.scoring.domain.indexes import Evidence
from services.scoring.domain.model import Model
from services.scoring.domain.money import Rates
from services.scoring.domain.overrides import Field, detail
from services.scoring.domain.policy import Treatment
from services.scoring.domain.presets import DAYS_1, DEFAULT_1, VIP
from services.scoring.domain.reasons.reason import Reason, reason
from services.scoring.domain.ruling import Ruling
from services.scoring.domain.sentences import sentence
from services.scoring.domain.stages import ByProbability
from services.scoring.domain.standing import Standing, assess
from services.scoring.models.standings import Order
from tests.docs.pages import code, page, rows, section

PAGE = page("scoring.md")
PARAMETERS = {code(name): float(value) for name, value in rows(section(PAGE, "The model of the examples"))[:8]}
MODEL = Model(
    as_of=date(2026, 1, 1), parties=2_357, repeaters=946, currency="EUR", log_likelihood=-9_582.4, **PARAMETERS
)
BY_DAYS = Ruling(policy=DAYS_1, cuts=DAYS_1.cuts, rates=Rates(currency="EUR"), zone=ZoneInfo("UTC"))
BY_MODEL = Ruling(DEFAULT_1, DEFAULT_1.cuts, BY_DAYS.rates, BY_DAYS.zone, MODEL)
RULINGS = {"Stages by probability": BY_MODEL, "Tiers by expectation": BY_MODEL}
EXAMPLES = [
    "Stages by days",
    "Stages by probability",
    "Tiers by turnover",
    "Tiers by expectation",
    "Potential",
    "Answers",
    "Posture",
    "Last sign and last contact",
    "Level, flags and VIP",
    "Treatments by row",
    "What a person sets",
    "Two clocks",
]
"""The headings under which histories stand, and what becomes of them."""


class Case(NamedTuple):
    """A history on a day."""

    standing: Standing
    reason: Reason


def table(heading: str, first: str = "History") -> list[dict[str, str]]:
    """The rows of the table under a heading whose first column is called so, by the names of their columns."""
    lines = [line.strip() for line in section(PAGE, heading).splitlines()]
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first} |"))
    names = cells(lines[start])
    found = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        found.append(dict(zip(names, cells(line), strict=True)))
    return found


def cells(line: str) -> list[str]:
    return [cell.strip().strip("`") for cell in line.strip("|").split("|")]


def history(told: str, known_at: str = "") -> Calendar:
    """The calendar of a history, of what was recorded up to a day."""
    entries = []
    for fact in told.split(", "):
        words = fact.split()
        recorded = words.pop()[1:] if words[-1].startswith("@") else words[1]
        if known_at and recorded > known_at:
            continue
        name, on, *more = words
        day, said, amount = date.fromisoformat(on), "", 0
        kind = Kind.OVERRIDDEN if name == "set" else Kind[name.upper()]
        if kind is Kind.OVERRIDDEN:
            field, value, until = (*more, "", "")[:3]
            at = datetime(day.year, day.month, day.day, 9, tzinfo=UTC)
            said = detail(at, Field(field), value, date.fromisoformat(until) if until else None)
        elif kind in MONEY:
            said, amount = "EUR", round(100 * float(more[0])) if more else 20_000
        elif kind in DECLARATIONS:
            said = more[0] if more else "unknown"
        elif kind is Kind.LEAD_GRADED:
            said = f"{on}T09:00:00.000000+00:00|{'DCBA'.index(more[0])}|{more[0]}"
        elif more:
            said = more[0]
        entries.append((day.toordinal(), int(kind), said, 1, amount))
    return Calendar.of(entries)


def case(row: Mapping[str, str], ruling: Ruling) -> Case:
    """What becomes of a row."""
    day = date.fromisoformat(row.get("On") or row["As of"])
    told = history(row["History"], row.get("Known at", "")).between(None, day + timedelta(days=1))
    at = end_of_day(day.toordinal(), ruling.zone)
    found = reason(told, at, ruling)
    assert found is not None
    return Case(assess(told, at, ruling), found)


def shown(value: object) -> str:
    """As it stands in a cell."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.date().isoformat()
        case tuple():
            return ", ".join(map(str, value))
    return str(value)


def of_chances(field: str, digits: int) -> Callable[[Case], str]:
    def told(case: Case) -> str:
        chances = case.reason.chances
        return "" if chances is None else f"{getattr(chances, field):.{digits}f}"

    return told


def of_bought(field: str) -> Callable[[Case], str]:
    return lambda case: shown(getattr(case.reason.bought, field, None))


def late_answers(of: Reason) -> int:
    return sum(each.count for each in of.satisfaction.contributions if each.evidence == Evidence.LATE_ANSWER)


COLUMNS: Mapping[str, Callable[[Case], object]] = {
    "Stage": lambda case: case.standing.stage,
    "Stage changes on": lambda case: case.standing.next_stage_at,
    "Changes next on": lambda case: case.standing.next_change_at,
    "x": of_bought("x"),
    "tx days": of_bought("tx_days"),
    "T days": of_bought("T_days"),
    "p": of_chances("p", 4),
    "P(alive)": of_chances("p_alive", 4),
    "E[purchases]": of_chances("purchases", 4),
    "E[amount]": of_chances("amount_minor", 2),
    "Value": lambda case: case.standing.value_minor,
    "Turnover": lambda case: case.standing.turnover_minor,
    "Tier": lambda case: case.standing.tier,
    "Potential": lambda case: case.standing.potential,
    "Derived": lambda case: ", ".join(case.standing.derived.values()),
    "Later days": lambda case: case.reason.posture.later_days,
    "Earlier days": lambda case: case.reason.posture.earlier_days,
    "Posture": lambda case: case.standing.posture,
    "Last purchase": lambda case: case.standing.last_day,
    "Last sign": lambda case: case.standing.last_sign_day,
    "Last contact": lambda case: case.standing.last_contact_day,
    "Level": lambda case: case.standing.level,
    "Flags": lambda case: case.standing.flags,
    "VIP": lambda case: case.standing.vip,
    "Late answers": lambda case: late_answers(case.reason),
    "Index": lambda case: case.standing.satisfaction,
    "Satisfaction": lambda case: case.standing.satisfaction_band,
    "Loyalty": lambda case: case.standing.loyalty_band,
    "Row": lambda case: case.reason.treatment.row,
    "Treatment": lambda case: case.standing.treatment,
}
"""What stands in the columns of the tables of examples."""
GIVEN = {"History", "On", "As of", "Known at"}


@pytest.mark.parametrize(
    ("heading", "row"),
    [(heading, row) for heading in EXAMPLES for row in table(heading)],
    ids=lambda part: part if isinstance(part, str) else " ".join(part.values())[:60],
)
def test_a_worked_example_comes_out_as_it_is_told(heading: str, row: dict[str, str]) -> None:
    of = case(row, RULINGS.get(heading, BY_DAYS))

    assert {name: told for name, told in row.items() if name not in GIVEN} == {
        name: shown(COLUMNS[name](of)) for name in row if name not in GIVEN
    }


def test_every_stage_tier_posture_and_treatment_has_an_example() -> None:
    told = {heading: table(heading) for heading in EXAMPLES}

    for heading in ("Stages by days", "Stages by probability"):
        assert {row["Stage"] for row in told[heading]} == set(Stage)
    for heading in ("Tiers by turnover", "Tiers by expectation"):
        assert {row["Tier"] for row in told[heading]} == set(Tier)
    assert {row["Posture"] for row in told["Posture"]} == {"developing", "steady", "conservative"}
    assert {int(row["Row"]) for row in told["Treatments by row"]} == set(range(1, len(DAYS_1.treatments) + 1))
    assert {row["Level"] for row in told["Level, flags and VIP"]} == {"large", "small", "medium", ""}
    assert {row["VIP"] for row in told["Level, flags and VIP"]} == {"yes", "no"}


def test_every_order_of_lists_is_told() -> None:
    told = {sort for row in table("Lists", "`sort`") for sort in row["sort"].replace("`", "").split(", ")}

    assert told == {order.value for order in Order}


def meaning(kind: Kind) -> str:
    if kind is Kind.PURCHASE:
        return "bought"
    if kind in DECLARATIONS:
        return "declared lost"
    if kind in DERIVED | ABOUT:
        return "nothing"
    return "interest" if kind in DAYS_1.persons.prospects.sign_numbers else "known"


def test_every_kind_of_fact_is_listed_with_what_it_means() -> None:
    told = [(code(kind), text.split(";")[0]) for kind, text in rows(section(PAGE, "Facts"))]

    assert told == [(kind.code, meaning(kind)) for kind in Kind]


def numbers(told: str) -> set[str]:
    return {*told.replace(". ", " ").rstrip(".").replace(",", "").split()}


def test_every_stage_is_told_with_the_limits_of_both_policies() -> None:
    told = {row["Stage"]: row for row in table("Stages", "Stage")}
    by_days, prospects = DAYS_1.persons.by_days, DAYS_1.persons.prospects
    customers = DEFAULT_1.persons.customers
    assert isinstance(customers, ByProbability)

    assert list(told) == list(Stage)
    limits: Mapping[str, tuple[set[Any], set[Any]]] = {
        "prospect": ({prospects.active_days}, set()),
        "dormant_prospect": ({prospects.active_days, prospects.lost_after_days}, set()),
        "lost_prospect": ({prospects.lost_after_days}, set()),
        "customer": ({customers.fresh_days, customers.dormant_below}, {by_days.dormant_after_days}),
        "dormant_customer": (
            {customers.dormant_below, customers.lost_below},
            {by_days.dormant_after_days, by_days.lost_after_days},
        ),
        "lost_customer": ({customers.lost_below}, {by_days.lost_after_days}),
    }
    for stage, (model, days) in limits.items():
        assert set(map(str, model)) <= numbers(told[stage]["default-1`, with a model"])
        assert set(map(str, days)) <= numbers(told[stage]["By days"])
    assert f"{DEFAULT_1.horizon_days} under both policies" in section(PAGE, "The probability")
    assert DAYS_1.horizon_days == DEFAULT_1.horizon_days


@pytest.mark.parametrize("row", table("The model of the examples", "x"), ids=lambda row: f"x={row['x']}")
def test_the_published_rows_come_out(row: dict[str, str]) -> None:
    x, tx, T = int(row["x"]), int(row["tx days"]), int(row["T days"])

    assert [row[name] for name in ("P(alive)", "E[purchases]", "p")] == [
        f"{MODEL.p_alive(x, tx, T):.5f}",
        f"{MODEL.expected_purchases(x, tx, T, 273):.5f}",
        f"{MODEL.p_buys(x, tx, T, 273):.5f}",
    ]
    assert float(row["p"]) == pytest.approx(float(row["p published"]), abs=1e-4)


def test_the_amounts_of_the_tiers_are_those_of_the_policy() -> None:
    told = {row["Tier"]: int(row["From (minor units)"]) for row in table("Value and tier", "Tier")}

    cuts = DAYS_1.cuts
    assert told == {Tier.TOP: cuts.top, Tier.HIGH: cuts.high, Tier.MID: cuts.mid, Tier.LOW: 0}


def test_every_kind_of_evidence_is_listed_with_its_weights() -> None:
    told = {row["Evidence"]: row for row in table("Satisfaction and loyalty", "Evidence")}

    assert set(told) == set(Evidence)
    for name, index in ("Satisfaction", DAYS_1.satisfaction), ("Loyalty", DAYS_1.loyalty):
        assert {what: float(row[name]) for what, row in told.items() if row[name]} == index.weights
        assert (index.min_evidence, index.low_below, index.high_from) == (0.5, 40, 60)
    said = section(PAGE, "Satisfaction and loyalty")
    assert f"below {DAYS_1.satisfaction.min_evidence} the band is `unknown`" in said
    half_lives = DAYS_1.satisfaction.half_life_days, DAYS_1.loyalty.half_life_days
    assert "The half-life is {} days for satisfaction and {} for loyalty.".format(*half_lives) in said.replace(
        "\n", " "
    )
    assert f"on the {DAYS_1.problem_limit_days + 1}th day" in told["problem_overdue"]["Enters"]
    assert f"on the {DAYS_1.answer_within_days + 1}rd day" in told["late_answer"]["Enters"]


def by_hand() -> Case:
    """The example of the two indexes."""
    paragraph = section(PAGE, "An index by hand").replace("\n", " ").split("`")
    return case({"History": paragraph[1], "On": paragraph[2].split()[1].rstrip(":")}, BY_DAYS)


@pytest.mark.parametrize("name", ["Satisfaction", "Loyalty"])
def test_the_contributions_to_an_index_are_those_that_are_told(name: str) -> None:
    of = by_hand()

    assert table("An index by hand", name) == [
        {
            name: each.evidence,
            "Day": each.first_day.isoformat(),
            "Count": str(each.count),
            "Weight": str(each.weight),
            "Age": str((of.reason.day - each.first_day).days),
            "Faded count": f"{each.faded_count:.4f}",
            "Log-odds": f"{each.log_odds:.4f}",
        }
        for each in getattr(of.reason, name.lower()).contributions
    ]


def test_the_contributions_that_are_told_add_up_to_the_indexes() -> None:
    of = by_hand()

    for row in table("An index by hand", "Index"):
        told = table("An index by hand", row["Index"].title())
        assert float(row["Log-odds"]) == pytest.approx(sum(float(each["Log-odds"]) for each in told), abs=5e-4)
        assert float(row["Evidence"]) == pytest.approx(sum(float(each["Faded count"]) for each in told), abs=1e-3)
        ground = getattr(of.reason, row["Index"])
        assert (row["Log-odds"], row["Value"], row["Evidence"], row["Band"]) == (
            f"{ground.log_odds:.4f}",
            str(ground.index),
            f"{ground.evidence:.3f}",
            ground.band,
        )


def test_what_waits_for_an_answer_is_what_is_told_and_the_example_by_hand_comes_out() -> None:
    said = section(PAGE, "Answers").replace("\n", " ")
    row = table("Answers")[1]
    late = [each for each in case(row, BY_DAYS).reason.satisfaction.contributions if each.count]

    assert {kind for kind in Kind if f"`{kind.code}`" in said} == set(ASKING)
    assert f"the same day or one of the {DAYS_1.answer_within_days} days after it" in said
    for each in late:
        age = (date.fromisoformat(row["On"]) - each.first_day).days
        assert f"-0.3 * 2^(-{age}/{DAYS_1.satisfaction.half_life_days}) = {each.log_odds:.4f}" in said
    log_odds = sum(each.log_odds for each in late)
    assert f"in all {log_odds:.4f}, and 100 / (1 + exp({-log_odds:.4f})) = {row['Index']}." in said


def test_levels_posture_and_profit_are_those_of_the_policy() -> None:
    said = section(PAGE, "Level, flags and VIP").replace("\n", " ")
    large, medium, small = DAYS_1.levels

    assert f"`{large.name}` from {large.from_minor} minor units on, `{medium.name}` from {medium.from_minor}" in said
    assert f"`{small.name}` from {small.from_minor};" in said
    assert f"{DAYS_1.profit.margin} of the turnover is more than" in said
    assert DAYS_1.vip == VIP
    trend, told = DAYS_1.posture, section(PAGE, "Posture").replace("\n", " ")
    assert f"in the last {trend.window_days} days, against those in the {trend.window_days} days before" in told
    assert f"at least {trend.developing_from} times as many" in told
    assert f"less than {trend.conservative_below} times as many" in told


def test_the_table_of_treatments_is_that_of_the_policy() -> None:
    assert (
        DAYS_1.treatments
        == DEFAULT_1.treatments
        == tuple(
            Treatment(
                treatment=row["Treatment"],
                tier=tuple(map(Tier, filter(None, row["Tier"].split(", ")))),
                satisfaction=tuple(map(Band, filter(None, [row["Satisfaction"]]))),
                loyalty=tuple(map(Band, filter(None, [row["Loyalty"]]))),
            )
            for row in table("Treatment", "Treatment")
        )
    )


def test_every_part_of_a_reason_is_listed() -> None:
    told = [row["Part"] for row in table("Reasons", "Part")]

    besides = {"kind", "currency", "policy", "policy_hash", "bought", "chances", "coming_stage"}
    assert {*told, *besides} == {*Reason.model_fields, "sentence", "advice"}


@pytest.mark.parametrize("row", table("Reasons"), ids=lambda row: row["Says"])
def test_what_a_sentence_is_told_to_say_it_says(row: dict[str, str]) -> None:
    assert row["Says"] in sentence(case(row, BY_DAYS).reason)


def test_a_loss_nobody_explained_is_unknown() -> None:
    standing = assess(history("lead_captured 2026-01-05"), datetime(2026, 8, 1, tzinfo=UTC), BY_DAYS)

    assert standing.loss_reason is LossReason.UNKNOWN
