"""Ids that other systems give."""

import unicodedata

from contracts.problems import Invalid


class SourceNotNamed(Invalid):
    """An id in a source is looked for without its source."""


def in_source(id: str) -> str:
    """The one spelling of an id in a source: trimmed and NFC, as an identifier's. Case tells ids apart."""
    return id.strip() if id.isascii() else unicodedata.normalize("NFC", id).strip()
