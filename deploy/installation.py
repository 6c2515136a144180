"""What one data folder is for life: its time zone, its currency, its identity key, and whether it has the example."""

import json
import re
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.postgres import write_secret


class Refused(Exception):
    """A start that would make the installation another one."""


@dataclass(frozen=True)
class Installation:
    """What the next start goes on with."""

    time_zone: str = "UTC"
    currency: str | None = None
    example: str = "wanted"
    """`wanted` until it is loaded, then `loaded`; `none` where a start before that was told so."""


def opened(
    folder: Path,
    *,
    time_zone: str | None = None,
    currency: str | None = None,
    empty: bool = False,
    kept_zone: str | None = None,
    fixed_currency: str | None = None,
) -> Installation:
    """The installation of a data folder, made at the first start; `Refused` when asked to be another.

    The calendars decide: their zone, which a rebuild may have changed since the last start, is written down again.
    """
    path = folder / "installation.json"
    known = Installation(**json.loads(path.read_text())) if path.exists() else Installation()
    zone = kept_zone or time_zone or known.time_zone
    if time_zone not in (None, zone):
        raise Refused(
            f"{folder} counts its days in {zone}. Start it as it is, then `shuke rebuild --time-zone {time_zone}`."
        )
    reported = currency or known.currency
    if fixed_currency and reported not in (None, fixed_currency):
        raise Refused(f"{folder} reports in {fixed_currency}; that stays.")
    example = "none" if empty and known.example == "wanted" else known.example
    keep(folder, now := Installation(zone, reported, example))
    return now


def keep(folder: Path, installation: Installation) -> None:
    """Write it down, whole or not at all."""
    write_secret(folder / "installation.json", json.dumps(asdict(installation), indent=2) + "\n")


def identity_key(folder: Path, given: Path | None) -> Path:
    """The file of the identity key (32 bytes or more in hex): given or made once, never another later (`Refused`)."""
    path = folder / "identity.key"
    wanted = given.read_text().strip() if given else None
    if wanted is not None and not re.fullmatch(r"([0-9a-fA-F]{2}){32,}", wanted):
        raise Refused(f"{given} is not an identity key: 32 bytes or more in hex.")
    if not path.exists():
        write_secret(path, f"{wanted or secrets.token_hex(32)}\n")
    elif wanted and bytes.fromhex(wanted) != bytes.fromhex(path.read_text()):
        raise Refused(f"{path} holds another identity key. It is never changed: every identity hangs on it.")
    return path
