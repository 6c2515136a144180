"""`shuke bench screenshots [FOLDER] [--only PAGE]… [--readme]`."""

import asyncio
import base64
from pathlib import Path
from typing import Annotated

import typer
from playwright.sync_api import Browser, Page, expect

from bench.console.browser import barriers, chromium, looking, owner_of, speak
from bench.console.catalogue import OPEN_TO_ALL, pages
from bench.console.furnished import fail, furnished
from bench.console.readme import HEIGHT, PAGE, PICTURE, SUMS, WIDTH, sums
from bench.product import ROOT, Running
from gateway.console.messages import LANGUAGES

WIDTHS = (390, 1280)
DARK = ("today", "population", "list", "party", "sign-in")
"""Pages that are also seen in dark colours, in English."""
QUALITY = 78
LOADED_MS, DRAWN_MS = 30_000, 150


def main(
    folder: Annotated[Path | None, typer.Argument(help="Where the pictures go, a folder a language.")] = None,
    only: Annotated[list[str] | None, typer.Option(metavar="PAGE", help="Of these pages alone.")] = None,
    language: Annotated[list[str] | None, typer.Option(metavar="TAG", help="In these languages alone.")] = None,
    readme: Annotated[bool, typer.Option("--readme", help=f"Renew {PICTURE.relative_to(ROOT)} too.")] = False,
) -> None:
    """Take pictures of every page, in every language, on a phone and on a desk, and say what axe finds on them.

    Ends 1 where it finds something.
    """
    if not folder and not readme:
        raise typer.BadParameter("Say a folder, or --readme.")
    with furnished() as running:
        with running.client() as client:
            token, found = owner_of(client), pages(client)
            if folder:
                # Not with the browser open: its loop runs in this thread.
                asyncio.run(fail(running))
                found = pages(client, whole=True)
        with chromium() as browser:
            if readme:
                renew(browser, running, token, found[PAGE])
            if folder:
                wanted = {name: path for name, path in {**found, **OPEN_TO_ALL}.items() if not only or name in only}
                barred = []
                for tag in language or LANGUAGES:
                    for width in WIDTHS:
                        barred += take(browser, running, token, folder, wanted, tag, width)
                dark = {name: path for name, path in wanted.items() if name in DARK}
                barred += take(browser, running, token, folder, dark, "en", 1280, "dark")
                typer.echo(f"{len(list(folder.rglob('*.png')))} pictures in {folder}, {len(barred)} findings of axe")
                if barred:
                    typer.echo("\n".join(barred), err=True)
                    raise typer.Exit(1)


def take(
    browser: Browser,
    running: Running,
    token: str,
    folder: Path,
    wanted: dict[str, str],
    language: str,
    width: int,
    scheme: str = "light",
) -> list[str]:
    """A picture of each page, as long as it is: `en/390/party.png`. What axe finds, behind the name of the picture."""
    barred = []
    place = folder / language / (f"{width}-dark" if scheme == "dark" else str(width))
    place.mkdir(parents=True, exist_ok=True)
    speak(running, token, language)
    for name, path in wanted.items():
        who = "" if name in OPEN_TO_ALL else token
        with looking(browser, running, who, language=language, width=width, scheme=scheme) as context:
            page = context.new_page()
            _see(page, path)
            page.screenshot(path=place / f"{name}.png", full_page=True)
            barred += [f"{place.relative_to(folder)}/{name}: {each}" for each in barriers(page)]
    return barred


def renew(browser: Browser, running: Running, token: str, path: str) -> None:
    """Take the picture of the README again, in WebP, and note of what it was taken."""
    with looking(browser, running, token, width=WIDTH) as context:
        page = context.new_page()
        page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
        _see(page, path)
        wire = context.new_cdp_session(page)
        said = wire.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
        PICTURE.write_bytes(base64.b64decode(said["data"]))
        SUMS.write_text(sums())
        typer.echo(f"{PICTURE.relative_to(ROOT)}: {PICTURE.stat().st_size / 1e3:.0f} kB")


def _see(page: Page, path: str) -> None:
    page.goto(path)
    # What is asked for when the page is there, as the flows of the population, stands in its place.
    expect(page.locator("[hx-trigger=load], .htmx-request")).to_have_count(0, timeout=LOADED_MS)
    page.wait_for_timeout(DRAWN_MS)


app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
app.command()(main)
if __name__ == "__main__":
    app(prog_name="shuke bench screenshots")
