"""What one data folder is for life: its time zone, its currency, its identity key, and whether it has the example."""

import json
import re
import secrets
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from deploy.postgres import write_secret


class Refused(Exception):
    """A start that would make the installation another one."""


@dataclass(frozen=True)
class Installation:
    """Chosen at the first start."""

    time_zone: str = "UTC"
    currency: str | None = None
    example: str = "wanted"
    """`wanted` until it is loaded, then `loaded`; `none` where the first start was told so."""


def opened(folder: Path, *, time_zone: str | None, currency: str | None, empty: bool) -> Installation:
    """The installation of a data folder, made at the first start; `Refused` when asked to be another."""
    if time_zone:
        try:
            ZoneInfo(time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise Refused(f"There is no time zone {time_zone!r}; write an IANA name such as Europe/Berlin.") from None
    path = folder / "installation.json"
    if not path.exists():
        made = Installation(time_zone or "UTC", currency, "none" if empty else "wanted")
        keep(folder, made)
        return made
    known = Installation(**json.loads(path.read_text()))
    if time_zone not in (None, known.time_zone):
        raise Refused(f"{folder} counts its days in {known.time_zone}; that stays, or past days would change.")
    if known.currency and currency not in (None, known.currency):
        raise Refused(f"{folder} reports in {known.currency}; that stays.")
    if currency and not known.currency:
        known = replace(known, currency=currency)
        keep(folder, known)
    return known


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
