"""What the console says, in the languages that it speaks: one file per page and language, `today.zh-Hant.json`."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from babel import Locale

LANGUAGES: Mapping[str, str] = {"en": "English", "zh-Hant": "繁體中文", "zh-Hans": "简体中文"}
"""By their tags (BCP 47), each called by its own name."""
DEFAULT = "en"


@cache
def messages(language: str) -> Mapping[str, Any]:
    """All messages of a language, by area and key: `today.title`."""
    found: dict[str, Any] = {}
    for file in sorted(Path(__file__).parent.glob(f"*.{language}.json")):
        area = file.name.removesuffix(f".{language}.json")
        found |= {f"{area}.{key}": text for key, text in json.loads(file.read_text("utf-8")).items()}
    return found


@cache
def locale(language: str) -> Locale:
    """What numbers, dates and plurals go by."""
    return Locale.parse(language, sep="-")


def say(language: str, key: str, /, **values: Any) -> str:
    """A message with its values in place. Raises `KeyError` where there is none.

    One that counts has a form for each plural of its language (CLDR), chosen by the value `n`.
    """
    text = messages(language)[key]
    if isinstance(text, dict):
        text = text.get(locale(language).plural_form(values["n"])) or text["other"]
    return text.format_map(values) if values else str(text)


def word(language: str, key: str) -> str | None:
    """What has no values and no plural; None where there is no such message."""
    text = messages(language).get(key)
    return text if isinstance(text, str) else None


def preferred(accepted: str) -> str:
    """The language that an `Accept-Language` (RFC 9110 §12.5.4) prefers among those spoken, else English."""
    ranked = []
    for place, part in enumerate(accepted.split(",")):
        tag, _, weight = part.strip().partition(";q=")
        language = _spoken(tag.strip().lower())
        if language is not None:
            ranked.append((-_weight(weight), place, language))
    return min(ranked)[2] if ranked else DEFAULT


def _spoken(tag: str) -> str | None:
    primary, *parts = tag.split("-")
    if primary == "zh":
        return "zh-Hant" if {"hant", "tw", "hk", "mo"}.intersection(parts) and "hans" not in parts else "zh-Hans"
    return "en" if primary in ("en", "*") else None


def _weight(text: str) -> float:
    try:
        return float(text) if text else 1.0
    except ValueError:
        return 0.0
