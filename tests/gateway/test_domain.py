import csv
import io
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from contracts.customers import FactWithdrawn, ProblemOpened, Severity
from contracts.scoring import Cause, MoveKind
from gateway.domain.drain import waiting
from gateway.domain.export import joined, oldest, party_ids
from gateway.domain.feed import is_historic
from gateway.domain.keys import PREFIX, looks_like_key, secret_hash
from gateway.domain.openapi import merged
from gateway.domain.status import composed

from .feeding import moved


def test_what_was_long_past_when_it_was_recorded_is_historic_and_what_rests_on_it() -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)

    def historic(days: float, late_s: int | None = None) -> bool:
        event = FactWithdrawn(subject=uuid4(), occurred_at=at - timedelta(days=days), fact_id=uuid4(), late_s=late_s)
        return is_historic(event, at, days=7)

    assert [historic(0), historic(7), historic(7.1)] == [False, False, True]
    assert [historic(0, 8 * 86_400), historic(0, 86_400), historic(400, 0)] == [True, False, False]

    told = {"occurred_at": at, "cause": Cause.LATE_FACT, "kind": MoveKind.REVISED}
    assert [is_historic(moved(uuid4(), 1, **told, late_s=days * 86_400), at, days=7) for days in (8, 1)] == [
        True,
        False,
    ]
    assert not is_historic(moved(uuid4(), 1, **told), at, days=7)
    opened = {"subject": uuid4(), "occurred_at": at - timedelta(days=30), "problem_id": uuid4(), "category": "delivery"}
    again = ProblemOpened.model_validate({**opened, "severity": Severity.LOW, "late_s": 0})
    assert not is_historic(again, at, days=7), "as it was when it was told first"


def document(title: str, path: str, **schemas: object) -> dict[str, object]:
    answer = {"schema": {"$ref": "#/components/schemas/Page"}}
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1"},
        "paths": {path: {"get": {"operationId": title, "responses": {"200": answer}}}},
        "components": {"schemas": schemas},
    }


def test_components_keep_their_names_unless_they_clash() -> None:
    same, one, other = {"type": "string"}, {"type": "object"}, {"type": "array"}
    everything = merged(
        document("gateway", "/v1/keys"),
        {
            "customers": document("customers", "/v1/parties", Id=same, Page=one),
            "scoring": document("scoring", "/v1/standings", Id=same, Page=other),
        },
    )
    assert everything["components"]["schemas"] == {
        "Id": same,
        "Page": one,
        "ScoringPage": {**other, "title": "ScoringPage"},
    }
    answer = everything["paths"]["/v1/standings"]["get"]["responses"]["200"]
    assert answer["schema"]["$ref"] == "#/components/schemas/ScoringPage"
    assert everything["security"] == [{"apiKey": []}]


def test_internal_paths_are_not_in_the_document() -> None:
    everything = merged(document("gateway", "/v1/keys"), {"customers": document("customers", "/internal/status")})
    assert list(everything["paths"]) == ["/v1/keys"]


def test_an_external_id_stands_behind_the_party_id_in_quotes_where_it_must() -> None:
    lines = ["party_id,stage", "party_1,customer", "party_2,customer", "party_3,customer"]
    ids = {"party_1": 'a "b", c', "party_2": "C-1"}
    text = joined(lines, party_ids(lines), ids)
    assert list(csv.reader(io.StringIO(text))) == [
        ["party_id", "external_id", "stage"],
        ["party_1", 'a "b", c', "customer"],
        ["party_2", "C-1", "customer"],
        ["party_3", "", "customer"],
    ]
    assert text.splitlines()[2] == "party_2,C-1,customer"


def test_of_several_external_ids_the_oldest_stands_for_the_party() -> None:
    assert oldest([{"party_id": "p", "value": "1"}, {"party_id": "p", "value": "2"}]) == {"p": "1"}


def test_a_key_has_a_form_and_only_its_hash_is_kept() -> None:
    key = PREFIX + "a" * 43
    assert looks_like_key(key)
    assert not looks_like_key(key + "\n")
    assert not looks_like_key("shuke_")
    assert len(secret_hash(key)) == 32


def test_lag_counts_partitions_that_were_never_read() -> None:
    def stream(partition: int, epoch: int = 1) -> dict[str, object]:
        return {"topic": "t", "partition": partition, "epoch": epoch, "last_seq": 10, "published_seq": 10}

    def mark(partition: int, seq: int) -> dict[str, object]:
        read = {"consumer": "c", "topic": "t", "partition": partition, "epoch": 1, "seq": seq}
        return {**read, "stopped_reason": None}

    whole = {"oldest_unsequenced_s": 0.0, "dead_letters": []}
    report = composed(
        {
            "customers": {**whole, "streams": [stream(0), stream(1), stream(2, epoch=2)], "consumers": []},
            "scoring": {**whole, "streams": [], "consumers": [mark(0, 7), mark(2, 9)]},
            "away": None,
        }
    )
    assert report["lag"] == [{"service": "scoring", "consumer": "c", "topic": "t", "events": 3 + 10 + 10}]
    assert [service["answers"] for service in report["services"]] == [True, True, False]


def test_processes_are_told_with_their_service_and_an_older_service_tells_none() -> None:
    whole = {"oldest_unsequenced_s": 0.0, "dead_letters": [], "streams": [], "consumers": []}
    process = {"name": "one", "role": "leads-worker", "state": "away"}
    report = composed({"leads": {**whole, "processes": [process]}, "customers": whole, "scoring": None})
    assert report["processes"] == [{"service": "leads", **process}]


def test_a_drain_waits_for_what_services_have_yet_to_do_by_themselves() -> None:
    quiet = {"underway": 0, "importing": 0, "oldest_unsequenced_s": 0.0, "streams": [], "consumers": []}
    told = {
        "customers": {**quiet, "dead_letters": [], "undecided": 4},
        "leads": {**quiet, "dead_letters": [], "ungraded": 9},
        "gateway": {**quiet, "dead_letters": []},
    }
    assert waiting(told, composed(told)) == {"undecided": 4, "ungraded": 9}


def operation(body: str, answer: str, **more: object) -> dict[str, object]:
    problem = {"content": {"application/problem+json": {"schema": {"type": "object"}}}}
    return {
        "requestBody": {"content": {"multipart/form-data": {"schema": {"$ref": body}}}},
        "responses": {"202": {"content": {"application/json": {"schema": {"$ref": answer}}}}, "default": problem},
        **more,
    }


def test_what_several_services_take_is_described_together_under_the_rule_of_the_gateway() -> None:
    def of(title: str, **operations: object) -> dict[str, object]:
        return {**document(title, "/v1/none"), "paths": {"/v1/imports": operations}}

    own = {
        "summary": "ours",
        "parameters": [{"in": "query", "name": "kind"}],
        "responses": {"202": {"description": "taken"}, "default": {"description": "a problem"}},
    }
    first = operation("#/a", "#/x", summary="theirs", parameters=[{"in": "header", "name": "Idempotency-Key"}])
    everything = merged(
        of("gateway", post=own),
        {
            "customers": of("customers", post=first, get={"responses": {}}),
            "leads": of("leads", post=operation("#/b", "#/x")),
            "community": of("community", post=operation("#/b", "#/y")),
        },
    )
    post = everything["paths"]["/v1/imports"]["post"]
    assert post["summary"] == "ours"
    assert [each["name"] for each in post["parameters"]] == ["kind", "Idempotency-Key"]
    body = post["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert body == {"anyOf": [{"$ref": "#/a"}, {"$ref": "#/b"}]}
    answer = post["responses"]["202"]
    assert answer["description"] == "taken"
    assert answer["content"]["application/json"]["schema"] == {"anyOf": [{"$ref": "#/x"}, {"$ref": "#/y"}]}
    assert "application/problem+json" in post["responses"]["default"]["content"]
    assert everything["paths"]["/v1/imports"]["get"] == {"responses": {}}


def test_what_is_told_again_is_answered_with_200_and_the_same_body() -> None:
    made = {"description": "Made", "content": {"application/json": {"schema": {"$ref": "#/x"}}}}
    service = {**document("leads", "/v1/none"), "paths": {"/v1/leads": {"post": {"responses": {"201": made}}}}}
    responses = merged(document("gateway", "/v1/keys"), {"leads": service})["paths"]["/v1/leads"]["post"]["responses"]
    assert responses["200"]["content"] == made["content"]
    assert responses["201"] == made
