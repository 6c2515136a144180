"""Options that several commands share."""

import os
import re
from pathlib import Path
from typing import Annotated

import typer

LEAST = 4
"""Digits of a content hash that name a policy or a model, if only one begins so."""
SHOWN = 8
"""Digits of it that are shown where there is no room for all."""
HASH = re.compile(rf"[0-9a-f]{{{LEAST},64}}")
NAME = re.compile(r"\w[\w.-]*")
ID_HELP = f"Its id, or at least the first {LEAST} digits of it."
NAMED_HELP = f"Its id, at least the first {LEAST} digits of it, or its name, if no other has that."


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


def instant(text: str | None) -> str | None:
    """A time with an offset, or misuse."""
    from datetime import datetime

    try:
        told = datetime.fromisoformat(text) if text else None
    except ValueError:
        raise typer.BadParameter("write a time such as 2026-06-30T18:00:00+02:00.") from None
    if told and told.tzinfo is None:
        raise typer.BadParameter("say the offset too, as in 2026-06-30T18:00:00+02:00 or 2026-06-30T16:00:00Z.")
    return text


def beginning(text: str | None) -> str | None:
    """The content hash of a model, or its beginning, or misuse."""
    if text and not HASH.fullmatch(text):
        raise typer.BadParameter(f"write its id, or at least the first {LEAST} digits of it.")
    return text


def named(text: str | None) -> str | None:
    """The content hash of a policy, its beginning or its name, or misuse."""
    if text and not NAME.fullmatch(text):
        raise typer.BadParameter(f"write its id, at least the first {LEAST} digits of it, or its name.")
    return text


def key_of_events(text: str | None) -> str | None:
    """The key of events about an identity or a party, as it is or as others are shown it, or misuse."""
    from uuid import UUID

    try:
        return text and str(UUID(text.removeprefix("party_")))
    except ValueError:
        raise typer.BadParameter("write the id of a party, or the subject of an event.") from None


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
KnownAt = Annotated[
    str | None,
    typer.Option(
        "--known-at",
        metavar="TIME",
        callback=instant,
        help="By what was recorded up to this time, with its offset.",
        show_default="all that is known",
    ),
]
ModelId = Annotated[str, typer.Argument(metavar="ID", callback=beginning, help=ID_HELP)]
PolicyId = Annotated[str, typer.Argument(metavar="ID|NAME", callback=named, help=NAMED_HELP)]
Policy = Annotated[
    str | None,
    typer.Option(
        metavar="ID|NAME",
        callback=named,
        help=f"Under this policy: {NAMED_HELP.lower()}",
        show_default="the active one",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        metavar="ID", callback=beginning, help=f"Under this model: {ID_HELP.lower()}", show_default="the active one"
    ),
]
HorizonDays = Annotated[
    int | None,
    typer.Option(
        "--horizon-days",
        metavar="N",
        min=1,
        max=3_650,
        help="H: buys within so many days.",
        show_default="the policy's",
    ),
]
ActiveFrom = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="TIME",
        callback=instant,
        help="An instant to come, with its offset.",
        show_default="at once",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

DEFAULT_DATA = Path("data")
