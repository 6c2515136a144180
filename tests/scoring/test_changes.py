"""What other grades are laid to where stage and tier stay: to what first made them, in the order of time."""

from collections.abc import Sequence
from datetime import UTC, datetime, time
from random import Random
from typing import Any, cast
from uuid import UUID, uuid4

import msgspec
import pytest

from contracts.scoring import Band, Cause
from services.scoring.domain.calendar import Calendar, fold
from services.scoring.domain.facts import Fact, Kind
from services.scoring.domain.history import History
from services.scoring.domain.policy import Level
from services.scoring.domain.presets import DEFAULT_1
from services.scoring.domain.ruling import Ruling
from services.scoring.domain.standing import Standing, assess
from services.scoring.handlers import changes
from services.scoring.handlers.changes import Assessed, Change, moved, regraded
from services.scoring.queries.rulings import Present
from tests.scoring.test_domain_plain_agrees import some_policy
from tests.scoring.test_domain_standing import DEFAULT, fact
from tests.scoring.test_domain_together import some_ruling
from tests.scoring.test_passing import some_party

TOP = fact("2026-01-01", amount_minor=200_000)
NAMED = msgspec.structs.replace(DEFAULT, policy=DEFAULT.policy.model_copy(update={"name": "other"}))
"""Another ruling that says the same."""


def at(day: str, hour: int, kind: Kind = Kind.PURCHASE, amount_minor: int = 1_000) -> Fact:
    when = datetime.combine(datetime.fromisoformat(day), time(hour), UTC)
    return msgspec.structs.replace(fact(day, kind, amount_minor=amount_minor), fact_id=uuid4(), occurred_at=when)


def stood(known: Calendar, when: datetime, ruling: Ruling = DEFAULT) -> dict[str, Any]:
    """The row of a party that was assessed at an instant."""
    standing = assess(known, when, ruling)
    return {
        **msgspec.structs.asdict(standing), "flags": list(standing.flags), "assessed_at": when,
        "party_id": UUID(int=1), "resolves_to": UUID(int=1),
    }  # fmt: skip


def told(
    new: Sequence[Fact],
    until: datetime,
    *,
    known: Sequence[Fact] = (TOP,),
    ruling: Ruling = DEFAULT,
    reruled: Cause | None = None,
    **more: Any,
) -> tuple[list[Change], Standing]:
    """What is told of a batch of facts, and how the party stands by it."""
    before = fold(known, DEFAULT.zone)
    calendar = before + fold(new, DEFAULT.zone)
    row = stood(before, max(each.occurred_at for each in known))
    party = Assessed(cast("Any", row), calendar, None, until, facts=new, **more)
    now, here = assess(calendar, until, ruling), cast("Present", _Here(ruling))
    assert list(moved(party, History(calendar, ruling), now, here, reruled)) == []
    return regraded(party, now, here, reruled), now


class _Here(msgspec.Struct):
    ruling: Ruling


@pytest.mark.parametrize("days", [("2026-02-01", "2026-02-01"), ("2026-02-01", "2026-02-20")])
def test_of_several_facts_the_first_that_makes_other_grades_is_named(days: tuple[str, str]) -> None:
    buys, looks = at(days[0], 9), at(days[1], 10, Kind.VISITED)

    (change,), now = told([buys, looks], looks.occurred_at)

    assert now.vip
    assert (change.cause, change.fact_id, change.occurred_at) == (Cause.FACT, buys.fact_id, buys.occurred_at)


def test_facts_before_the_one_that_makes_other_grades_are_not_named() -> None:
    looks = [at("2026-01-02", hour, Kind.VISITED) for hour in range(1, 20)]
    complains = at("2026-01-02", 21, Kind.COMPLAINED)

    for facts in ([*looks[:2], complains], [*looks, complains], [*looks, complains, at("2026-01-03", 5, Kind.VISITED)]):
        (change,), _ = told(facts, facts[-1].occurred_at)
        assert (change.cause, change.fact_id) == (Cause.FACT, complains.fact_id)


def test_what_is_set_is_named_as_such_though_something_happened_behind_it() -> None:
    said = f"{datetime(2026, 1, 2, 9, tzinfo=UTC).isoformat(timespec='microseconds')}|vip|true|"
    sets = msgspec.structs.replace(at("2026-01-02", 9, Kind.OVERRIDDEN, 0), detail=said)

    (change,), now = told([sets, at("2026-01-02", 10, Kind.VISITED)], datetime(2026, 1, 2, 11, tzinfo=UTC))

    assert now.vip
    assert (change.cause, change.fact_id) == (Cause.OVERRIDE, sets.fact_id)


def test_what_a_fact_does_is_not_laid_to_a_ruling_that_says_the_same() -> None:
    complains = at("2026-01-02", 9, Kind.COMPLAINED)

    (change,), now = told([complains], complains.occurred_at, ruling=NAMED, reruled=Cause.POLICY)

    assert now.satisfaction_band is Band.LOW
    assert (change.cause, change.fact_id, change.occurred_at) == (Cause.FACT, complains.fact_id, complains.occurred_at)


def test_what_a_ruling_does_is_told_and_then_what_a_fact_does() -> None:
    policy = DEFAULT.policy.model_copy(update={"levels": ()})
    bare = msgspec.structs.replace(DEFAULT, policy=policy)
    complains = at("2026-01-02", 9, Kind.COMPLAINED)

    (first, last), now = told([complains], complains.occurred_at, ruling=bare, reruled=Cause.POLICY)

    assert (first.cause, first.fact_id, first.occurred_at) == (Cause.POLICY, None, complains.occurred_at)
    assert first.then is not None
    assert (first.then.level, first.then.satisfaction_band, first.then.treatment) == (None, Band.UNKNOWN, "care")
    assert (last.cause, last.fact_id, last.then) == (Cause.FACT, complains.fact_id, None)
    assert (now.level, now.satisfaction_band, now.treatment) == (None, Band.LOW, "recover")


def test_what_a_ruling_alone_does_is_told_of_it_though_a_fact_came() -> None:
    bare = msgspec.structs.replace(DEFAULT, policy=DEFAULT.policy.model_copy(update={"levels": ()}))
    looks = at("2026-01-02", 9, Kind.VISITED)

    for facts in ([looks], []):
        (change,), _ = told(facts, looks.occurred_at, ruling=bare, reruled=Cause.POLICY)
        assert (change.cause, change.fact_id, change.occurred_at) == (Cause.POLICY, None, looks.occurred_at)


def test_what_a_late_fact_corrects_is_told_before_what_a_new_one_does() -> None:
    late, buys = at("2025-12-31", 9, Kind.COMPLAINED), at("2026-01-02", 9)
    before = fold([TOP], DEFAULT.zone)
    calendar = before + fold([late, buys], DEFAULT.zone)
    party = Assessed(
        cast("Any", stood(before, TOP.occurred_at)), calendar, None, buys.occurred_at,
        corrected=Cause.LATE_FACT, late=late, late_s=7, facts=[buys],
    )  # fmt: skip
    now = assess(calendar, buys.occurred_at, DEFAULT)

    first, last = regraded(party, now, cast("Present", _Here(DEFAULT)))

    assert (first.cause, first.fact_id, first.late_s) == (Cause.LATE_FACT, late.fact_id, 7)
    assert first.then is not None
    assert (first.then.satisfaction_band, first.then.vip, now.vip) == (Band.LOW, False, True)
    assert (last.cause, last.fact_id, last.late_s) == (Cause.FACT, buys.fact_id, None)


@pytest.mark.parametrize("levels", [DEFAULT.policy.levels, ()], ids=["which changes nothing", "which changes levels"])
def test_the_clock_is_named_for_what_it_did_behind_what_is_corrected(levels: tuple[Level, ...]) -> None:
    asks, late = at("2026-01-02", 9, Kind.INQUIRED), at("2026-01-01", 9, Kind.VISITED)
    before = fold([TOP, asks], DEFAULT.zone)
    ruling = msgspec.structs.replace(DEFAULT, policy=DEFAULT.policy.model_copy(update={"levels": levels}))
    calendar, read_at = before + fold([late], DEFAULT.zone), datetime(2026, 1, 8, 9, tzinfo=UTC)
    party = Assessed(
        cast("Any", stood(before, asks.occurred_at)), calendar, None, read_at, corrected=Cause.LATE_FACT, late=late
    )

    *corrections, clock = regraded(party, assess(calendar, read_at, ruling), cast("Present", _Here(ruling)))

    # To what was asked on the 2nd an answer is late from the 5th on.
    assert (clock.cause, clock.fact_id, clock.occurred_at) == (Cause.CLOCK, None, datetime(2026, 1, 5, tzinfo=UTC))
    named = [(each.cause, each.fact_id, each.occurred_at) for each in corrections]
    assert named == ([] if levels else [(Cause.LATE_FACT, late.fact_id, read_at)])


def test_what_the_clock_did_is_not_laid_to_a_ruling_and_is_part_of_what_an_assignment_does() -> None:
    asks = at("2026-01-02", 9, Kind.INQUIRED)
    calendar, read_at = fold([TOP, asks], DEFAULT.zone), datetime(2026, 1, 8, 9, tzinfo=UTC)
    row, now = cast("Any", stood(calendar, asks.occurred_at)), assess(calendar, read_at, NAMED)
    here = cast("Present", _Here(NAMED))

    (clock,) = regraded(Assessed(row, calendar, None, read_at), now, here, Cause.POLICY)
    (merged,) = regraded(Assessed(row, calendar, None, read_at, corrected=Cause.ASSIGNMENT), now, here)

    assert (clock.cause, clock.occurred_at) == (Cause.CLOCK, datetime(2026, 1, 5, tzinfo=UTC))
    assert (merged.cause, merged.occurred_at) == (Cause.ASSIGNMENT, read_at)


def test_the_clock_is_named_for_what_it_does_between_facts_and_behind_them() -> None:
    asks, looks = at("2026-01-02", 9, Kind.INQUIRED), at("2026-01-20", 9, Kind.VISITED)
    known = [msgspec.structs.replace(TOP, occurred_at=datetime(2026, 1, 1, 12, tzinfo=UTC))]
    midnight = datetime(2026, 1, 5, tzinfo=UTC)

    for facts in ([asks, looks], [asks]):
        (change,), now = told(facts, looks.occurred_at, known=known)
        assert now.satisfaction_band is Band.MIDDLE
        assert (change.cause, change.fact_id, change.occurred_at) == (Cause.CLOCK, None, midnight)


def test_a_fact_is_not_named_for_what_the_clock_did_on_its_day() -> None:
    known = [TOP, at("2026-01-02", 13, Kind.INQUIRED)]
    looks, complains = at("2026-01-05", 9, Kind.VISITED), at("2026-01-05", 9, Kind.COMPLAINED)

    (clock,), _ = told([looks], looks.occurred_at, known=known)
    (fact_,), _ = told([complains], complains.occurred_at, known=known)

    assert (clock.cause, clock.occurred_at) == (Cause.CLOCK, datetime(2026, 1, 5, tzinfo=UTC))
    assert (fact_.cause, fact_.fact_id) == (Cause.FACT, complains.fact_id)


@pytest.mark.parametrize("seed", range(40))
def test_no_fact_is_named_on_whose_day_it_makes_no_other_grades(seed: int) -> None:
    random = Random(seed)
    before = some_ruling(random, some_policy(random) if seed % 3 else DEFAULT_1)
    another = some_ruling(random, some_policy(random))
    after = before if seed % 4 else msgspec.structs.replace(another, zone=before.zone, rates=before.rates)

    for number in range(40):
        party = some_party(random, number, before, after)
        if party.row["assessed_at"] is None:
            continue
        new = fold([*party.facts], before.zone)
        party.row = cast("Any", {**party.row, **stood(party.calendar - new, party.row["assessed_at"], before)})
        party.corrected = None
        now = assess(party.calendar, party.at, after)
        reruled = None if after is before else Cause.POLICY
        for change in regraded(party, now, cast("Present", _Here(after)), reruled):
            if change.fact_id is None:
                continue
            place = next(at for at, each in enumerate(party.facts) if each.fact_id == change.fact_id)
            day = after.day(party.facts[place].occurred_at)
            behind = [fold(party.facts[since:], after.zone) for since in (place, place + 1)]
            without, with_it = (History(party.calendar - less, after) for less in behind)
            assert changes._graded_on(without, day) != changes._graded_on(with_it, day)


def test_a_fact_of_today_that_is_alone_is_named_without_reading_its_history(monkeypatch: pytest.MonkeyPatch) -> None:
    complains = at("2026-01-02", 9, Kind.COMPLAINED)
    monkeypatch.setattr(changes, "_graded_on", None)

    (change,), _ = told([complains], complains.occurred_at)

    assert change.fact_id == complains.fact_id


def test_a_long_backlog_is_read_a_few_times_only(monkeypatch: pytest.MonkeyPatch) -> None:
    random, read = Random(1), list[int]()
    looks = [at("2026-01-02", random.randrange(1, 20), Kind.VISITED) for _ in range(1_000)]
    facts = sorted([*looks, at("2026-01-02", 12, Kind.COMPLAINED)], key=lambda each: each.occurred_at)
    graded_on = changes._graded_on

    def counted(history: History, day: int) -> tuple[object, ...]:
        read.append(day)
        return graded_on(history, day)

    monkeypatch.setattr(changes, "_graded_on", counted)

    (change,), _ = told(facts, facts[-1].occurred_at)

    assert change.fact_id == next(each.fact_id for each in facts if each.kind is Kind.COMPLAINED)
    assert len(read) <= 50
