"""The life of an import: it waits, runs, is done, and can be undone."""

from datetime import timedelta
from enum import StrEnum

from contracts.problems import Conflict, NotFound


class State(StrEnum):
    """Where an import is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    """It stopped on a fault of ours; what was taken until then stays, and can be undone."""
    UNDOING = "undoing"
    UNDONE = "undone"
    """What it brought was withdrawn; the same file can be imported again."""


DRY_RUN_KEPT = timedelta(days=1)
"""So long the rows of a dry run are kept, to be imported as they were looked at."""

OPEN = (State.WAITING, State.RUNNING, State.UNDOING)
"""States in which an importer has work to do."""


class ImportNotFound(NotFound):
    """There is no such import."""


class NothingToUndo(Conflict):
    """The import was a dry run, which recorded nothing."""


class NothingKept(Conflict):
    """The rows of an import are not kept: it was no dry run, it has not ended, or that was more than a day ago."""


def undo(state: State, *, dry_run: bool) -> State:
    """The state after the wish to undo; a second wish changes nothing. Raises `NothingToUndo`."""
    if dry_run:
        raise NothingToUndo("A dry run records nothing.")
    return state if state in (State.UNDOING, State.UNDONE) else State.UNDOING
