"""What many parties add to a trial: what `trials.tried` gives of each of them, added up."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import numpy as np

from contracts.customers import PartyKind
from contracts.scoring import Cause, MoveKind, Stage, Tier
from services.scoring.domain.calendar import Calendar
from services.scoring.domain.columns import EPOCH, SPAN, TooLarge
from services.scoring.domain.crowd.bands import BANDS, bands
from services.scoring.domain.crowd.falls import MOST
from services.scoring.domain.crowd.paths import CAUSES, KINDS, STAGES, TIERS, Moves, Paths, last, taken
from services.scoring.domain.crowd.told import REASONS, distinct, told
from services.scoring.domain.days import start_of_day
from services.scoring.domain.facts import ABOUT, Kind
from services.scoring.domain.lifecycle import LOST
from services.scoring.domain.likelihood import Whole
from services.scoring.domain.model import LONGEST
from services.scoring.domain.rounding import Holds
from services.scoring.domain.trajectory import Move
from services.scoring.domain.trials import (
    DORMANT,
    JUDGED,
    THERE_AND_BACK_DAYS,
    Side,
    Tally,
    Trial,
    by_clock,
    by_fact,
    by_value,
    tried,
)

Seen = tuple[UUID, Calendar, datetime]
"""A party, what counts of its calendar, and when."""
Kept = tuple[UUID, datetime, Stage | None, Stage | None, Tier | None, Tier | None, MoveKind, str]
"""A move: party, instant, stages and tiers from and to, kind, why."""


def tried_together(trial: Trial, seen: Sequence[Seen], *, keeps: bool) -> tuple[Tally, list[Kept]]:
    """What parties add to a trial and, where they are kept, their moves under the draft, party by party in order."""
    tally: Tally = Counter()
    kept: list[tuple[int, Kept]] = []
    days = {at: trial.draft.day(at) for at in {at for _, _, at in seen}}
    until = [days[at] for _, _, at in seen]
    alone, crowds = _sorted_out(trial, seen, until)
    for kind, crowd in crowds.items():
        of, ends = [seen[place] for place in crowd], [until[place] for place in crowd]
        try:
            unsure, counted, rows = _of_one_kind(trial, of, ends, kind, keeps=keeps)
        except TooLarge:
            alone += crowd
            continue
        tally.update(counted)
        kept += [(crowd[place], row) for place, row in rows]
        alone += [crowd[place] for place in unsure]
    for place in alone:
        party_id, calendar, at = seen[place]
        counted, moves = tried(trial, calendar, at)
        tally.update(counted)
        if keeps:
            kept += [(place, _kept(trial, party_id, move, why)) for move, why in moves]
    kept.sort(key=lambda of: of[0])
    return tally, [row for _, row in kept]


def _kept(trial: Trial, party_id: UUID, move: Move, why: str) -> Kept:
    at = start_of_day(move.day.toordinal(), trial.draft.zone)
    return party_id, at, move.from_stage, move.to_stage, move.from_tier, move.to_tier, move.kind, why


def _sorted_out(
    trial: Trial, seen: Sequence[Seen], days: Sequence[int]
) -> tuple[list[int], dict[PartyKind, list[int]]]:
    """The places of parties that are looked at one by one, and of the others by kind; of nobody there is nothing.

    One by one go lives that hang on more than their facts (something was set by hand), that change their kind, that
    are told ahead, and those that are longer than what is looked up.
    """
    draft, active = trial.draft, trial.active
    apart = draft.policy.organisations is not None or active.policy.organisations is not None
    alone: list[int] = []
    crowds: dict[PartyKind, list[int]] = {PartyKind.PERSON: [], PartyKind.ORGANISATION: []}
    for place, ((_, calendar, _), until) in enumerate(zip(seen, days, strict=True)):
        entries = calendar.entries
        kinds = {entry[1] for entry in entries}
        if kinds <= ABOUT:
            continue
        if (
            Kind.OVERRIDDEN in kinds
            or entries[-1][0] > until
            or until - entries[0][0] > LONGEST
            or (len(entries) > MOST and sum(entry[1] == Kind.PURCHASE for entry in entries) > MOST)
            or active.zone != draft.zone
        ):
            alone.append(place)
        elif apart and Kind.REGISTERED in kinds and (organised := _organised(calendar)):
            if organised == entries[0][0]:
                crowds[PartyKind.ORGANISATION].append(place)
            else:
                alone.append(place)
        else:
            crowds[PartyKind.PERSON].append(place)
    return alone, {kind: crowd for kind, crowd in crowds.items() if crowd}


def _organised(calendar: Calendar) -> int | None:
    registered = (
        day
        for day, kind, detail, *_ in calendar.entries
        if kind == Kind.REGISTERED and detail == PartyKind.ORGANISATION
    )
    return next(registered, None)


Of = list[tuple[int, Kept]]
"""Moves, each with the place of its party."""


def _of_one_kind(
    trial: Trial, crowd: Sequence[Seen], until: Sequence[int], kind: PartyKind, *, keeps: bool
) -> tuple[list[int], Tally, Of]:
    calendars = [calendar for _, calendar, _ in crowd]
    sheet = told(calendars, until, trial.draft.rates)
    same = trial.draft.rates is trial.active.rates
    sides = {
        Side.DRAFT: Paths(sheet, trial.draft, trial.draft.policy.stages(kind)),
        Side.ACTIVE: Paths(
            sheet if same else told(calendars, until, trial.active.rates),
            trial.active,
            trial.active.policy.stages(kind),
        ),
    }
    graded = {side: bands(paths.told, paths.ruling.policy) for side, paths in sides.items()}
    unsure = np.any([*(paths.unsure for paths in sides.values()), *(each for *_, each in graded.values())], axis=0)
    tally: Tally = Counter()
    stands = {side: paths.stands() for side, paths in sides.items()}
    _stand(tally, trial, stands, {side: codes for side, (*codes, _) in graded.items()}, ~unsure)
    rows: Of = []
    for side, paths in sides.items():
        found = paths.moves()
        found = found.where(~unsure[found.keys // SPAN])
        counted = (found.keys % SPAN) >= (trial.scope.first or 0)
        moves = found.where(counted)
        _count(tally, side, paths, moves)
        _count_back(tally, side, found, counted)
        _judge(tally, side, paths, moves, trial.scope.horizon_days)
        if keeps and side is Side.DRAFT:
            rows = list(_rows(trial, crowd, paths, moves))
    return np.flatnonzero(unsure).tolist(), tally, rows


def _stand(
    tally: Tally,
    trial: Trial,
    stands: Mapping[Side, Sequence[Whole]],
    graded: Mapping[Side, Sequence[Whole]],
    sure: Holds,
) -> None:
    for side, ruling in ((Side.DRAFT, trial.draft), (Side.ACTIVE, trial.active)):
        stages, tiers = stands[side]
        known = sure & (stages > 0)
        for (stage, tier), number in _numbers(stages[known], tiers[known]):
            tally["stands", side, str(STAGES[stage]), str(TIERS[tier])] += number
        for (code, *of), number in _numbers(*(column[known] for column in (tiers, *graded[side]))):
            tier_ = TIERS[code]
            assert tier_
            satisfaction, loyalty = (BANDS[each] for each in of)
            tally["treated", side, ruling.policy.treatment(tier_, satisfaction, loyalty)] += number
    ways = (*stands[Side.ACTIVE], *stands[Side.DRAFT])
    somewhere = int(np.count_nonzero(sure & ((ways[0] > 0) | (ways[2] > 0))))
    if somewhere:
        tally["parties",] += somewhere
    differ = sure & ((ways[0] != ways[2]) | (ways[1] != ways[3]))
    for (was, worth, would, then), number in _numbers(*(column[differ] for column in ways)):
        tally["differs", *map(str, (STAGES[was], TIERS[worth], STAGES[would], TIERS[then]))] += number


def _count(tally: Tally, side: Side, paths: Paths, moves: Moves) -> None:
    months = _months(moves.keys % SPAN)
    for (month, kind), number in _numbers(months, moves.kinds):
        tally["month", side, _month(month), KINDS[kind]] += number
    to = np.where(moves.stages[:, 0] == moves.stages[:, 1], 0, moves.stages[:, 1])
    lost = _is(to, LOST)
    followed = np.zeros(len(REASONS), dtype=bool)
    followed[[REASONS.index(reason) for reason in paths.ruling.policy.follow_up_reasons]] = True
    follow_ups = lost.copy()
    follow_ups[lost] = followed[paths.loss_reasons(moves.where(lost))]
    for work, those in (("at_risk", _is(to, DORMANT)), ("lost", lost), ("follow_ups", follow_ups)):
        for (month,), number in _numbers(months[those]):
            tally["work", side, _month(month), work] += number
    once = distinct(np.sort(moves.keys // SPAN * len(KINDS) + moves.kinds))
    for (kind,), number in _numbers(once % len(KINDS)):
        tally["moved", side, KINDS[kind]] += number


def _count_back(tally: Tally, side: Side, found: Moves, counted: Holds) -> None:
    changes = np.flatnonzero(found.stages[:, 0] != found.stages[:, 1])
    keys, many = found.keys[changes], len(changes)
    # By party, stage and order: in front of where somebody comes to a stage stands the last time that they left it.
    left, reached = (
        (keys // SPAN * len(STAGES) + found.stages[changes, end]) * many + np.arange(many) for end in (0, 1)
    )
    departures = np.sort(left)
    place = np.searchsorted(departures, reached) - 1
    before = departures[place]
    same = (place >= 0) & (before // many == reached // many)
    soon = keys - keys[before % many] <= THERE_AND_BACK_DAYS
    returned = changes[same & soon & counted[changes]]
    if len(returned):
        tally["flapped", side, "moves"] += len(returned)
        tally["flapped", side, "parties"] += len(distinct(found.keys[returned] // SPAN))


def _judge(tally: Tally, side: Side, paths: Paths, moves: Moves, horizon_days: int) -> None:
    bought, until = paths.told.bought, paths.told.until
    changed = moves.stages[:, 0] != moves.stages[:, 1]
    following = np.append(bought, np.iinfo(np.int64).max)[np.searchsorted(bought, moves.known, "right")]
    for stage in JUDGED:
        to = changed & (moves.stages[:, 1] == STAGES.index(stage))
        decided = to & (moves.keys + horizon_days <= until[moves.keys // SPAN])
        wrong = decided & ((following <= moves.keys + horizon_days) == (stage in LOST))
        for what, those in (("moves", to), ("decided", decided), ("wrong", wrong)):
            number = int(np.count_nonzero(those))
            if number:
                tally["judged", side, stage, what] += number


def _rows(trial: Trial, crowd: Sequence[Seen], paths: Paths, moves: Moves) -> Iterator[tuple[int, Kept]]:
    """The moves as they are kept, each with the place of its party."""
    parties, days = np.divmod(moves.keys, SPAN)
    zone = trial.draft.zone
    for party, day, kind, (was, to), (worth, then), why in zip(
        parties.tolist(), days.tolist(), moves.kinds.tolist(), moves.stages.tolist(), moves.tiers.tolist(),
        _reasons(paths, moves), strict=True,
    ):  # fmt: skip
        at = start_of_day(day, zone)
        yield party, (crowd[party][0], at, STAGES[was], STAGES[to], TIERS[worth], TIERS[then], KINDS[kind], why)


def _reasons(paths: Paths, moves: Moves) -> list[str]:
    """Why each move was made, in the words of `because`."""
    clock = moves.causes == CAUSES.index(Cause.CLOCK)
    retiered = moves.stages[:, 0] == moves.stages[:, 1]
    lost = ~retiered & ~clock & _is(moves.stages[:, 1], LOST)
    found = [""] * len(moves.keys)
    places = np.flatnonzero(retiered)
    for place, value in zip(places.tolist(), paths.values(moves.where(retiered)), strict=True):
        worth, then = moves.tiers[place].tolist()
        found[place] = by_value(TIERS[worth], TIERS[then], value)
    places = np.flatnonzero(~retiered & clock)
    bought, sign = (_days_since(days, moves.known[places]) for days in (paths.told.bought, paths.signs))
    for place, one, other in zip(places.tolist(), bought.tolist(), sign.tolist(), strict=True):
        found[place] = by_clock(None if one < 0 else one + 1, None if other < 0 else other + 1)
    reasons = dict(zip(np.flatnonzero(lost).tolist(), paths.loss_reasons(moves.where(lost)).tolist(), strict=True))
    for place in np.flatnonzero(~retiered & ~clock).tolist():
        stage, reason = STAGES[moves.stages[place, 1]], reasons.get(place)
        found[place] = by_fact(stage, None if reason is None else REASONS[reason])
    return found


def _days_since(days: Whole, keys: Whole) -> Whole:
    """How long ago the last of a party's days up to each key was; -1 where there is none."""
    place = last(days, keys)
    return np.where(place < 0, -1, keys - taken(days, place, 0))


def _is(codes: Whole, stages: frozenset[Stage]) -> Holds:
    table = np.array([stage in stages for stage in STAGES])
    return np.asarray(table[codes])


def _months(days: Whole) -> Whole:
    """The months of days (ordinals), counted from the year 0."""
    return (days - EPOCH).astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) + 12 * 1970


def _month(month: int) -> str:
    return f"{month // 12:04}-{month % 12 + 1:02}"


def _numbers(*columns: Whole) -> Iterator[tuple[tuple[int, ...], int]]:
    """Each combination that there is, and how many times."""
    if len(columns[0]):
        least = [int(column.min()) for column in columns]
        spans = tuple(int(column.max()) + 1 - low for column, low in zip(columns, least, strict=True))
        places = np.ravel_multi_index([column - low for column, low in zip(columns, least, strict=True)], spans)
        numbers = np.bincount(places)
        found = np.flatnonzero(numbers)
        parts = zip(np.unravel_index(found, spans), least, strict=True)
        combinations = zip(*((part + low).tolist() for part, low in parts), strict=True)
        yield from zip(combinations, numbers[found].tolist(), strict=True)
