import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path

from gateway.domain.rights import Role
from tests.system.conftest import Start
from tests.system.product import Product

CASES = int(os.environ.get("SHUKE_TEST_CASES", "0"))
"""Requests that are made at least, however few it takes for everybody to have asked for everything."""
FEW = Role.OWNER, Role.AGENT, Role.INGEST
"""Who may do everything, who reaches some parties, and who only writes."""
ROLES = [Role(role) for role in os.environ.get("SHUKE_TEST_ROLES", " ".join(Role if CASES else FEW)).split()]
"""By whom is asked, each role in its turn."""
PASSWORD = "quiet lantern over 7 rivers"
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
    "named_problem",
)
LEFT_OUT = (
    # It closes the intake for everything that would come after it.
    "/v1/drain",
    # It ends when its reader does.
    "/v1/stream",
    # It is the session by which is asked.
    "/v1/sessions/current",
)


class Fuzzer:
    """Asks a product as the document allows and forbids, by a person of each role."""

    def __init__(self, product: Product, folder: Path) -> None:
        self._product, self._folder = product, folder
        self.notes = folder / "notes.json"
        self.wrong: list[str] = []
        self.answers: dict[Role, Counter[str]] = {role: Counter() for role in ROLES}
        [self._key] = [key["id"] for key in product.client.get("/v1/keys").json()["data"] if key["current"]]
        self._team = product.post("/v1/teams", json={"name": "North"})["id"]
        self._people: dict[Role, tuple[str, str]] = {}
        self._own = [self._key, self._team]
        first = product.post("/v1/invitations/first")
        self._accept(Role.OWNER, first, name="Olga", email="owner@people.example")
        for role in Role:
            if role is not Role.OWNER:
                wanted = {"name": role, "email": f"{role}@people.example", "roles": [role], "team_id": self._team}
                self._accept(role, product.post("/v1/users", json=wanted)["invitation"])
        for number, role in enumerate(Role):
            party = product.register(f"{role}@parties.example")
            care = {"owner_id": self._people[role][0], "team_id": self._team}
            product.put(f"/v1/parties/{party}/owner", json=care)
            product.buy(f"{role}@parties.example", f"2026-02-{number + 1:02}T10:00:00Z", 1_000)

    def _accept(self, role: Role, link: dict[str, str], **said: str) -> None:
        told = {"token": link["token"], "password": PASSWORD, **said}
        answer = self._product.client.post("/v1/invitations/accept", json=told, headers={"Authorization": ""})
        assert answer.status_code == 201, answer.text
        self._people[role] = answer.json()["user"]["id"], answer.json()["token"]
        sessions = self._product.client.get("/v1/sessions", headers=self._as(role)).json()["data"]
        self._own += [self._people[role][0], *(session["id"] for session in sessions)]

    @property
    def asked(self) -> int:
        """How often, by all."""
        return sum(answers.total() for answers in self.answers.values())

    def ask(self, role: Role, phase: str, seed: int) -> None:
        """Ask for every operation, and keep what was not answered as the document says."""
        if wrong := self._round(role, phase, seed):
            self.wrong.append(f"{role}: {wrong}")
        self.answers[role].update(json.loads(self.notes.read_text())["answers"])
        assert self._product.client.get("/v1/me", headers=self._as(role)).status_code == 200, f"{role} is locked out."

    def _as(self, role: Role) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._people[role][1]}"}

    def _round(self, role: Role, phase: str, seed: int) -> str | None:
        url = self._product.running.url
        command = [
            *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"),
            *("run", f"{url}/openapi.json", "--checks", ",".join(CHECKS), "--phases", phase),
            *("--max-examples", "1", "--seed", str(seed)),
            *("--header", f"Authorization: {self._as(role)['Authorization']}"),
            *(word for path in LEFT_OUT for word in ("--exclude-path", path)),
            *("--no-shrink", "--continue-on-failure", "--warnings", "off", "--request-timeout", "60"),
        ]
        variables = {"SCHEMATHESIS_HOOKS": "tests.system.hooks", "SHUKE_FUZZ_OWN": ",".join(self._own)}
        variables |= {"SHUKE_FUZZ_NOTES": str(self.notes), "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        done = subprocess.run(
            command, cwd=self._folder, env={**os.environ, **variables}, capture_output=True, text=True, timeout=3_600
        )
        assert "Operations:" in done.stdout, done.stdout + done.stderr
        return f"{done.stdout[-40_000:]}{done.stderr[-2_000:]}" if done.returncode else None


def turns() -> Iterator[tuple[Role, str, int]]:
    """Who asks in which way: each role for every operation, then by values at their bounds, then again and again."""
    for seed, phase in enumerate(chain(("fuzzing", "coverage"), repeat("fuzzing")), 1):
        yield from ((role, phase, seed) for role in ROLES)


def test_nothing_that_the_document_allows_or_forbids_breaks_the_product(start: Start, tmp_path: Path) -> None:
    with start("up", "--empty") as product:
        fuzzer = Fuzzer(product, tmp_path)
        for turn, (role, phase, seed) in enumerate(turns()):
            if turn >= len(ROLES) and fuzzer.asked >= CASES:
                break
            fuzzer.ask(role, phase, seed)
        for paused in product.get("/v1/status")["paused"]:
            said = {"service": paused["service"], "topic": paused["topic"]}
            product.client.post("/v1/consumers/resume", json=said).raise_for_status()
        product.settle()
        assert product.agrees()
        for role, answers in fuzzer.answers.items():
            sys.stdout.write(f"{role}: {answers.total()} requests, {dict(sorted(answers.items()))}\n")
        assert not fuzzer.wrong, "\n".join(fuzzer.wrong)
        shares = [
            answers[kept_out] / answers.total() for answers in fuzzer.answers.values() for kept_out in ("429", "401")
        ]
        assert max(shares) <= 1 / 50
        logs = {path.name: path.read_text() for path in (product.folder / "logs").glob("*.log")}
    assert [name for name, text in logs.items() if "request failed" in text or "task died" in text] == []
