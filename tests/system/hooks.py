"""How the fuzzer writes rows, uses ids that were given out, and which key it must leave alone: its own."""

import json
import os
import re
from collections import defaultdict
from random import Random
from typing import Any

import schemathesis

OWN_KEY = os.environ["SHUKE_OWN_KEY"]
ID = re.compile(r"\b([a-z]+)_[0-9a-f]{32}\b")
KEPT = 40
"""Ids of a kind that are remembered."""
USED = 0.8
"""How often an id of a kind gives way to one that exists: without that, most requests would end at 404."""

_choice = Random(1)
_known: dict[str, list[str]] = defaultdict(list)


@schemathesis.serializer("application/x-ndjson")
def ndjson(context: Any, value: Any) -> bytes:
    rows = value if isinstance(value, list) else [value]
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """Not its own key: it would lock itself out."""
    return (case.path_parameters or {}).get("key_id") != OWN_KEY


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Ask for what is there."""
    for part in ("path_parameters", "query", "body"):
        if isinstance(value := getattr(case, part), dict | list):
            setattr(case, part, _with_known(value))


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Remember what is there."""
    for found in ID.finditer(response.content[:20_000].decode(errors="replace")):
        kept = _known[found[1]]
        if found[0] in kept or found[0] == OWN_KEY:
            continue
        if len(kept) < KEPT:
            kept.append(found[0])
        else:
            kept[_choice.randrange(KEPT)] = found[0]


def _with_known(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_known(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_with_known(each) for each in value]
    if isinstance(value, str) and (id := ID.fullmatch(value)) and _known[id[1]] and _choice.random() < USED:
        return _choice.choice(_known[id[1]])
    return value
