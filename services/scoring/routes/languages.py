"""The language that an answer is asked for in."""

from typing import Annotated

from fastapi import Depends, Header, Query
from starlette.responses import Response

from services.scoring.domain.sentences import Language

TRADITIONAL = frozenset({"hant", "tw", "hk", "mo"})
"""Parts of a tag that ask for traditional characters; Chinese without any of them is told in simplified ones."""


def preferred(accepted: str) -> Language:
    """The language that comes first in an `Accept-Language` (RFC 9110 §12.5.4) among those told, else English."""
    ranked = []
    for place, part in enumerate(accepted.lower().split(",")):
        tag, *parameters = (piece.strip() for piece in part.split(";"))
        weight = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
        if (language := _of_tag(tag)) is not None and (rank := _rank(weight)) > 0:
            ranked.append((-rank, place, language))
    return min(ranked)[2] if ranked else Language.ENGLISH


def _of_tag(tag: str) -> Language | None:
    primary, *parts = tag.split("-")
    if primary == "zh":
        traditional = "hans" not in parts and TRADITIONAL.intersection(parts)
        return Language.TRADITIONAL_CHINESE if traditional else Language.SIMPLIFIED_CHINESE
    return Language.ENGLISH if primary in ("en", "*") else None


def _rank(weight: str) -> float:
    try:
        return min(max(float(weight), 0.0), 1.0)
    except ValueError:
        return 0.0


def _asked(
    response: Response,
    language: Annotated[
        Language | None, Query(description="Of the sentences; without it what `Accept-Language` prefers.")
    ] = None,
    accept_language: Annotated[str | None, Header(max_length=1_000)] = None,
) -> Language:
    chosen = language or preferred(accept_language or "")
    response.headers["Content-Language"] = chosen
    response.headers["Vary"] = "Accept-Language"
    return chosen


AskedLanguage = Annotated[Language, Depends(_asked)]
"""What is asked for by `language` or by `Accept-Language`."""
