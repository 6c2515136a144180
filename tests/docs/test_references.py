import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
FOLDERS = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
PARTS = ["Context", "Decision", "Consequences", "Alternatives", "Enforced by"]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_every_file_that_a_page_names_is_there(path: Path) -> None:
    quoted = re.findall(r"`([\w.*-]+(?:/[\w.*-]+)+/?)`", path.read_text())
    files = [text for text in quoted if text.split("/")[0] in FOLDERS]

    assert [text for text in files if not list(ROOT.glob(text.rstrip("/")))] == []


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_every_link_between_pages_leads_somewhere(path: Path) -> None:
    linked = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)|(?:src|srcset)=\"([^\"#]+)\"", path.read_text())
    local = [target for target in map("".join, linked) if not target.startswith(("http://", "https://", "mailto:"))]

    assert [target for target in local if not (path.parent / target).exists()] == []


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_no_heading_stands_twice_on_a_page(path: Path) -> None:
    headings = re.findall(r"^#+ .+$", path.read_text(), re.MULTILINE)

    assert [heading for heading in set(headings) if headings.count(heading) > 1] == []


@pytest.mark.parametrize("path", DECISIONS, ids=name)
def test_a_decision_is_one_page_with_all_its_parts(path: Path) -> None:
    lines = path.read_text().splitlines()

    assert re.fullmatch(rf"# {int(path.name[:4])}\. .+", lines[0])
    assert [line.removeprefix("## ") for line in lines if line.startswith("## ")] == PARTS
    assert len(lines) <= 60
