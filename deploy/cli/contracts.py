"""`shuke contracts`: the committed documents that follow from event classes, routes, the table of rights and names."""

import json
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import typer

from deploy import databases
from deploy.cli.client import fail
from deploy.cli.quality import ROOT
from deploy.roles import HTTP, ROLES

SCHEMAS = Path("contracts/schemas")
GOLDEN = Path("tests/contracts/golden")
ASYNCAPI = Path("docs/asyncapi.json")
RIGHTS = Path("docs/rights.md")
PICTURE = Path("docs/chain.svg")
OPENAPI = Path("contracts/openapi")
PRODUCT = "shuke"
"""The document of everything, as the gateway tells it."""


def contracts() -> None:
    """Write contracts/schemas, contracts/openapi, docs/asyncapi.json, the table of docs/rights.md and the names in
    docs/chain.svg, the picture of the README, anew.

    Ends 1 where a schema would break its readers.
    """
    if broken := list(breaches(ROOT)):
        fail(
            "Nothing was written. Others rely on what is committed: only optional fields with a default may be added"
            " to an event, and none that could hold text about a person. Anything else is another event, `….v2`,"
            " published beside the first.\n" + "\n".join(broken)
        )
    from deploy import picture, rights

    written = drafts(ROOT)
    if (page := ROOT / RIGHTS).exists():
        written[RIGHTS] = rights.page(page.read_text(), rights.operations())
    if (svg := ROOT / PICTURE).exists():
        written[PICTURE] = picture.drawn(svg.read_text())
    for path, text in written.items():
        file = ROOT / path
        if not file.exists() or file.read_text() != text:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            typer.echo(f"{path} written")


def drafts(root: Path) -> dict[Path, str]:
    """What the generated files have to hold, by their path in a checkout."""
    from contracts import asyncapi, wire

    schemas = {SCHEMAS / f"{event.wire_type}.json": wire.snapshot(event) for event in wire.published()}
    told = {OPENAPI / f"{name}.json": document for name, document in http_documents().items()}
    documents = {**schemas, ASYNCAPI: asyncapi.document(examples(root)), **told}
    return {path: json.dumps(found, indent=2, ensure_ascii=False) + "\n" for path, found in documents.items()}


def http_documents() -> dict[str, dict[str, Any]]:
    """The OpenAPI document of each service, of the gateway alone, and of the product as the gateway tells it."""
    from chassis.openapi import document
    from gateway.routes.documents import public

    with settings_of_nobody():
        found = {name: document(resolve_name(ROLES[name])()) for name in HTTP}
    return {**found, PRODUCT: public(found["gateway"], {name: found[name] for name in HTTP if name != "gateway"})}


@contextmanager
def settings_of_nobody() -> Iterator[None]:
    """What an app must be told to be made, without anything behind it."""
    with tempfile.NamedTemporaryFile("w", suffix=".identity") as key:
        key.write("0" * 64)
        key.flush()
        said = {"SHUKE_INTERNAL_SECRET": "-" * 32, "SHUKE_IDENTITY_KEY_FILE": key.name, "GATEWAY_SERVICES": "{}"}
        said |= {databases.variable(name): "postgresql+asyncpg://nobody@localhost/nothing" for name in HTTP}
        before = dict(os.environ)
        os.environ.update(said)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def examples(root: Path) -> dict[str, dict[str, Any]]:
    """The golden records of a checkout: by wire name, then by what a record shows."""
    found: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for file in sorted((root / GOLDEN).glob("*.json")):
        wire_type, _, shows = file.stem.rpartition(".")
        found[wire_type][shows] = json.loads(file.read_text())
    return dict(found)


def breaches(root: Path) -> Iterator[str]:
    """Where the classes contradict what is committed in a checkout, or could name a person; a line each."""
    from contracts import wire
    from contracts.compatibility import breaks
    from contracts.privacy import open_places

    now = {event.wire_type: wire.snapshot(event) for event in wire.published()}
    shown = examples(root)
    for wire_type, schema in now.items():
        if wire_type not in shown:
            yield f"{wire_type} has no record in {GOLDEN}"
        for place in open_places(schema):
            yield f"{wire_type} {place} could hold text about a person"
    for file in sorted((root / SCHEMAS).glob("*.json")):
        if file.stem not in now:
            yield f"{file.stem} is gone"
        else:
            for broken in breaks(json.loads(file.read_text()), now[file.stem]):
                yield f"{file.stem} {broken}"
