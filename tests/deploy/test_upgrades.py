"""A version of the product can serve on the databases of the next one: they grow first, and shrink later."""

import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from chassis.migrations import versions
from deploy import VERSION
from deploy.roles import PACKAGES

BEFORE_THE_FIRST = {"customers": "0012", "leads": "0004", "community": "0003", "scoring": "0012", "gateway": "0002"}
"""Up to these nobody ran an older version."""
TAKES_AWAY = re.compile(
    r"\b(DROP (COLUMN|TABLE|CONSTRAINT|TYPE|FUNCTION)|RENAME|ALTER COLUMN \w+ (SET DATA )?TYPE|SET NOT NULL"
    r"|ADD (CONSTRAINT|CHECK|UNIQUE|FOREIGN KEY)|LOCK TABLE|INSERT INTO ruling)\b",
    re.IGNORECASE,
)
MADE_HERE = re.compile(r"CREATE TABLE (\w+)", re.IGNORECASE)
INDEXED = re.compile(r"CREATE (?:UNIQUE )?INDEX (?:IF NOT EXISTS )?(?:\w+ )?ON (\w+)", re.IGNORECASE)


def migrations() -> list[tuple[str, ModuleType, str]]:
    """Service, module and text of each migration behind those that nobody has to upgrade over."""
    found = []
    for service, package in PACKAGES.items():
        folder = import_module(f"{package}.migrations").__path__[0]
        for path in sorted(Path(folder).glob("[0-9]*.py")):
            module = import_module(f"{package}.migrations.{path.stem}")
            if module.revision > BEFORE_THE_FIRST[service]:
                found.append((service, module, path.read_text()))
    return found


def numbers(version: str) -> list[int]:
    return list(map(int, version.split(".")))


def wrong_with(module: ModuleType, text: str) -> list[str]:
    """What of a migration the version before could not live with, or would wait for."""
    taken = [found[0] for found in TAKES_AWAY.finditer(text)]
    unused_since = getattr(module, "unused_since", VERSION)
    wrong = [] if numbers(unused_since) < numbers(VERSION) else taken
    made = set(MADE_HERE.findall(text))
    return wrong + [f"CREATE INDEX on {table}" for table in INDEXED.findall(text) if table not in made]


@pytest.mark.parametrize(("service", "module", "text"), migrations(), ids=lambda part: getattr(part, "__name__", ""))
def test_a_migration_adds_only_or_says_since_when_nobody_uses_what_it_takes_away(
    service: str, module: ModuleType, text: str
) -> None:
    assert wrong_with(module, text) == [], f"{service}: docs/decisions/0019-databases-grow-first.md says how"


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE lead DROP COLUMN note",
        "ALTER TABLE lead RENAME COLUMN note TO text",
        "ALTER TABLE lead ALTER COLUMN note TYPE int",
        "ALTER TABLE lead ALTER COLUMN note SET NOT NULL",
        "CREATE INDEX lead_note ON lead (note)",
        # It would have everybody assessed as it does itself.
        "INSERT INTO ruling SELECT * FROM ruling",
    ],
)
def test_what_the_version_before_could_not_live_with_is_noticed(change: str) -> None:
    assert wrong_with(ModuleType("added"), change)


def test_what_nobody_uses_any_more_may_go_in_a_later_version() -> None:
    later = ModuleType("later")
    vars(later)["unused_since"] = "0.0.9"

    assert not wrong_with(later, "ALTER TABLE lead DROP COLUMN note")
    assert not wrong_with(ModuleType("new"), "CREATE TABLE lead (id int); CREATE INDEX lead_id ON lead (id)")


def test_the_baseline_names_migrations_that_exist() -> None:
    assert all(BEFORE_THE_FIRST[service] in versions(package) for service, package in PACKAGES.items())


def test_the_version_is_that_of_the_project() -> None:
    assert f'version = "{VERSION}"' in (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text()
