"""A backup taken while commands went on is a product again: on an empty Kafka, on one that is ahead, on none."""

import asyncio
import base64
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.product import CURRENCY
from contracts.topics import STANDINGS
from deploy import supervisor
from gateway.domain import totp
from gateway.queries.webhooks import Sealer
from tests.system.conftest import Start
from tests.system.product import PATIENCE_S, Product
from tests.system.test_any_order import told_once

PASSWORD = "quiet lantern over 7 rivers"
STEPS = 90
BEFORE = 40
"""So much is told before the backup begins; what comes up to its moment is in it, too."""
CLUSTER = "cluster", "--workers", "1"


def tell(product: Product, number: int) -> None:
    """A command that names its source: told again, it changes nothing. Leads make customers one party."""
    at = f"2025-{1 + number % 12:02}-{1 + number % 28:02}T10:00:00Z"
    named = {"source_id": str(number), "occurred_at": at}
    email, phone = f"c{number % 20}@x.example", f"+4930111{number % 15:04}"
    match number % 5:
        case 0:
            product.post("/v1/leads", json={**named, "system": "web", "email": email, "phone": phone})
        case 1:
            body = {"identifier": {"scheme": "phone", "value": phone}, "source": "shop", "currency": CURRENCY}
            product.post("/v1/purchases", json={**named, **body, "amount_minor": 100 + number})
        case _:
            body = {"identifier": {"scheme": "email", "value": email}, "source": "shop", "currency": CURRENCY}
            product.post("/v1/purchases", json={**named, **body, "amount_minor": 1_000 + number})


def holds(product: Product) -> set[int]:
    """The commands that the databases hold, each once."""
    found = [
        *product.sql("customers", "SELECT source_id FROM purchase WHERE source = 'shop'"),
        *product.sql("leads", "SELECT source_id FROM lead WHERE system = 'web'"),
    ]
    numbers = [int(row["source_id"]) for row in found]
    assert len(numbers) == len(set(numbers))
    return set(numbers)


def taken_meanwhile(product: Product, *words: str) -> str:
    """Take a backup while commands are told one after the other, which go on after it; what the command said."""
    enough, over = Event(), Event()

    def telling() -> None:
        for number in range(STEPS):
            tell(product, number)
            if number == BEFORE:
                enough.set()
            # The last ones only when the backup is taken: they are not in it.
            if number == STEPS - 30:
                assert over.wait(120)

    with ThreadPoolExecutor(1) as thread:
        told = thread.submit(telling)
        assert enough.wait(120)
        said = product.shuke("backup", *words)
        over.set()
        told.result()
    product.settle()
    return said


@contextmanager
def restored(backup: Path, folder: Path, *command: str, force: bool = False) -> Iterator[Product]:
    """A product on what was restored."""
    product = Product(folder, *command)
    product.shuke("restore", str(backup), *(["--force"] if force else []))
    product.up()
    try:
        yield product.settle()
    finally:
        product.down()


def facts(product: Product) -> list[tuple[Any, ...]]:
    """What scoring knows to have happened, each once."""
    return [tuple(row) for row in product.sql("scoring", "SELECT fact_id, identity_id FROM fact ORDER BY 1, 2")]


def others_know(product: Product) -> dict[str, tuple[str, str]]:
    """How each party stands by the compacted topic, for who takes the record of the highest revision."""
    until = time.monotonic() + PATIENCE_S
    while product.sql("scoring", "SELECT FROM event_stream WHERE published_seq < last_seq"):
        assert time.monotonic() < until
        time.sleep(0.1)
    servers = supervisor.endpoints(product.folder)["bus"].removeprefix("kafka://")
    with ThreadPoolExecutor(1) as thread:
        values = thread.submit(asyncio.run, read(servers)).result()
    known: dict[str, dict[str, Any]] = {}
    for key, value in values:
        data: dict[str, Any] | None = json.loads(value)["data"] if value else None
        if data is None:
            known.pop(key, None)
        elif key not in known or known[key]["revision"] < data["revision"]:
            known[key] = data
    return {key: (data["stage"], data["tier"]) for key, data in known.items()}


async def read(servers: str) -> list[tuple[str, bytes | None]]:
    """Key and value of each record of the topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(STANDINGS.name, number) for number in range(STANDINGS.partitions)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found = []
        for partition in (each for each in partitions if ends[each]):
            while await consumer.position(partition) < ends[partition]:
                for records in (await consumer.getmany(partition, timeout_ms=500)).values():
                    found += [(record.key.decode(), record.value) for record in records]
        return found
    finally:
        await consumer.stop()


def stands_and_goes_on(product: Product, last: str) -> None:
    """It verifies; and told everything again it is as the one that was never restored."""
    assert product.agrees()
    for number in range(STEPS):
        tell(product, number)
    product.settle()
    assert holds(product) == set(range(STEPS))
    assert product.digest() == last
    assert product.agrees()
    assert told_once(product)


def test_a_backup_of_a_cluster_goes_on_with_an_empty_kafka_and_with_one_that_is_ahead(
    start: Start, tmp_path: Path
) -> None:
    backup = tmp_path / "backup"
    with start(*CLUSTER) as product:
        taken_meanwhile(product, str(backup))
        last, ahead = product.digest(), facts(product)

    with restored(backup, tmp_path / "empty" / "data", *CLUSTER) as empty:
        had, known, digest = holds(empty), facts(empty), empty.digest()
        assert set(range(BEFORE)) <= had <= set(range(STEPS - 29))
        assert set(known) < set(ahead)
        stands_and_goes_on(empty, last)

    with start("up") as quiet:
        for number in sorted(had):
            tell(quiet, number)
        assert quiet.settle().digest() == digest

    # What was told after the backup stands on this Kafka, and nobody takes it for news.
    with restored(backup, product.folder, *CLUSTER, force=True) as over:
        assert (holds(over), facts(over), over.digest()) == (had, known, digest)
        stands_and_goes_on(over, last)
        assert over.get("/v1/status")["gaps"] == []
        stands = over.sql("scoring", "SELECT party_id, stage, tier FROM party WHERE stage IS NOT NULL")
        assert others_know(over) == {str(row["party_id"]): (row["stage"], row["tier"]) for row in stands}


def test_a_backup_in_one_file_goes_on_embedded_and_a_killed_restore_is_begun_again(
    start: Start, tmp_path: Path
) -> None:
    backup, folder = tmp_path / "backup.tar", tmp_path / "new" / "data"
    with start("up") as product:
        said = taken_meanwhile(product, str(backup))
        last = product.digest()
        assert str(backup) in said

    killed_half_way(backup, folder)
    with restored(backup, folder, "up") as again:
        assert set(range(BEFORE)) <= holds(again) <= set(range(STEPS - 29))
        assert {row["fact_id"] for row in again.sql("scoring", "SELECT fact_id FROM fact")}
        stands_and_goes_on(again, last)
        with pytest.raises(AssertionError, match="already runs"):
            refused(again, "restore", str(backup), "--force")
    with pytest.raises(AssertionError, match="holds an installation"):
        refused(again, "restore", str(backup))


def test_the_trail_and_what_is_encrypted_hold_after_a_restore_and_a_cut_or_changed_row_is_found(
    start: Start, tmp_path: Path
) -> None:
    backup = tmp_path / "backup"
    with start("up", "--empty") as product:
        link = product.post("/v1/invitations/first")
        olga = {"token": link["token"], "name": "Olga", "email": "olga@people.example", "password": PASSWORD}
        signed_in = product.client.post("/v1/invitations/accept", json=olga, headers={"Authorization": ""}).json()
        by_olga = {"Authorization": f"Bearer {signed_in['token']}"}
        begun = product.client.post("/v1/me/second-step", json={"password": PASSWORD}, headers=by_olga).json()
        secret = base64.b32decode(begun["secret"])
        step = int(time.time()) // totp.STEP_S
        code = {"code": totp.code(secret, step)}
        product.client.post("/v1/me/second-step/confirm", json=code, headers=by_olga).raise_for_status()
        webhook = product.post("/v1/webhooks", json={"url": "https://example.com/hooks"})
        anchor = product.shuke("audit", "verify", "--anchor").split()[-1]
        [kept] = product.sql("gateway", "SELECT totp_secret FROM app_user WHERE email = 'olga@people.example'")
        product.shuke("backup", str(backup))
    assert secret not in kept["totp_secret"]

    with restored(backup, tmp_path / "again" / "data", "up") as again:
        assert "The trail is whole" in again.shuke("audit", "verify", "--against", anchor)
        # A code counts once: the next one, where the restore was quicker than half a minute.
        code = {"code": totp.code(secret, max(step + 1, int(time.time()) // totp.STEP_S))}
        back = {"email": "olga@people.example", "password": PASSWORD, **code}
        answer = again.client.post("/v1/sessions", json=back, headers={"Authorization": ""})
        assert answer.status_code == 201, answer.text
        internal = json.loads((again.folder / "secrets.json").read_text())["internal"]
        [sealed] = again.sql("gateway", "SELECT secret FROM webhook")
        assert Sealer(internal).open(sealed["secret"]) == webhook["secret"]

        with pytest.raises(asyncpg.PostgresError, match="only added to"):
            again.sql("gateway", "UPDATE audit SET who = 'nobody' WHERE seq = 2")
        again.sql("gateway", "ALTER TABLE audit DISABLE TRIGGER audit_is_only_added_to")
        again.sql("gateway", "UPDATE audit SET who = 'x' || who WHERE seq = 2")
        with pytest.raises(AssertionError, match="Row 2 is not as it was written"):
            refused(again, "audit", "verify")
        again.sql("gateway", "UPDATE audit SET who = substr(who, 2) WHERE seq = 2")
        assert "The trail is whole" in again.shuke("audit", "verify")
        again.sql("gateway", "DELETE FROM audit WHERE seq = 3")
        with pytest.raises(AssertionError, match="Row 3 is missing"):
            refused(again, "audit", "verify")
        again.sql("gateway", "DELETE FROM audit WHERE seq < 3")
        with pytest.raises(AssertionError, match="no row tells that those before it were let go"):
            refused(again, "audit", "verify")


def killed_half_way(backup: Path, folder: Path) -> None:
    """Kill a restore when its PostgreSQL is there."""
    command = Product(folder).begun("restore", str(backup))
    until = time.monotonic() + 60
    while not (folder / "restoring" / "new" / "postgres" / "postmaster.pid").exists():
        assert time.monotonic() < until
        time.sleep(0.02)
    command.kill()
    command.communicate(timeout=60)


def refused(product: Product, *words: str) -> None:
    """Run a command that is refused; what it says is raised."""
    command = product.begun(*words)
    _, said = command.communicate(timeout=60)
    assert command.returncode == 0, " ".join(said.split())
