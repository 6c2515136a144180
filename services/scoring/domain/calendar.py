"""The calendar of an identity: the sum of its facts by local day, kind and detail.

It is a commutative group, so that order, batches and merges cannot matter: a fact adds, a withdrawn one subtracts,
and an entry that comes back to zero is gone.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date
from itertools import chain, groupby, islice
from typing import Self
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from contracts.leads import Grade
from services.scoring.domain.days import local_day
from services.scoring.domain.facts import Fact, Kind

Entry = tuple[int, int, str, int, int]
"""Day (ordinal), kind, detail, count of facts, sum of their amounts in minor units.

The detail is that of the fact; of a problem that was solved it is the local day on which it was opened (ISO), of a lead
that was graded `{when}|{better_than}|{grade}` (ISO, UTC, with microseconds; how many grades are worse): the last of a
day comes last, and of those of one instant the best.
"""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[Entry, ...]).decode
_decode_all = msgspec.msgpack.Decoder(list[tuple[Entry, ...]]).decode
_ARRAY = b"\xdd"
"""Begins an array in msgpack, before four bytes with its length."""


class Calendar(msgspec.Struct, frozen=True, gc=False):
    """Entries in the order of day, kind, detail; each key once, none zero. Build it with `fold` or `unpack`."""

    entries: tuple[Entry, ...] = ()

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Self:
        """The sum of entries in any order, keys repeated or not, counts of either sign."""
        sums: dict[tuple[int, int, str], tuple[int, int]] = {}
        for day, kind, detail, count, amount in entries:
            key = (day, kind, detail)
            known = sums.get(key)
            sums[key] = (count, amount) if known is None else (known[0] + count, known[1] + amount)
        return cls(tuple(sorted((*key, *sum_) for key, sum_ in sums.items() if sum_ != (0, 0))))

    def __bool__(self) -> bool:
        return bool(self.entries)

    def __add__(self, other: Self) -> Self:
        if not (self.entries and other.entries):
            return self if self.entries else other
        # Only the stretch on which the other has entries is summed: a new fact costs a long history little.
        low = bisect_left(self.entries, other.entries[0][:3])
        high = bisect_right(self.entries, other.entries[-1][:3], lo=low, key=lambda entry: entry[:3])
        summed = self.of(self.entries[low:high] + other.entries)
        return type(self)(self.entries[:low] + summed.entries + self.entries[high:])

    def __neg__(self) -> Self:
        return type(self)(
            tuple((day, kind, detail, -count, -amount) for day, kind, detail, count, amount in self.entries)
        )

    def __sub__(self, other: Self) -> Self:
        return self + -other

    def between(self, start: date | None, until: date | None) -> Self:
        """What lies on the days from `start` up to but not including `until`; None is open."""
        low = 0 if start is None else bisect_left(self.entries, (start.toordinal(),))
        high = len(self.entries) if until is None else bisect_left(self.entries, (until.toordinal(),))
        return self if (low, high) == (0, len(self.entries)) else type(self)(self.entries[low:high])

    def of_year(self, year: int) -> Self:
        """What lies in a year."""
        return self.between(date(year, 1, 1), date(year + 1, 1, 1) if year < date.max.year else None)

    def first_day(self) -> date | None:
        """The earliest day on which a fact counts."""
        return date.fromordinal(self.entries[0][0]) if self.entries else None

    def years(self) -> frozenset[int]:
        """The years in which a fact counts."""
        return frozenset(date.fromordinal(entry[0]).year for entry in self.entries)


def fold(facts: Iterable[Fact], zone: ZoneInfo) -> Calendar:
    """The calendar of facts, each given once. Withdrawing facts is `calendar - fold(withdrawn, zone)`."""
    return Calendar.of(entry for fact in facts for entry in postings(fact, zone))


def postings(fact: Fact, zone: ZoneInfo, sign: int = 1) -> Iterator[Entry]:
    """The entries of one fact; with the sign -1 those that take it back."""
    day, detail = local_day(fact.occurred_at, zone), fact.detail
    if fact.opened_at is not None:
        detail = fact.opened_at.astimezone(zone).date().isoformat()
    elif fact.grade is not None:
        better_than = len(Grade) - list(Grade).index(fact.grade) - 1
        detail = f"{fact.occurred_at.astimezone(UTC).isoformat(timespec='microseconds')}|{better_than}|{detail}"
    yield day, int(fact.kind), detail, sign, sign * fact.amount_minor
    if fact.rating:
        yield day, int(Kind.RATED_WELL if fact.rating > 0 else Kind.RATED_POORLY), "", sign, 0


def total(calendars: Iterable[Calendar]) -> Calendar:
    """The calendar of a party: the sum over what its identities bring."""
    parts = [calendar for calendar in calendars if calendar.entries]
    return parts[0] if len(parts) == 1 else Calendar.of(entry for part in parts for entry in part.entries)


def pack(calendar: Calendar) -> dict[int, bytes]:
    """The stored form: msgpack of the entries of each year that has any."""
    by_year = groupby(calendar.entries, key=lambda entry: date.fromordinal(entry[0]).year)
    return {year: _encode(tuple(entries)) for year, entries in by_year}


def pack_year(calendar: Calendar, year: int) -> bytes | None:
    """The stored form of one year of a calendar; None where nothing counts in it."""
    of_year = calendar.of_year(year)
    return _encode(of_year.entries) if of_year else None


def unpack(years: Mapping[int, bytes] | Iterable[bytes]) -> Calendar:
    """The calendar behind stored years, given in any order. Raises `msgspec.DecodeError` on bytes that are none."""
    blobs = years.values() if isinstance(years, Mapping) else years
    decoded = [entries for blob in blobs if (entries := _decode(blob))]
    if len(decoded) == 1:
        return Calendar(decoded[0])
    decoded.sort()
    return Calendar(tuple(chain.from_iterable(decoded)))


def unpack_each(stored: Sequence[Sequence[bytes]]) -> list[Calendar]:
    """The calendar behind the stored years of each, given in their order. Raises `msgspec.DecodeError`."""
    blobs = [blob for years in stored for blob in years]
    # Read at once, as one array of all years.
    decoded = iter(_decode_all(_ARRAY + len(blobs).to_bytes(4, "big") + b"".join(blobs)))
    return [
        Calendar(next(decoded) if len(years) == 1 else tuple(chain.from_iterable(islice(decoded, len(years)))))
        for years in stored
    ]


class Share(msgspec.Struct, frozen=True):
    """The days of an identity that one party holds: from `start` up to but not including `until`, open where None."""

    party_id: UUID
    start: date | None = None
    until: date | None = None


def shares(holdings: Sequence[tuple[UUID, date | None]]) -> tuple[Share, ...]:
    """Who holds an identity when, from its holders and their first days in day order."""
    untils = [start for _, start in holdings[1:]] + [None]
    return tuple(Share(party, start, until) for (party, start), until in zip(holdings, untils, strict=True))
