import asyncio
import contextlib
import json
import random
import socket
import struct
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI, Request, Response

from chassis.clock import now
from chassis.db import Database, driver
from chassis.ids import uuid7
from gateway.domain.webhooks import secret_bytes, signature
from gateway.queries import webhooks

from .conftest import Door, serving
from .feeding import workers


class Receiver:
    """A system that is called; what it answers is up to a test."""

    def __init__(self) -> None:
        self.taken: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        self.app = FastAPI()
        self.mood: Callable[[], int] = lambda: 200
        self.refused: str | None = None
        self.stall_s = 1.0

        @self.app.post("/hooks")
        async def hooks(request: Request) -> Response:
            body = await request.body()
            code = self.answers.pop(0) if self.answers else self.mood()
            if self.refused is not None and json.loads(body)["party_id"] == self.refused:
                code = 503
            if code == 0:
                await asyncio.sleep(self.stall_s)
                code = 503
            if code < 300:
                self.taken.append((dict(request.headers), body))
            return Response(status_code=code, headers={"Location": "/hooks"} if code == 307 else {})

    @property
    def told(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.taken]


class Front:
    """What stands before a receiver: it breaks off connections, and goes away and comes back under its address."""

    def __init__(self, receiver: str, breaks_off: Callable[[], bool]) -> None:
        self._receiver, self._breaks_off = int(receiver.rpartition(":")[2]), breaks_off
        self._port = 0
        self.broken_off = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def come(self) -> None:
        """Take connections, under the same address each time."""
        self._server = await asyncio.start_server(self._taken, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    def go(self) -> None:
        """Close the socket: whoever connects is refused."""
        self._server.close()

    async def _taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._breaks_off():
            self.broken_off += 1
            # A close that does not linger is a reset (RST) to the other side.
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._receiver)
        await asyncio.gather(self._pass_on(reader, back), self._pass_on(there, writer))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(65_536):
                writer.write(piece)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def called(
    door: Door,
    folder: Path,
    settings: Mapping[str, str] = {},
    front: Callable[[str], Awaitable[str]] | None = None,
    **asked: Any,
) -> AsyncIterator[tuple[Receiver, str, dict[str, Any], Any]]:
    """A receiver with a webhook, and the process that calls it."""
    door.app.state.settings.webhook_allow = "127.0.0.1/32"
    database, receiver = door.app.state.database, Receiver()
    told = {"GATEWAY_WEBHOOK_ALLOW": "127.0.0.1/32", **settings}
    with workers("gateway-deliverer", database, "{}", folder, count=1, **told) as [worker]:
        async with serving(receiver.app) as url:
            url = await front(url) if front else url
            made = await door.client.post("/v1/webhooks", json={"url": f"{url}/hooks", **asked})
            assert made.status_code == 201, made.text
            worker.start()
            yield receiver, f"/v1/webhooks/{made.json()['id']}", made.json(), worker


async def tell(database: Database, events: list[tuple[UUID, dict[str, Any]]]) -> None:
    """Have the feed tell changes of parties."""
    async with database.transaction() as session:
        connection = await driver(session)
        last = await connection.fetchval("SELECT last_seq FROM feed_reach FOR UPDATE")
        rows = []
        for seq, (party, data) in enumerate(events, last + 1):
            id = uuid7()
            body = {"sequence": seq, "id": f"event_{id.hex}", "party_id": f"party_{party.hex}", "data": data}
            rows.append((seq, id, party, data.get("to_stage"), data.get("to_tier"), now(), json.dumps(body)))
        await connection.executemany(
            "INSERT INTO feed (seq, event_id, type, party_id, stage, tier, historic, told_at, body)"
            " VALUES ($1, $2, 'scoring.standing_changed.v1', $3, $4, $5, false, $6, $7)",
            rows,
        )
        await connection.execute("UPDATE feed_reach SET last_seq = $1", last + len(events))


async def until(done: Any, within_s: float = 120) -> None:
    async with asyncio.timeout(within_s):
        while not done():
            await asyncio.sleep(0.05)


async def test_a_message_is_signed_with_either_secret_while_one_replaces_the_other(door: Door, tmp_path: Path) -> None:
    async with called(door, tmp_path, stages=["customer"]) as (receiver, path, made, _):
        rotated = (await door.client.post(f"{path}/rotate", json={"grace_s": 600})).json()
        await tell(door.app.state.database, [(uuid7(), {"to_stage": "prospect"}), (uuid7(), {"to_stage": "customer"})])
        await until(lambda: receiver.taken)
        shown = await door.client.get(path)
        deliveries = (await door.client.get(f"{path}/deliveries")).json()["data"]

    [(headers, body)] = receiver.taken
    stamp = int(headers["webhook-timestamp"])
    assert headers["webhook-signature"].split() == [
        signature(secret_bytes(secret), headers["webhook-id"], stamp, body)
        for secret in (rotated["secret"], made["secret"])
    ]
    assert json.loads(body)["sequence"] == 2
    assert made["secret"] != rotated["secret"]
    assert "secret" not in shown.json()
    assert [(each["sequence"], each["state"], each["response_code"]) for each in deliveries] == [(2, "delivered", 200)]


async def test_a_webhook_is_changed_only_in_the_version_that_was_seen(door: Door) -> None:
    made = await door.client.post("/v1/webhooks", json={"url": "https://example.com/hooks"})
    path, seen = made.headers["location"], {"If-Match": made.headers["etag"]}

    changed = await door.client.patch(path, json={"tiers": ["top"]}, headers=seen)
    stale = await door.client.delete(path, headers=seen)
    refused = await door.client.patch(path, json={"url": "https://10.0.0.1/"})
    gone = await door.client.delete(path)

    assert (changed.status_code, changed.json()["tiers"]) == (200, ["top"])
    assert (stale.status_code, refused.status_code, gone.status_code) == (412, 422, 204)
    assert (await door.client.get(path)).status_code == 404


async def test_redirects_are_not_followed_a_receiver_that_is_gone_ends_it_and_resuming_sends_what_waits(
    door: Door, tmp_path: Path
) -> None:
    async with called(door, tmp_path) as (receiver, path, _, _):
        receiver.answers = [307, 410]
        await tell(door.app.state.database, [(uuid7(), {"revision": 1}), (uuid7(), {"revision": 1})])
        await until(lambda: not receiver.answers)
        async with asyncio.timeout(120):
            while (shown := (await door.client.get(path)).json())["state"] != "disabled":
                await asyncio.sleep(0.05)
        refused = await door.client.post(f"{path}/test")
        await door.client.post(f"{path}/resume")
        await until(lambda: len(receiver.taken) == 2)
        await door.client.post(f"{path}/test")
        await until(lambda: len(receiver.taken) == 3)
        await door.client.post(f"{path}/replay", json={"after": 1})
        await until(lambda: len(receiver.taken) == 4)

    assert "410" in shown["notice"]
    assert refused.json()["code"] == "webhook_ended"
    assert [event["sequence"] for event in receiver.told[2:]] == [0, 2]
    assert sorted(event["sequence"] for event in receiver.told[:2]) == [1, 2]


async def test_a_receiver_that_takes_nothing_pauses_its_webhook_with_a_notice_and_what_waits_comes_after_it(
    door: Door, tmp_path: Path
) -> None:
    settings = {"GATEWAY_WEBHOOK_FAILURES": "3", "GATEWAY_WEBHOOK_FAILING_HOURS": "0"}
    parties = [uuid7() for _ in range(3)]
    async with called(door, tmp_path, settings) as (receiver, path, _, _):
        receiver.mood = lambda: 503
        await tell(door.app.state.database, [(party, {"revision": 1}) for party in parties])
        async with asyncio.timeout(120):
            while (paused := (await door.client.get(path)).json())["state"] == "active":
                await asyncio.sleep(0.05)
        stopped = (await door.client.get("/v1/webhooks", params={"failing": True})).json()["data"]
        others = (await door.client.get("/v1/webhooks", params={"failing": False})).json()["data"]
        receiver.mood = lambda: 200
        await tell(door.app.state.database, [(party, {"revision": 2}) for party in parties])
        resumed = (await door.client.post(f"{path}/resume")).json()
        await until(lambda: len(receiver.taken) == 6)
        after = (await door.client.get(path)).json()

    assert (paused["state"], paused["failures"]) == ("paused", 3)
    assert "3 tries in a row have failed" in paused["notice"]
    assert "answered 503" in paused["notice"]
    assert [each["id"] for each in stopped] == [paused["id"]]
    assert paused["id"] not in [each["id"] for each in others]
    assert (resumed["state"], resumed["failures"], resumed["failing_since"]) == ("active", 0, None)
    assert (after["state"], after["notice"]) == ("active", None)
    for party in parties:
        told = [event for event in receiver.told if event["party_id"] == f"party_{party.hex}"]
        assert [event["data"]["revision"] for event in told] == [1, 2]


async def test_a_message_refused_for_three_days_pauses_its_webhook_although_others_are_taken(
    door: Door, tmp_path: Path
) -> None:
    database, party = door.app.state.database, uuid7()
    async with called(door, tmp_path) as (receiver, path, _, _):

        async def state_after(tries: int) -> dict[str, Any]:
            async with asyncio.timeout(120):
                while await tries_of(database, party) < tries or not receiver.taken:
                    await asyncio.sleep(0.05)
            shown: dict[str, Any] = (await door.client.get(path)).json()
            return shown

        receiver.refused = f"party_{party.hex}"
        await tell(database, [(party, {"revision": 1}), (uuid7(), {"revision": 1})])
        await state_after(1)
        await first_tried(database, party, timedelta(days=2, hours=23))
        borne = await state_after(2)
        await first_tried(database, party, timedelta(days=3))
        paused = await state_after(3)
        receiver.refused = None
        await door.client.post(f"{path}/resume")
        await until(lambda: len(receiver.taken) == 2)

    assert (borne["state"], borne["notice"]) == ("active", None)
    assert (paused["state"], paused["notice"]) == (
        "paused",
        "A message was not taken for three days; nothing is lost.",
    )
    assert receiver.told[-1]["party_id"] == f"party_{party.hex}"


async def tries_of(database: Database, party: UUID) -> int:
    """How often a party's message was tried, and the try written down."""
    async with database.transaction() as session:
        connection = await driver(session)
        tries: int | None = await connection.fetchval(
            "SELECT attempts FROM webhook_delivery WHERE party_id = $1 AND last_at IS NOT NULL", party
        )
        return tries or 0


async def first_tried(database: Database, party: UUID, ago: timedelta) -> None:
    """Have the message of a party be one that was first tried so long ago, and is due."""
    async with database.transaction() as session:
        await (await driver(session)).execute(
            "UPDATE webhook_delivery SET first_at = $2, next_at = $3, last_at = NULL WHERE party_id = $1",
            *(party, now() - ago, now()),
        )


async def test_only_the_tiers_that_are_asked_for_are_told_and_told_again_from_a_time_on(
    door: Door, tmp_path: Path
) -> None:
    database = door.app.state.database
    async with called(door, tmp_path, tiers=["top"]) as (receiver, path, _, _):
        await tell(database, [(uuid7(), {"to_tier": "low"}), (uuid7(), {"to_tier": "top"})])
        await until(lambda: receiver.taken)
        between = now()
        await tell(database, [(uuid7(), {"to_tier": "top"})])
        await until(lambda: len(receiver.taken) == 2)
        await door.client.post(f"{path}/replay", json={"since": between.isoformat()})
        await until(lambda: len(receiver.taken) == 3)

    assert [event["sequence"] for event in receiver.told] == [2, 3, 3]


async def test_a_message_that_is_taken_ends_the_row_of_failures(door: Door, tmp_path: Path) -> None:
    settings = {"GATEWAY_WEBHOOK_FAILURES": "2", "GATEWAY_WEBHOOK_FAILING_HOURS": "0"}
    async with called(door, tmp_path, settings) as (receiver, path, _, _):
        receiver.answers = [503]
        await tell(door.app.state.database, [(uuid7(), {"revision": 1})])
        await until(lambda: not receiver.answers)
        async with asyncio.timeout(120):
            while not (failing := (await door.client.get(path)).json())["failures"]:
                await asyncio.sleep(0.05)
        await until(lambda: receiver.taken)
        async with asyncio.timeout(120):
            while (taken := (await door.client.get(path)).json())["failures"]:
                await asyncio.sleep(0.05)

    assert (failing["state"], failing["failures"]) == ("active", 1)
    assert failing["failing_since"]
    assert (taken["state"], taken["failing_since"]) == ("active", None)


async def test_a_message_that_fails_holds_back_its_party_and_those_that_it_was_merged_into_and_no_other(
    door: Door, tmp_path: Path
) -> None:
    merged, survivor, other = uuid7(), uuid7(), uuid7()
    async with called(door, tmp_path) as (receiver, *_):
        receiver.answers = [503]
        await tell(door.app.state.database, [(merged, {"revision": 1, "merged_into": f"party_{survivor.hex}"})])
        await until(lambda: not receiver.answers)
        await tell(door.app.state.database, [(survivor, {"revision": 2}), (other, {"revision": 1})])
        await until(lambda: receiver.taken)
        await until(lambda: len(receiver.taken) == 3)

    assert [event["sequence"] for event in receiver.told] == [3, 1, 2]


async def test_a_receiver_that_takes_nothing_for_a_day_is_told_of_while_it_is_still_called(door: Door) -> None:
    path = (await door.client.post("/v1/webhooks", json={"url": "https://example.com/hooks"})).headers["location"]
    told = []
    for failing in (timedelta(hours=23), timedelta(hours=24)):
        async with door.app.state.database.transaction() as session:
            await (await driver(session)).execute(
                "UPDATE webhook SET failures = 12, failing_since = $1 WHERE id = $2",
                *(now() - failing, UUID(path.rpartition("_")[2])),
            )
            counted = await webhooks.failing(session, now())
        shown = (await door.client.get(path)).json()
        stopped, others = [
            (await door.client.get("/v1/webhooks", params={"failing": each})).json()["data"] for each in (True, False)
        ]
        told.append((shown["state"], shown["notice"] is None, counted, len(stopped), len(others)))

    assert told == [("active", True, 0, 0, 1), ("active", False, 1, 1, 0)]
    assert "failed tries: 12" in shown["notice"]

    missed = "What the feed told after 3 is kept no longer; it went on after 9."
    async with door.app.state.database.transaction() as session:
        await (await driver(session)).execute("UPDATE webhook SET notice = $1", missed)
    both = (await door.client.get(path)).json()["notice"]
    assert both == f"{shown['notice']} {missed}"


async def test_what_is_due_is_found_at_once_although_nothing_is_known_of_the_table_yet(door: Door) -> None:
    """PostgreSQL looks at a table now and then only: what has come since, and that is all at first, it guesses."""
    database = door.app.state.database
    made = await door.client.post("/v1/webhooks", json={"url": "https://example.com/hooks"})
    webhook_id, parties = UUID(made.json()["id"].removeprefix("webhook_")), [uuid7() for _ in range(1_000)]
    rows = [
        (webhook_id, seq, f"event_{seq}", "x", parties[seq % 1_000], parties[500] if seq < 1 else None, "{}", now())
        for seq in range(10_000)
    ]
    async with database.transaction() as session:
        connection = await driver(session)
        await connection.executemany(webhooks._ADD, rows)
        known = await connection.fetchval("SELECT reltuples FROM pg_class WHERE relname = 'webhook_delivery'")

    # Where it compares each with each, one claim of these takes a minute.
    async with asyncio.timeout(120):
        taken = []
        for _ in range(40):
            async with database.transaction() as session:
                taken.append(await webhooks.claim(await driver(session), webhook_id, now(), 32))

    assert known == -1
    assert [len(each) for each in taken[:32]] == [32] * 31 + [7]
    assert not any(taken[32:])
    assert {each.message_id for some in taken for each in some} == {
        f"event_{seq}" for seq in range(1_000) if seq != 500
    }


async def test_of_ten_thousand_deliveries_none_is_lost_and_each_party_keeps_its_order(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The receiver fails, breaks off connections, answers too late now and then, and begins anew; who delivers is
    killed in the middle.
    """
    chance, parties = random.Random(7), [uuid7() for _ in range(1_000)]
    database = door.app.state.database
    fronts: list[Front] = []

    async def front(receiver: str) -> str:
        fronts.append(Front(receiver, lambda: chance.random() < 0.002))
        await fronts[0].come()
        return fronts[0].url

    async def failed_by(*errors: str) -> None:
        counted = "SELECT count(*) FROM webhook_delivery WHERE error = ANY($1::text[])"
        async with asyncio.timeout(120):
            while True:
                async with database.transaction() as session:
                    if await (await driver(session)).fetchval(counted, errors):
                        return
                await asyncio.sleep(0.2)

    async with called(door, tmp_path, {"GATEWAY_WEBHOOK_PATIENCE_S": "3"}, front) as (receiver, _, _, worker):
        receiver.stall_s = 8
        receiver.mood = lambda: chance.choices([200, 503, 0], [9_970, 25, 5])[0]
        await tell(database, [(party, {"revision": turn}) for turn in range(1, 11) for party in parties])
        await until(lambda: len(receiver.taken) > 2_000, 240)
        worker.kill()
        worker.start()
        await until(lambda: len(receiver.taken) > 5_000, 240)
        receiver.mood = lambda: 0
        await failed_by("TimeoutError", "ConnectionTimeoutError", "ServerTimeoutError")
        receiver.mood = lambda: 200
        fronts[0].go()
        await failed_by("ClientConnectorError")
        await fronts[0].come()
        async with asyncio.timeout(360):
            while len({event["id"] for event in receiver.told}) < 10_000:
                # What failed, or was under way at the kill, is due at once: the pauses are tested by themselves.
                async with database.transaction() as session:
                    await (await driver(session)).execute(
                        "UPDATE webhook_delivery SET next_at = $1 WHERE state = 'waiting' AND last_at IS NOT NULL",
                        now(),
                    )
                await asyncio.sleep(2)

        fronts[0].go()

    assert fronts[0].broken_off
    first: dict[str, dict[int, int]] = defaultdict(dict)
    for place, event in enumerate(receiver.told):
        first[event["party_id"]].setdefault(event["data"]["revision"], place)
    assert len(first) == 1_000
    for places in first.values():
        assert [places[revision] for revision in range(1, 11)] == sorted(places.values())
