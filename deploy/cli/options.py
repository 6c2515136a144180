"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", envvar="SHUKE_DATA", help="The data folder.", show_default="./data"),
]
Port = Annotated[int, typer.Option(help="Where the gateway answers.", min=1, max=65535)]
Host = Annotated[str, typer.Option(help="Address that the gateway listens on.")]
Empty = Annotated[bool, typer.Option("--empty", help="Do not load the example at the first start.")]
Currency = Annotated[str | None, typer.Option(metavar="ISO", help="Reporting currency, such as EUR.")]
TimeZone = Annotated[
    str | None, typer.Option("--time-zone", metavar="NAME", help="Whose local days count.", show_default="UTC")
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
