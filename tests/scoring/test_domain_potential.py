"""How promising whoever has not bought is: what the rubric said of a lead last."""

from datetime import UTC, date, datetime
from uuid import uuid4

import httpx
import pytest

from chassis.db import Database
from contracts.leads import Grade, LeadCaptured, LeadGraded
from services.scoring.domain.facts import Fact, Kind
from services.scoring.domain.plain import plain_standing
from services.scoring.domain.potential import Potential, detail, potential
from services.scoring.domain.standing import assess
from tests.scoring.feeding import JUNE, Feeding
from tests.scoring.test_domain_standing import DEFAULT, SOMEBODY, calendar, fact, noon


def graded(at: str, grade: Grade) -> Fact:
    then = datetime.fromisoformat(at).replace(tzinfo=UTC)
    return Fact(uuid4(), SOMEBODY, Kind.LEAD_GRADED, then, then, detail=detail(then, grade))


ASKED = fact("2026-01-05", Kind.LEAD_CAPTURED)
SAID = (graded("2026-01-05T12:00", Grade.C), graded("2026-01-09T15:00", Grade.A), graded("2026-01-09T09:00", Grade.D))


@pytest.mark.parametrize(
    ("day", "said"),
    [
        ("2026-01-04", None),
        ("2026-01-05", Potential(Grade.C, date(2026, 1, 5))),
        ("2026-01-08", Potential(Grade.C, date(2026, 1, 5))),
        ("2026-01-09", Potential(Grade.A, date(2026, 1, 9))),
        ("2026-01-19", Potential(Grade.A, date(2026, 1, 9))),
        ("2026-01-20", None),
    ],
)
def test_what_was_said_last_holds_until_something_is_bought(day: str, said: Potential | None) -> None:
    whole = calendar(ASKED, *SAID, fact("2026-01-20"))

    assert potential(whole, date.fromisoformat(day).toordinal()) == said


def test_without_a_lead_that_counts_there_is_none() -> None:
    assert potential(calendar(fact("2026-01-05", Kind.REGISTERED), *SAID), date(2026, 1, 19).toordinal()) is None


def test_a_grade_makes_nobody_known_and_moves_nobody() -> None:
    alone = calendar(*SAID)
    for day in ("2026-01-04", "2026-01-09", "2026-03-01", "2026-09-01"):
        assert assess(alone, noon(day), DEFAULT).stage is None
        assert assess(calendar(ASKED, *SAID), noon(day), DEFAULT) == assess(calendar(ASKED), noon(day), DEFAULT)
    policy, cuts = DEFAULT.policy, DEFAULT.cuts
    told = [SAID, (ASKED, *SAID)]
    plain = [
        plain_standing(facts, noon("2026-02-01"), policy, cuts, currency="EUR", rates=(), zone=DEFAULT.zone)
        for facts in told
    ]
    assert [standing.stage for standing in plain] == [
        assess(calendar(*facts), noon("2026-02-01"), DEFAULT).stage for facts in told
    ]


async def test_it_stands_in_the_standing_and_its_reason(api: httpx.AsyncClient, scoring: Database) -> None:
    feed = Feeding(scoring)
    somebody = feed.identity()
    lead = {"subject": somebody, "lead_id": uuid4()}
    captured = LeadCaptured(source="website", occurred_at=JUNE, **lead)
    grade = LeadGraded(occurred_at=JUNE, grade=Grade.B, points=7, rubric="0" * 64, **lead)
    facts = await feed.tell(captured, grade)

    told = (await api.get(f"/v1/standings/party_{somebody.hex}", params={"as_of": "2026-06-02"})).json()
    assert (told["tier"], told["potential"]) == ("unproven", "B")
    assert (told["reasons"]["tier"]["potential"], told["reasons"]["tier"]["graded_day"]) == ("B", "2026-06-01")
    assert "No purchase yet, a lead graded B on 2026-06-01: tier unproven." in told["reasons"]["sentence"]
    assert [each["kind"] for each in told["facts"]] == ["lead_graded", "lead_captured"]

    await feed.withdrawn(somebody, facts[0])
    assert (await api.get(f"/v1/standings/party_{somebody.hex}")).status_code == 404
