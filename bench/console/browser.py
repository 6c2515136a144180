"""A browser, and somebody who is signed in to a product with it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from bench.product import Running
from gateway.console.api import SESSION

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
PASSWORD = "a heron stands in the reeds"
RULES = {"rules": {"target-size": {"enabled": True}}}
"""What axe looks at beside what it does by default: the one rule of WCAG 2.2 AA that it has, it leaves out."""


class NoBrowser(Exception):
    """There is no Chromium where one is looked for."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, or the one that `CHROMIUM` names. Raises `NoBrowser`."""
    if not CHROMIUM.exists():
        raise NoBrowser(f"Needs chromium at {CHROMIUM}; CHROMIUM=PATH says where else.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


def owner_of(client: httpx.Client) -> str:
    """Make the first person of a fresh product; the token of their session."""
    link = client.post("/v1/invitations/first").raise_for_status().json()["token"]
    said = {"token": link, "password": PASSWORD, "name": "Olga Owner", "email": "olga@example.com"}
    token: str = client.post("/v1/invitations/accept", json=said).raise_for_status().json()["token"]
    return token


def speak(running: Running, token: str, language: str) -> None:
    """Have the person of a session read in a language from now on."""
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=running.url, headers=headers, trust_env=False) as client:
        version = client.get("/v1/me").raise_for_status().json()["version"]
        wanted = {"language": language}
        client.patch("/v1/me", json=wanted, headers={"If-Match": f'"{version}"'}).raise_for_status()


@contextmanager
def looking(
    browser: Browser,
    running: Running,
    token: str,
    *,
    language: str = "en",
    width: int = 1280,
    scheme: str = "light",
) -> Iterator[BrowserContext]:
    """A window of somebody with a session, `width` CSS pixels wide; empty for nobody."""
    context = browser.new_context(
        base_url=running.url,
        locale=language,
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    if token:
        context.add_cookies([{"name": SESSION, "value": token, "url": running.url}])
    try:
        yield context
    finally:
        context.close()


def barriers(page: Page) -> list[str]:
    """What axe finds on the page, once it is all there, by WCAG 2.2 AA and best practice: rule and place."""
    page.wait_for_load_state()
    found = Axe().run(page, options=RULES).response["violations"]
    return [f"{each['id']}: {node['html'][:120]}" for each in found for node in each["nodes"]]
