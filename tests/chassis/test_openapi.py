"""What the committed documents tell whoever builds a client."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from chassis.examples import example
from chassis.openapi import named, operations
from chassis.raised import problems
from contracts.identity import PartyNotFound
from gateway.domain.drain import IntakeClosed
from gateway.routes.door import caller
from services.customers.routes.parties import read_party

DOCUMENTS = sorted((Path(__file__).parents[2] / "contracts" / "openapi").glob("*.json"))


def bodies(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Each JSON body of a document, with the operation that has it."""
    found = []
    for operation in operations(document):
        places = [operation.get("requestBody", {}), *operation["responses"].values()]
        contents = [place.get("content", {}).get("application/json") for place in places]
        found += [(operation["operationId"], each) for each in contents if each and each.get("schema")]
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_every_body_of_every_operation_has_an_example_that_fits(path: Path) -> None:
    document = json.loads(path.read_text())

    for name, body in bodies(document):
        shown = body["example"] if "example" in body else next(iter(body["examples"].values()))["value"]
        jsonschema.validate(shown, {**body["schema"], "components": document["components"]}), name


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_every_operation_has_a_name_of_its_own_and_says_what_it_may_end_in(path: Path) -> None:
    document = json.loads(path.read_text())
    told = list(operations(document))

    assert len({each["operationId"] for each in told}) == len(told)
    for each in told:
        assert each["responses"]["default"]["content"].keys() == {"application/problem+json"}
        assert each.get("description"), each["operationId"]
    assert all(name.isidentifier() for name in document["components"]["schemas"])


def test_the_product_tells_what_the_door_and_the_service_may_refuse_together() -> None:
    [product] = [json.loads(path.read_text()) for path in DOCUMENTS if path.stem == "shuke"]

    refused = product["paths"]["/v1/purchases"]["post"]["responses"]

    assert {"401", "403", "404", "409", "422", "429", "503"} <= refused.keys()
    codes = refused["404"]["content"]["application/problem+json"]["examples"]
    assert "party_not_found" in codes
    assert product["components"]["examples"]["party_not_found"]["value"]["status"] == 404


def test_an_operation_ends_in_what_it_raises_also_where_a_page_has_a_function_of_its_name() -> None:
    [product] = [json.loads(path.read_text()) for path in DOCUMENTS if path.stem == "shuke"]

    def codes(path: str, status: str) -> set[str]:
        refused = product["paths"][path]["post"]["responses"][status]
        return set(refused["content"]["application/problem+json"]["examples"])

    assert "partition_not_stopped" in codes("/v1/gaps/pass", "409")
    assert "sign_in_failed" in codes("/v1/sessions", "401")
    assert {"bad_request", "invalid_request"} <= codes("/v1/teams", "400") | codes("/v1/teams", "422")


def test_problems_are_found_where_they_are_raised_however_deep() -> None:
    assert PartyNotFound in problems(read_party)
    assert IntakeClosed in problems(caller)


def test_an_example_of_what_refers_to_itself_ends() -> None:
    rule = {"type": "object", "required": ["all"], "properties": {"all": {"$ref": "#/components/schemas/Rules"}}}
    leaf = {"type": "object", "required": ["field"], "properties": {"field": {"type": "string"}}}
    choices = [{"$ref": "#/components/schemas/Rule"}, {"$ref": "#/components/schemas/Leaf"}]
    components: dict[str, Any] = {
        "Rule": rule,
        "Leaf": leaf,
        "Rules": {"type": "array", "minItems": 1, "items": {"oneOf": choices}},
    }

    jsonschema.validate(
        example({"$ref": "#/components/schemas/Rule"}, components), {**rule, "components": {"schemas": components}}
    )


def test_schemas_are_named_as_classes_are() -> None:
    schemas = {"Page_Note_": {"title": "Page[Note]"}, "notes__domain__lives__State": {"type": "string"}}
    document = {
        "info": {"title": "notes"},
        "paths": {"/notes": {"get": {"schema": {"$ref": "#/components/schemas/Page_Note_"}}}},
        "components": {"schemas": schemas},
    }

    told = named(document)

    assert set(told["components"]["schemas"]) == {"NotePage", "LivesState"}
    assert told["paths"]["/notes"]["get"]["schema"] == {"$ref": "#/components/schemas/NotePage"}
    assert told["info"] == {"title": "notes"}
