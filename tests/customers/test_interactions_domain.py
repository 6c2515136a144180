from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from contracts.customers import Department, Direction, InteractionKind, Severity
from contracts.loss import LossReason
from services.customers.domain.interactions import NewInteraction, Opens, UnfitLossReason, check_loss_reason

CALL = NewInteraction(
    party=UUID(int=1),
    source="callcentre",
    occurred_at=datetime(2026, 1, 5, 12, tzinfo=UTC),
    department=Department.SALES,
    channel="phone",
    kind=InteractionKind.INQUIRY,
    direction=Direction.INBOUND,
)


def test_who_declines_says_why_and_nobody_else_does():
    check_loss_reason(InteractionKind.DECLINED, LossReason.UNKNOWN)
    check_loss_reason(InteractionKind.PRAISE, None)
    with pytest.raises(UnfitLossReason) as missing:
        check_loss_reason(InteractionKind.DECLINED, None)
    assert "unknown" in missing.value.extensions["loss_reasons"]
    with pytest.raises(UnfitLossReason):
        check_loss_reason(InteractionKind.PRAISE, LossReason.PRICE)


def test_a_problem_that_is_opened_is_content_and_the_id_that_it_gets_is_not():
    opening = replace(CALL, opens=Opens("delivery", Severity.HIGH))
    one, other = (replace(opening, problem_id=UUID(int=number)) for number in (7, 8))
    assert one.content() == other.content() != CALL.content()
    assert replace(opening, opens=Opens("delivery", Severity.LOW)).content() != opening.content()
    assert replace(CALL, problem_id=UUID(int=7)).content() != replace(CALL, problem_id=UUID(int=8)).content()


def test_everything_that_was_said_is_content():
    for other in ({"text": "x"}, {"role": "adviser"}, {"attitude": 3}, {"author_id": UUID(int=3)}, {"competitor": "x"}):
        assert replace(CALL, **other).content() != CALL.content()
    assert replace(CALL, import_id=UUID(int=4), source="crm").content() == CALL.content()
