from datetime import UTC, datetime, timedelta

import pytest

from services.leads.domain.leads import Change
from services.leads.domain.moves import (
    CHANGES,
    MOVES,
    OPERATIONS,
    BeforeCapture,
    IllegalMove,
    LeadStatus,
    check_not_before,
    move,
    status_after,
)

CAPTURED = datetime(2026, 1, 5, 9, tzinfo=UTC)


@pytest.mark.parametrize("status", LeadStatus)
@pytest.mark.parametrize("to", LeadStatus)
def test_a_move_is_legal_where_the_table_says_so_and_else_names_those_that_are(status, to):
    if to in MOVES[status]:
        assert move(status, to) is to
        return
    with pytest.raises(IllegalMove) as refused:
        move(status, to)
    assert refused.value.extensions == {"status_now": status, "allowed": sorted(MOVES[status])}
    assert refused.value.status == 409


def test_a_won_lead_goes_nowhere_and_only_a_closed_one_is_reopened():
    assert MOVES[LeadStatus.WON] == frozenset()
    reopened = {status for status, allowed in MOVES.items() if LeadStatus.NEW in allowed}
    assert reopened == {LeadStatus.LOST, LeadStatus.DISQUALIFIED}


def test_every_status_is_reached_by_one_operation_and_has_one_name_in_the_history():
    assert MOVES.keys() == OPERATIONS.keys() == CHANGES.keys() == set(LeadStatus)
    assert len(set(OPERATIONS.values())) == len(set(CHANGES.values())) == len(LeadStatus)


def test_nothing_becomes_of_a_lead_before_it_is_captured():
    check_not_before(CAPTURED, CAPTURED)
    with pytest.raises(BeforeCapture) as refused:
        check_not_before(CAPTURED - timedelta(seconds=1), CAPTURED)
    assert refused.value.extensions == {"captured_at": CAPTURED}


def test_the_last_move_that_counts_says_where_a_lead_stands():
    assert status_after([]) is LeadStatus.NEW
    assert status_after([Change.QUALIFIED, Change.LOST]) is LeadStatus.LOST
    assert status_after([Change.LOST, Change.REOPENED]) is LeadStatus.NEW
