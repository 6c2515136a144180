"""Webhooks, delivered: planned from the feed, signed, sent where they may go, tried again."""

import asyncio
import random
import socket
import time
from collections import Counter
from datetime import timedelta
from ipaddress import ip_address
from typing import Any, Never
from uuid import UUID

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver, ResolveResult
from prometheus_client import Counter as Counting
from prometheus_client import Gauge
from yarl import URL

from chassis.clock import now
from chassis.db import Database, database_is_away, driver
from chassis.rest import rest
from gateway.domain.webhooks import (
    TRIED_FOR,
    Allowed,
    Endurance,
    ForbiddenTarget,
    check_addresses,
    check_url,
    literal_of,
    notice_of,
    pause_s,
    secret_bytes,
    signature,
)
from gateway.models.webhooks import Webhook
from gateway.queries import webhooks
from gateway.queries.sealing import Unsealable
from gateway.queries.webhooks import Claimed, Sealer

log = structlog.get_logger()

REST_S = 0.2
NOBODY_REST_S = 1.0
"""Seconds between looks for a webhook where there is none: an installation that nobody uses costs next to nothing."""
SIDE_BY_SIDE = 32
"""Deliveries to one receiver at a time: one that stalls holds up no other."""
CONNECT_S = 5.0
"""So long the receiver may take to accept a connection, if all of an answer may take longer."""
UNSIGNED = "The secret cannot be read, since the secret of the installation is another one: rotate it."
READ_BYTES = 1_024
"""What is read of an answer, and then passed over."""

TRIES = Counting("shuke_webhook_tries", "Tries to deliver a message to a receiver.", ["status"])
STOPPED = Gauge(
    "shuke_webhooks_stopped",
    "Webhooks whose receiver takes nothing: stopped for it, or failing for a day and still tried.",
)


class Checked(AbstractResolver):
    """Resolves names to addresses that webhooks may call: what is checked is what is connected to."""

    def __init__(self, allowed: Allowed) -> None:
        self._allowed = allowed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """All addresses. Raises `ForbiddenTarget` where one of them is inside. Names are called by https or listed."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=socket.AF_UNSPEC)
        check_addresses("https", host, (ip_address(str(address[0])) for *_, address in found), self._allowed)
        return [
            ResolveResult(hostname=host, host=str(address[0]), port=port, family=kind, proto=proto, flags=0)
            for kind, _, proto, _, address in found
        ]

    async def close(self) -> None:
        """Nothing is held."""


async def check_scheme(url: URL, allowed: Allowed) -> None:
    """Raise `ForbiddenTarget` for plain http to what is not listed."""
    if url.scheme == "http" and url.host and literal_of(url.host) is None:
        found = await asyncio.get_running_loop().getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
        check_addresses("http", url.host, (ip_address(str(address[0])) for *_, address in found), allowed)


async def deliver(
    database: Database, *, sealer: Sealer, allowed: Allowed, endurance: Endurance, patience_s: float
) -> Never:
    """Deliver until cancelled; any number of these may run. A receiver has `patience_s` for its answer."""
    patience = aiohttp.ClientTimeout(total=patience_s, sock_connect=CONNECT_S)
    connector = aiohttp.TCPConnector(resolver=Checked(allowed), use_dns_cache=False, limit=0, force_close=True)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        timeout=patience,
    ) as client:
        sender = Sender(database, client, sealer, allowed, endurance)
        while True:
            try:
                async with asyncio.TaskGroup() as tasks:
                    await sender.run(tasks)
            except Exception as error:
                if not database_is_away(error):
                    raise
                log.warning("webhooks are delivered later", error=str(error))
                await rest(1)


class Sender:
    """What of this process is on its way to receivers."""

    def __init__(
        self,
        database: Database,
        client: aiohttp.ClientSession,
        sealer: Sealer,
        allowed: Allowed,
        endurance: Endurance,
    ) -> None:
        self._database, self._client = database, client
        self._sealer, self._allowed, self._endurance = sealer, allowed, endurance
        self._underway: Counter[UUID] = Counter()
        self._free = asyncio.Event()

    async def run(self, tasks: asyncio.TaskGroup) -> Never:
        """Plan and send."""
        self._underway.clear()
        while True:
            self._free.clear()
            async with self._database.transaction() as session:
                known = await webhooks.active(session)
                STOPPED.set(await webhooks.failing(session, now()))
            more = False
            for webhook in known:
                async with self._database.transaction() as session:
                    more = await webhooks.plan(session, await driver(session), webhook.id, now()) or more
                if free := SIDE_BY_SIDE - self._underway[webhook.id]:
                    async with self._database.transaction() as session:
                        claimed = await webhooks.claim(await driver(session), webhook.id, now(), free)
                    self._underway[webhook.id] += len(claimed)
                    for each in claimed:
                        tasks.create_task(self._deliver(webhook, each))
            try:
                async with asyncio.timeout(0 if more else REST_S if known else NOBODY_REST_S):
                    await self._free.wait()
            except TimeoutError:
                continue

    async def _deliver(self, webhook: Webhook, claimed: Claimed) -> None:
        try:
            began = time.monotonic()
            code, asked, error = await self._sent(webhook, claimed)
            at, took_ms = now(), round((time.monotonic() - began) * 1_000)
            good = code is not None and 200 <= code < 300
            TRIES.labels("delivered" if good else "failed").inc()
            wait_s = pause_s(claimed.attempts, random.random(), asked, at)
            async with self._database.transaction() as session:
                connection = await driver(session)
                told: dict[str, Any] = {"code": code, "duration_ms": took_ms, "error": error}
                next_at = at if good else at + timedelta(seconds=wait_s)
                await webhooks.settle(connection, claimed, delivered=good, at=at, next_at=next_at, **told)
                counted = None
                if good:
                    await webhooks.taken(connection, webhook.id)
                else:
                    counted = await webhooks.failed(connection, webhook.id, at)
                if code == 410:
                    await webhooks.stop(connection, webhook.id, "disabled", "The receiver answered 410: it has gone.")
                elif not good and at - claimed.first_at >= TRIED_FOR:
                    await webhooks.stop(
                        connection, webhook.id, "paused", "A message was not taken for three days; nothing is lost."
                    )
                elif counted is not None and self._endurance.ends(*counted, at):
                    await webhooks.stop(connection, webhook.id, "paused", notice_of(*counted, error))
        finally:
            self._underway[webhook.id] -= 1
            if self._underway[webhook.id] <= SIDE_BY_SIDE // 2:
                self._free.set()

    async def _sent(self, webhook: Webhook, claimed: Claimed) -> tuple[int | None, str | None, str | None]:
        """Status, Retry-After and what went wrong."""
        body, timestamp = claimed.body.encode(), int(time.time())
        sealed = [webhook.secret]
        if webhook.previous_secret and webhook.previous_until and webhook.previous_until > now():
            sealed.append(webhook.previous_secret)
        try:
            opened = [secret_bytes(self._sealer.open(each)) for each in sealed]
        except Unsealable:
            return None, None, UNSIGNED
        signed = [signature(each, claimed.message_id, timestamp, body) for each in opened]
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Shuke",
            "webhook-id": claimed.message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": " ".join(signed),
        }
        try:
            check_url(webhook.url, self._allowed)
            url = URL(webhook.url)
            await check_scheme(url, self._allowed)
            async with self._client.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                await answer.content.read(READ_BYTES)
                error = None if answer.status < 300 else f"answered {answer.status}"
                return answer.status, answer.headers.get("Retry-After"), error
        except ForbiddenTarget as problem:
            return None, None, problem.detail
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return None, None, type(error).__name__
