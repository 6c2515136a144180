"""Who is one party is found out by the product itself, and standings follow."""

import time
from typing import Any

import pytest

from bench.product import CURRENCY
from tests.system.product import PATIENCE_S, Product

ANN = {"scheme": "email", "value": "ann@x.example"}
BOB = {"scheme": "email", "value": "bob@x.example"}
CALL = {"scheme": "phone", "value": "+4930111222"}


@pytest.fixture
def product(shared: Product) -> Product:
    return shared


def party(product: Product, identifier: dict[str, str]) -> Any:
    return next(iter(product.get("/v1/parties", **identifier)["data"]), None)


def until(product: Product, *, one: bool) -> Any:
    """The party of Ann's address, once it is that of the phone as well, or is not any more."""
    end = time.monotonic() + PATIENCE_S
    while True:
        ann, call = party(product, ANN), party(product, CALL)
        if ann and call and (ann["id"] == call["id"]) is one:
            product.settle()
            return ann
        assert time.monotonic() < end, (ann, call)
        time.sleep(0.1)


def bought(product: Product, party_id: str) -> int:
    spend: int = product.get(f"/v1/standings/{party_id}")["spend_minor"]
    return spend


def test_a_lead_makes_its_e_mail_and_its_phone_one_party_until_it_is_withdrawn(product: Product) -> None:
    for identifier, amount in ((ANN, 1_000), (CALL, 200)):
        row = {"occurred_at": "2026-01-15T10:00:00Z", "currency": CURRENCY, "amount_minor": amount}
        product.post("/v1/purchases", json=row | {"identifier": identifier})
    lead = product.post("/v1/leads", json={"email": ANN["value"], "phone": CALL["value"], "source": "website"})

    ann = until(product, one=True)

    assert {each["value"] for each in ann["identifiers"]} == {ANN["value"], CALL["value"]}
    assert bought(product, ann["id"]) == 1_200
    product.post(f"/v1/leads/{lead['id']}/withdraw", json={"version": lead["version"]})
    assert bought(product, until(product, one=False)["id"]) == 1_000
    assert product.agrees()


def test_what_a_number_did_before_it_changed_hands_stays_with_the_first(product: Product) -> None:
    lead = {"email": ANN["value"], "phone": CALL["value"], "source": "fair", "occurred_at": "2026-02-01T10:00:00Z"}
    product.post("/v1/leads", json=lead)
    until(product, one=True)
    row = {"occurred_at": "2026-03-15T10:00:00Z", "currency": CURRENCY, "amount_minor": 30, "identifier": CALL}
    product.post("/v1/purchases", json=row)
    product.post("/v1/parties", json={"identifiers": [BOB]})
    ann = until(product, one=True)
    [call] = [each["identity_id"] for each in ann["identifiers"] if each["scheme"] == "phone"]

    product.post(
        f"/v1/parties/{ann['id']}/identifiers/{call}/hand-over",
        json={"to": {"identifier": BOB}, "from_day": "2026-03-01"},
    )

    ann, bob = until(product, one=False), party(product, BOB)
    assert CALL["value"] in {each["value"] for each in bob["identifiers"]}
    assert [bought(product, each["id"]) for each in (ann, bob)] == [1_200, 30]
    assert product.agrees()
