"""Every way from one stage to another, by what somebody does and by the clock."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from contracts.loss import LossReason
from contracts.scoring import Cause, MoveKind, Stage, Tier
from services.scoring.domain.facts import Kind
from services.scoring.domain.history import History
from services.scoring.domain.money import Rates
from services.scoring.domain.policy import Policy
from services.scoring.domain.ruling import Ruling
from services.scoring.domain.stages import INTEREST, Interest, Stages
from services.scoring.domain.standing import assess
from services.scoring.domain.trajectory import KINDS, trajectory
from tests.scoring.test_domain_standing import DEFAULT, calendar, fact, noon, stage

Told = tuple[str, Kind]


def stages(*told: Told, until: str = "2027-12-31") -> list[tuple[str, Stage | None, MoveKind, Cause]]:
    """The moves that facts on some days make, with time alone after them."""
    whole = calendar(*(fact(day, kind) for day, kind in told))
    return [(str(move.day), move.to_stage, move.kind, move.cause) for move in trajectory(whole, noon(until), DEFAULT)]


def test_a_prospect_turns_dormant_the_day_after_thirty_silent_days() -> None:
    asked = calendar(fact("2026-01-01", Kind.INQUIRED))

    assert stage(asked, "2026-01-31") is Stage.PROSPECT
    assert stage(asked, "2026-02-01") is Stage.DORMANT_PROSPECT


def test_a_prospect_is_lost_the_day_after_half_a_silent_year() -> None:
    asked = calendar(fact("2026-01-01", Kind.INQUIRED))

    assert stage(asked, "2026-06-30") is Stage.DORMANT_PROSPECT
    assert stage(asked, "2026-07-01") is Stage.LOST_PROSPECT


def test_silence_carries_a_stranger_who_asked_through_all_stages_without_a_purchase() -> None:
    assert stages(("2026-01-01", Kind.VISITED), ("2026-01-05", Kind.INQUIRED)) == [
        ("2026-01-01", Stage.STRANGER, MoveKind.APPEARED, Cause.FACT),
        ("2026-01-05", Stage.PROSPECT, MoveKind.ADVANCED, Cause.FACT),
        ("2026-02-05", Stage.DORMANT_PROSPECT, MoveKind.FADED, Cause.CLOCK),
        ("2026-07-05", Stage.LOST_PROSPECT, MoveKind.LOST, Cause.CLOCK),
    ]


TRANSITIONS = [
    ("a stranger who asks is a prospect", [("2026-01-01", Kind.JOINED)], Kind.INQUIRED, "2026-03-01",
     (Stage.STRANGER, Stage.PROSPECT, MoveKind.ADVANCED)),
    ("a stranger who declines is lost", [("2026-01-01", Kind.JOINED)], Kind.DECLINED, "2026-03-01",
     (Stage.STRANGER, Stage.LOST_PROSPECT, MoveKind.LOST)),
    ("a stranger who buys is a customer", [("2026-01-01", Kind.JOINED)], Kind.PURCHASE, "2026-03-01",
     (Stage.STRANGER, Stage.CUSTOMER, MoveKind.ADVANCED)),
    ("a prospect whose lead is lost is lost", [("2026-01-01", Kind.LEAD_CAPTURED)], Kind.LEAD_LOST, "2026-01-20",
     (Stage.PROSPECT, Stage.LOST_PROSPECT, MoveKind.LOST)),
    ("a prospect whose lead is disqualified is lost", [("2026-01-01", Kind.LEAD_CAPTURED)], Kind.LEAD_DISQUALIFIED,
     "2026-01-20", (Stage.PROSPECT, Stage.LOST_PROSPECT, MoveKind.LOST)),
    ("a prospect who buys is a customer", [("2026-01-01", Kind.LEAD_CAPTURED)], Kind.PURCHASE, "2026-01-20",
     (Stage.PROSPECT, Stage.CUSTOMER, MoveKind.ADVANCED)),
    ("a dormant prospect who writes again returns", [("2026-01-01", Kind.POSTED)], Kind.REPLIED, "2026-03-20",
     (Stage.DORMANT_PROSPECT, Stage.PROSPECT, MoveKind.RETURNED)),
    ("a dormant prospect who declines is lost", [("2026-01-01", Kind.POSTED)], Kind.DECLINED, "2026-03-20",
     (Stage.DORMANT_PROSPECT, Stage.LOST_PROSPECT, MoveKind.LOST)),
    ("a dormant prospect who buys is a customer", [("2026-01-01", Kind.POSTED)], Kind.PURCHASE, "2026-03-20",
     (Stage.DORMANT_PROSPECT, Stage.CUSTOMER, MoveKind.ADVANCED)),
    ("a silent lost prospect who asks is revived", [("2026-01-01", Kind.POSTED)], Kind.INQUIRED, "2026-09-20",
     (Stage.LOST_PROSPECT, Stage.PROSPECT, MoveKind.REVIVED)),
    ("a declared lost prospect whose lead is reopened is revived",
     [("2026-01-01", Kind.LEAD_CAPTURED), ("2026-01-03", Kind.LEAD_LOST)], Kind.LEAD_REOPENED, "2026-01-20",
     (Stage.LOST_PROSPECT, Stage.PROSPECT, MoveKind.REVIVED)),
    ("a lost prospect who buys is a customer", [("2026-01-01", Kind.DECLINED)], Kind.PURCHASE, "2026-03-20",
     (Stage.LOST_PROSPECT, Stage.CUSTOMER, MoveKind.ADVANCED)),
    ("a customer who declines is lost", [("2026-01-01", Kind.PURCHASE)], Kind.DECLINED, "2026-01-20",
     (Stage.CUSTOMER, Stage.LOST_CUSTOMER, MoveKind.LOST)),
    ("a dormant customer who declines is lost", [("2026-01-01", Kind.PURCHASE)], Kind.DECLINED, "2026-06-20",
     (Stage.DORMANT_CUSTOMER, Stage.LOST_CUSTOMER, MoveKind.LOST)),
    ("a dormant customer who buys returns", [("2026-01-01", Kind.PURCHASE)], Kind.PURCHASE, "2026-06-20",
     (Stage.DORMANT_CUSTOMER, Stage.CUSTOMER, MoveKind.RETURNED)),
    ("a silent lost customer who buys is won back", [("2024-01-01", Kind.PURCHASE)], Kind.PURCHASE, "2026-06-20",
     (Stage.LOST_CUSTOMER, Stage.CUSTOMER, MoveKind.WON_BACK)),
    ("a declared lost customer who buys is won back",
     [("2026-01-01", Kind.PURCHASE), ("2026-01-05", Kind.DECLINED)], Kind.PURCHASE, "2026-01-20",
     (Stage.LOST_CUSTOMER, Stage.CUSTOMER, MoveKind.WON_BACK)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "kind", "day", "move"), [row[1:] for row in TRANSITIONS], ids=[row[0] for row in TRANSITIONS]
)
def test_what_somebody_does_moves_them(
    before: list[Told], kind: Kind, day: str, move: tuple[Stage, Stage, MoveKind]
) -> None:
    whole = calendar(*(fact(of_day, of_kind) for of_day, of_kind in [*before, (day, kind)]))

    told = trajectory(whole, noon(day), DEFAULT)[-1]

    assert (str(told.day), told.cause) == (day, Cause.FACT)
    assert (told.from_stage, told.to_stage, told.kind) == move
    assert assess(whole, noon(day), DEFAULT).since == date.fromisoformat(day)


CLOCK = [
    ("a silent prospect fades", Kind.INQUIRED, 31, (Stage.PROSPECT, Stage.DORMANT_PROSPECT, MoveKind.FADED)),
    ("a dormant prospect is lost", Kind.INQUIRED, 181, (Stage.DORMANT_PROSPECT, Stage.LOST_PROSPECT, MoveKind.LOST)),
    ("a silent customer fades", Kind.PURCHASE, 91, (Stage.CUSTOMER, Stage.DORMANT_CUSTOMER, MoveKind.FADED)),
    ("a dormant customer is lost", Kind.PURCHASE, 366, (Stage.DORMANT_CUSTOMER, Stage.LOST_CUSTOMER, MoveKind.LOST)),
]


@pytest.mark.parametrize(("kind", "after", "move"), [row[1:] for row in CLOCK], ids=[row[0] for row in CLOCK])
def test_time_alone_moves_somebody(kind: Kind, after: int, move: tuple[Stage, Stage, MoveKind]) -> None:
    whole, day = calendar(fact("2026-01-01", kind)), date(2026, 1, 1) + timedelta(days=after)
    eve = assess(whole, noon(str(day - timedelta(days=1))), DEFAULT)

    told = trajectory(whole, noon(str(day)), DEFAULT)[-1]

    assert (told.day, told.cause, told.from_stage, told.to_stage, told.kind) == (day, Cause.CLOCK, *move)
    assert (eve.stage, eve.next_stage) == move[:2]
    assert eve.next_change_at == datetime(day.year, day.month, day.day, tzinfo=UTC)


def test_every_move_that_facts_or_time_can_make_has_its_meaning_and_its_test() -> None:
    assert {(*row[4][:2],) for row in TRANSITIONS} | {row[3][:2] for row in CLOCK} | {
        (Stage.PROSPECT, Stage.LOST_PROSPECT),
        (Stage.CUSTOMER, Stage.LOST_CUSTOMER),
    } == set(KINDS)


@pytest.mark.parametrize("code", INTEREST)
def test_every_sign_of_interest_makes_a_prospect(code: str) -> None:
    assert stage(calendar(fact("2026-01-01", Kind[code.upper()])), "2026-01-01") is Stage.PROSPECT


@pytest.mark.parametrize(
    "kind",
    [
        Kind.REGISTERED,
        Kind.RETURN,
        Kind.VISITED,
        Kind.REACHED,
        Kind.PROBLEM_OPENED,
        Kind.PROBLEM_SOLVED,
        Kind.JOINED,
        Kind.REACTED,
        Kind.REFERRED,
        Kind.WAS_REFERRED,
        Kind.REFERRAL_CONVERTED,
    ],
)
def test_being_known_makes_a_stranger_whatever_time_passes(kind: Kind) -> None:
    known = assess(calendar(fact("2024-01-01", kind)), noon("2026-06-01"), DEFAULT)

    assert (known.stage, known.tier, known.next_change_at) == (Stage.STRANGER, Tier.UNPROVEN, None)


def test_which_kinds_show_interest_is_policy() -> None:
    policy = Policy(name="shy", persons=Stages(prospects=Interest(signs=("visited", "visited"))))
    shy = Ruling(policy, policy.cuts, Rates("EUR"), ZoneInfo("UTC"))
    both = calendar(fact("2026-01-01", Kind.INQUIRED), fact("2026-02-01", Kind.VISITED))

    assert policy.persons.prospects.signs == ("visited",)
    assert assess(both, noon("2026-01-10"), shy).stage is Stage.STRANGER
    assert assess(both, noon("2026-02-10"), shy).stage is Stage.PROSPECT


@pytest.mark.parametrize("kinds", [["purchase"], ["declined"], ["bought"]])
def test_what_is_no_sign_of_interest_cannot_be_made_one(kinds: list[str]) -> None:
    with pytest.raises(ValueError, match="a sign of interest is one of"):
        Interest(signs=kinds)


def test_a_prospect_cannot_be_lost_before_it_is_dormant() -> None:
    with pytest.raises(ValueError, match="a prospect is lost later than it is dormant"):
        Interest(active_days=30, lost_after_days=30)


def test_of_one_day_a_declaration_comes_before_interest() -> None:
    both = calendar(fact("2026-01-01", Kind.INQUIRED), fact("2026-01-01", Kind.DECLINED))

    assert stage(both, "2026-01-01") is Stage.LOST_PROSPECT
    assert stage(both + calendar(fact("2026-01-02", Kind.CONTACTED)), "2026-01-02") is Stage.PROSPECT


def test_of_one_day_a_purchase_comes_before_a_declaration() -> None:
    both = calendar(fact("2026-01-01"), fact("2026-01-01", Kind.DECLINED))

    assert stage(both, "2026-01-01") is Stage.CUSTOMER
    assert stage(both + calendar(fact("2026-01-02", Kind.DECLINED)), "2026-01-02") is Stage.LOST_CUSTOMER


@pytest.mark.parametrize("kind", [Kind.LEAD_LOST, Kind.LEAD_DISQUALIFIED])
def test_a_lost_lead_says_nothing_about_a_customer(kind: Kind) -> None:
    bought = calendar(fact("2026-01-01"), fact("2026-01-20", kind))

    assert stage(bought, "2026-02-01") is Stage.CUSTOMER


def test_interest_brings_no_lost_customer_back() -> None:
    gone = calendar(fact("2026-01-01"), fact("2026-01-05", Kind.DECLINED), fact("2026-01-09", Kind.INQUIRED))

    assert stage(gone, "2026-01-09") is Stage.LOST_CUSTOMER


def test_an_interrupted_silence_counts_from_the_last_sign() -> None:
    asked = calendar(fact("2026-01-01", Kind.INQUIRED), fact("2026-01-20", Kind.CONTACTED))

    assert stage(asked, "2026-02-19") is Stage.PROSPECT
    assert stage(asked, "2026-02-20") is Stage.DORMANT_PROSPECT
    assert assess(asked, noon("2026-02-19"), DEFAULT).since == date(2026, 1, 1)


def test_who_is_lost_by_silence_and_declared_lost_later_was_lost_since_the_silence() -> None:
    gone = calendar(fact("2026-01-01", Kind.INQUIRED), fact("2026-08-01", Kind.DECLINED))

    assert assess(gone, noon("2026-08-01"), DEFAULT).since == date(2026, 7, 1)


def test_a_declaration_says_why_somebody_is_lost() -> None:
    gone = calendar(
        fact("2026-01-01", Kind.INQUIRED),
        fact("2026-01-05", Kind.LEAD_LOST, reason="timing"),
        fact("2026-01-09", Kind.DECLINED, reason="competitor"),
    )

    assert assess(gone, noon("2026-01-08"), DEFAULT).loss_reason is LossReason.TIMING
    assert assess(gone, noon("2026-01-09"), DEFAULT).loss_reason is LossReason.COMPETITOR
    assert [move.loss_reason for move in trajectory(gone, noon("2026-02-01"), DEFAULT)] == [None, LossReason.TIMING]


def test_of_several_reasons_on_one_day_the_one_counts_that_the_taxonomy_has_first() -> None:
    said = [fact("2026-01-05", Kind.DECLINED, reason=reason) for reason in ("unknown", "timing", "service")]

    assert assess(calendar(*said), noon("2026-02-01"), DEFAULT).loss_reason is LossReason.SERVICE


def test_who_falls_silent_is_lost_for_an_unknown_reason() -> None:
    asked = calendar(fact("2026-01-01", Kind.INQUIRED), fact("2025-12-01", Kind.DECLINED, reason="price"))

    assert assess(asked, noon("2026-07-01"), DEFAULT).loss_reason is LossReason.UNKNOWN


def test_a_lost_lead_after_the_last_purchase_says_why_a_customer_fell_silent() -> None:
    before = calendar(fact("2025-12-01", Kind.LEAD_LOST, reason="price"), fact("2026-01-01"))
    after = before + calendar(fact("2026-01-01", Kind.LEAD_LOST, reason="no_budget"))

    assert assess(before, noon("2027-01-02"), DEFAULT).loss_reason is LossReason.UNKNOWN
    assert assess(after, noon("2027-01-02"), DEFAULT).loss_reason is LossReason.NO_BUDGET


def test_nobody_else_has_a_loss_reason() -> None:
    asked = calendar(fact("2026-01-05", Kind.DECLINED), fact("2026-01-09", Kind.INQUIRED))

    assert assess(asked, noon("2026-01-09"), DEFAULT).loss_reason is None


def test_a_day_is_read_in_the_same_time_however_long_the_history_is() -> None:
    start = date(1990, 1, 1).toordinal()
    long = calendar(*(fact(str(date.fromordinal(start + n)), Kind.CONTACTED) for n in range(0, 12_000, 2)))

    history = History(long, DEFAULT)
    asked = _Counting(history.sign_days)
    history._person.interest.acts = asked
    history.since(start + 11_000)
    asked.looks = 0

    assert history.stage(start + 11_000) is Stage.PROSPECT
    assert history.since(start + 11_000) == start
    assert history.next_stage_turn(start + 11_000) == start + 11_998 + 31
    assert 0 < asked.looks < 100


class _Counting(list[int]):
    """Days that count how often they are looked at."""

    looks = 0

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        self.looks += 1
        return super().__getitem__(index)
