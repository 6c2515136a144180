"""The picture of the README: what is named in it is called as it is in the code."""

import re

from contracts.scoring import StandingChanged
from contracts.topics import STANDING_CHANGES
from deploy.roles import PACKAGES, SERVICES

_NAMED = re.compile(r'(<text data-of="(\w+)"[^>]*>)[^<]*')


def names() -> dict[str, str]:
    """By the mark of a text (`data-of`), what stands there."""
    [scoring] = [each for each in SERVICES if each.name == STANDING_CHANGES.service]
    [door] = [name for name, package in PACKAGES.items() if package == name]
    return {
        "door": door,
        "telling": " · ".join(scoring.reads),
        "scoring": scoring.name,
        "change": StandingChanged.wire_type.split(".")[1],
    }


def drawn(picture: str) -> str:
    """The picture with the names of now."""
    called = names()
    return _NAMED.sub(lambda found: found[1] + called[found[2]], picture)
