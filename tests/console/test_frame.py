from datetime import UTC, date, datetime, timedelta

import pytest
from playwright.sync_api import expect

from gateway.console import messages
from gateway.console.formats import Formats
from gateway.console.forms import form_token, is_ours
from gateway.console.messages import LANGUAGES, preferred, say
from services.scoring.domain.chinese import FIELDS, WORDS, simplified
from tests.console.conftest import LANGUAGES as TRIED
from tests.console.conftest import WIDTHS, Visit, findings
from tests.system.product import Product

OF_THE_API = {"problems", "errors", "sentences", "phrases"}
"""What the API says in English by itself."""


def test_every_language_says_the_same_things():
    assert set(TRIED) == set(LANGUAGES)
    first = messages.messages("en")
    for language in LANGUAGES:
        told = {key: text for key, text in messages.messages(language).items() if key.split(".")[0] not in OF_THE_API}
        assert told.keys() == first.keys()
        for key, text in told.items():
            assert places(text) == places(first[key]), key


def places(text: object) -> set[str]:
    forms = text.values() if isinstance(text, dict) else [text]
    return {part.partition("}")[0] for form in forms for part in str(form).split("{")[1:]}


REASONED = {
    "stage": "frame.stage_",
    "tier": "frame.tier_",
    "satisfaction": "parties.band_",
    "posture": "party.posture_",
    "treatment": "party.treatment_",
    "level": "party.level_",
    "flags": "party.flags_",
    "evidence": "party.evidence_",
}
"""Codes that a reason in words tells of too, and where the console has words for them."""


@pytest.mark.parametrize("language", ["zh-Hant", "zh-Hans"])
def test_a_page_calls_things_what_the_reasons_on_it_call_them(language):
    told = messages.messages(language)
    written = simplified if language == "zh-Hans" else str
    for field, kind in REASONED.items():
        for code, called in WORDS[field].items():
            assert told[kind + code] == written(called), (field, code)
    for field, called in FIELDS.items():
        assert told[f"party.field_{field}"] == written(called)


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("de, zh-TW;q=0.9, en;q=0.5", "zh-Hant"),
        ("zh-CN,zh;q=0.9", "zh-Hans"),
        ("zh-Hans-HK", "zh-Hans"),
        ("fr", "en"),
        ("", "en"),
        ("en;q=0.3, zh-HK;q=nonsense, zh;q=0.8", "zh-Hans"),
    ],
)
def test_a_browser_gets_the_language_that_it_prefers(accepted, language):
    assert preferred(accepted) == language


def test_a_form_belongs_to_one_browser_and_one_installation():
    token = form_token("secret", "ann")
    assert is_ours("secret", "ann", token)
    assert token != form_token("secret", "ann")
    assert not is_ours("secret", "bob", token)
    assert not is_ours("other", "ann", token)
    assert not is_ours("secret", "ann", token[:-4])
    assert not is_ours("secret", "ann", "no base64 é")


def test_values_are_written_as_the_reader_writes_them():
    present = datetime(2026, 3, 1, 12, tzinfo=UTC)
    english, chinese = Formats("en", UTC, present), Formats("zh-Hant", UTC, present)
    assert english.money(123_456, "EUR") == "€1,234.56"
    assert english.money(123_456, "EUR", whole=True) == "€1,235"
    assert chinese.money(123_456, "TWD") == "$1,234.56"
    assert english.day("2026-02-28") == "Feb 28, 2026"
    assert chinese.day(date(2026, 2, 28)) == "2026年2月28日"
    assert english.ago(present - timedelta(days=3)) == "3 days ago"
    assert english.ago("2026-03-02") == "in 1 day"
    assert english.percent(0.256, 1) == "25.6%"
    assert (english.month("2026-02"), chinese.month("2026-02")) == ("Feb 2026", "2026年2月")
    assert chinese.told("自 2026-02-28 起，共 12-34 次") == "自 2026年2月28日 起，共 12-34 次"
    assert english.money(None, "EUR") == english.number(None) == english.day(None) == "–"


@pytest.mark.parametrize("language", TRIED)
@pytest.mark.parametrize("width", WIDTHS.values())
def test_a_missing_page_leads_back_and_has_no_barriers(visit: Visit, language, width):
    page = visit("/nowhere", language=language, width=width, status=404)
    assert page.get_by_role("heading", level=1).inner_text() == say(language, "frame.missing_title")
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_no_page_asks_anybody_else_for_anything(visit: Visit, product: Product):
    page = visit("/")
    asked: list[str] = []
    page.context.on("request", lambda request: asked.append(request.url))
    party = product.get("/v1/standings", limit=1)["data"][0]["party_id"]
    for path in ("/", "/parties", "/import", "/policies", "/operations", "/account", f"/parties/{party}"):
        page.goto(path)
    # What a shared worker asks for is seen by nobody here: it may ask only where it came from.
    script = page.locator("meta[name=live]").get_attribute("content")
    worker = page.request.get(str(script))
    assert worker.ok
    assert worker.headers["content-security-policy"] == "default-src 'self'"
    # Last of all: it is long, and a browser shows it whole before it goes on.
    page.goto("/docs", wait_until="networkidle")
    expect(page.locator("#swagger-ui .opblock").first).to_be_visible(timeout=120_000)
    assert len(asked) > 20
    assert {url for url in asked if not url.startswith((f"{product.running.url}/", "data:"))} == set()


def test_a_form_without_the_token_of_the_page_is_refused_and_sent_again_from_the_page_that_says_so(
    visit: Visit, product: Product
):
    party = product.post("/v1/parties", json={"name": "Old Page"})["id"]
    language = "zh-Hant"
    page = visit(f"/parties/{party}", language=language, width=WIDTHS["phone"], also=[403])
    page.get_by_text(say(language, "party.record_contact")).click()
    page.locator("#contact-note").fill("One line,\nand <another>.")
    page.evaluate("document.querySelectorAll('main [name=csrf]').forEach((token) => (token.value = 'old'))")
    page.get_by_role("button", name=say(language, "party.did_called")).click()
    expect(page.get_by_role("alert")).to_contain_text(say(language, "frame.refused_stale"))
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    back = page.get_by_role("link", name=say(language, "frame.back_to_page"))
    assert back.get_attribute("href") == f"/parties/{party}"
    page.get_by_role("button", name=say(language, "frame.send_again")).click()
    expect(page.get_by_text(say(language, "party.contact_recorded"))).to_be_visible()
    (recorded,) = product.get("/v1/interactions", party_id=party)["data"]
    assert recorded["text"] == "One line,\r\nand <another>."


def test_whoever_is_not_signed_in_is_led_to_sign_in_and_back(visit: Visit):
    page = visit("/nowhere", role=None, status=404)
    answer = page.request.get("/parties?stage=customer", max_redirects=0)
    assert answer.status == 303
    assert answer.headers["location"] == "/sign-in?next=/parties%3Fstage%3Dcustomer"
    for looked_at, there in (
        ("http://any.example/parties/party_1?show=moves#timeline", "/sign-in?next=/parties/party_1%3Fshow%3Dmoves"),
        ("http://any.example/", "/sign-in"),
        ("http://[", "/sign-in"),
    ):
        asked = {"HX-Request": "true", "HX-Current-URL": looked_at}
        part = page.request.get("/parties/party_1/top", headers=asked, max_redirects=0)
        assert part.status == 204
        assert part.headers["hx-redirect"] == there
