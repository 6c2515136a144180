from datetime import timedelta

from chassis.clock import now
from tests.console.conftest import Visit
from tests.system.product import Product


def test_an_open_party_follows_what_happens_without_being_loaded_again(visit: Visit, product: Product) -> None:
    body = {"name": "Lee Live", "identifiers": [{"scheme": "email", "value": "lee.live@example.org"}]}
    party = product.post("/v1/parties", json=body)["id"]
    bought = {"party_id": party, "currency": "USD", "amount_minor": 12_300}
    first = (now() - timedelta(days=120)).isoformat()
    product.post("/v1/purchases", json=bought | {"occurred_at": first})
    page = visit(f"/parties/{party}")
    page.evaluate("window.stayed = true")
    page.wait_for_timeout(1_500)
    product.post("/v1/purchases", json=bought | {"occurred_at": now().isoformat()})
    page.get_by_text("$246.00").first.wait_for(timeout=15_000)
    assert page.evaluate("window.stayed")
