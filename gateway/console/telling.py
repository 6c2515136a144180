"""What the API says in English, said in the language of a page: problems by their code, the rest as it stands."""

import re
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from string import Formatter
from typing import Any, NamedTuple

from markupsafe import Markup

from gateway.console.formats import Formats
from gateway.console.messages import messages, word

SENTENCES = "sentences."
"""The area of messages whose keys are what the API says, with names where the values stand."""
PHRASES = "phrases."
"""Likewise of parts of sentences, which are looked for only where a value stands."""
LONGEST = 2_000
"""Characters of the longest text that is recognised; what is longer quotes somebody else."""
DEEPEST = 5
"""How far values are looked for words in values; what lies deeper stands as it is."""
_LISTED = re.compile(r", | or ")


class English(str):
    """What the API said, where a page of another language has no words for it."""

    def __html__(self) -> str:
        return Markup('<span lang="en">{}</span>').format(str(self))


class Telling:
    """Says in one language what the API says in English."""

    def __init__(self, language: str, formats: Formats) -> None:
        self._language = language
        self._formats = formats

    def problem(self, problem: Mapping[str, Any]) -> str:
        """What is wrong, and the way out: by what is said of it, else by its code, else in English (RFC 9457)."""
        english = str(problem.get("detail") or problem.get("title") or problem.get("status", ""))
        return self._known(english) or self._by_code(f"problems.{problem.get('code')}", problem) or self._kept(english)

    def errors(self, problem: Mapping[str, Any]) -> Mapping[str, str]:
        """What is wrong with each field of the body, by its name: `name`, `address/city`."""
        return {each["pointer"].removeprefix("#/"): self._error(each) for each in problem.get("errors", [])}

    def sentence(self, english: str, longest: int | None = None) -> str:
        """A sentence, or several, that the API keeps as text: a note, a detail, an error of a delivery.

        Of what is said no more than `longest` characters.
        """
        said = english and (self._known(english) or self._kept(english))
        return said if longest is None or len(said) <= longest else type(said)(said[: longest - 1] + "…")

    def _error(self, error: Mapping[str, Any]) -> str:
        english = str(error["detail"])
        said = self._known(english.removeprefix("Value error, ")) or self._by_code(f"errors.{error.get('code')}", error)
        if said is None and (other := word(self._language, "errors.other")):
            return Markup("{}{}").format(other, English(english))
        return said or english

    def _kept(self, english: str) -> str:
        return english if self._language == "en" else English(english)

    def _by_code(self, key: str, values: Mapping[str, Any]) -> str | None:
        """The first wording whose every value is there."""
        said = messages(self._language).get(key, ())
        for wording in [said] if isinstance(said, str) else said:
            if all(values.get(name) not in (None, []) for name in places(wording)):
                return self._filled(wording, values)
        return None

    def _known(self, english: str, areas: tuple[str, ...] = (SENTENCES,), depth: int = 0) -> str | None:
        if len(english) > LONGEST or depth > DEEPEST:
            return None
        found = (_recognised(self._language, area, english) for area in areas)
        return next((self._filled(*each, depth) for each in found if each is not None), None)

    def _filled(self, wording: str, values: Mapping[str, Any], depth: int = 0) -> str:
        parts = Formatter().parse(wording)
        return "".join(text + (self._value(values[name], spec, depth) if name else "") for text, name, spec, _ in parts)

    def _value(self, value: Any, kind: str | None, depth: int) -> str:
        """A value as it is written, by its kind.

        `instant`, `day`, `=` as it is; what stands between its parts (`; `); or where its codes have words, as in
        `party.way_|party.kind_`. Without a kind it is what the API says, too.
        """
        if isinstance(value, list):
            return self._listed(self._value(each, kind, depth) for each in value)
        if isinstance(value, int | float):
            return self._formats.number(value) if float(value).is_integer() else str(value)
        text = str(value)
        match kind:
            case "":
                return self._known(text, (PHRASES, SENTENCES), depth + 1) or text
            case "instant" | "day":
                return self._when(text, kind)
            case "=":
                return text
        if between := word(self._language, f"{PHRASES}{kind}"):
            return between.join(self._value(each, "", depth) for each in text.split(str(kind)))
        return self._listed(self._called(code.strip("'`"), str(kind)) for code in _LISTED.split(text))

    def _when(self, text: str, kind: str) -> str:
        try:
            return self._formats.instant(text, "short") if kind == "instant" else self._formats.day(text)
        except ValueError:
            return text

    def _called(self, code: str, kinds: str) -> str:
        found = (word(self._language, f"{kind}{code}") for kind in kinds.split("|"))
        return next(filter(None, found), code)

    def _listed(self, parts: Iterable[str]) -> str:
        return (word(self._language, "frame.comma") or ", ").join(parts)


@cache
def places(wording: str) -> tuple[str, ...]:
    """The names of the values that a wording has."""
    return tuple(name for _, name, _, _ in Formatter().parse(wording) if name is not None)


class Pattern(NamedTuple):
    """A text of the API with values in it, and what is said for it."""

    pieces: list[str]
    """What stands before the first value, between each two, and behind the last one."""
    names: tuple[str, ...]
    said: str

    def values(self, english: str) -> dict[str, str] | None:
        """The values in a text, each as short as can be; None where it is another one.

        Piece by piece, and never back: what is told may quote anybody.
        """
        first, *between, last = self.pieces
        if not (english.startswith(first) and english.endswith(last)):
            return None
        at, end, found = len(first), len(english) - len(last), []
        for piece in between:
            there = english.find(piece, at, end)
            if there < 0:
                return None
            found.append(english[at:there])
            at = there + len(piece)
        return dict(zip(self.names, [*found, english[at:end]], strict=True)) if at <= end else None


@cache
def _patterns(language: str, area: str) -> list[Pattern]:
    """Each text of an area that has values: sentences with the most words first."""
    found = []
    for key, said in messages(language).items():
        if key.startswith(area) and (names := places(english := key.removeprefix(area))):
            pieces = [""]
            for text, name, *_ in Formatter().parse(english):
                pieces[-1] += text
                pieces += [""] if name is not None else []
            found.append(Pattern(pieces, names, said))
    return sorted(found, key=lambda each: -sum(map(len, each.pieces))) if area == SENTENCES else found


@lru_cache(maxsize=4_096)
def _recognised(language: str, area: str, english: str) -> tuple[str, dict[str, str]] | None:
    """What is said for a text of the API, and the values in it; None where there are no words for it."""
    said = messages(language).get(area + english)
    if said is not None:
        return said, {}
    found = ((each.said, each.values(english)) for each in _patterns(language, area))
    return next(((said, values) for said, values in found if values is not None), None)
