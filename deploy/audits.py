"""Whether versions that the lock files name have vulnerabilities that are known."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

OSV_URL = "https://api.osv.dev/v1/query"
ANSWERS_S = 5
"""Seconds in which a service that is there has answered."""
WHOLE_S = 600
"""Seconds for all packages of a lock file."""
ACCEPTED = Path("deploy/accepted_vulnerabilities.json")
"""Vulnerabilities that stop nothing: each with its id, the package, the reason and the day until which that holds."""


class NotAudited(Exception):
    """Nobody could say; why."""


@dataclass(frozen=True)
class Vulnerability:
    """Something known about a version in use."""

    package: str
    version: str
    ids: Sequence[str]
    """Its id, then the names that others have for it."""
    fixed: Sequence[str] = ()
    """Versions without it."""

    def __str__(self) -> str:
        names = f"{self.ids[0]} ({', '.join(self.ids[1:])})" if self.ids[1:] else self.ids[0]
        way_out = f"fixed in {', '.join(self.fixed)}" if self.fixed else "no fixed version is known"
        return f"{self.package} {self.version}: {names}, {way_out}"


@dataclass(frozen=True)
class Accepted:
    """A vulnerability that was looked at and does no harm here."""

    id: str
    package: str
    reason: str
    until: date

    @classmethod
    def read(cls, file: Path) -> "list[Accepted]":
        """All of a file. Raises `ValueError` for one without a reason."""
        told = [cls(**{**each, "until": date.fromisoformat(each["until"])}) for each in json.loads(file.read_text())]
        if careless := [each.id for each in told if not each.reason.strip()]:
            raise ValueError(f"{file} gives no reason for {', '.join(careless)}.")
        return told

    def covers(self, found: Vulnerability, today: date) -> bool:
        """Whether this is the one, and its day has not passed."""
        return found.package == self.package and self.id in found.ids and today <= self.until


def standing(found: Iterable[Vulnerability], accepted: Sequence[Accepted], today: date) -> list[Vulnerability]:
    """What is not accepted, or no longer."""
    return [each for each in found if not any(one.covers(each, today) for one in accepted)]


def of_python(locks: Sequence[Path], url: str = OSV_URL) -> list[Vulnerability]:
    """What a service that speaks OSV knows of the versions in lock files with hashes. Raises `NotAudited`."""
    _await_answer(url)
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "told.json"
        command = [
            *(sys.executable, "-m", "pip_audit", "--disable-pip", "--progress-spinner", "off"),
            *("--vulnerability-service", "osv", "--osv-url", url, "--timeout", str(ANSWERS_S)),
            *("--cache-dir", str(Path(folder) / "cache"), "--format", "json", "--output", str(told)),
            *(word for lock in locks for word in ("--requirement", str(lock))),
        ]
        said = _run(command, Path.cwd())
        # It ends 1 both for what it found and for what it could not ask; only after asking it writes.
        if not told.exists():
            raise NotAudited(_last(said.stderr))
        dependencies = json.loads(told.read_text())["dependencies"]
    if left_out := [each["name"] for each in dependencies if "skip_reason" in each]:
        raise NotAudited(f"{url} does not know {', '.join(left_out)}")
    return [
        Vulnerability(each["name"], each["version"], [known["id"], *known["aliases"]], known["fix_versions"])
        for each in dependencies
        for known in each["vulns"]
    ]


def of_npm(folder: Path, registry: str | None = None) -> list[Vulnerability]:
    """What the registry of npm knows of the versions in a folder's package-lock.json. Raises `NotAudited`."""
    npm = shutil.which("npm")
    if npm is None:
        raise NotAudited("npm is not installed")
    where = ["--registry", registry] if registry else []
    retries = ["--fetch-retries", "0", "--fetch-timeout", str(ANSWERS_S * 1_000)]
    said = _run([npm, "audit", "--package-lock-only", "--json", *retries, *where], folder)
    try:
        report = json.loads(said.stdout)
    except ValueError:
        raise NotAudited(_last(said.stderr)) from None
    if "vulnerabilities" not in report:
        raise NotAudited(str(report.get("message") or report.get("error") or _last(said.stderr)))
    locked = json.loads((folder / "package-lock.json").read_text())["packages"]
    return list(_of_report(report["vulnerabilities"], locked))


def _of_report(report: Mapping[str, Any], locked: Mapping[str, Any]) -> Iterator[Vulnerability]:
    for name, told in report.items():
        versions = sorted({locked[node]["version"] for node in told["nodes"] if node in locked})
        # A name alone says that another package of the report is why.
        for known in (each for each in told["via"] if isinstance(each, dict)):
            yield Vulnerability(name, ", ".join(versions), [known["url"].rpartition("/")[2]])


def _await_answer(url: str) -> None:
    import httpx

    asked = {"package": {"name": "pip", "ecosystem": "PyPI"}, "version": "26.0"}
    try:
        httpx.post(url, json=asked, timeout=ANSWERS_S).raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        raise NotAudited(f"{url} does not answer: {error}") from None


def _run(command: Sequence[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=WHOLE_S)
    except subprocess.TimeoutExpired:
        raise NotAudited(f"it took longer than {WHOLE_S} s") from None


def _last(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "nothing was said"
