"""What is told of everybody at a moment: sums, one hash, what customers are worth, a file."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime

from contracts.scoring import Stage, Tier
from services.scoring.domain.digest import Digest, line
from services.scoring.domain.moment import Moment
from services.scoring.models.files import HEADER, lines
from services.scoring.queries.clocks import identities, parties
from services.scoring.queries.everybody import Population, of_everybody
from services.scoring.queries.reading import Found, moment

Cells = dict[tuple[Stage, Tier], tuple[int, int]]
"""How many parties stand where, and what they are worth."""


async def cells(population: Population, then: Moment) -> Cells:
    """How many parties of each stage and tier there are at a moment, and what they are worth."""
    whole: Cells = {}
    async with aclosing(of_everybody(population, then.from_the_beginning(), parties, _cells)) as parts:
        async for part in parts:
            for where, (count, value_minor) in part.items():
                counted, worth_minor = whole.get(where, (0, 0))
                whole[where] = counted + count, worth_minor + value_minor
    return whole


async def digest_of(population: Population, then: Moment) -> Digest:
    """One hash over how everybody stands after the whole local day of a moment, as if its ruling had always decided."""
    whole = Digest()
    async with aclosing(of_everybody(population, then.from_the_beginning(), identities, _digested)) as parts:
        async for part in parts:
            whole.take(*part)
    return whole


async def values_now(population: Population, now: datetime) -> list[int]:
    """What every party with a purchase is worth."""
    then = await moment(population.connection, None, now)
    values: list[int] = []
    async with aclosing(of_everybody(population, then.from_the_beginning(), parties, _values)) as parts:
        async for part in parts:
            values += part
    return values


async def file_of(population: Population, then: Moment) -> AsyncGenerator[bytes]:
    """How everybody stands at a moment, as CSV in the order of party ids, piece by piece."""
    yield HEADER.encode()
    async with aclosing(of_everybody(population, then, parties, _written)) as parts:
        async for part in parts:
            if part:
                yield part


def _cells(found: Sequence[Found], then: Moment) -> Cells:
    part: Cells = {}
    for _, _, standing in found:
        if standing.stage is not None and standing.tier is not None:
            where = standing.stage, standing.tier
            count, value_minor = part.get(where, (0, 0))
            part[where] = count + 1, value_minor + standing.value_minor
    return part


def _digested(found: Sequence[Found], then: Moment) -> tuple[bytes, int]:
    assert then.as_of is not None
    ruling, as_of = then.ruling, then.as_of.toordinal()
    told = [
        line(
            each.standing,
            as_of=as_of,
            currency=ruling.rates.currency,
            policy=ruling.policy,
            model=ruling.model,
            zone=ruling.zone,
        )
        for each in found
    ]
    return b"".join(told), len(told)


def _values(found: Sequence[Found], then: Moment) -> list[int]:
    """What the customers are worth by the facts: what a person set for some days is no measure of all."""
    model = then.ruling.model
    field = "turnover_minor" if model is None or model.p is None else "value_minor"
    standings = (each.standing for each in found if each.standing.purchase_days)
    return [int(standing.derived.get(field, getattr(standing, field))) for standing in standings]


def _written(found: Sequence[Found], then: Moment) -> bytes:
    return lines([(each.party_id, each.at, each.standing) for each in found], then.ruling).encode()
