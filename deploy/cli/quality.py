"""Commands for those who work on the product: `check`, `test`, `bench`."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from deploy.audits import Vulnerability

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent

CHECKS = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy", "."),
    ("lint-imports",),
)
PROCESSES = min(4, 1 + (os.cpu_count() or 1))
"""One more than there are cores, up to four: a good part of a test is waiting for processes and clocks."""
ALL = (
    *(f"--numprocesses={PROCESSES}", "--dist=loadfile", "--no-loadscope-reorder"),
    *("--reruns=1", "--reruns-delay=10", "--only-rerun=[Tt]imeout", "--only-rerun=monotonic", "-raR"),
)
"""How all tests run: each file in one process, in their order, so that neighbours share what their folder started.

A wait that ran out, as it may where tests share the cores, is tried once more and told; what is wrong is not.
"""
LOCKS = ("requirements.lock", "requirements-dev.lock")

Osv = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar="SHUKE_OSV_URL",
        help="Who is asked for vulnerabilities of Python packages: a service that speaks OSV.",
        show_default="https://api.osv.dev/v1/query",
    ),
]

OTHERS = {
    "faults": "bench.faults",
    "soak": "bench.soak",
    "screenshots": "bench.console",
    "tables": "bench.tables",
}
"""What `bench` does beside measuring, by the first argument."""


def check(osv_url: Osv = None) -> None:
    """Lint, check the format, the types, who imports whom, and the lock files for known vulnerabilities.

    Ends 1 at the first that fails. Where nobody answers who knows vulnerabilities it says so, and goes on.
    """
    for program, *arguments in CHECKS:
        typer.echo(f"· {program} {' '.join(arguments)}")
        if subprocess.run([str(BIN / program), *arguments], cwd=ROOT, check=False).returncode:
            raise typer.Exit(1)
    audit(osv_url)


def audit(osv_url: str | None = None, registry: str | None = None) -> None:
    """Ask for vulnerabilities of what every lock file names; end 1 for one that is known and not accepted."""
    from datetime import UTC, datetime

    from deploy import audits

    accepted, today = audits.Accepted.read(ROOT / audits.ACCEPTED), datetime.now(UTC).date()
    asked: Mapping[str, Callable[[], list[Vulnerability]]] = {
        ", ".join(LOCKS): partial(audits.of_python, [ROOT / lock for lock in LOCKS], osv_url or audits.OSV_URL),
        **{
            str(lock.relative_to(ROOT)): partial(audits.of_npm, lock.parent, registry)
            for lock in sorted((ROOT / "tests").glob("**/package-lock.json"))
            if "node_modules" not in lock.parts
        },
    }
    failed = False
    for name, ask in asked.items():
        typer.echo(f"· audit {name}")
        try:
            known = audits.standing(ask(), accepted, today)
        except audits.NotAudited as why:
            typer.secho(f"NOT AUDITED: {name}: {why}", fg="yellow", bold=True, err=True)
            continue
        for each in known:
            typer.secho(str(each), fg="red", err=True)
        failed = failed or bool(known)
    if failed:
        typer.echo(f"Take another version, or add to {audits.ACCEPTED} why it does no harm and until when.", err=True)
        raise typer.Exit(1)


def bench(context: typer.Context) -> None:
    """Measure, beside raw baselines. Arguments name the rows; without any all are measured."""
    other = OTHERS.get(context.args[0]) if context.args else None
    program = ["bench", *context.args] if other is None else [other, *context.args[1:]]
    done = subprocess.run([str(BIN / "python"), "-m", *program], cwd=ROOT, check=False)
    raise typer.Exit(done.returncode)


def test(context: typer.Context) -> None:
    """Run all checks and all tests, as CI does. Arguments go to pytest; with arguments the checks are left out."""
    if not context.args:
        check(os.environ.get("SHUKE_OSV_URL"))
    done = subprocess.run([str(BIN / "python"), "-m", "pytest", *(context.args or ALL)], cwd=ROOT, check=False)
    raise typer.Exit(done.returncode)
