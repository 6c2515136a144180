"""`shuke audit`: who did what, who read contact data, and whether the trail is whole."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from deploy.cli import options
from deploy.cli.client import answer, fail, product

if TYPE_CHECKING:
    import httpx

app = typer.Typer(help="Read the audit trail, and verify that it is whole.", no_args_is_help=True)

PART = 1_000
"""Rows that are asked for at once."""


@app.command("list")
def list_rows(
    who: Annotated[str | None, typer.Option(metavar="ID", help="Whose: key_… or user_….")] = None,
    what: Annotated[str | None, typer.Option(metavar="WHAT", help="act, read, or the id of an operation.")] = None,
    party: Annotated[str | None, typer.Option(metavar="ID", help="About whom: party_….")] = None,
    since: Annotated[datetime | None, typer.Option(metavar="TIME", help="From then on, in local time.")] = None,
    until: Annotated[datetime | None, typer.Option(metavar="TIME", help="Before then, in local time.")] = None,
    most: Annotated[int, typer.Option(min=1, max=PART, help="Rows at most, the latest first.")] = 50,
    data: options.Data = None,
) -> None:
    """List rows of the trail, the latest first."""
    asked = {"who": who, "what": what, "party": party, "since": _instant(since), "until": _instant(until)}
    query = {name: value for name, value in asked.items() if value} | {"limit": most}
    with product(data) as client:
        for row in answer(client.get("/v1/audit", params=query))["data"]:
            about = f" {' '.join(row['ids'])}" if row["ids"] else ""
            times = f" ({row['requests']} times)" if row["requests"] > 1 else ""
            done = f"{row['method']} {row['path']}{about} {row['outcome']}{times}"
            typer.echo(f"{row['seq']} {row['at']} {row['kind']} {row['who']} {row['address']}\n    {done}")


@app.command()
def verify(
    anchor: Annotated[
        bool, typer.Option("--anchor", help="Print SEQ:HASH of the last row, to be kept elsewhere.")
    ] = False,
    against: Annotated[
        list[str] | None,
        typer.Option(metavar="SEQ:HASH", help="An anchor kept elsewhere that the trail must still have; repeatable."),
    ] = None,
    data: options.Data = None,
) -> None:
    """Compute every hash of the trail anew, and tell the first row that is not as it was written."""
    kept = dict(_anchor(text) for text in against or ())
    with product(data) as client:
        told = _verified(_rows(client), kept)
    typer.echo(told if anchor else f"The trail is whole: its last row is {told}.")


def _verified(rows: Iterator[dict[str, Any]], kept: dict[int, str]) -> str:
    """`SEQ:HASH` of the last row. Ends the command where a row, or an anchor, does not fit."""
    from gateway.domain.audit import GENESIS

    first: dict[str, Any] | None = None
    seq, previous, let_go = 0, GENESIS.hex(), set()
    for row in rows:
        if first is None:
            first, seq, previous = row, row["seq"] - 1, row["previous"]
        if row["seq"] != seq + 1:
            fail(f"Row {seq + 1} is missing: row {row['seq']} follows row {seq}.")
        if row["previous"] != previous:
            fail(f"Row {row['seq']} does not hold the hash of the row before it.")
        if _hash(row) != row["hash"]:
            fail(f"Row {row['seq']} is not as it was written.")
        if row["kind"] == "retention":
            let_go.add((row["ids"][0], row["ids"][1]))
        if kept.pop(row["seq"], row["hash"]) != row["hash"]:
            fail(f"Row {row['seq']} is not the one of the anchor: the trail was written anew.")
        seq, previous = row["seq"], row["hash"]
    if (
        first is not None
        and first["previous"] != GENESIS.hex()
        and (str(first["seq"] - 1), first["previous"]) not in let_go
    ):
        fail(f"The trail begins with row {first['seq']}, and no row tells that those before it were let go.")
    if later := sorted(each for each in kept if each > seq):
        fail(f"The trail ends with row {seq}: row {later[0]} of an anchor is missing.")
    return f"{seq}:{previous}"


def _hash(row: dict[str, Any]) -> str:
    from gateway.domain.audit import Entry, Kind, hash_of

    team = row["team_id"]
    entry = Entry(
        datetime.strptime(row["at"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC),
        Kind(row["kind"]),
        row["who"],
        None if team is None else UUID(hex=team.removeprefix("team_")),
        *(row["operation"], row["method"], row["path"], tuple(row["ids"])),
        *(row["query"], row["outcome"], row["address"], row["request_id"], row["requests"]),
    )
    return hash_of(row["seq"], entry, bytes.fromhex(row["previous"])).hex()


def _rows(client: "httpx.Client") -> Iterator[dict[str, Any]]:
    query: dict[str, Any] = {"order": "oldest", "limit": PART}
    while True:
        page = answer(client.get("/v1/audit", params=query))
        yield from page["data"]
        if not page["has_more"]:
            return
        query["cursor"] = page["next_cursor"]


def _anchor(text: str) -> tuple[int, str]:
    seq, _, hash = text.partition(":")
    if not seq.isdigit() or len(hash) != 64:
        raise typer.BadParameter("write SEQ:HASH, as `shuke audit verify --anchor` prints it.")
    return int(seq), hash


def _instant(local: datetime | None) -> str | None:
    return None if local is None else local.astimezone().isoformat()
