"""Shares as they are shown."""

from chassis.fields import Shown


class Rate(Shown):
    """So many of so many."""

    hits: int
    of: int
    share: float | None
    """None of nobody."""
    low: float | None
    """Between this and `high` the true share lies in 95 of 100 cases."""
    high: float | None
