"""`python -m bench.faults.next_version SERVICE`: a service as a later version may be.

Its events have a field more than anybody knows, and beside each goes one of a type that nobody knows.
"""

import json
import sys
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from chassis.ids import uuid7
from contracts.event import Event
from deploy.roles import serve

NEW_FIELD, NEW_TYPE = b'"data":{"told_by":"the next version"', "noted_by_next_version.v1"


def main() -> None:
    """Be the service."""
    [service] = sys.argv[1:]
    row_of = outbox._row
    append = outbox.append

    def with_more(event: Event, event_id: UUID, created: str, tail: str) -> outbox.Row:
        row = row_of(event, event_id, created, tail)
        assert row.payload is not None
        return row._replace(payload=row.payload.replace(b'"data":{', NEW_FIELD + b",", 1))

    def with_another(session: AsyncSession, *events: Event, **more: Any) -> tuple[UUID, ...]:
        ids = append(session, *events, **more)
        rows: list[outbox.Row] = session.info["outbox"]
        rows += [unknown(service, row) for row in rows[len(rows) - len(events) :]]
        return ids

    outbox._row = with_more
    outbox.append = with_another
    serve([service])


def unknown(service: str, row: outbox.Row) -> outbox.Row:
    """An event about the same subject of a type that no version before has."""
    id, type = uuid7(), f"{service}.{NEW_TYPE}"
    assert row.payload is not None
    document = json.loads(row.payload) | {"id": str(id), "type": type, "dataschema": f"urn:shuke:{type}"}
    # The data comes last, as in every event: what is added at numbering goes behind it.
    document["data"] = document.pop("data")
    payload = json.dumps(document, separators=(",", ":")).encode()
    return row._replace(event_id=id, type=type, payload=payload)


if __name__ == "__main__":
    main()
