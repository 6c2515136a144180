"""Names of parties as they are looked for: words by their beginnings, Chinese by two characters that stand together."""

import re
import unicodedata
from itertools import pairwise

_HAN = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003134f"
_PIECES = re.compile(f"[{_HAN}]+|[^\\W_{_HAN}]+")
"""Runs of characters that are written without spaces, and words of all others."""
MOST = 24
"""Pieces of what is looked for that count."""


def tokens(name: str) -> list[str]:
    """What a name is found by, sorted: its words in small letters; of Chinese each character and each two in a row."""
    found: set[str] = set()
    for piece in _pieces(name):
        found |= {*piece, *map("".join, pairwise(piece))} if _unspaced(piece) else {piece}
    return sorted(found)


def condition(text: str) -> str | None:
    """What tokens must hold to match a text, as a `tsquery` of PostgreSQL; None where it has nothing to look for.

    Words match by their beginnings, Chinese by each two characters that stand together, or by the one that is given.
    """
    terms: list[str] = []
    for piece in _pieces(text):
        if not _unspaced(piece):
            terms.append(f"'{piece}':*")
        elif len(piece) == 1:
            terms.append(f"'{piece}'")
        else:
            terms += [f"'{first}{second}'" for first, second in pairwise(piece)]
    return " & ".join(terms[:MOST]) or None


def _pieces(text: str) -> list[str]:
    return _PIECES.findall(unicodedata.normalize("NFKC", text).casefold())


def _unspaced(piece: str) -> bool:
    return re.match(f"[{_HAN}]", piece) is not None
