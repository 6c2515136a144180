"""The one clock for decisions."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import TypeAdapter

_DURATION = TypeAdapter(timedelta)


def now() -> datetime:
    """The present instant in UTC, set ahead by `SHUKE_CLOCK_OFFSET` (seconds, or a duration such as `P31D`).

    `file:PATH` names a file that has it, looked at each time: the clock of a process that runs can jump.
    Decisions read this clock and never SQL's `now()`, so that a demonstration or a test can move them all at once.
    """
    present = datetime.now(UTC)
    # Every request asks, and looking for what is not there by `get` takes as long as all the rest.
    if "SHUKE_CLOCK_OFFSET" not in os.environ:
        return present
    ahead = os.environ["SHUKE_CLOCK_OFFSET"]
    if ahead.startswith("file:"):
        ahead = Path(ahead.removeprefix("file:")).read_text().strip()
    if not ahead:
        return present
    try:
        return present + timedelta(seconds=float(ahead))
    except ValueError:
        return present + _DURATION.validate_python(ahead)
