"""Which requests leave a trace, what it says, and how each row of the trail holds the one before it. Tables first."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

from msgspec import Struct, structs

from chassis.paths import PathIndex


class Kind(StrEnum):
    """Why a row is there."""

    ACT = "act"
    """Somebody changed, or tried to change, how the product is run or who is who."""
    READ = "read"
    """Somebody read, or tried to read, what may hold contact data."""
    RETENTION = "retention"
    """Older rows were let go."""


ACTS = frozenset(
    {
        *("keys", "users", "teams", "invitations", "sessions", "me", "webhooks"),
        *("policies", "activations", "models", "fits", "trials", "tiers", "rates", "overrides", "rebuild"),
        *("imports", "merges", "duplicates", "identifiers", "owners"),
        *("dead-letters", "replays", "gaps", "consumers", "drain"),
    }
)
"""Areas in which whatever is no reading is an administrative act."""
ACT_OPERATIONS = frozenset(
    {
        ("POST", "/v1/parties/{party_id}/merge"),
        ("POST", "/v1/parties/{party_id}/unmerge"),
        ("PUT", "/v1/parties/{party_id}/owner"),
        ("POST", "/v1/parties/{party_id}/identifiers/{identity_id}/correct"),
        ("POST", "/v1/parties/{party_id}/identifiers/{identity_id}/hand-over"),
        ("POST", "/v1/parties/{party_id}/identifiers/{identity_id}/release"),
        ("POST", "/v1/leads/{lead_id}/assign"),
        ("PUT", "/v1/leads/rubric"),
        ("POST", "/v1/standings/{party_id}/overrides"),
        ("DELETE", "/v1/standings/{party_id}/overrides/{override_id}"),
    }
)
"""Acts in other areas."""
NO_ACTS = frozenset({("POST", "/v1/invitations/read")})
"""What only looks like one."""
READS = frozenset(
    {
        *("parties", "identifiers", "members", "leads", "duplicates", "observations", "interactions", "problems"),
        *("posts", "overrides", "dead-letters", "audit"),
    }
)
"""Areas in which readings may show contact data or free text, or the trail itself."""
READ_OPERATIONS = frozenset(
    {
        ("GET", "/v1/imports"),
        ("GET", "/v1/imports/{import_id}"),
        ("GET", "/v1/imports/{import_id}/rejects"),
        ("GET", "/v1/standings/export"),
        ("GET", "/v1/standings/{party_id}/overrides"),
        ("GET", "/v1/trials/{trial_id}/moves"),
        ("POST", "/v1/parties/{party_id}/merge-preview"),
        ("POST", "/v1/parties/{party_id}/unmerge-preview"),
    }
)
"""Readings of contact data elsewhere, and such as are posted."""
NO_READS = frozenset({("GET", "/v1/imports/kinds")})
"""What only fits the pattern of one."""
_READ_OPERATIONS = PathIndex((path, method) for method, path in READ_OPERATIONS)
_ACT_OPERATIONS = PathIndex((path, method) for method, path in ACT_OPERATIONS)

UNTRACED = frozenset({401, 405, 429})
"""Answers to whoever is nobody, or asks for what there is not, or too often: strangers must not fill the trail."""

_ID = re.compile(r"[a-z]+_[0-9a-f]{32}|[0-9a-f]{32,64}|[0-9]{1,18}")
_WORD = re.compile(r"[a-z][a-z0-9-]{0,29}")

GENESIS = bytes(32)
"""What the first row has in the place of a hash before it."""


class Entry(Struct, frozen=True):
    """What is told of a request: ids, and never what was typed or sent."""

    at: datetime
    kind: Kind
    who: str
    """`key_…`, `user_…`, or `nobody` where it may be anybody."""
    team_id: UUID | None
    operation: str
    """The operation's id in the API's document; empty where the service did not tell it."""
    method: str
    path: str
    """As the document has it, with names in braces; else with `{}` for what is no known word."""
    ids: tuple[str, ...]
    """Ids in path and query, and of what was made."""
    query: str
    """Names of the parameters with the values that are ids; `…` stands for any other."""
    outcome: int
    """The status of the answer."""
    address: str
    request_id: str
    requests: int = 1
    """So many readings that are the same but for their time, within a second, make one row: the first is told."""

    def but_for_its_time(self) -> tuple[object, ...]:
        """What readings have in common that make one row."""
        return (
            *(self.kind, self.who, self.team_id, self.operation, self.method, self.path, self.ids),
            *(self.query, self.outcome, self.address),
        )


@dataclass(frozen=True, slots=True)
class Link:
    """A row of the trail."""

    seq: int
    entry: Entry
    previous: bytes
    hash: bytes


def kind_of(method: str, path: str) -> Kind | None:
    """What a request leaves a trace as; None for most."""
    area = path.split("/")[2]
    asked = "GET" if method == "HEAD" else method
    if (asked, path) in NO_READS or (asked, path) in NO_ACTS:
        return None
    if asked in _READ_OPERATIONS.fitting(path):
        return Kind.READ
    if asked in ("GET", "OPTIONS"):
        return Kind.READ if asked == "GET" and area in READS else None
    return Kind.ACT if area in ACTS or asked in _ACT_OPERATIONS.fitting(path) else None


Operations = PathIndex[tuple[str, Mapping[str, str]]]
"""The paths of a document, each with the ids of its operations by method in capitals."""


def operations_of(document: Mapping[str, Any]) -> Operations:
    """What `operation_of` looks into."""
    return PathIndex(
        (path, (path, {method.upper(): str(each.get("operationId", "")) for method, each in operations.items()}))
        for path, operations in document.get("paths", {}).items()
    )


def operation_of(operations: Operations, method: str, path: str) -> tuple[str, str]:
    """The id and the path of an operation, as a document has them; without it, the path with `{}` for what is no word.

    Named steps go before those in braces (OpenAPI 3.1 §4.8.8.2).
    """
    asked = "GET" if method == "HEAD" else method
    for pattern, ids in operations.fitting(path):
        if asked in ids:
            return ids[asked], pattern
    steps = path.split("/")
    # Beyond the area nothing says whether a step is a word of ours or somebody's name.
    return "", "/".join([*steps[:3], *("{}" for _ in steps[3:])])


def ids_in(path: str, query: str, location: str | None) -> tuple[str, ...]:
    """The ids of an address, and of what was made; each once."""
    said = path.split("/")
    if query:
        said += [value for _, value in _parsed(query)]
    if location:
        said += location.split("?")[0].split("/")
    # Most are words, which the pattern would take longer to tell.
    return tuple(dict.fromkeys(each for each in said if (len(each) >= 32 or each.isdecimal()) and _ID.fullmatch(each)))


def redacted(query: str) -> str:
    """The names of a query's parameters with the values that are ids, and `…` for every other value."""
    return "&".join(
        f"{name if _WORD.fullmatch(name.replace('_', '-')) else '…'}={value if _ID.fullmatch(value) else '…'}"
        for name, value in _parsed(query)
    )


def _parsed(query: str) -> list[tuple[str, str]]:
    if not query:
        return []
    return parse_qsl(query, keep_blank_values=True, errors="replace")


def hash_of(seq: int, entry: Entry, previous: bytes) -> bytes:
    """SHA-256 over the hash before, 32 bytes, and the row as a JSON array in UTF-8 without blanks.

    The array has seq, at (UTC, `2026-01-31T23:59:59.123456Z`), kind, who, team (`team_…` or null), operation, method,
    path, ids, query, outcome, address, request_id, requests; what is not ASCII stands as it is.
    """
    row = [
        seq,
        instant(entry.at),
        str(entry.kind),
        entry.who,
        None if entry.team_id is None else f"team_{entry.team_id.hex}",
        entry.operation,
        entry.method,
        entry.path,
        list(entry.ids),
        entry.query,
        entry.outcome,
        entry.address,
        entry.request_id,
        entry.requests,
    ]
    text = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(previous + text.encode()).digest()


def instant(at: datetime) -> str:
    """An instant as the hash has it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def linked(entries: Iterable[Entry], seq: int, previous: bytes) -> Iterator[Link]:
    """Entries as the rows that follow the row of that number and hash."""
    for entry in entries:
        seq += 1
        hash = hash_of(seq, entry, previous)
        yield Link(seq, entry, previous, hash)
        previous = hash


def grouped(entries: Iterable[Entry]) -> list[Entry]:
    """The same entries with readings that are alike as one, in the order of the first of each."""
    first: dict[object, Entry] = {}
    requests: Counter[object] = Counter()
    for place, entry in enumerate(entries):
        key: object = entry.but_for_its_time() if entry.kind is Kind.READ else place
        first.setdefault(key, entry)
        requests[key] += entry.requests
    return [structs.replace(entry, requests=requests[key]) for key, entry in first.items()]
