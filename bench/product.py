"""A product to be measured: started by the command that a user would type, on a folder of its own."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from deploy import postgres, supervisor
from deploy.ports import free_port
from deploy.process import die_with_me, marked

ROOT = Path(__file__).resolve().parents[1]
CURRENCY = "USD"
STOPS_S = 120


class NotStarted(Exception):
    """The product ended or did not get ready; what it said."""


@dataclass(frozen=True)
class Running:
    """A product that answers."""

    folder: Path
    process: "subprocess.Popen[bytes]"

    @property
    def url(self) -> str:
        """Where it answers."""
        url: str = supervisor.endpoints(self.folder)["url"]
        return url

    @property
    def headers(self) -> dict[str, str]:
        """What a client with every right sends."""
        return {"Authorization": f"Bearer {(self.folder / 'admin.key').read_text().strip()}"}

    def database(self, name: str) -> str:
        """The address of a database of its PostgreSQL, as the one who may do everything."""
        place, _, _ = supervisor.endpoints(self.folder)["postgres"]["customers"].partition("/")
        return f"postgresql://postgres:{postgres.passwords(self.folder)['postgres']}@{place}/{name}"

    def client(self) -> httpx.Client:
        """A client with every right."""
        return httpx.Client(base_url=self.url, headers=self.headers, timeout=60, trust_env=False)

    def resident_mb(self) -> float:
        """Memory of all processes; what several share is counted once."""
        pids = [self.process.pid, *marked(self.folder / "run"), *postgres.of_folder(self.folder / "postgres")]
        return sum(map(memory_kb, pids)) / 1024

    def cpu_s(self) -> float:
        """Processor time of all processes that there are, and of those that they have seen the end of."""
        pids = [self.process.pid, *marked(self.folder / "run"), *postgres.of_folder(self.folder / "postgres")]
        return sum(map(cpu_ticks, pids)) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End it in order. Raises `TimeoutExpired` where that takes too long, when it is ended all the same."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=STOPS_S)
            except subprocess.TimeoutExpired:
                # All that it started goes with it: what is measured next must not share the machine.
                self.process.kill()
                self.process.wait()
                raise


def cpu_ticks(pid: int) -> int:
    """Processor time of a process, and of its children that ended; 0 of one that is not there."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    # utime, stime, cutime and cstime, behind a name that may have blanks (proc_pid_stat(5)).
    return sum(map(int, stat.rpartition(")")[2].split()[11:15]))


def memory_kb(pid: int) -> int:
    """Memory of a process; what it shares with others counts for its part. 0 of one that is not there."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def start(folder: Path, *words: str, variables: Mapping[str, str] | None = None, seconds: float = 300) -> Running:
    """Start a product and wait for its ready line, which comes when everything answers."""
    folder.mkdir(parents=True, exist_ok=True)
    own = {name: value for name, value in os.environ.items() if not name.startswith("SHUKE_")}
    own |= {"SHUKE_CACHE_DIR": os.environ.get("SHUKE_CACHE_DIR", str(ROOT / ".cache")), "PYTHONPATH": str(ROOT)}
    said = folder.with_suffix(".out")
    command = (sys.executable, "-P", "-m", "deploy.cli", *words, "--data", str(folder), "--empty")
    with said.open("wb") as out:
        process = subprocess.Popen(
            command, env=own | dict(variables or {}), stdout=out, stderr=out, preexec_fn=die_with_me()
        )
    running = Running(folder, process)
    until = time.monotonic() + seconds
    while "ready http://" not in said.read_text():
        if process.poll() is not None or time.monotonic() > until:
            running.stop()
            raise NotStarted(said.read_text())
        time.sleep(0.05)
    return running


@contextmanager
def product(*words: str, variables: Mapping[str, str] | None = None) -> Iterator[Running]:
    """A product on a fresh folder for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="shuke-bench-") as folder:
        asked = *words, "--currency", CURRENCY, "--port", str(free_port())
        running = start(Path(folder) / "data", *asked, variables=variables)
        try:
            yield running
        finally:
            running.stop()


def settle(client: httpx.Client, seconds: float = 600) -> None:
    """Return when every event has its number and scoring has read all of them."""
    until = time.monotonic() + seconds
    while True:
        status: dict[str, Any] = client.get("/v1/status").raise_for_status().json()
        behind = sum(each["events"] for each in status["lag"])
        # Without a list nobody has begun to read.
        if status["lag"] and status["oldest_unsequenced_s"] == 0 and not behind:
            return
        if time.monotonic() > until:
            raise TimeoutError(json.dumps(status))
        time.sleep(0.05)
