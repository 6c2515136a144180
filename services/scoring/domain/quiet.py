"""Who stands under another ruling as before: every grade is the same, and only what is counted is another."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

import numpy as np

from contracts.scoring import Band, Posture, Stage, Tier
from services.scoring.domain.calendar import Calendar
from services.scoring.domain.columns import GRADES
from services.scoring.domain.likelihood import Whole
from services.scoring.domain.rounding import Holds
from services.scoring.domain.ruling import Ruling
from services.scoring.domain.together import (
    FLAGS,
    Graded,
    dates,
    graded,
    levels,
    next_stages,
    probabilities,
    starts,
    treatments,
)

BETWEEN = "\x1f"
"""Parts the grades of a party in one text."""


class Stood(NamedTuple):
    """A party as it is stored."""

    calendar: Calendar
    grades: str
    """Stage, tier, level, both bands, posture, treatment, flags, whether it is a VIP (`t` or `f`) and potential."""
    assessed_at: datetime
    at: datetime
    """When it is assessed again, the same instant or a later one."""
    since: date
    """The first day of the stage."""
    steady: bool
    """Whether that stays the first day as long as the stage does not move."""


class Quiet(NamedTuple):
    """Parties with the same grades as before, and a list for whatever else is stored of a standing."""

    places: list[int]
    """Which of those who were looked at."""
    value_minor: list[int]
    spend_minor: list[int]
    last_sign_day: list[date | None]
    last_contact_day: list[date | None]
    next_change_at: list[datetime | None]
    next_stage_at: list[datetime | None]
    next_stage: list[Stage | None]
    p: list[float | None]
    turnover_minor: list[int]
    satisfaction: list[float]
    loyalty: list[float]


def quiet(parties: Sequence[Stood], ruling: Ruling) -> Quiet | None:
    """Whose grades and first day a ruling says to be those that are stored, from the last assessment up to this one.

    First days that are steady are not asked for. Nobody is among them whom `assess` has to decide alone; None where
    that is everybody. Up to `together.MOST`.
    """
    calendars, steady = [party.calendar for party in parties], np.array([party.steady for party in parties], np.bool_)
    if steady.any():
        ruling = ruling.from_the_beginning()
    days = {at: ruling.day(at) for at in {at for party in parties for at in (party.assessed_at, party.at)}}
    begun, day = (
        np.array([days[at] for at in instants], dtype=np.int64)
        for instants in ([party.assessed_at for party in parties], [party.at for party in parties])
    )
    found = graded(calendars, begun, ruling)
    if found is None:
        return None
    stays = _stays(parties, *found, ruling) & (found[0].turn > day)
    if (stays & (begun < day)).any():
        found = graded(calendars, day, ruling)
        if found is None:
            return None
        stays &= _stays(parties, *found, ruling)
    if steady.any():
        stays &= steady
    else:
        stays &= found[0].since == np.array([party.since.toordinal() for party in parties], np.int64)
    return _counted(found[0], np.flatnonzero(stays), ruling)


def _stays(parties: Sequence[Stood], of: Graded, alone: Holds, ruling: Ruling) -> Holds:
    texts = _texts(of, ruling)
    same = [party.grades == text for party, text in zip(parties, texts, strict=True)]
    return np.array(same, dtype=np.bool_) & ~alone


def _texts(of: Graded, ruling: Ruling) -> list[str]:
    """The grades of each as they are written where they are stored."""
    policy = ruling.policy
    parts: list[tuple[Sequence[str | None], Whole]] = [
        (list(Stage), of.stage), (list(Tier), of.tier), (levels(policy), of.level),
        (list(Band), of.satisfaction.band), (list(Band), of.loyalty.band), (list(Posture), of.posture),
        (treatments(policy), of.treatment), ([" ".join(flags) for flags in FLAGS], of.flags),
        ("ft", of.vip.astype(np.int64)), (GRADES, of.potential),
    ]  # fmt: skip
    key = np.zeros(len(of.stage), np.int64)
    for names, place in parts:
        key = key * len(names) + place
    _, first, which = np.unique(key, return_index=True, return_inverse=True)
    different = [BETWEEN.join(names[place[one]] or "" for names, place in parts) for one in first.tolist()]
    return [different[one] for one in which.tolist()]


def _counted(of: Graded, places: Whole, ruling: Ruling) -> Quiet:
    kept: list[int] = places.tolist()
    next_stage, p = next_stages(of), probabilities(of)
    return Quiet(
        kept, of.value[places].tolist(), of.spend[places].tolist(),
        dates(of.last_sign[places]), dates(of.last_contact[places]), starts(of.turn[places], ruling),
        starts(of.stage_turn[places], ruling), [next_stage[place] for place in kept],
        [p[place] for place in kept] if p else [None] * len(kept),
        of.turnover[places].tolist(), of.satisfaction.value[places].tolist(), of.loyalty.value[places].tolist(),
    )  # fmt: skip
