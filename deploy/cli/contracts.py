"""`shuke contracts`: the committed documents that follow from the event classes, and from the table of rights."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from deploy.cli.client import fail
from deploy.cli.quality import ROOT

SCHEMAS = Path("contracts/schemas")
GOLDEN = Path("tests/contracts/golden")
ASYNCAPI = Path("docs/asyncapi.json")
RIGHTS = Path("docs/rights.md")


def contracts() -> None:
    """Write contracts/schemas, docs/asyncapi.json and the table of docs/rights.md anew.

    Ends 1 where a schema would break its readers.
    """
    if broken := list(breaches(ROOT)):
        fail(
            "Nothing was written. Others rely on what is committed: only optional fields with a default may be added"
            " to an event, and none that could hold text about a person. Anything else is another event, `….v2`,"
            " published beside the first.\n" + "\n".join(broken)
        )
    from deploy import rights

    written = drafts(ROOT)
    if (page := ROOT / RIGHTS).exists():
        written[RIGHTS] = rights.page(page.read_text(), rights.operations())
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
    documents = {**schemas, ASYNCAPI: asyncapi.document(examples(root))}
    return {path: json.dumps(found, indent=2, ensure_ascii=False) + "\n" for path, found in documents.items()}


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
