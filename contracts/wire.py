"""What an event looks like on the bus, as JSON Schema 2020-12: the CloudEvent around it, and its data."""

from collections.abc import Mapping, Sequence
from inspect import cleandoc
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from pydantic_core import CoreSchema

from contracts import community, customers, leads, scoring
from contracts.event import Event, event_classes
from contracts.topics import TOPICS

Schema = dict[str, Any]

DECLARED_IN = (community, customers, leads, scoring)
"""Imported, so that the registry of events is complete."""


class _WithoutTitles(GenerateJsonSchema):
    """The title of a field would only repeat its name."""

    def field_title_should_be_set(self, schema: CoreSchema | Any) -> bool:
        return False


def published() -> tuple[type[Event], ...]:
    """Every event that may go out, by wire name: those of a declared topic."""
    return tuple(event for event in event_classes() if event.topic in TOPICS)


def shapes(models: Sequence[type[BaseModel]], ref: str = "#/$defs/{model}") -> dict[str, Schema]:
    """The schemas of models and of all that stands in them, by class name. `ref` is how one names another."""
    _, found = models_json_schema(
        [(model, "serialization") for model in models], ref_template=ref, schema_generator=_WithoutTitles
    )
    definitions: dict[str, Schema] = found["$defs"]
    return definitions


def snapshot(event: type[Event]) -> Schema:
    """The whole record of one event, as it is committed under `contracts/schemas/`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": event.wire_type,
        "x-topic": event.topic.name,
        **envelope(event, {"$ref": f"#/$defs/{event.__name__}"}),
        "$defs": shapes([event]),
    }


def envelope(event: type[Event], data: Mapping[str, Any]) -> Schema:
    """The CloudEvent (1.0, structured mode) around `data`, a schema or a reference to one."""
    attributes: Schema = {
        "specversion": _always("1.0"),
        "id": _text("uuid", "Names the event for ever (UUIDv7). A fact is named by the id of its event."),
        "source": _always(f"/{event.topic.service}", "The one service that publishes it."),
        "type": _always(event.wire_type),
        "time": _text("date-time", "When the service recorded it."),
        "subject": _text("uuid", "Whom it is about; also the key of the record."),
        "partitionkey": _text("uuid", "The subject again."),
        "datacontenttype": _always("application/json"),
        "dataschema": _always(f"urn:shuke:{event.wire_type}", "Names the schema of `data`."),
        "correlationid": _matching(r"^[A-Za-z0-9_.:-]{1,128}$", "Id of the request that brought it about."),
        "causationid": _text("uuid", "Id of the event that brought it about."),
        "traceparent": _matching(r"^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$", "W3C Trace Context."),
        "data": dict(data),
        "recordedat": _text("date-time", "When it got its place in the stream; never earlier than the one before."),
        "sequence": _matching(
            r"^[0-9]{4,}\.[0-9]{15,}$", "Epoch and number within topic and partition, without gaps; sorts as text."
        ),
    }
    optional = {"correlationid", "causationid", "traceparent"}
    return {
        "description": cleandoc(event.__doc__ or ""),
        "type": "object",
        "properties": attributes,
        "required": [name for name in attributes if name not in optional],
    }


def _always(value: str, description: str | None = None) -> Schema:
    return {"const": value, "type": "string"} | ({"description": description} if description else {})


def _text(format: str, description: str) -> Schema:
    return {"format": format, "type": "string", "description": description}


def _matching(pattern: str, description: str) -> Schema:
    return {"pattern": pattern, "type": "string", "description": description}
