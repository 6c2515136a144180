"""How the fuzzer writes rows, uses ids that were given out, and which ones it must leave alone; what it counts."""

import atexit
import json
import os
import re
from collections import Counter, defaultdict
from pathlib import Path
from random import Random
from typing import Any

import schemathesis

OWN = frozenset(os.environ["SHUKE_FUZZ_OWN"].split(","))
"""Keys, people, sessions and teams by which is asked: whoever ended one of these would be locked out."""
NOTES = Path(os.environ["SHUKE_FUZZ_NOTES"])
"""Ids that were given out to whoever asked before, and how requests were answered."""
ID = re.compile(r"\b([a-z]+)_[0-9a-f]{32}\b")
KEPT = 40
"""Ids of a kind that are remembered."""
USED = 0.8
"""How often an id of a kind gives way to one that exists: without that, most requests would end at 404."""

_choice = Random(1)
_known: dict[str, list[str]] = defaultdict(list)
_answers: Counter[str] = Counter()

if NOTES.exists():
    _known.update(json.loads(NOTES.read_text())["known"])


@atexit.register
def keep() -> None:
    NOTES.write_text(json.dumps({"known": _known, "answers": _answers}))


@schemathesis.serializer("application/x-ndjson")
def ndjson(context: Any, value: Any) -> bytes:
    rows = value if isinstance(value, list) else [value]
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """Nothing of who asks: it would lock itself out."""
    return OWN.isdisjoint(map(str, (case.path_parameters or {}).values()))


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Ask for what is there."""
    for part in ("path_parameters", "query", "body"):
        if isinstance(value := getattr(case, part), dict | list):
            setattr(case, part, _with_known(value))


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Count it, and remember what is there."""
    _answers[str(response.status_code)] += 1
    for found in ID.finditer(response.content[:20_000].decode(errors="replace")):
        kept = _known[found[1]]
        if found[0] in kept or found[0] in OWN:
            continue
        if len(kept) < KEPT:
            kept.append(found[0])
        else:
            kept[_choice.randrange(KEPT)] = found[0]


@schemathesis.check
def named_problem(context: Any, response: Any, case: Any) -> None:
    """A problem is one that the document names for its operation, with its status."""
    # A method that a path does not know belongs to no operation.
    if (
        response.status_code < 400
        or response.status_code == 405
        or response.headers.get("content-type") != ["application/problem+json"]
    ):
        return
    code = response.json()["code"]
    told = case.operation.definition.raw["responses"].get(str(response.status_code), {})
    named = told.get("content", {}).get("application/problem+json", {}).get("examples", {})
    assert code in named, f"It answers {response.status_code} {code}, which is not told."


def _with_known(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_known(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_with_known(each) for each in value]
    if isinstance(value, str) and (id := ID.fullmatch(value)) and _known[id[1]] and _choice.random() < USED:
        return _choice.choice(_known[id[1]])
    return value
