"""What cannot be asked of rebuilds."""

from contracts.problems import Conflict, NotFound


class RebuildNotFound(NotFound):
    """There is no such rebuild."""


class RebuildUnderWay(Conflict):
    """One rebuild at a time."""
