"""Stages by day counted from rows alone, as with a pencil. Nothing of the product is used here."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date

ACTIVE_DAYS, LOST_DAYS = 30, 180
DORMANT_CUSTOMER_DAYS, LOST_CUSTOMER_DAYS = 90, 365


@dataclass
class Person:
    """The days on which something happened to one person."""

    known: list[date] = field(default_factory=list)
    signs: list[date] = field(default_factory=list)
    lost: list[date] = field(default_factory=list)
    bought: list[date] = field(default_factory=list)

    def stage(self, on: date) -> str | None:
        """The stage on a day by the default policy of fixed days; None before anything was known."""
        known, sign, lost, bought = (
            max((day for day in days if day <= on), default=None)
            for days in (self.known, self.signs, self.lost, self.bought)
        )
        if bought is not None:
            silent = (on - bought).days
            if silent > LOST_CUSTOMER_DAYS:
                return "lost_customer"
            return "dormant_customer" if silent > DORMANT_CUSTOMER_DAYS else "customer"
        if lost is not None and (sign is None or lost >= sign):
            return "lost_prospect"
        if sign is None:
            return None if known is None else "stranger"
        silent = (on - sign).days
        if silent > LOST_DAYS:
            return "lost_prospect"
        return "dormant_prospect" if silent > ACTIVE_DAYS else "prospect"


Row = tuple[str, str, date]
"""Who, which of the four lists of days, when."""


def people(rows: Iterable[Row]) -> dict[str, Person]:
    """Everybody whom the rows name."""
    found: defaultdict[str, Person] = defaultdict(Person)
    for who, what, day in rows:
        getattr(found[who], what).append(day)
    return dict(found)


def stages(persons: dict[str, Person], on: date) -> dict[str, str]:
    """Who stands where on a day."""
    found = ((who, person.stage(on)) for who, person in persons.items())
    return {who: stage for who, stage in found if stage is not None}


def rates(name: str, persons: dict[str, Person], days: Iterable[date]) -> Iterator[str]:
    """Lines that tell what share of all was in which stage on each day."""
    for day in days:
        counted = Counter(stages(persons, day).values())
        told = ", ".join(f"{stage} {count / len(persons):.1%}" for stage, count in sorted(counted.items()))
        yield f"{name} {day}: {len(persons)} people: {told or 'nobody known yet'}"
