"""Two gateways of one installation behind one address: whichever of them answers, a page that is open goes on."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from bench.product import ROOT
from deploy import VERSION, postgres, supervisor
from deploy.ports import free_port
from tests.console.conftest import findings
from tests.console.people import PASSWORD, inviting
from tests.system.product import Product


class Balancer:
    """One address, whose connections go to the gateway that it is turned to."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._open: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        Thread(target=self._serve, daemon=True).start()

    def turn_to(self, port: int) -> None:
        """Have whatever is asked from now on go there."""
        self.port = port
        self._end(self._open)

    def close(self) -> None:
        self._end([self._listening, *self._open])

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                try:
                    gateway = socket.create_connection(("127.0.0.1", self.port))
                except OSError:
                    client.close()
                    continue
                self._open += [client, gateway]
                for one, other in ((client, gateway), (gateway, client)):
                    Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while piece := one.recv(65_536):
                other.sendall(piece)
        self._end([one, other])

    def _end(self, sockets: list[socket.socket]) -> None:
        for each in list(sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    made = Product(tmp_path_factory.mktemp("gateways") / "data", "up").up()
    try:
        yield made
    finally:
        made.down()


@pytest.fixture(scope="module")
def other(product: Product) -> Iterator[int]:
    """The port of a second gateway of the product, as a second machine would run it."""
    port = free_port()
    with another_gateway(product, port):
        yield port


@contextmanager
def another_gateway(product: Product, port: int) -> Iterator[None]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SHUKE_", "GATEWAY_"))}
    variables = kept | {
        "SHUKE_INTERNAL_SECRET": postgres.passwords(product.folder)["internal"],
        "SHUKE_MEMBER": "gateway-2",
        "GATEWAY_SERVICES": json.dumps(supervisor.endpoints(product.folder)["services"]),
        "GATEWAY_DATABASE_URL": product.running.database("gateway").replace("postgresql", "postgresql+asyncpg", 1),
        "GATEWAY_PORT": str(port),
    }
    command = (sys.executable, "-P", "-m", "deploy.cli", "serve", "gateway")
    with product.folder.with_suffix(".gateway-2").open("wb") as log:
        child = subprocess.Popen(command, cwd=ROOT, env=variables, stdout=log, stderr=log)
    try:
        await_ready(port)
        yield
    finally:
        child.terminate()
        child.wait(20)


def await_ready(port: int, seconds: float = 240) -> None:
    until = time.monotonic() + seconds
    while True:
        with suppress(httpx.TransportError):
            if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=10, trust_env=False).is_success:
                return
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.fixture
def balancer(product: Product) -> Iterator[Balancer]:
    made = Balancer(product.port)
    yield made
    made.close()


@pytest.fixture
def page(chromium: Browser, balancer: Balancer) -> Iterator[Page]:
    context = chromium.new_context(base_url=balancer.url, locale="en")
    yield context.new_page()
    context.close()


def enter(page: Page, link: str) -> None:
    page.goto(link)
    set_password(page)


def set_password(page: Page) -> None:
    page.get_by_label("New password").fill(PASSWORD)
    page.get_by_label("The same once more").fill(PASSWORD)
    with page.expect_navigation(url="**/"):
        page.get_by_role("button", name="Set password").click()
    page.wait_for_selector("details.menu")


def speak(page: Page, language: str) -> None:
    page.locator("details.menu summary").click()
    page.locator("#language").select_option(language)
    with page.expect_navigation():
        page.locator("form[action='/language'] button").click()
    expect(page.locator("html")).to_have_attribute("lang", language)


def test_a_form_that_one_gateway_made_is_taken_by_another(
    product: Product, other: int, balancer: Balancer, page: Page
) -> None:
    page.goto(inviting(product)("ada@example.com", "admin"))
    balancer.turn_to(other)
    set_password(page)
    balancer.turn_to(product.port)
    page.goto("/account")
    balancer.turn_to(other)
    speak(page, "zh-Hant")
    balancer.turn_to(product.port)
    page.reload()
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hant")


def test_whoever_signed_out_at_one_gateway_is_out_at_another(
    product: Product, other: int, balancer: Balancer, page: Page
) -> None:
    enter(page, inviting(product)("bea@example.com", "reader"))
    balancer.turn_to(other)
    page.goto("/account")
    page.locator("details.menu summary").click()
    with page.expect_navigation(url="**/sign-in**"):
        page.locator("form[action='/sign-out'] button").click()
    balancer.turn_to(product.port)
    page.goto("/account")
    assert page.url.endswith("/sign-in?next=/account")


def test_an_open_page_goes_on_when_its_gateway_begins_anew(product: Product, balancer: Balancer, page: Page) -> None:
    enter(page, inviting(product)("cleo@example.com", "admin"))
    # The page of an empty house would be loaded again by itself as soon as somebody is there.
    page.goto("/account")
    body = {"name": "Lee Live", "identifiers": [{"scheme": "email", "value": "lee.live@example.org"}]}
    party = product.post("/v1/parties", json=body)["id"]
    product.settle()
    page.goto(f"/parties/{party}")
    page.evaluate("window.stayed = true")

    product.kill_and_await("gateway")
    await_ready(product.port)
    product.buy("lee.live@example.org", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), 24_600)
    page.get_by_text("246.00").first.wait_for(timeout=120_000)
    assert page.evaluate("window.stayed")
    speak(page, "zh-Hans")


def test_operations_list_every_process_with_one_that_went_away(
    product: Product, other: int, balancer: Balancer, page: Page
) -> None:
    gateways = {each["name"]: each for each in product.get("/v1/status")["processes"] if each["role"] == "gateway"}
    assert {name: each["state"] for name, each in gateways.items()} == {"gateway": "running", "gateway-2": "running"}
    assert {each["version"] for each in gateways.values()} == {VERSION}
    here = json.loads(product.shuke("status", "--json"))
    pids = {each["name"]: each["pid"] for each in here["processes"]}
    assert (pids["gateway"], pids["gateway-2"]) == (product.pids()["gateway"], None)
    assert {each["name"] for each in here["on_this_machine"]} >= {"gateway", "postgres"}

    enter(page, inviting(product)("finn@example.com", "operator"))
    page.goto("/operations")
    row = page.get_by_role("row", name="customers-importer").first
    expect(row).to_contain_text("runs")
    told = "INSERT INTO process VALUES ('elsewhere-7', 'scoring-worker', '0.0.9', now() - interval '1 day', now() - $1)"
    product.sql("scoring", told.replace("$1", "interval '50 s'"))
    page.get_by_role("row", name="elsewhere-7").wait_for(timeout=60_000)
    expect(page.get_by_role("row", name="elsewhere-7")).to_contain_text("away")
    expect(page.locator(".verdict")).to_contain_text("elsewhere-7")
    assert findings(page) == []
    product.sql("scoring", "DELETE FROM process WHERE name = 'elsewhere-7'")


def test_an_open_page_goes_on_by_another_gateway_when_its_own_is_gone(
    product: Product, other: int, balancer: Balancer, page: Page
) -> None:
    balancer.turn_to(other)
    enter(page, inviting(product)("dora@example.com", "admin"))
    page.goto("/account")
    product.kill("gateway")
    try:
        speak(page, "zh-Hans")
    finally:
        await_ready(product.port)
