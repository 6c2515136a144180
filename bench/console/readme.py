"""What the picture of the README shows: the files that it is made of, each with its sum as the picture was taken."""

import hashlib

from bench.product import ROOT

PICTURE = ROOT / "docs" / "console.webp"
SUMS = PICTURE.with_suffix(".sha256")
"""As `sha256sum` writes and checks them."""
PAGE, WIDTH, HEIGHT = "party", 1280, 860
SHOWN = (
    *(f"templates/{name}.html" for name in ("frame/base", "macros/parts", "macros/standing")),
    *(f"templates/party/{name}.html" for name in ("page", "stands", "owned", "top", "side")),
    *(f"messages/{name}.en.json" for name in ("frame", "party")),
    "static/console.css",
)
"""Of the console: the frame and the part of the page that the picture has room for."""


def sums() -> str:
    """The sum of each file now, a line each."""
    files = [ROOT / "gateway" / "console" / name for name in SHOWN]
    return "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(ROOT)}\n" for file in files)
