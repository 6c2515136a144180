"""What the page about stages and tiers says is what decides."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from contracts.loss import LossReason
from contracts.scoring import Stage, Tier
from services.scoring.domain.calendar import Calendar
from services.scoring.domain.facts import DECLARATIONS, MONEY, Kind
from services.scoring.domain.money import Rates
from services.scoring.domain.presets import DAYS_1
from services.scoring.domain.ruling import Ruling
from services.scoring.domain.standing import assess
from tests.docs.pages import code, page, rows, section

PAGE = page("scoring.md")
RULING = Ruling(policy=DAYS_1, cuts=DAYS_1.cuts, rates=Rates(currency="EUR"), zone=ZoneInfo("UTC"))
EXAMPLES = rows(section(PAGE, "Worked examples"))


def meaning(kind: Kind) -> str:
    if kind is Kind.PURCHASE:
        return "bought"
    if kind in DECLARATIONS:
        return "declared lost"
    return "interest" if kind in DAYS_1.persons.prospects.sign_numbers else "known"


def history(told: str) -> Calendar:
    facts = [fact.split() for fact in told.split(", ")]
    kinds = [(Kind[name.upper()], date.fromisoformat(day).toordinal()) for name, day in facts]
    details = {kind: "EUR" if kind in MONEY else "unknown" if kind in DECLARATIONS else "" for kind in Kind}
    return Calendar.of((day, int(kind), details[kind], 1, 20_000 * (kind in MONEY)) for kind, day in kinds)


def test_every_kind_of_fact_is_listed_with_what_it_means() -> None:
    told = [(code(kind), text.split(";")[0]) for kind, text in rows(section(PAGE, "Facts"))]

    assert told == [(kind.code, meaning(kind)) for kind in Kind]


def test_every_stage_is_told_with_the_days_of_the_policy() -> None:
    told = {code(row[0]): row[2] for row in rows(section(PAGE, "Stages"))[: len(Stage)]}

    assert list(told) == list(Stage)
    days = (
        DAYS_1.persons.prospects.active_days,
        DAYS_1.persons.prospects.lost_after_days,
        DAYS_1.persons.by_days.dormant_after_days,
        DAYS_1.persons.by_days.lost_after_days,
    )
    active, gone, dormant, lost = map(str, days)
    assert active in told["prospect"]
    assert gone in told["lost_prospect"]
    assert {active, gone} <= {*told["dormant_prospect"].replace(".", "").replace(",", "").split()}
    assert dormant in told["customer"]
    assert {dormant, lost} <= {*told["dormant_customer"].replace(".", "").replace(",", "").split()}
    assert lost in told["lost_customer"]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda row: f"{code(row[0])} on {row[1]}")
def test_a_worked_example_comes_out_as_it_is_told(example: list[str]) -> None:
    told, on, stage, changes = example
    standing = assess(history(code(told)), datetime.fromisoformat(on).replace(tzinfo=UTC) + timedelta(hours=12), RULING)

    assert standing.stage == code(stage)
    changed = standing.next_change_at.date().isoformat() if standing.next_change_at else ""
    assert changed == changes


def test_every_stage_has_an_example() -> None:
    assert {code(row[2]) for row in EXAMPLES} == set(Stage)


def test_the_amounts_of_the_tiers_are_those_of_the_policy() -> None:
    told = {code(tier): int(amount) for tier, amount in rows(section(PAGE, "Tiers"))}

    cuts = DAYS_1.cuts
    assert told == {Tier.TOP: cuts.top, Tier.HIGH: cuts.high, Tier.MID: cuts.mid, Tier.LOW: 0}


def test_a_loss_nobody_explained_is_unknown() -> None:
    standing = assess(history("lead_captured 2026-01-05"), datetime(2026, 8, 1, tzinfo=UTC), RULING)

    assert standing.loss_reason is LossReason.UNKNOWN
