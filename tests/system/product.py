"""A product of real processes on a data folder of its own, and what is done with it, in words of the domain."""

import asyncio
import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from threading import Event, Thread
from typing import Any, Self
from uuid import UUID, uuid4

import asyncpg
import httpx

from bench.product import CURRENCY, ROOT, Running, start
from contracts.identity import Scheme, identity_id
from deploy import supervisor
from deploy.ports import free_port
from deploy.process import alive
from services.scoring.domain.model import Model
from services.scoring.domain.policy import Policy

KEY = "5c" * 32
"""One identity key for all, so that the same customer has the same id, and digests can be compared."""
SYSTEM = "shop"
PATIENCE_S = 90.0


def party_of(customer: str, system: str = SYSTEM) -> UUID:
    """The id of the identity, and as long as nothing was merged of the party, of somebody."""
    named = identifier(customer, system)
    return identity_id(bytes.fromhex(KEY), Scheme(named["scheme"]), named["value"], system=named.get("system"))


def identifier(customer: str, system: str = SYSTEM) -> dict[str, str]:
    """By e-mail address, by phone (`+49…`), else a customer of a shop or of what stands before the colon."""
    if "@" in customer or customer.startswith("+"):
        return {"scheme": "email" if "@" in customer else "phone", "value": customer}
    named, _, value = customer.rpartition(":")
    return {"scheme": "external", "system": named or system, "value": value}


class Product:
    """Started by the command that a user would type; only its clock may be ahead."""

    def __init__(self, folder: Path, *command: str) -> None:
        self.folder = folder
        self.command = command
        self.port = free_port()
        self.client = httpx.Client(trust_env=False)
        self.running: Running

    def up(self, *, ahead_s: float = 0) -> Self:
        """Start it and wait for its ready line."""
        key = self.folder.with_suffix(".identity")
        key.write_text(KEY)
        options = ("--port", str(self.port), "--currency", CURRENCY, "--identity-key", str(key))
        self.running = start(self.folder, *self.command, *options, variables={"SHUKE_CLOCK_OFFSET": str(ahead_s)})
        self.client = self.running.client()
        return self

    @property
    def said(self) -> str:
        """What its start printed."""
        return self.folder.with_suffix(".out").read_text()

    def down(self) -> None:
        """Stop it in order."""
        self.client.close()
        self.running.stop()

    def pids(self) -> dict[str, int]:
        return supervisor.pids(self.folder)

    def kill(self, name: str, sent: signal.Signals = signal.SIGKILL) -> None:
        os.kill(self.pids()[name], sent)

    def kill_and_await(self, name: str, seconds: float = 60) -> None:
        """Kill a process and wait until another has taken its place."""
        until = time.monotonic() + seconds
        # It may be between two lives already, for want of what was killed before it.
        while (before := self.pids().get(name)) is None and time.monotonic() < until:
            time.sleep(0.02)
        assert before is not None, f"{name} was not started within {seconds} s"
        os.kill(before, signal.SIGKILL)
        while time.monotonic() < until:
            # Between two lives there is no pid file, or an empty one.
            with suppress(FileNotFoundError, ValueError):
                now = self.pids().get(name, before)
                if now != before and alive(now):
                    return
            time.sleep(0.02)
        raise AssertionError(f"{name} was not started again within {seconds} s")

    def shuke(self, *words: str) -> str:
        """What a command says that ends well."""
        command = self.begun(*words)
        said, errors = command.communicate(timeout=120)
        if command.returncode:
            raise subprocess.CalledProcessError(command.returncode, command.args, said, errors)
        return said

    def begun(self, *words: str) -> "subprocess.Popen[str]":
        """A command that runs."""
        command = (sys.executable, "-P", "-m", "deploy.cli", *words, "--data", str(self.folder))
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def sql(self, database: str, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """Do something behind the product's back."""

        async def run() -> list[asyncpg.Record]:
            connection = await asyncpg.connect(self.running.database(database))
            try:
                return await connection.fetch(statement, *arguments)
            finally:
                await connection.close()

        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, run()).result()

    @contextmanager
    def held(self, database: str, statement: str) -> Iterator[None]:
        """Keep what a statement locks locked for as long as the block lasts."""
        held, done = Event(), Event()

        async def hold() -> None:
            connection = await asyncpg.connect(self.running.database(database))
            async with connection.transaction():
                await connection.execute(statement)
                held.set()
                await asyncio.to_thread(done.wait)
            await connection.close()

        thread = Thread(target=lambda: asyncio.run(hold()))
        thread.start()
        assert held.wait(60)
        try:
            yield
        finally:
            done.set()
            thread.join()

    def get(self, path: str, **query: Any) -> Any:
        return self._told("GET", path, params={name: value for name, value in query.items() if value is not None})

    def post(self, path: str, **sent: Any) -> Any:
        """Send once, however often it takes: while something is being restarted it is sent again under one key."""
        return self._told("POST", path, headers={"Idempotency-Key": uuid4().hex}, **sent)

    def put(self, path: str, **sent: Any) -> Any:
        return self._told("PUT", path, **sent)

    def _told(self, method: str, path: str, **sent: Any) -> Any:
        until = time.monotonic() + PATIENCE_S
        while True:
            response = None
            with suppress(httpx.TransportError):
                response = self.client.request(method, path, **sent)
            if response is not None:
                if response.is_success:
                    return response.json()
                passing = response.status_code >= 500 or response.json()["code"] in PASSING
                assert passing, f"{method} {path}: {response.text}"
            assert time.monotonic() < until, f"{method} {path}: {response and response.text}"
            time.sleep(0.1)

    def register(self, customer: str, system: str = SYSTEM) -> str:
        """The id of the party."""
        party: str = self.post("/v1/parties", json={"identifiers": [identifier(customer, system)]})["id"]
        return party

    def buy(self, customer: str, at: str, amount_minor: int, *, id: str | None = None, **more: Any) -> dict[str, Any]:
        body = {
            "source": "test",
            "source_id": id,
            "occurred_at": at,
            "currency": CURRENCY,
            "amount_minor": amount_minor,
        }
        purchase: dict[str, Any] = self.post("/v1/purchases", json={"identifier": identifier(customer), **body, **more})
        return purchase

    def ask(self, customer: str, at: str) -> dict[str, Any]:
        """A sign of interest."""
        body = {"department": "sales", "channel": "phone", "kind": "inquiry", "direction": "inbound"}
        asked: dict[str, Any] = self.post(
            "/v1/interactions", json={"identifier": identifier(customer), "occurred_at": at, **body}
        )
        return asked

    def bulk(self, kind: str, rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """Many purchases or returns at once."""
        outcome: dict[str, Any] = self.post(f"/v1/{kind}/bulk", content="\n".join(map(json.dumps, rows)).encode())
        return outcome

    def send(self, content: bytes, kind: str = "purchases", form: Mapping[str, str] = {}, /, **mapping: str) -> str:
        """Begin to import a file; the id of the import."""
        form = {"kind": kind, "source": SYSTEM, "currency": CURRENCY, "mapping": json.dumps(mapping), **form}
        started: str = self.post("/v1/imports", data=form, files={"file": ("rows.csv", content)})["id"]
        return started

    def bring(
        self, content: bytes, kind: str = "purchases", form: Mapping[str, str] = {}, /, **mapping: str
    ) -> dict[str, Any]:
        """Import a file and wait until every row is recorded; `form` says what else it needs to know."""
        return self.finished(self.send(content, kind, form, **mapping))

    def undo(self, import_id: str) -> dict[str, Any]:
        self.post(f"/v1/imports/{import_id}/undo")
        return self.finished(import_id)

    def finished(self, import_id: str, seconds: float = 600) -> dict[str, Any]:
        until = time.monotonic() + seconds
        while True:
            job: dict[str, Any] = self.get(f"/v1/imports/{import_id}")
            if job["state"] in ("done", "undone"):
                return job
            assert job["state"] != "failed", job
            assert time.monotonic() < until, job
            time.sleep(0.1)

    def settle(self, seconds: float = PATIENCE_S) -> Self:
        """Wait until every event is read, and who is one party is decided of all that was seen together."""
        until = time.monotonic() + seconds
        while True:
            status = self.get("/v1/status")
            # What was decided is told by events, which are then read; so it is nothing before and all read after it.
            if _read(status) and not self._undecided() and _read(status := self.get("/v1/status")):
                assert status["dead_letters"] == []
                return self
            assert time.monotonic() < until, status
            time.sleep(0.1)

    def _undecided(self) -> int:
        """Pairs that wait, and identifiers that nobody has compared with others."""
        [(waiting,)] = self.sql("customers", _WAITING)
        return int(waiting)

    def rebuild(self, seconds: float = 120) -> None:
        """Compute everything anew from the facts, and wait until every standing was assessed by it."""
        asked, until = self.post("/v1/rebuild"), time.monotonic() + seconds
        while not (rebuilt := self.get(f"/v1/rebuild/{asked['id']}"))["reassessed"]:
            assert rebuilt["state"] != "failed", rebuilt
            assert time.monotonic() < until, rebuilt
            time.sleep(0.1)

    def have_decide(self, policy: Policy) -> None:
        """Bring a policy from its draft to its activation."""
        told = self.post("/v1/policies", json={"document": policy.model_dump(mode="json")})
        assert told["hash"] == policy.content_hash
        path = f"/v1/policies/{policy.content_hash}"
        asked, until = self.post(f"{path}/trials"), time.monotonic() + PATIENCE_S
        while (trial := self.get(f"/v1/trials/{asked['id']}"))["state"] != "done":
            assert trial["state"] != "failed", trial
            assert time.monotonic() < until, trial
            time.sleep(0.1)
        self.post(f"{path}/approve")
        self.post(f"{path}/activate")

    def fit(self, as_of: date | None = None) -> dict[str, Any]:
        """Fit a model and have it decide, if enough bought again; what came of it."""
        asked = {"as_of": as_of and as_of.isoformat(), "activate": True, "force": True}
        until, job = time.monotonic() + PATIENCE_S, None
        while True:
            with suppress(httpx.TransportError):
                if job is None:
                    response = self.client.post("/v1/models", json=asked)
                    job = response.json()["id"] if response.status_code == 202 else None
                else:
                    told: dict[str, Any] = self.get(f"/v1/fits/{job}")
                    assert told["state"] in ("waiting", "running", "done"), told
                    if told["state"] == "done":
                        return told
            assert time.monotonic() < until
            time.sleep(0.1)

    def decides(self) -> tuple[Policy, Model | None]:
        """The active policy and model."""
        [policy] = self.get("/v1/policies", state="active")["data"]
        models = [model for model in self.get("/v1/models")["data"] if model["state"] == "active"]
        document = self.get(f"/v1/policies/{policy['hash']}")["document"]
        return Policy.model_validate(document), Model.model_validate(models[0]["document"]) if models else None

    def reassessed(self) -> Self:
        """Wait until every standing is one under what decides now."""
        until = time.monotonic() + PATIENCE_S
        while self.sql("scoring", "SELECT FROM ruling WHERE applied_at IS NULL"):
            assert time.monotonic() < until
            time.sleep(0.1)
        return self

    def standings(self, as_of: date) -> dict[UUID, dict[str, Any]]:
        """How everybody stood after a day, by party."""
        found, cursor = [], None
        while True:
            page = self.get("/v1/standings", as_of=as_of.isoformat(), limit=1_000, cursor=cursor)
            found += page["data"]
            if not (cursor := page["next_cursor"]):
                return {UUID(each["party_id"].removeprefix("party_")): each for each in found}

    def digest(self, as_of: date | None = None) -> str:
        digest: str = self.get("/v1/digest", as_of=as_of and as_of.isoformat())["digest"]
        return digest

    def verify(self, sample: int | None = None) -> dict[str, Any]:
        """What the second implementation says about every party, or about so many."""
        response = self.client.post("/v1/verify", params={"sample": sample} if sample else {}, timeout=300)
        assert response.is_success, response.text
        lines = [json.loads(line) for line in response.text.splitlines()]
        assert lines[-1]["done"], lines[-1]
        return {**lines[-1], "found": [found for line in lines for found in line.get("found", [])]}

    def agrees(self, sample: int | None = None) -> bool:
        """Whether verification finds nothing. What it finds is told by the failing test."""
        verdict = self.verify(sample)
        assert verdict["found"] == []
        return bool(verdict["disagreements"] == 0 and verdict["checked"])

    def export(self, as_of: date | None = None) -> dict[UUID, dict[str, str]]:
        """The lines of the export by party."""
        response = self.client.get("/v1/standings/export", params={"as_of": as_of.isoformat()} if as_of else {})
        assert response.is_success, response.text
        lines = csv.DictReader(io.StringIO(response.text))
        return {UUID(line["party_id"].removeprefix("party_")): line for line in lines}

    def moves(self, party_id: UUID, *, lived: bool = False) -> list[dict[str, Any]]:
        moves: list[dict[str, Any]] = self.get(f"/v1/standings/party_{party_id.hex}/moves", lived=lived)["data"]
        return moves


PASSING = {"request_in_progress", "too_many_requests", "no_standing"}
"""Codes of problems that the same request does not meet again, once what was told before it is read."""


def _read(status: Mapping[str, Any]) -> bool:
    answer = all(each["answers"] for each in status["services"])
    behind = sum(each["events"] for each in status["lag"])
    return bool(answer and status["oldest_unsequenced_s"] == 0 and status["lag"] and not behind)


_WAITING = """
SELECT (SELECT count(*) FROM pair_to_decide)
    + (SELECT count(*) FROM identity WHERE scheme IS NOT NULL AND NOT compared)
"""
