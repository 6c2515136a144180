"""Standings by both clocks: after a day, by what was recorded up to an instant, and under the versions asked for."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from contracts.moments import NotReadYet
from contracts.scoring import Stage, Tier
from services.scoring.domain.moment import Care, Moment
from services.scoring.domain.standing import Standing
from services.scoring.models.clocks import Question
from services.scoring.queries.activations import settled_until
from services.scoring.queries.known import known_identities_of, known_one, known_parties_of
from services.scoring.queries.lists import Filter
from services.scoring.queries.reading import (
    PAGE,
    Found,
    Read,
    Stretch,
    found,
    identities_of,
    one,
    parties_of,
    stretches,
)
from services.scoring.queries.rulings import Connection, ruling_asked
from services.scoring.queries.standings import FALLEN
from services.scoring.queries.watermark import watermark

MOST = 10_000
"""Parties that one page of a list is looked for among; that takes about a third of a second."""
CARE = frozenset({"owner_id", "team_id"})
"""What a filter asks of who takes care of a party, not of how it stands."""


async def moment_asked(connection: Connection, asked: Question, now: datetime) -> Moment:
    """The end of a local day, or the instant of what is known, or as late as everything was read.

    Raises `NotReadYet`, `PolicyNotFound`, `ModelNotFound`, `ModelCurrency`.
    """
    reached = await watermark(connection)
    if asked.known_at is not None:
        settled = reached and await settled_until(connection, reached)
        if settled is None or asked.known_at > settled:
            raise NotReadYet(settled)
    ruling = await ruling_asked(connection, asked.known_at, policy=asked.policy, model=asked.model)
    if asked.horizon_days not in (None, ruling.policy.horizon_days):
        policy = ruling.policy.model_copy(update={"horizon_days": asked.horizon_days})
        ruling = msgspec.structs.replace(ruling.from_the_beginning(), policy=policy)
    if asked.as_of is not None:
        ruling = ruling.from_the_beginning()
    if asked.known_at is not None:
        return Moment(ruling, asked.as_of, asked.known_at, asked.known_at)
    return Moment(ruling, asked.as_of, min(now, reached) if reached else None)


async def day_asked(connection: Connection, asked: Question, now: datetime) -> tuple[date, Moment]:
    """A whole local day, where none is given that of the instant of what is known, or of now; and its end."""
    then = await moment_asked(connection, asked, now)
    day = asked.as_of or date.fromordinal(then.ruling.day(asked.known_at or now))
    return day, msgspec.structs.replace(then, as_of=day)


async def parties(connection: Connection, then: Moment, stretch: Stretch) -> list[Read]:
    """Parties of a stretch that may stand somewhere at a moment, in id order."""
    if then.known_at is None:
        return await parties_of(connection, stretch)
    return await known_parties_of(connection, stretch, then.known_at, then.ruling.zone)


async def identities(connection: Connection, then: Moment, stretch: Stretch) -> list[Read]:
    """Parties of a stretch of identities that may stand somewhere at a moment, in the order of a digest."""
    if then.known_at is None:
        return await identities_of(connection, stretch)
    return await known_identities_of(connection, stretch, then.known_at, then.ruling.zone)


async def party(connection: Connection, then: Moment, party_id: UUID) -> Read | None:
    """The party that an id leads to at a moment."""
    if then.known_at is None:
        return await one(connection, party_id)
    return await known_one(connection, then.known_at, then.ruling.zone, party_id)


async def standings_then(
    connection: Connection, then: Moment, wanted: Filter, *, after: UUID | None, limit: int
) -> tuple[list[Found], UUID | None]:
    """Up to so many standings at a moment, computed, behind a party; and the party to go on behind, if any is left.

    They are looked for among so many parties only, and may be fewer though there are more.
    """
    fitting: list[Found] = []
    looked, last = 0, after
    async for stretch in stretches(connection, PAGE, after):
        reads = await parties(connection, then, stretch)
        while reads:
            if len(fitting) == limit or looked == MOST:
                return fitting, last
            # So many are enough where all fit. Where few do the others of the page are assessed together.
            some = reads[: min(PAGE if looked else limit + 1, MOST - looked)]
            reads = reads[len(some) :]
            fitting += [each for each in found(some, then) if fits(wanted, each.read, each.standing)]
            if len(fitting) > limit:
                return fitting[:limit], fitting[limit - 1].party_id
            looked, last = looked + len(some), some[-1].row["party_id"]
    return fitting, None


class Elsewhere(NamedTuple):
    """A party that stands elsewhere at one moment than at the other; None where it stands nowhere."""

    read: Read
    active: Standing | None
    draft: Standing | None


class Cells(NamedTuple):
    """Where parties stand that are asked for; None is anywhere."""

    stage_active: Stage | None = None
    tier_active: Tier | None = None
    stage_draft: Stage | None = None
    tier_draft: Tier | None = None

    def fits(self, each: Elsewhere) -> bool:
        """Whether somebody stands so."""
        stands = (
            *((each.active.stage, each.active.tier) if each.active else (None, None)),
            *((each.draft.stage, each.draft.tier) if each.draft else (None, None)),
        )
        return all(asked in (None, stood) for asked, stood in zip(self, stands, strict=True))


async def elsewhere(
    connection: Connection,
    active: Moment,
    draft: Moment,
    wanted: Cells,
    *,
    care: Care | None,
    after: UUID | None,
    limit: int,
) -> tuple[list[Elsewhere], UUID | None]:
    """Up to so many parties, behind one, that differ in stage or tier; and the party to go on behind, if any is left.

    Of those of an owner or a team alone, where `care` names one. They are looked for among `MOST` parties at a time,
    and may be fewer though there are more.
    """
    differing: list[Elsewhere] = []
    looked, last = 0, after
    async for stretch in stretches(connection, PAGE, after):
        reads = await parties(connection, active, stretch)
        while reads:
            if looked == MOST:
                return differing, last
            some = reads[: min(PAGE, MOST - looked)]
            reads = reads[len(some) :]
            for each in _differing([read for read in some if in_care(read, care)], active, draft):
                if not wanted.fits(each):
                    continue
                if len(differing) == limit:
                    return differing, differing[-1].read.row["party_id"]
                differing.append(each)
            looked, last = looked + len(some), some[-1].row["party_id"]
    return differing, None


def _differing(reads: Sequence[Read], active: Moment, draft: Moment) -> Iterator[Elsewhere]:
    stands = {each.party_id: each.standing for each in found(reads, active)}
    would = {each.party_id: each.standing for each in found(reads, draft)}
    for read in reads:
        one, other = stands.get(read.row["party_id"]), would.get(read.row["party_id"])
        if (one and (one.stage, one.tier)) != (other and (other.stage, other.tier)):
            yield Elsewhere(read, one, other)


def fits(wanted: Filter, read: Read, standing: Standing) -> bool:
    """Whether a list with this filter has a standing. Who takes care of the party is what is so today."""
    equal = wanted._asdict()
    care, flag = equal.pop("care"), equal.pop("flag")
    owned = equal.pop("owned")
    if owned is not None and owned != any(read.row[name] for name in CARE):
        return False
    stages, party_ids = equal.pop("stages"), equal.pop("party_ids")
    if standing.stage is None or standing.stage not in (stages or Stage):
        return False
    if not in_care(read, care) or (flag is not None and flag not in standing.flags):
        return False
    if party_ids is not None and read.row["party_id"] not in party_ids:
        return False
    seen = max((day for day in (standing.last_day, standing.last_sign_day) if day), default=None)
    ranges = (
        (equal.pop("min_value_minor"), standing.value_minor, equal.pop("max_value_minor")),
        (equal.pop("min_p"), standing.p, equal.pop("max_p")),
        (equal.pop("seen_since"), seen, equal.pop("seen_until")),
        (equal.pop("contact_since"), standing.last_contact_day, equal.pop("contact_until")),
        (equal.pop("in_stage_since"), standing.since, equal.pop("in_stage_until")),
        (None, standing.next_change_at, equal.pop("changes_until")),
        (None, standing.next_stage_at if standing.next_stage in FALLEN else None, equal.pop("falls_until")),
    )
    return all(_between(*each) for each in ranges) and all(
        value is None or value == (read.row[name] if name in CARE else getattr(standing, name))
        for name, value in equal.items()
    )


def in_care(read: Read, care: Care | None) -> bool:
    """Whether an owner or a team, where one is named, takes care of a party today."""
    return care is None or any(
        each is not None and each == read.row[name] for name, each in zip(("owner_id", "team_id"), care, strict=True)
    )


def _between(least: Any, value: Any, most: Any) -> bool:
    """Whether a value is there and within its bounds, as far as there are any."""
    if least is None and most is None:
        return True
    return value is not None and (least is None or value >= least) and (most is None or value <= most)
