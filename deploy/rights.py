"""The table of rights: every operation of the product, each role, and how far it reaches."""

import importlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

Operation = tuple[str, str]
"""Method and path."""


def operations() -> list[Operation]:
    """Every operation of the one document, as the apps themselves describe them; nothing is connected to."""
    from gateway import app as gateway_app
    from gateway.domain.openapi import merged
    from gateway.domain.rights import AREAS

    services = sorted({area.service for area in AREAS.values() if area.service})
    with _nothing_behind([*services, "gateway"]):
        described = {name: importlib.import_module(f"services.{name}.app").app().openapi() for name in services}
        document = merged(gateway_app.app().openapi(), described)
    return [(method.upper(), path) for path, known in document["paths"].items() for method in known]


def table(operations: Sequence[Operation]) -> str:
    """The table in Markdown, a row for each operation."""
    from gateway.domain.rights import Role, area_of, rights

    rows = [f"| Operation | {' | '.join(role.capitalize() for role in Role)} |", "| --- " * (len(Role) + 1) + "|"]
    for method, path in operations:
        area = area_of(path)
        assert area is not None, path
        granted = rights(method, path, area)
        cells = [str(granted[role]) if role in granted else "no" for role in Role]
        rows.append(f"| `{method} {path}` | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def page(text: str, operations: Sequence[Operation]) -> str:
    """A page with its table written anew: it is the last thing on the page."""
    above, heading, _ = text.partition("\n| Operation |")
    return f"{above}\n{table(operations)}" if heading else text


@contextmanager
def _nothing_behind(names: Sequence[str]) -> Iterator[None]:
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as folder:
        key_file = Path(folder) / "identity.key"
        key_file.write_text(bytes(range(32)).hex())
        os.environ |= {
            "SHUKE_IDENTITY_KEY_FILE": str(key_file),
            "SHUKE_INTERNAL_SECRET": "a secret of at least thirty-two characters",
            "GATEWAY_SERVICES": "{}",
        }
        os.environ |= {
            f"{name.upper()}_DATABASE_URL": "postgresql+asyncpg://nobody@localhost/nothing" for name in names
        }
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)
