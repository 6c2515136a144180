"""Options that several commands share."""

import os
import re
from pathlib import Path
from typing import Annotated

import typer


def iso_code(text: str | None) -> str | None:
    """A currency as it is written, or misuse."""
    if text and not re.fullmatch("[A-Z]{3}", text):
        raise typer.BadParameter("write an ISO code of three capitals, such as EUR.")
    return text


def zone_name(text: str | None) -> str | None:
    """A time zone that exists, or misuse."""
    from zoneinfo import available_timezones

    if text and text not in available_timezones():
        raise typer.BadParameter(f"there is no time zone {text!r}; write an IANA name such as Europe/Berlin.")
    return text


def writable(path: Path | None) -> Path | None:
    """A file that can be made in its folder, or misuse."""
    if path and not os.access(path.parent, os.W_OK):
        raise typer.BadParameter(f"no file can be written in {path.parent}.")
    return path


Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", envvar="SHUKE_DATA", help="The data folder.", show_default="./data"),
]
Port = Annotated[int, typer.Option(help="Where the gateway answers.", min=1, max=65535)]
Host = Annotated[str, typer.Option(help="Address that the gateway listens on.")]
Empty = Annotated[bool, typer.Option("--empty", help="Do not load the example.")]
Currency = Annotated[
    str | None, typer.Option(metavar="ISO", callback=iso_code, help="Reporting currency, such as EUR. It stays.")
]
TimeZone = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        callback=zone_name,
        help="Whose local days count, at the first start. Changed by a rebuild.",
        show_default="UTC",
    ),
]
IdentityKey = Annotated[
    Path | None,
    typer.Option(
        "--identity-key",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="Identity key of a restored installation, copied at the first start.",
        show_default="made at the first start",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

DEFAULT_DATA = Path("data")
