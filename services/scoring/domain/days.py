"""Local days as ordinals (`date.toordinal`), and the instants at which they begin."""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo


@lru_cache(maxsize=20_000)
def local_day(instant: datetime, zone: ZoneInfo) -> int:
    """The day that the clocks of the zone show at an instant."""
    return instant.astimezone(zone).toordinal()


@lru_cache(maxsize=20_000)
def start_of_day(day: int, zone: ZoneInfo) -> datetime:
    """The first instant of a local day, in UTC; where a zone left the day out, that of the next one."""
    instant = datetime.combine(date.fromordinal(day), datetime.min.time(), tzinfo=zone).astimezone(UTC)
    if local_day(instant, zone) == day > local_day(instant - timedelta(seconds=1), zone):
        return instant
    # Clocks were set across this midnight: look for the second at which the date turns.
    before, after = instant - timedelta(hours=26), instant + timedelta(hours=26)
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        before, after = (middle, after) if local_day(middle, zone) < day else (before, middle)
    return after


@lru_cache(maxsize=20_000)
def end_of_day(day: int, zone: ZoneInfo) -> datetime:
    """The last instant of a local day, in UTC."""
    return start_of_day(day + 1, zone) - timedelta(microseconds=1)
