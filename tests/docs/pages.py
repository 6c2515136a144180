"""The pages of the documentation, and what the product declares that they have to list."""

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TypeVar

import chassis
import contracts
import deploy
import gateway
import services

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (contracts, chassis, services, gateway, deploy)
NOT_ON_IMPORT = {"migrations", "alembic", "__main__"}

T = TypeVar("T")


@cache
def everything() -> None:
    """Import every module of the product."""
    for package in PACKAGES:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not NOT_ON_IMPORT.intersection(module.name.split(".")):
                importlib.import_module(module.name)


def declared(cls: type[T]) -> set[type[T]]:
    """Every subclass that stands in the product, and not in a test."""
    everything()
    names = {package.__name__ for package in PACKAGES}
    return {found for found in descendants(cls) if found.__module__.split(".")[0] in names}


def descendants(cls: type[T]) -> Iterator[type[T]]:
    """Subclasses and their subclasses."""
    for subclass in cls.__subclasses__():
        yield subclass
        yield from descendants(subclass)


def page(name: str) -> str:
    """The text of a page under `docs/`."""
    return (ROOT / "docs" / name).read_text()


def section(text: str, heading: str) -> str:
    """What stands under a heading of any level, up to the next one of the same level or above."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.lstrip("#") == f" {heading}")
    level = len(lines[start]) - len(lines[start].lstrip("#"))
    above = tuple("#" * upper + " " for upper in range(1, level + 1))
    ended = (number for number in range(start + 1, len(lines)) if lines[number].startswith(above))
    return "\n".join(lines[start + 1 : next(ended, len(lines))])


def rows(text: str) -> list[list[str]]:
    """The cells of every table row whose first cell is code."""
    found = [line.strip().strip("|").split(" | ") for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row] for row in found]


def code(cell: str) -> str:
    """What stands between the back-quotes of a cell."""
    return cell.strip("`")
