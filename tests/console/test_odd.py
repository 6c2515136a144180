"""What no browser's form would send: every form and every address of the pages answers it without failing."""

from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from bench.console.catalogue import pages
from gateway.console.api import SESSION
from gateway.console.forms import FIELD
from gateway.console.numbers import minor_of
from gateway.console.policy_form import written
from tests.console.conftest import example
from tests.system.product import Product

ODD = ("NaN", "1E999999", "²", "9" * 5_000, "-1", "\0", "0001-01-01T00:00", "[" * 1_200, "a\r\nX-Odd: 1")
MADE_UP = "X-Odd"
"""A header that only a line feed in a field would make."""
COMPUTED = ("/population/flows", "/population/moves")
"""Addresses that take seconds of a processor: asked once, with something odd in each field."""
LEFT = ("/keys", "/sign-out")
"""Forms that end what the test itself comes in by."""
MORE = (
    "/parties/rows?cursor=", "/parties.csv?min_p=&sort=", "/population/flows?since=&until=&days=", "/?notice=&scope=",
    "/stream?after=", "/operations/audit?cursor=", "/operations/dead-letters?cursor=", "/duplicates?cursor=&state=",
    "/users?cursor=", "/search?q=", "/sign-in?next=", "/sign-in/oidc?code=&state=", "/invitation?token=",
)  # fmt: skip
"""Addresses that no page of an example has."""


class Form(NamedTuple):
    """What a page can be sent, whatever it is filled in with."""

    method: str
    path: str
    names: tuple[str, ...]
    has_file: bool = False


class Forms(HTMLParser):
    """The forms of a page, and its addresses that have a query."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.found: list[Form] = []
        self._path = path

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attrs}
        if tag == "form":
            action = urlsplit(has.get("action", self._path)).path
            self.found.append(Form(has.get("method", "get").upper(), action, (), "multipart" in has.get("enctype", "")))
        elif tag in ("input", "select", "textarea", "button") and has.get("name", FIELD) != FIELD and self.found:
            form = self.found[-1]
            self.found[-1] = form._replace(names=tuple(dict.fromkeys((*form.names, has["name"]))))
        for name in ("href", "hx-get"):
            if "?" in has.get(name, "") and has[name].startswith("/"):
                self.found.append(asked(has[name]))


def asked(address: str) -> Form:
    parts = urlsplit(address)
    return Form("GET", parts.path, tuple(name for name, _ in parse_qsl(parts.query, keep_blank_values=True)))


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """One of its own: what is odd is taken wherever it may be taken, and stays."""
    with example(tmp_path_factory.mktemp("odd")) as made:
        yield made


@pytest.fixture
def browser(product: Product) -> Iterator[httpx.Client]:
    """One that shows nothing: pages as they come, in the name of who may do everything."""
    token = product.client.headers["Authorization"].removeprefix("Bearer ")
    with httpx.Client(
        base_url=product.running.url,
        cookies={SESSION: token},
        headers={"Accept": "text/html"},
        timeout=60,
        trust_env=False,
    ) as client:
        yield client


def forms(browser: httpx.Client, paths: Mapping[str, str]) -> list[Form]:
    """One for each address, with every field that any page sends there."""
    found: dict[str, Form] = {}
    sent = list(map(asked, MORE))
    for path in paths.values():
        page = Forms(path.partition("?")[0])
        page.feed(browser.get(path).text)
        sent += [*page.found, asked(path)]
    for form in sent:
        if form.names and not any(part in form.path for part in LEFT):
            shape = "/".join(part if part.isalpha() else "" for part in form.path.split("/"))
            known = found.setdefault(f"{form.method} {shape}", form)
            known = known._replace(has_file=known.has_file or form.has_file)
            found[f"{form.method} {shape}"] = known._replace(names=tuple(dict.fromkeys((*known.names, *form.names))))
    return list(found.values())


def token_of(browser: httpx.Client) -> str:
    return browser.get("/nowhere").text.partition('name="csrf" content="')[2].partition('"')[0]


def answered(browser: httpx.Client, form: Form, turn: int, csrf: str) -> httpx.Response:
    """The answer to a form whose fields hold something odd each, in its turn each of all that is."""
    said = {name: ODD[(turn + place) % len(ODD)] for place, name in enumerate(form.names)}
    odd = ODD[turn]
    if form.method == "GET":
        with browser.stream("GET", form.path, params=said) as answer:
            return answer
    headers = {"X-CSRF-Token": csrf}
    if form.has_file:
        file = {"file": ("odd.csv", odd.encode())}
        return browser.post(form.path, params={FIELD: csrf}, data=said, files=file, headers=headers)
    return browser.post(form.path, data=said, headers=headers)


def test_no_form_and_no_address_fails_whatever_it_is_filled_in_with(product: Product, browser: httpx.Client) -> None:
    csrf = token_of(browser)
    found = forms(browser, pages(product.client))
    assert {"/parties", "/policies", "/users", "/import"} <= {form.path for form in found}
    failed = [
        (form.method, form.path, ODD[turn][:24], answer.status_code)
        for form in found
        for turn in range(1 if form.path in COMPUTED else len(ODD))
        if (answer := answered(browser, form, turn, csrf)).status_code >= 500 or MADE_UP in answer.headers
    ]
    assert failed == []


@pytest.mark.parametrize("odd", ODD)
def test_a_gap_is_not_passed_at_a_partition_that_is_none(browser: httpx.Client, odd: str) -> None:
    place = {"service": "scoring", "consumer": "scoring", "topic": "customers.purchase.events.v1", "partition": odd}
    answer = browser.post("/operations/gaps/pass", data=place, headers={"X-CSRF-Token": token_of(browser)})
    assert 400 <= answer.status_code < 500


@pytest.mark.parametrize("odd", ODD)
def test_a_problem_is_not_solved_at_a_version_that_is_none(product: Product, browser: httpx.Client, odd: str) -> None:
    party = product.get("/v1/standings", limit=1)["data"][0]["party_id"]
    answer = browser.post(
        f"/parties/{party}/problems/problem_{'0' * 32}/solve",
        data={"version": odd},
        headers={"X-CSRF-Token": token_of(browser)},
    )
    assert 300 <= answer.status_code < 500


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("1,234.5", "USD", 123_450),
        ("7", "JPY", 7),
        ("0", "EUR", 0),
        ("1.005", "EUR", None),
        ("-1", "EUR", None),
        ("", "EUR", None),
        *((odd, "EUR", None) for odd in ("NaN", "sNaN", "Infinity", "1E999999", "1E20", "9" * 5_000)),
    ],
)
def test_an_amount_is_whole_minor_units_or_none(text: str, currency: str, minor: int | None) -> None:
    assert minor_of(text, currency) == minor


@pytest.mark.parametrize("rest", ["[" * 100_000, '{"name": "\\ud800"}', "[]", "{", '{"a": NaN}'])
def test_a_rest_of_a_policy_that_is_no_document_is_said_to_be_none(rest: str) -> None:
    with pytest.raises(ValueError, match=r"rest|JSON|truncated"):
        written({"rest": rest}, "EUR")


def test_a_policy_whose_parts_are_none_is_left_to_be_refused() -> None:
    document = written({"rest": '{"persons": 3}', "by": "days", "was_by": "probability", "cuts__top": "sNaN"}, "EUR")
    assert document["persons"] == 3
    assert document["cuts"]["top"] == "sNaN"
