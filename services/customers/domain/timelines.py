"""What a timeline shows, and where a page of it begins."""

import re
from enum import StrEnum
from uuid import UUID

FIRST, LAST = UUID(int=0), UUID(int=2**128 - 1)


class EntryKind(StrEnum):
    """What an entry of a timeline is."""

    PURCHASE = "purchase"
    RETURN = "return"
    INTERACTION = "interaction"
    OBSERVATION = "observation"
    PROBLEM_OPENED = "problem_opened"
    PROBLEM_SOLVED = "problem_solved"
    PROBLEM_REOPENED = "problem_reopened"
    IDENTIFIER_ADDED = "identifier_added"
    IDENTIFIER_RELEASED = "identifier_released"
    MERGED = "merged"
    UNMERGED = "unmerged"
    OWNER_CHANGED = "owner_changed"


def id_before(prefix: str, before: str) -> UUID:
    """Ids with a prefix that stand before an outer id, which may have another prefix, are those below this one.

    Entries of one instant are in the order of their outer ids, whichever service has them.
    """
    if own := re.fullmatch(f"{prefix}_([0-9a-f]{{32}})", before):
        return UUID(hex=own[1])
    return LAST if f"{prefix}_" < before else FIRST
