"""The bus as an AsyncAPI 3.0 document, for other systems that read it."""

from collections.abc import Mapping, Sequence
from inspect import cleandoc
from typing import Any

from contracts.event import Event
from contracts.topics import TOPICS, Topic
from contracts.wire import Schema, envelope, published, shapes

CONTENT_TYPE = "application/cloudevents+json"
BINDING = {"bindingVersion": "0.5.0"}

ABOUT = """\
Every event of Shuke, as other systems read it from Apache Kafka. An event is on the bus if and only if the transaction
that recorded it committed. Within a partition the order is kept and nothing is missing; a record may come twice and
then has the same `id` and `sequence`. There is no order across partitions and topics. Ids, amounts, enumerations and
times are all that an event carries: no name, address, number or text of a person.
"""

Examples = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Records by wire name and by what each one shows."""


def document(examples: Examples) -> Schema:
    """The document over all published events."""
    events = published()
    ref = "#/components/schemas/{model}"
    return {
        "asyncapi": "3.0.0",
        "id": "urn:shuke",
        "info": {
            "title": "Shuke",
            "version": "1",
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "description": "The brokers that the installation publishes to.",
                "variables": {
                    "bootstrap": {"default": "localhost:9092", "description": "Bootstrap servers, host:port,host:port."}
                },
            }
        },
        "channels": {topic.name: _channel(topic, events) for topic in TOPICS},
        "operations": {f"publish.{topic.name}": _operation(topic, events) for topic in TOPICS},
        "components": {
            "messages": {
                **{event.wire_type: _message(event, examples[event.wire_type]) for event in events},
                "tombstone": TOMBSTONE,
            },
            "schemas": {
                **{event.wire_type: envelope(event, {"$ref": ref.format(model=event.__name__)}) for event in events},
                **shapes(events, ref),
            },
        },
    }


TOMBSTONE: Schema = {
    "name": "tombstone",
    "title": "tombstone",
    "summary": "A record without a value: the key has none any more.",
    "payload": {"type": "null"},
    "bindings": {"kafka": {"key": {"type": "string", "format": "uuid"}, **BINDING}},
}


def _messages(topic: Topic, events: Sequence[type[Event]]) -> list[str]:
    return [event.wire_type for event in events if event.topic == topic] + ["tombstone"] * topic.compacted


def _channel(topic: Topic, events: Sequence[type[Event]]) -> Schema:
    compacted = "Compacted: only the last record of each key is sure to be kept"
    kept = compacted if topic.compacted else "Kept for as long as the brokers were told"
    return {
        "address": topic.name,
        "title": topic.name,
        "summary": topic.holds,
        "description": f"{topic.holds} Written by {topic.service} alone, in {topic.partitions} partitions for ever;"
        f" a record's key is its subject (murmur2, as Kafka's own clients do it). {kept}.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _messages(topic, events)},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": {"cleanup.policy": ["compact" if topic.compacted else "delete"]},
                **BINDING,
            }
        },
    }


def _operation(topic: Topic, events: Sequence[type[Event]]) -> Schema:
    channel = f"#/channels/{topic.name}"
    return {
        "action": "send",
        "title": f"{topic.service} publishes to {topic.name}",
        "summary": topic.holds,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{name}"} for name in _messages(topic, events)],
        "tags": [{"name": topic.service}],
    }


HEADERS: Schema = {
    "type": "object",
    "properties": {
        "content-type": {"type": "string", "const": CONTENT_TYPE},
        "traceparent": {
            "type": "string",
            "description": "As in the payload; only where its trace is marked as sampled (W3C Trace Context).",
        },
    },
    "required": ["content-type"],
}
"""Of a record on Kafka."""


def _message(event: type[Event], examples: Mapping[str, Mapping[str, Any]]) -> Schema:
    return {
        "name": event.wire_type,
        "title": event.wire_type,
        "summary": cleandoc(event.__doc__ or ""),
        "contentType": CONTENT_TYPE,
        "headers": HEADERS,
        "payload": {"$ref": f"#/components/schemas/{event.wire_type}"},
        "correlationId": {"location": "$message.payload#/correlationid"},
        "bindings": {"kafka": {"key": {"type": "string", "format": "uuid"}, **BINDING}},
        "tags": [{"name": event.topic.service}],
        "examples": [{"name": name, "payload": dict(record)} for name, record in examples.items()],
    }
