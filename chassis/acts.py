"""What a person does to the machinery: always in the log, with who did it."""

import structlog

log = structlog.get_logger()


def administrative(act: str, by: str, **what: object) -> None:
    """Write down an act of the key `by`."""
    log.warning("administrative act", act=act, by=by, **what)
