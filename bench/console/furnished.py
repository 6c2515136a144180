"""A product with something on every page: the example, and what a company adds to it in its first days."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx

from bench.product import CURRENCY, Running, product, settle
from deploy.cli.example import load_into

PATIENCE_S = 300.0
VARIABLES: Mapping[str, str] = {
    "GATEWAY_WEBHOOK_ALLOW": "127.0.0.1/32",
    "SCORING_VERIFY_EVERY_S": "0",
    "SCORING_MODEL_EVERY_DAYS": "0",
}
NAMES = ("Ada Byron", "陳大文", "Grace Murray", "林美玲", "Alan Mathison", "王小明", "Emmy Noether", "李志強")
CONTACTS = (("phone", "contact", "outbound"), ("email", "inquiry", "inbound"), ("visit", "visit", "inbound"))
TILL = b"customer,day,amount\nt-1,2026-02-01,12.00\nt-2,31.02.2026,5.00\nt-3,,7.00\nt-4,2026-02-03,1.5.0\n"
"""A file of which one row can be taken."""
LETTER = """
INSERT INTO dead_letter (consumer, topic, partition, "offset", value, error_class, error, attempts, first_failed_at)
VALUES ('scoring', 'customers.purchase.events.v1', 0, 1, 'no event', 'Unreadable', 'This is no event.', 3, now())
"""


@contextmanager
def furnished() -> Iterator[Running]:
    """A product of which every page of the catalogue has something to show, for as long as the block lasts."""
    with product("up", variables=VARIABLES) as running, running.client() as client:
        load_into(client)
        settle(client)
        _fit(client)
        furnish(client)
        yield running


def furnish(client: httpx.Client) -> None:
    """Give a product with a population something for every page that is about one thing, but for dead letters."""
    _deal(client)
    _import(client)
    _try(client)
    made = {"name": "Sales north"}
    team = client.post("/v1/teams", json=made).raise_for_status().json()["id"]
    for name, role in (("Mia Manager", "manager"), ("Ben Agent", "agent"), ("Ana Analyst", "analyst")):
        person = {"name": name, "email": f"{name.split()[0].lower()}@example.com", "roles": [role], "team_id": team}
        client.post("/v1/users", json=person).raise_for_status()
    hook = {"url": "http://127.0.0.1:9/hook", "stages": ["dormant_customer", "lost_customer"]}
    client.post("/v1/webhooks", json=hook).raise_for_status()
    settle(client)
    _until(lambda: bool(client.get("/v1/duplicates", params={"limit": 1}).raise_for_status().json()["data"]))


async def fail(running: Running) -> None:
    """Have one event be among those that could not be read."""
    connection = await asyncpg.connect(running.database("scoring"))
    try:
        await connection.execute(LETTER)
    finally:
        await connection.close()


def _deal(client: httpx.Client) -> None:
    """Names for those who are worth most, what passed with them, an open problem, two who may be one."""
    best = client.get("/v1/standings", params={"limit": len(NAMES)}).raise_for_status().json()["data"]
    present = datetime.now(UTC)
    for nth, (name, one) in enumerate(zip(NAMES, best, strict=True)):
        party = one["party_id"]
        client.put(f"/v1/parties/{party}/name", json={"name": name}).raise_for_status()
        channel, kind, direction = CONTACTS[nth % len(CONTACTS)]
        contact = {"department": "sales", "channel": channel, "kind": kind, "direction": direction}
        told = {"party_id": party, "occurred_at": (present - timedelta(days=3 + nth)).isoformat()}
        client.post("/v1/interactions", json=told | contact).raise_for_status()
        if nth % 3 == 0:
            problem = {"category": "delivery", "title": "The parcel came open", "severity": "high"}
            client.post("/v1/problems", json=told | problem).raise_for_status()
    for address in ("meg.twice@alike.example", "megtwice@alike.example"):
        bought = {"occurred_at": (present - timedelta(days=9)).isoformat(), "currency": CURRENCY, "amount_minor": 4_000}
        identifier = {"scheme": "email", "value": address}
        told = client.post("/v1/purchases", json={"identifier": identifier, **bought}).raise_for_status().json()
        client.put(f"/v1/parties/{told['party_id']}/name", json={"name": "Meg Twice"}).raise_for_status()


def _import(client: httpx.Client) -> None:
    mapping = '{"party": "customer", "occurred_at": "day", "amount": "amount"}'
    form = {"kind": "purchases", "source": "till", "currency": CURRENCY, "mapping": mapping}
    job = client.post("/v1/imports", data=form, files={"file": ("till.csv", TILL)}).raise_for_status().json()["id"]
    _until(lambda: client.get(f"/v1/imports/{job}").raise_for_status().json()["state"] in ("done", "failed"))


def _fit(client: httpx.Client) -> None:
    """A model that decides."""
    fit = client.post("/v1/models", json={"activate": True, "force": True}).raise_for_status().json()["id"]
    _until(lambda: client.get(f"/v1/fits/{fit}").raise_for_status().json()["state"] in ("done", "failed"))
    settle(client)


def _try(client: httpx.Client) -> None:
    """A stricter policy that was tried."""
    active = client.get("/v1/policies", params={"state": "active"}).raise_for_status().json()["data"][0]["hash"]
    document = client.get(f"/v1/policies/{active}").raise_for_status().json()["document"]
    document["name"] = "sooner"
    document["persons"]["customers"]["dormant_below"] = 0.6
    drafted = client.post("/v1/policies", json={"document": document, "base": active}).raise_for_status().json()
    trial: dict[str, Any] = client.post(f"/v1/policies/{drafted['hash']}/trials", json={}).raise_for_status().json()
    _until(lambda: client.get(f"/v1/trials/{trial['id']}").raise_for_status().json()["state"] in ("done", "failed"))


def _until(done: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not done():
        if time.monotonic() > until:
            raise TimeoutError
        time.sleep(0.2)
