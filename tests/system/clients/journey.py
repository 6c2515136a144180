"""A short journey by the client that is made from the OpenAPI document: python journey.py URL KEY."""

import json
import sys
import time
from datetime import UTC, datetime, timedelta

from shuke_client import AuthenticatedClient
from shuke_client.api.purchases import record_purchase
from shuke_client.api.standings import read_standing
from shuke_client.models import Identifier, Problem, Purchase, PurchaseIn, ReasonedStanding, Stage

url, key = sys.argv[1:]
shuke = AuthenticatedClient(base_url=url, token=key)

body = PurchaseIn(
    source_id="python-1",
    identifier=Identifier.from_dict({"scheme": "external", "system": "shop", "value": "python"}),
    occurred_at=datetime.now(UTC) - timedelta(minutes=1),
    amount_minor=4990,
    currency="USD",
)
made = record_purchase.sync(client=shuke, body=body, idempotency_key="python-1")
assert isinstance(made, Purchase), made

for _ in range(100):
    standing = read_standing.sync(made.party_id, client=shuke)
    if isinstance(standing, ReasonedStanding) and standing.stage is Stage.CUSTOMER:
        break
    time.sleep(0.1)
assert isinstance(standing, ReasonedStanding), standing

refused = read_standing.sync("nobody", client=shuke)
assert isinstance(refused, Problem), refused
print(json.dumps({"party": made.party_id, "stage": standing.stage, "refused": refused.code}))
