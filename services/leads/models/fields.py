"""Ids and values of leads alone."""

import unicodedata
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field

from chassis.ids import prefixed
from contracts.event import Digest

LeadId = Annotated[UUID, prefixed("lead")]

MOST_ATTRIBUTES = 100
LONGEST_NAME = 64
LONGEST_VALUE = 1_000
LONGEST_NOTE = 10_000


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


Name = Annotated[
    str,
    AfterValidator(_nfc),
    Field(min_length=1, max_length=LONGEST_NAME, pattern=r"^[^\x00-\x1f\x7f]+$"),
]
Value = Annotated[str, AfterValidator(_nfc), Field(max_length=LONGEST_VALUE, pattern=r"^[^\x00-\x1f\x7f]*$")]
Attributes = Annotated[dict[Name, Value], Field(max_length=MOST_ATTRIBUTES)]
"""What else is known of a lead, as text by name. It never leaves the service."""
Note = Annotated[
    str, AfterValidator(_nfc), Field(max_length=LONGEST_NOTE, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$")
]
"""Text of people for people, lines and all. It never leaves the service."""

RubricHash = Digest
"""Names a rubric by its content."""
