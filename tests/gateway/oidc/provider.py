"""The provider's package, as its lock file has it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.cli.quality import ROOT

HERE = Path(__file__).parent
SECRET = "of: the+test, 100% of it"
"""What the provider knows the client by: it is sent as in a form (RFC 6749 §2.3.1), or is another one there."""


def installed() -> Path:
    """The folder to run `node provider.mjs PORT REDIRECT` in; a cache of the checkout. Skips where there is no npm."""
    if shutil.which("npm") is None:
        pytest.skip("needs node and npm")
    folder = ROOT / ".tools" / "oidc"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = (HERE / "package-lock.json").read_text()
    done = folder / "installed"
    if not done.exists() or done.read_text() != wanted:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, folder / name)
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=folder, check=True, timeout=300)
        done.write_text(wanted)
    shutil.copy(HERE / "provider.mjs", folder / "provider.mjs")
    return folder
