import gzip
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deploy import audits
from deploy.audits import Accepted, NotAudited, Vulnerability
from deploy.cli import app
from deploy.cli.quality import ROOT
from tests.listening import listening

GONE = "http://127.0.0.1:1/v1/query"
KNOWN = Vulnerability("jinja2", "3.1.2", ["CVE-2024-22195", "GHSA-h5c8-rqwp-cp95"], ["3.1.3"])
LOCK = (
    "certifi==2024.2.2 \\\n    --hash=sha256:" + "a" * 64 + "\njinja2==3.1.2 \\\n    --hash=sha256:" + "b" * 64 + "\n"
)


class Knows(BaseHTTPRequestHandler):
    """Answers as api.osv.dev and as the registry of npm, of which each knows one vulnerability."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self._answer(200, self._npm(json.loads(body)) if "npm" in self.path else self._osv(json.loads(body)))

    def do_GET(self) -> None:
        self._answer(404, {"error": "Not found"})

    def _answer(self, status: int, told: Any) -> None:
        content = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _osv(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["package"] != {"name": "jinja2", "ecosystem": "PyPI"} or asked["version"] != "3.1.2":
            return {}
        affected = {
            "package": {"name": "jinja2", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.1.3"}]}],
        }
        told = {"id": KNOWN.ids[1], "aliases": KNOWN.ids[:1], "summary": "xmlattr", "affected": [affected]}
        return {"vulns": [told | {"schema_version": "1.6.0", "published": "2024-01-11T15:20:48Z"}]}

    def _npm(self, asked: dict[str, list[str]]) -> dict[str, Any]:
        if "3.0.4" not in asked.get("minimatch", []):
            return {}
        told = {"id": 1096485, "url": "https://github.com/advisories/GHSA-f8q6-p94x-37v3", "title": "ReDoS"}
        return {"minimatch": [told | {"severity": "high", "vulnerable_versions": "<3.0.5", "cwe": [], "cvss": {}}]}

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving() -> Iterator[str]:
    with listening(ThreadingHTTPServer(("127.0.0.1", 0), Knows)) as server:
        yield f"http://127.0.0.1:{server.server_port}"


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    with serving() as url:
        yield url


def test_a_version_with_a_known_vulnerability_is_told_with_the_version_that_has_it_no_more(
    service: str, tmp_path: Path
) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(LOCK)
    assert audits.of_python([lock], f"{service}/v1/query") == [KNOWN]
    assert str(KNOWN) == "jinja2 3.1.2: CVE-2024-22195 (GHSA-h5c8-rqwp-cp95), fixed in 3.1.3"
    lock.write_text(LOCK.replace("3.1.2", "3.1.3"))
    assert audits.of_python([lock], f"{service}/v1/query") == []


def test_a_service_that_does_not_answer_says_nothing_about_versions(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(LOCK)
    with pytest.raises(NotAudited, match="does not answer"):
        audits.of_python([lock], GONE)


def test_a_lock_file_that_cannot_be_read_is_not_taken_for_one_without_vulnerabilities(
    service: str, tmp_path: Path
) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("jinja2 >= 3\n")
    with pytest.raises(NotAudited):
        audits.of_python([lock], f"{service}/v1/query")


def test_packages_of_npm_are_asked_for_at_its_registry(service: str, tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    root = {"name": "page", "version": "1.0.0", "dependencies": {"minimatch": "3.0.4"}}
    locked = {"version": "3.0.4", "resolved": "https://example.org/minimatch-3.0.4.tgz"}
    told = {"name": "page", "version": "1.0.0", "lockfileVersion": 3, "requires": True}
    (tmp_path / "package.json").write_text(json.dumps(root))
    (tmp_path / "package-lock.json").write_text(
        json.dumps(told | {"packages": {"": root, "node_modules/minimatch": locked}})
    )
    assert audits.of_npm(tmp_path, service) == [Vulnerability("minimatch", "3.0.4", ["GHSA-f8q6-p94x-37v3"])]
    with pytest.raises(NotAudited):
        audits.of_npm(tmp_path, "http://127.0.0.1:1")


def test_what_was_accepted_stops_nothing_until_its_day_has_passed(tmp_path: Path) -> None:
    file = tmp_path / "accepted.json"
    told = {"id": "CVE-2024-22195", "package": "jinja2", "reason": "No attribute comes from outside."}
    file.write_text(json.dumps([told | {"until": "2026-12-31"}]))
    [accepted] = Accepted.read(file)
    other = Vulnerability("jinja2", "3.1.2", ["GHSA-0000-0000-0000"])
    assert audits.standing([KNOWN, other], [accepted], date(2026, 12, 31)) == [other]
    assert audits.standing([KNOWN], [accepted], date(2027, 1, 1)) == [KNOWN]
    file.write_text(json.dumps([told | {"until": "2026-12-31", "reason": " "}]))
    with pytest.raises(ValueError, match="gives no reason for CVE-2024-22195"):
        Accepted.read(file)


def test_what_is_accepted_can_be_read() -> None:
    assert all(each.until > date(2026, 1, 1) for each in Accepted.read(ROOT / audits.ACCEPTED))


def test_check_ends_badly_for_a_vulnerability_and_says_loudly_where_nobody_could_tell(
    service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deploy").mkdir()
    (tmp_path / audits.ACCEPTED).write_text("[]")
    for lock in ("requirements.lock", "requirements-dev.lock"):
        (tmp_path / lock).write_text(LOCK)
    monkeypatch.setattr("deploy.cli.quality.ROOT", tmp_path)
    monkeypatch.setattr("deploy.cli.quality.CHECKS", ())
    found = CliRunner().invoke(app, ["check", "--osv-url", f"{service}/v1/query"])
    assert found.exit_code == 1
    assert str(KNOWN) in found.output
    untold = CliRunner().invoke(app, ["check", "--osv-url", GONE])
    assert untold.exit_code == 0
    assert "NOT AUDITED: requirements.lock, requirements-dev.lock: " in untold.output
