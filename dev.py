#!/usr/bin/env python3
"""Run `shuke COMMAND …` on a machine that has only python3 and pip; everything it needs stays in this checkout."""

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
TOOLS = ROOT / ".tools"
VENV = ROOT / ".venv"
DEVELOPER_COMMANDS = {"test", "check", "bench", "cluster"}


def main() -> None:
    if sys.version_info < (3, 11):
        sys.exit("Shuke needs Python 3.11 or newer.")
    lock = "requirements-dev.lock" if DEVELOPER_COMMANDS & set(sys.argv[1:2]) else "requirements.lock"
    environment = {
        **os.environ,
        "UV_CACHE_DIR": str(TOOLS / "cache"),
        "UV_NO_CONFIG": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "PYTHONPATH": str(ROOT),
    }
    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        prepare(lock, environment)
    os.execve(VENV / "bin" / "python", ["shuke", "-m", "deploy.cli", *sys.argv[1:]], environment)


def prepare(lock: str, environment: dict[str, str]) -> None:
    """Bring the environment to the lock file, if it is not there yet. A kill in the middle is made good next time."""
    wanted = hashlib.sha256((sys.version + (ROOT / lock).read_text()).encode()).hexdigest()
    stamps = TOOLS / "installed"
    installed = stamps.read_text().split() if stamps.exists() and (VENV / "bin" / "python").exists() else []
    if wanted in installed:
        return
    print(f"Installing what {lock} lists …", file=sys.stderr, flush=True)
    stamps.unlink(missing_ok=True)
    uv = TOOLS / "uv" / "bin" / "uv"
    if not uv.exists():
        run([sys.executable, "-m", "pip", "install", "-q", "--no-cache-dir", "--disable-pip-version-check",
             "--root-user-action=ignore", "--upgrade", "--target", TOOLS / "uv", "uv"], environment)  # fmt: skip
    if not (VENV / "bin" / "python").exists():
        run([uv, "venv", "-q", "--clear", "--python", sys.executable, VENV], environment)
    run([uv, "pip", "install", "-q", "--python", VENV / "bin" / "python", "--require-hashes", "-r", ROOT / lock],
        environment)  # fmt: skip
    command = VENV / "bin" / "shuke"
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{VENV}/bin/python" -m deploy.cli "$@"\n')
    command.chmod(0o755)
    # The developer's list holds all of the product's: with the first installed, the second is too.
    both = [wanted] + [
        hashlib.sha256((sys.version + (ROOT / "requirements.lock").read_text()).encode()).hexdigest()
    ] * (lock != "requirements.lock")
    stamps.write_text("\n".join(both))


def run(command: list[object], environment: dict[str, str]) -> None:
    done = subprocess.run([str(part) for part in command], env=environment, check=False)
    if done.returncode:
        sys.exit(f"This did not work: {' '.join(str(part) for part in command)}")


if __name__ == "__main__":
    main()
