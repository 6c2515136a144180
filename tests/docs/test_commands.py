import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from bench.console import readme
from deploy.cli import app
from tests.docs.pages import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LINES = re.compile(r"^(?:python3 dev\.py|shuke) +([^#\n]+)", re.MULTILINE)
INLINE = re.compile(r"`(?:python3 dev\.py|shuke) +([^`…]+)")


def commands(path: Path) -> list[str]:
    text = path.read_text()
    return [found.strip() for found in (*LINES.findall(text), *INLINE.findall(text))]


def resolved(words: list[str]) -> tuple[Any, list[str]]:
    """The command that words begin with, and the rest of them."""
    command: Any = typer.main.get_command(app)
    while words and (below := getattr(command, "commands", None)):
        assert words[0] in below, f"there is no command {words[0]}"
        command, words = below[words[0]], words[1:]
    return command, words


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_command_that_a_page_names_exists_with_its_options(path: Path) -> None:
    for line in commands(path):
        command, words = resolved(shlex.split(line))
        known = {"--help"}.union(*(parameter.opts for parameter in command.params))
        options = {word for word in words if word.startswith("-")}

        assert options <= known or command.context_settings.get("ignore_unknown_options"), line


def test_the_readme_begins_with_the_two_commands_that_run_and_test_everything() -> None:
    assert [line.split()[0] for line in commands(ROOT / "README.md")[:2]] == ["up", "test"]


def test_the_readme_shows_the_console_by_a_small_picture() -> None:
    assert 'src="docs/console.webp"' in (ROOT / "README.md").read_text()
    picture = (ROOT / "docs" / "console.webp").read_bytes()
    assert (picture[:4], picture[8:12]) == (b"RIFF", b"WEBP")
    assert len(picture) <= 120_000


def test_the_picture_of_the_readme_shows_the_page_as_it_is() -> None:
    then, now = readme.SUMS.read_text().splitlines(), readme.sums().splitlines()

    changed = sorted({line.split()[1] for line in {*then} ^ {*now}})
    assert not changed, "run `python3 dev.py bench screenshots --readme`, and look at the picture"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120
