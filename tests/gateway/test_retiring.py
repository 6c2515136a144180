import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.domain.retiring import RETIRING, Retirements, Retiring

from .conftest import Door

SINCE, UNTIL = datetime(2026, 9, 1, tzinfo=UTC), datetime(2027, 9, 1, tzinfo=UTC)
PRODUCT = Path(__file__).resolve().parents[2] / "contracts" / "openapi"


@pytest.fixture
def marked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Operations of a service and of the gateway itself that go away."""
    monkeypatch.setitem(RETIRING, ("GET", "/v1/parties/{party_id}/old"), Retiring(SINCE, UNTIL, "/v1/parties"))
    monkeypatch.setitem(RETIRING, ("POST", "/v1/imports"), Retiring(SINCE))
    monkeypatch.setitem(RETIRING, ("GET", "/v1/keys"), Retiring(SINCE))


async def test_each_answer_of_an_operation_that_goes_away_says_so_and_no_other_one_does(
    marked: None, door: Door
) -> None:
    links = [
        '<https://docs.example.org/integrate#what-goes-away>; rel="deprecation"; type="text/html"',
        '</v1/parties>; rel="successor-version"',
    ]
    for method in ("GET", "HEAD", "GET"):
        answer = await door.client.request(method, "/v1/parties/party_1/old")
        assert answer.status_code == 200
        assert answer.headers["deprecation"] == f"@{int(SINCE.timestamp())}"
        assert answer.headers["sunset"] == "Wed, 01 Sep 2027 00:00:00 GMT"
        assert answer.headers.get_list("link") == links
    refused = await door.client.get("/v1/parties/party_1/old", headers={"Authorization": "Bearer shuke_wrong"})
    assert (refused.status_code, refused.headers["deprecation"]) == (401, f"@{int(SINCE.timestamp())}")
    own = await door.client.get("/v1/keys")
    assert (own.headers["deprecation"], own.headers.get("sunset")) == (f"@{int(SINCE.timestamp())}", None)

    for method, path in (("POST", "/v1/parties/party_1/old"), ("GET", "/v1/parties/party_1"), ("POST", "/v1/keys")):
        other = await door.client.request(method, path)
        assert not {"deprecation", "sunset", "link"} & other.headers.keys(), path


async def test_the_document_marks_what_goes_away_and_nothing_else(marked: None, door: Door) -> None:
    document = (await door.client.get("/openapi.json")).json()

    found = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if operation.get("deprecated")
    }
    assert found == {("POST", "/v1/imports"), ("GET", "/v1/keys")}


def test_what_is_marked_is_an_operation_of_the_product() -> None:
    document = json.loads((PRODUCT / "shuke.json").read_text())

    def unknown(marked: Retirements) -> list[tuple[str, str]]:
        return [each for each in marked if each[0].lower() not in document["paths"].get(each[1], {})]

    assert unknown(Retirements()) == []
    known, wrong = ("GET", "/v1/parties/{party_id}"), ("POST", "/v1/parties/{party_id}")
    assert unknown(Retirements(dict.fromkeys((known, wrong), Retiring(SINCE)))) == [wrong]


def test_nothing_is_retired_before_it_is_deprecated() -> None:
    with pytest.raises(ValueError, match="deprecated before"):
        Retiring(UNTIL, SINCE)
