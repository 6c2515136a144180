#!/usr/bin/env python3
"""Run `shuke COMMAND …` on a machine that has only python3 and pip; everything it needs stays in this checkout."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
TOOLS = ROOT / ".tools"
VENV = ROOT / ".venv"
LIBRARY = VENV / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
DEVELOPER_COMMANDS = {"test", "check", "bench", "cluster"}


def main() -> None:
    if sys.version_info < (3, 11):
        sys.exit("Shuke needs Python 3.11 or newer.")
    lock = "requirements-dev.lock" if DEVELOPER_COMMANDS & set(sys.argv[1:2]) else "requirements.lock"
    (TOOLS / "tmp").mkdir(parents=True, exist_ok=True)
    with (TOOLS / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        prepare(lock)
    python = str(VENV / "bin" / "python")
    # Images set it to stay small. Here every process of the product would compile all it imports, at each start.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.execv(python, [python, "-P", "-m", "deploy.cli", *sys.argv[1:]])


def prepare(lock: str) -> None:
    """Bring the environment to the lock file, if it is not there yet. A kill in the middle is made good next time."""
    stamps = TOOLS / "installed"
    installed = stamps.read_text().split() if stamps.exists() and (VENV / "pyvenv.cfg").exists() else []
    if stamp(lock) in installed:
        return
    print(f"Installing what {lock} lists …", file=sys.stderr, flush=True)
    stamps.unlink(missing_ok=True)
    uv = TOOLS / "uv" / "bin" / "uv"
    if not uv.exists():
        run(sys.executable, "-m", "pip", "install", "--quiet", "--no-cache-dir", "--disable-pip-version-check",
            "--root-user-action=ignore", "--upgrade", "--target", TOOLS / "uv", "uv")  # fmt: skip
    if not (LIBRARY.exists() and (VENV / "pyvenv.cfg").exists()):
        run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, VENV)
    run(uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", VENV, "--require-hashes", "-r", ROOT / lock)
    # Not an editable install: that would need a build backend, which no lock file names.
    (LIBRARY / "shuke.pth").write_text(f"{ROOT}\n")
    command = VENV / "bin" / "shuke"
    command.write_text(f'#!/bin/sh\nexec "{VENV}/bin/python" -P -m deploy.cli "$@"\n')
    command.chmod(0o755)
    shutil.rmtree(TOOLS / "tmp", ignore_errors=True)
    # The developer's list holds all of the product's: with the first installed, the second is too.
    stamps.write_text("\n".join(stamp(name) for name in {lock, "requirements.lock"}))


def stamp(lock: str) -> str:
    return hashlib.sha256(f"{sys.version}\n{ROOT}\n{(ROOT / lock).read_text()}".encode()).hexdigest()


def run(*command: object) -> None:
    environment = {
        **os.environ,
        "UV_CACHE_DIR": str(TOOLS / "cache"),
        "UV_NO_CONFIG": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(TOOLS / "tmp"),
    }
    words = [str(word) for word in command]
    if subprocess.run(words, env=environment, check=False).returncode:
        sys.exit(f"This did not work: {' '.join(words)}")


if __name__ == "__main__":
    main()
