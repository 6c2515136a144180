"""The rules are those of the AsyncAPI 3.0.0 specification for the objects that the document uses, none left open."""

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator, FormatChecker

from chassis import envelope
from contracts.asyncapi import CONTENT_TYPE
from contracts.topics import TOPICS
from contracts.wire import published
from deploy.cli.contracts import ASYNCAPI
from deploy.cli.quality import ROOT

Schema = dict[str, Any]

DOCUMENT: Schema = json.loads((ROOT / ASYNCAPI).read_text())
TEXT: Schema = {"type": "string", "minLength": 1}


def thing(*required: str, **fields: Schema) -> Schema:
    """An object with these fields and no other."""
    return {"type": "object", "properties": fields, "required": list(required), "additionalProperties": False}


def each(of: Schema, keys: str = r"^[A-Za-z0-9_.\-]+$") -> Schema:
    """A map, with the keys that the specification allows."""
    return {"type": "object", "patternProperties": {keys: of}, "additionalProperties": False}


def reference(to: str) -> Schema:
    return thing("$ref", **{"$ref": {"type": "string", "pattern": f"^#/{to}/"}})


def bound(**fields: Schema) -> Schema:
    """A Kafka binding of version 0.5.0."""
    return thing("kafka", kafka=thing("bindingVersion", bindingVersion={"const": "0.5.0"}, **fields))


TAGS = {"type": "array", "items": thing("name", name=TEXT), "uniqueItems": True}
SCHEMA: Schema = {"type": "object"}
MESSAGE = thing(
    "name", "payload",
    name=TEXT, title=TEXT, summary=TEXT, tags=TAGS,
    contentType={"type": "string", "pattern": r"^[a-z]+/[a-z.+\-]+$"},
    headers={"type": "object", "properties": {"type": {"const": "object"}}, "required": ["type"]},
    payload={"anyOf": [reference("components/schemas"), thing("type", type={"const": "null"})]},
    correlationId=thing("location", location={"type": "string", "pattern": r"^\$message\.(header|payload)#/"}),
    bindings=bound(key=SCHEMA),
    examples={
        "type": "array", "minItems": 1, "items": thing("payload", name=TEXT, summary=TEXT, payload={"type": "object"}),
    },
)  # fmt: skip
CHANNEL = thing(
    "address", "messages",
    address=TEXT, title=TEXT, summary=TEXT, description=TEXT,
    messages=each(reference("components/messages")),
    bindings=bound(
        topic=TEXT,
        partitions={"type": "integer", "minimum": 1},
        topicConfiguration=thing(
            **{"cleanup.policy": {"type": "array", "items": {"enum": ["compact", "delete"]}, "minItems": 1}}
        ),
    ),
)  # fmt: skip
OPERATION = thing(
    "action", "channel",
    action={"enum": ["send", "receive"]},
    title=TEXT, summary=TEXT, tags=TAGS,
    channel=reference("channels"),
    messages={"type": "array", "items": reference("channels")},
)  # fmt: skip
SERVER = thing(
    "host", "protocol",
    host=TEXT, protocol=TEXT, description=TEXT,
    variables=each(thing(default=TEXT, description=TEXT)),
)  # fmt: skip
RULES = thing(
    "asyncapi", "info",
    asyncapi={"const": "3.0.0"},
    id={"type": "string", "pattern": r"^[a-z]+:"},
    info=thing(
        "title", "version",
        title=TEXT, version=TEXT, description=TEXT, license=thing("name", name=TEXT, url=TEXT),
    ),
    defaultContentType=TEXT,
    servers=each(SERVER),
    channels=each(CHANNEL),
    operations=each(OPERATION),
    components=thing(messages=each(MESSAGE), schemas=each(SCHEMA)),
)  # fmt: skip


def references(value: Any) -> Iterator[str]:
    match value:
        case {"$ref": str(ref)}:
            yield ref
        case dict():
            for name, inner in value.items():
                if name != "examples":
                    yield from references(inner)
        case list():
            for inner in value:
                yield from references(inner)


def followed(ref: str) -> Any:
    found: Any = DOCUMENT
    for name in ref.removeprefix("#/").split("/"):
        found = found[name]
    return followed(found["$ref"]) if "$ref" in found else found


def test_the_document_keeps_to_the_rules_of_asyncapi_3() -> None:
    Draft202012Validator.check_schema(RULES)
    Draft202012Validator(RULES).validate(DOCUMENT)


@pytest.mark.parametrize(
    "breach",
    [
        lambda document: document.update(asyncapi="2.6.0"),
        lambda document: document["info"].pop("version"),
        lambda document: document["servers"]["kafka"].update(url="localhost"),
        lambda document: document["channels"][TOPICS[0].name].update(publish={}),
        lambda document: document["channels"][TOPICS[0].name]["bindings"]["kafka"].update(partitions="24"),
        lambda document: document["operations"][f"publish.{TOPICS[0].name}"].update(action="publish"),
        lambda document: document["operations"].update({"two words": {}}),
        lambda document: document["components"]["messages"]["tombstone"].update(messageId="tombstone"),
        lambda document: document["components"]["messages"]["tombstone"].pop("payload"),
    ],
)
def test_the_rules_refuse_what_the_specification_refuses(breach: Callable[[Schema], object]) -> None:
    document = deepcopy(DOCUMENT)
    breach(document)

    assert not Draft202012Validator(RULES).is_valid(document)


def test_every_reference_leads_somewhere() -> None:
    assert [ref for ref in {*references(DOCUMENT)} if followed(ref) is None] == []


def test_every_topic_is_a_channel_with_the_messages_that_go_there() -> None:
    told = [(name, message) for name, channel in DOCUMENT["channels"].items() for message in channel["messages"]]

    events = [(event.topic.name, event.wire_type) for event in published()]
    assert sorted(told) == sorted([*events, *((topic.name, "tombstone") for topic in TOPICS if topic.compacted)])
    assert {channel["address"] for channel in DOCUMENT["channels"].values()} == {topic.name for topic in TOPICS}


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_a_channel_tells_partitions_and_compaction(topic: Any) -> None:
    kafka = DOCUMENT["channels"][topic.name]["bindings"]["kafka"]

    assert kafka["partitions"] == topic.partitions
    assert kafka["topicConfiguration"]["cleanup.policy"] == ["compact" if topic.compacted else "delete"]


def test_an_operation_sends_only_messages_of_its_channel() -> None:
    for operation in DOCUMENT["operations"].values():
        channel = operation["channel"]["$ref"]
        sent = [message["$ref"] for message in operation["messages"]]
        assert sent == [f"{channel}/messages/{name}" for name in followed(channel)["messages"]]


@pytest.mark.parametrize("event", published(), ids=lambda event: event.wire_type)
def test_the_examples_of_a_message_match_its_payload(event: Any) -> None:
    message = DOCUMENT["components"]["messages"][event.wire_type]
    # What AsyncAPI calls a schema is one of JSON Schema draft 7.
    schema = {**message["payload"], "components": DOCUMENT["components"]}

    Draft7Validator.check_schema(followed(message["payload"]["$ref"]))
    validator = Draft7Validator(schema, format_checker=FormatChecker())
    for example in message["examples"]:
        validator.validate(example["payload"])
        assert not validator.is_valid(example["payload"] | {"data": {}})


def test_the_document_names_the_content_type_that_records_have() -> None:
    assert DOCUMENT["defaultContentType"] == CONTENT_TYPE == envelope.CONTENT_TYPE
