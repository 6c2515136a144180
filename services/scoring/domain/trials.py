"""Trials: what would have been if a policy had decided from the beginning, counted beside the one that does."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Any

import msgspec

from contracts.loss import LossReason
from contracts.problems import Conflict, Invalid, Problem
from contracts.scoring import Cause, Stage, Tier
from services.scoring.domain.calendar import Calendar
from services.scoring.domain.history import History
from services.scoring.domain.lifecycle import LOST
from services.scoring.domain.ruling import Ruling
from services.scoring.domain.trajectory import Move, moves

THERE_AND_BACK_DAYS = 30
"""Who leaves a stage and is back after at most so many days was moved for nothing."""
DORMANT = frozenset({Stage.DORMANT_PROSPECT, Stage.DORMANT_CUSTOMER})
"""Stages in which somebody is at risk."""
JUDGED = (Stage.CUSTOMER, Stage.LOST_CUSTOMER, Stage.LOST_PROSPECT)
"""Stages that say whether somebody will buy, which time shows to be right or wrong."""


class TrialOfAnother(Problem):
    """Who asks ends the trials that they asked for, and has not asked for this one."""

    status = 403


class TrialAhead(Invalid):
    """A trial reaches to a day that has been: what comes is not known."""


class TooManyTrials(Conflict):
    """As many trials wait as may."""

    def __init__(self, waiting: int) -> None:
        super().__init__(
            f"{waiting} trials wait or are under way, as many as may. Ask again when one has ended, or cancel one:"
            " `GET /v1/trials` lists them, `DELETE /v1/trials/{trial_id}` cancels one.",
            waiting=waiting,
        )


class State(StrEnum):
    """How far a trial is, or a fit."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Side(StrEnum):
    """Whose policy decides."""

    DRAFT = "draft"
    ACTIVE = "active"


class Scope(msgspec.Struct, frozen=True):
    """What is counted."""

    first: int | None
    """The first day (ordinal) whose moves count; None is from the beginning."""
    horizon_days: int
    """A stage was right or wrong by what happened within so many days after the move to it."""


class Trial(msgspec.Struct, frozen=True):
    """The two policies, and what is counted of them."""

    draft: Ruling
    active: Ruling
    scope: Scope


Tally = Counter[tuple[str, ...]]
"""Counts by what they are of; the tallies of several parts are added up."""


def tried(trial: Trial, calendar: Calendar, at: datetime) -> tuple[Tally, list[tuple[Move, str]]]:
    """What a party adds to a trial, and its moves under the draft, each with why.

    `at` is when it stands where it stands; the calendar holds nothing behind it.
    """
    tally: Tally = Counter()
    stands = {}
    kept: list[tuple[Move, str]] = []
    for side, ruling in ((Side.DRAFT, trial.draft), (Side.ACTIVE, trial.active)):
        day, history = ruling.day(at), History(calendar, ruling)
        found = moves(history, None, day)
        stands[side] = _stand(tally, side, history, day)
        counted = [move for move in found if trial.scope.first is None or move.day.toordinal() >= trial.scope.first]
        _count(tally, side, history, found, counted)
        _judge(tally, side, history, counted, day, trial.scope.horizon_days)
        if side is Side.DRAFT:
            kept = [(move, because(history, move)) for move in counted]
    if any(stage for stage, _ in stands.values()):
        tally["parties",] += 1
    if stands[Side.DRAFT] != stands[Side.ACTIVE]:
        tally["differs", *map(str, stands[Side.ACTIVE]), *map(str, stands[Side.DRAFT])] += 1
    return tally, kept


def because(history: History, move: Move) -> str:
    """Why a move was made, in words that can be checked against the facts."""
    day = move.day.toordinal()
    if move.cause is Cause.OVERRIDE:
        return "set by hand, or the end of that"
    if move.from_stage == move.to_stage:
        return by_value(move.from_tier, move.to_tier, move.value_minor)
    if move.cause is Cause.CLOCK:
        # A day begins with the clock: what was done on it came later.
        bought, sign = history.last_purchase(day - 1), history.last_sign(day - 1)
        return by_clock(*(None if last is None else day - last for last in (bought, sign)))
    bought, sign, declared = history.last_purchase(day), history.last_sign(day), history.declared.last(day)
    told = {bought, sign, declared and declared[0]}
    if history.organised == day and move.from_stage is not None and day not in told:
        return "known to be an organisation"
    return by_fact(move.to_stage, move.loss_reason)


def by_value(before: Tier | None, after: Tier | None, value_minor: int) -> str:
    """Why the tier alone is another."""
    return f"{after} instead of {before}: value {value_minor}"


def by_clock(bought_days: int | None, sign_days: int | None) -> str:
    """Why silence led to another stage, so many days after the last purchase and the last sign of interest."""
    act, silent_days = ("sign of interest", sign_days) if bought_days is None else ("purchase", bought_days)
    return "time alone" if silent_days is None else f"no {act} for {silent_days} days"


def by_fact(stage: Stage | None, reason: LossReason | None) -> str:
    """Why the facts of a day led to a stage."""
    if stage in LOST:
        return f"declared lost: {reason}"
    if stage is Stage.CUSTOMER:
        return "a purchase"
    return "a sign of interest" if stage is Stage.PROSPECT else "a fact"


def _stand(tally: Tally, side: Side, history: History, day: int) -> tuple[Stage | None, Tier | None]:
    grades = history.grades(day)
    if grades.stage is not None:
        tally["stands", side, grades.stage, str(grades.tier)] += 1
        tally["treated", side, str(grades.treatment)] += 1
    return grades.stage, grades.tier


def _count(tally: Tally, side: Side, history: History, found: Sequence[Move], counted: Sequence[Move]) -> None:
    follow_ups = history.ruling.policy.follow_up_reasons
    for move in counted:
        month = move.day.isoformat()[:7]
        tally["month", side, month, move.kind] += 1
        if move.from_stage == move.to_stage:
            continue
        if move.to_stage in DORMANT:
            tally["work", side, month, "at_risk"] += 1
        elif move.to_stage in LOST:
            tally["work", side, month, "lost"] += 1
            if move.loss_reason in follow_ups:
                tally["work", side, month, "follow_ups"] += 1
    for kind in {move.kind for move in counted}:
        tally["moved", side, kind] += 1
    back = _there_and_back(found, set(map(id, counted)))
    if back:
        tally["flapped", side, "moves"] += back
        tally["flapped", side, "parties"] += 1


def _there_and_back(found: Sequence[Move], counted: set[int]) -> int:
    """How often a stage was left and came back soon, whatever lay between."""
    left: dict[Stage | None, date] = {}
    back = 0
    for move in found:
        if move.from_stage == move.to_stage:
            continue
        since = left.get(move.to_stage)
        if since is not None and id(move) in counted and (move.day - since).days <= THERE_AND_BACK_DAYS:
            back += 1
        left[move.from_stage] = move.day
    return back


def _judge(tally: Tally, side: Side, history: History, counted: Sequence[Move], until: int, horizon_days: int) -> None:
    days = history.purchase_days
    for move in counted:
        day = move.day.toordinal()
        if move.to_stage not in JUDGED or move.from_stage == move.to_stage:
            continue
        tally["judged", side, move.to_stage, "moves"] += 1
        if day + horizon_days > until:
            continue
        tally["judged", side, move.to_stage, "decided"] += 1
        # What the clock said at the beginning of a day is judged by that day too.
        place = bisect_right(days, day - 1 if move.cause is Cause.CLOCK else day)
        bought = place < len(days) and days[place] <= day + horizon_days
        if bought == (move.to_stage in LOST):
            tally["judged", side, move.to_stage, "wrong"] += 1


def looked_at_somebody(tally: Tally, parties: int) -> bool:
    """Whether a trial says anything of a policy: somebody stands somewhere at its end, or there is nobody at all."""
    return tally["parties",] > 0 or not parties


def outcome(tally: Tally, trial: Trial, until: date) -> dict[str, Any]:
    """What came out, as it is stored and shown; `until` is the day at whose end everybody stands."""
    first = trial.scope.first
    differs = [(*key[1:], count) for key, count in sorted(tally.items()) if key[0] == "differs"]
    names = ("stage_active", "tier_active", "stage_draft", "tier_draft", "parties")
    return {
        "from": None if first is None else date.fromordinal(first).isoformat(),
        "until": until.isoformat(),
        "horizon_days": trial.scope.horizon_days,
        "currency": trial.draft.rates.currency,
        "parties": tally["parties",],
        "differ": {
            "parties": sum(count for *_, count in differs),
            "cells": [
                {name: None if value == "None" else value for name, value in zip(names, row, strict=True)}
                for row in differs
            ],
        },
        "draft": _side(tally, Side.DRAFT, trial.draft),
        "active": _side(tally, Side.ACTIVE, trial.active),
    }


def _side(tally: Tally, side: Side, ruling: Ruling) -> dict[str, Any]:
    moved = {kind: count for (kind,), count in _of(tally, "moved", side)}
    months = _table(_of(tally, "month", side))
    total: Counter[str] = Counter()
    for kinds in months.values():
        total.update(kinds)
    judged = _table(_of(tally, "judged", side))
    work = _table(_of(tally, "work", side))
    flapped = {what: count for (what,), count in _of(tally, "flapped", side)}
    return {
        "policy": ruling.policy.content_hash,
        "name": ruling.policy.name,
        "model": None if ruling.model is None else ruling.model.content_hash,
        "stands": [
            {"stage": stage, "tier": tier, "parties": count} for (stage, tier), count in _of(tally, "stands", side)
        ],
        "treatments": {treatment: count for (treatment,), count in _of(tally, "treated", side)},
        "moves": {kind: {"moves": total[kind], "parties": moved[kind]} for kind in sorted(total)},
        "months": [{"month": month, "moves": kinds} for month, kinds in months.items()],
        "flapping": {"moves": flapped.get("moves", 0), "parties": flapped.get("parties", 0)},
        "judged": {stage: {**_ZERO, **judged.get(stage, {})} for stage in JUDGED},
        "workload": [{"month": month, **_IDLE, **kinds} for month, kinds in work.items()],
    }


_ZERO: Mapping[str, int] = {"moves": 0, "decided": 0, "wrong": 0}
_IDLE: Mapping[str, int] = {"at_risk": 0, "lost": 0, "follow_ups": 0}


def _of(tally: Tally, what: str, side: Side) -> Iterator[tuple[tuple[str, ...], int]]:
    for key, count in sorted(tally.items()):
        if key[:2] == (what, side):
            yield key[2:], count


def _table(counts: Iterable[tuple[tuple[str, ...], int]]) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = {}
    for (row, column), count in counts:
        table.setdefault(row, {})[column] = count
    return table
