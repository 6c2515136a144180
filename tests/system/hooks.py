"""How the fuzzer writes rows, and which key it must leave alone: its own."""

import json
import os
from typing import Any

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def ndjson(context: Any, value: Any) -> bytes:
    rows = value if isinstance(value, list) else [value]
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """Not its own key: it would lock itself out."""
    return (case.path_parameters or {}).get("key_id") != os.environ["SHUKE_OWN_KEY"]
