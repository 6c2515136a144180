"""Commands for those who work on the product: `check`, `test`, `bench`."""

import subprocess
import sys
from pathlib import Path

import typer

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent

CHECKS = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy", "."),
    ("lint-imports",),
)

OTHERS = {"faults": "bench.faults", "soak": "bench.soak", "screenshots": "bench.console"}
"""What `bench` does beside measuring, by the first argument."""


def check() -> None:
    """Lint, check the format, the types and who imports whom. Ends 1 at the first that fails."""
    for program, *arguments in CHECKS:
        typer.echo(f"· {program} {' '.join(arguments)}")
        if subprocess.run([str(BIN / program), *arguments], cwd=ROOT, check=False).returncode:
            raise typer.Exit(1)


def bench(context: typer.Context) -> None:
    """Measure, beside raw baselines. Arguments name the rows; without any all are measured.

    `faults` breaks the product on purpose instead, and judges what is left; `soak` loads it for an hour, and watches;
    `screenshots` takes pictures of every page of the console: `shuke bench faults --help`, `shuke bench soak --help`,
    `shuke bench screenshots --help`.
    """
    other = OTHERS.get(context.args[0]) if context.args else None
    program = ["bench", *context.args] if other is None else [other, *context.args[1:]]
    done = subprocess.run([str(BIN / "python"), "-m", *program], cwd=ROOT, check=False)
    raise typer.Exit(done.returncode)


def test(context: typer.Context) -> None:
    """Run all checks and all tests, as CI does. Arguments go to pytest; with arguments the checks are left out."""
    if not context.args:
        check()
    done = subprocess.run([str(BIN / "python"), "-m", "pytest", *context.args], cwd=ROOT, check=False)
    raise typer.Exit(done.returncode)
