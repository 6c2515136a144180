import re
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from chassis.clock import now
from gateway.console.messages import say
from gateway.console.standing import Worth
from tests.console.conftest import LOOKS, Visit, findings
from tests.system.product import Product


@pytest.fixture
def ann(product: Product) -> str:
    """Somebody new who bought twice, has a problem, and is called by her name."""
    token = str(now().timestamp()).replace(".", "")
    body = {"name": "Ann Smith", "identifiers": [{"scheme": "email", "value": f"ann{token}@example.org"}]}
    party: str = product.post("/v1/parties", json=body)["id"]
    for days in (200, 100):
        at = (now() - timedelta(days=days)).isoformat()
        product.post(
            "/v1/purchases", json={"party_id": party, "occurred_at": at, "currency": "USD", "amount_minor": 9_900}
        )
    problem = {"party_id": party, "occurred_at": now().isoformat(), "category": "delivery", "title": "It came late"}
    product.post("/v1/problems", json=problem)
    product.shuke("status")
    return party


@pytest.mark.parametrize(("language", "width"), LOOKS)
def test_a_party_has_no_barriers_and_fits(visit: Visit, product: Product, language: str, width: int) -> None:
    party = product.get("/v1/standings", limit=1)["data"][0]["party_id"]
    page = visit(f"/parties/{party}", language=language, width=width)
    assert page.locator(".sentence").is_visible()
    assert not re.search(r"\d{4}-\d\d-\d\d", page.locator(".sentence").inner_text())
    reasons = product.get(f"/v1/standings/{party}", language=language)["reasons"]
    assert page.locator(".advice li").count() == len(reasons["advice"]) > 0
    assert page.locator(".advice li").first.inner_text() not in page.locator(".sentence").inner_text()
    coming = page.locator(".next li li").all_inner_texts()
    assert len(set(coming)) == len(coming)
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_contact_is_recorded_in_two_clicks_and_stands_in_the_timeline(visit: Visit, ann: str) -> None:
    page = visit(f"/parties/{ann}")
    page.get_by_text("Record a contact").click()
    page.get_by_role("button", name="We called").click()
    expect(page.get_by_text("The contact is recorded.")).to_be_visible()
    recorded = page.locator(".timeline .entry").first
    expect(recorded.get_by_text("Contact", exact=True)).to_be_visible()
    expect(recorded).to_contain_text("Sales · from us · by phone")


def test_codes_are_told_in_the_words_of_the_reader_but_for_those_that_a_company_made_up(
    visit: Visit, product: Product, ann: str
) -> None:
    told = {"party_id": ann, "occurred_at": now().isoformat(), "department": "service", "direction": "inbound"}
    for channel, more in (("phone", {"problem": {"category": "complaint"}}), ("drive-in", {})):
        product.post("/v1/interactions", json=told | {"channel": channel, "kind": "complaint"} | more)
    page = visit(f"/parties/{ann}", language="zh-Hant")
    happened = page.locator(".timeline")
    expect(happened).to_contain_text("客服 · 對方主動 · 電話")
    expect(happened).to_contain_text("客服 · 對方主動 · drive-in")
    expect(page.locator("#side .plain-list").first).to_contain_text("投訴")
    for code in ("phone", "complaint"):
        expect(page.locator("main")).not_to_contain_text(code)


def test_a_problem_is_solved_and_a_name_is_changed(visit: Visit, ann: str) -> None:
    page = visit(f"/parties/{ann}")
    page.get_by_role("button", name="It is solved").click()
    expect(page.get_by_text("No open problem.")).to_be_visible()
    page.get_by_text("Change the name").click()
    page.get_by_label("Name", exact=True).fill("Ann Smith-Jones")
    page.locator("form[action$='/name'] button").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Ann Smith-Jones")


def test_what_somebody_else_changed_meanwhile_is_said_on_the_page_of_the_party(visit: Visit, ann: str) -> None:
    page = visit(f"/parties/{ann}", also=(409,))
    page.locator("form[action$='/solve'] [name=version]").evaluate("field => { field.value = 99; }")
    with page.expect_navigation() as answer:
        page.get_by_role("button", name="It is solved").click()
    assert answer.value.status == 409
    expect(page.get_by_role("heading", level=1)).to_have_text("Ann Smith")
    expect(page.get_by_role("alert")).to_be_focused()


def test_something_is_set_by_hand_and_ended(visit: Visit, product: Product) -> None:
    party = product.get("/v1/standings", stage="dormant_customer", tier="high", limit=1)["data"][0]["party_id"]
    page = visit(f"/parties/{party}")
    page.get_by_text("Set something by hand").click()
    page.get_by_label("Set to").select_option("tier:top")
    page.get_by_role("textbox", name="Why").fill("A key account elsewhere")
    page.locator("form[action$='/overrides'] button").click()
    expect(page.get_by_text("It is set.")).to_be_visible()
    expect(page.locator("#top .hint")).to_have_text("Tier is set by hand; the facts say: High.")
    page.get_by_role("button", name="End it").click()
    expect(page.get_by_text("It is left to the facts again.")).to_be_visible()


def test_a_flag_and_why_a_party_is_lost_are_set_by_hand(visit: Visit, product: Product) -> None:
    standing = product.get("/v1/standings", stage="lost_customer", limit=1)["data"][0]
    party, other = standing["party_id"], str("returning" not in standing["flags"]).lower()
    for chosen, said in ((f"returning:{other}", "Returning"), ("loss_reason:price", "Reason of the loss")):
        page = visit(f"/parties/{party}")
        page.get_by_text("Set something by hand").click()
        page.get_by_label("Set to").select_option(chosen)
        page.get_by_role("textbox", name="Why").fill("They told us on the phone")
        page.locator("form[action$='/overrides'] button").click()
        expect(page.locator("#top .hint").filter(has_text=f"{said} is set by hand")).to_be_visible()
    while page.get_by_role("button", name="End it").count():
        page.get_by_role("button", name="End it").first.click()
        expect(page.get_by_text("It is left to the facts again.")).to_be_visible()


def test_a_number_is_set_by_hand_as_people_write_it(visit: Visit, product: Product) -> None:
    standing = product.get("/v1/standings", tier="low", limit=1)["data"][0]
    party = standing["party_id"]
    top = product.get(f"/v1/standings/{party}")["reasons"]["tier"]["cuts"]["top"]
    page = visit(f"/parties/{party}")
    set_by_hand(page, "value_minor:", f"{top // 100 + 1:,}.50")
    expect(page.get_by_text("It is set.")).to_be_visible()
    stands = product.get(f"/v1/standings/{party}")
    assert (stands["value_minor"], stands["tier"]) == ((top // 100 + 1) * 100 + 50, "top")
    expect(page.locator("#top .figure").first).to_contain_text(f"{top // 100 + 1:,}.50")
    expect(page.locator("#top .figure").first).to_contain_text("value: set by hand")
    expect(page.locator("#top .hint")).to_contain_text("Value is set by hand; the facts say:")

    set_by_hand(page, "p:", "12.5%")
    expect(page.locator("#top .hint")).to_contain_text("Probability of buying is set by hand")
    set_by_hand(page, "satisfaction_index:", "87.5")
    expect(page.locator("#top .hint")).to_contain_text("Satisfaction score is set by hand")
    stands = product.get(f"/v1/standings/{party}")
    assert (stands["p"], stands["satisfaction"], stands["satisfaction_band"]) == (0.125, 87.5, "high")
    for left in (2, 1, 0):
        page.get_by_role("button", name="End it").first.click()
        expect(page.get_by_role("button", name="End it")).to_have_count(left)
    assert product.get(f"/v1/standings/{party}")["value_minor"] == standing["value_minor"]


def set_by_hand(page: Page, to: str, number: str) -> None:
    page.get_by_text("Set something by hand").click()
    page.get_by_label("Set to").select_option(to)
    page.get_by_role("textbox", name="Number").fill(number)
    page.get_by_role("textbox", name="Why").fill("Agreed with their director")
    page.locator("form[action$='/overrides'] button").click()
    expect(page.get_by_text("It is set.")).to_be_visible()


MISTAKES = [
    ("contacts", "note", {"day": "2026-01-05", "note": "x" * 20_001, "problem": "yes"}),
    ("purchases", "amount", {"amount": "twelve", "currency": "JPY", "day": "2026-01-05"}),
    ("overrides", "why", {"to": "tier:top", "why": "x" * 2_001, "until": "2099-01-01"}),
    ("overrides", "number", {"to": "value_minor:", "number": "12.345", "why": "As agreed"}),
    ("overrides", "number", {"to": "p:", "number": "7,5", "why": "As agreed"}),
    ("name", "name", {"name": "x" * 201}),
    ("owner", "owner_id", {"owner_id": "nobody at all"}),
]
"""A form, the field of it that is wrong, and all that is filled in; no browser would send it without help."""


@pytest.mark.parametrize(("form", "field", "filled"), MISTAKES)
def test_a_form_that_is_wrong_is_shown_again_with_what_is_wrong_and_all_that_was_filled_in(
    visit: Visit, product: Product, form: str, field: str, filled: dict[str, str]
) -> None:
    party = product.get("/v1/standings", stage="dormant_customer", limit=1)["data"][0]["party_id"]
    page = visit(f"/parties/{party}", language="zh-Hant")
    place = page.locator(f"form[method=post][action$='/{form}']")
    if form == "owner":
        page.locator("details[hx-get$='/owner'] > summary").click()
    else:
        page.locator("details", has=page.locator(f"form[action$='/{form}']")).locator("> summary").click()
    place.evaluate(FILLED, filled)
    with page.expect_navigation() as answer:
        place.locator("button").first.click()
    assert answer.value.status == 422
    expect(place).to_be_visible()
    kept = place.evaluate("form => Object.fromEntries(new FormData(form))")
    assert {**kept, **filled} == kept
    wrong = page.get_by_role("alert")
    expect(wrong).to_be_focused()
    assert place.locator("[role=alert]").count() == 1
    label = place.locator(f"label[for={place.locator(f'[name={field}]').get_attribute('id')}]").inner_text()
    expect(wrong.locator("strong")).to_have_text(label)
    expect(wrong).not_to_contain_text(re.compile("[a-z]{5}"))
    assert findings(page) == []
    with page.expect_response(lambda told: told.url.endswith("/side")):
        page.evaluate("document.activeElement.blur(); document.body.dispatchEvent(new CustomEvent('live-party'))")
    expect(page.locator(".htmx-request")).to_have_count(0)
    assert place.evaluate("form => Object.fromEntries(new FormData(form))") == kept
    page.goto(page.url)
    expect(page).to_have_url(re.compile(f"/parties/{party}(/owner)?$"))


FILLED = """(form, filled) => {
  form.noValidate = true;
  for (const [name, said] of Object.entries(filled)) {
    const field = form.elements[name];
    if (field.type === "checkbox") field.checked = true;
    else if (field.tagName === "SELECT" && ![...field.options].some((each) => each.value === said))
      field.add(new Option(said, said, false, true));
    else field.value = said;
  }
}"""


def test_the_timeline_shows_what_is_asked_for(visit: Visit, product: Product) -> None:
    party = product.get("/v1/standings", limit=1)["data"][0]["party_id"]
    page = visit(f"/parties/{party}?show=purchases")
    assert set(page.locator(".timeline .entry strong").all_inner_texts()) == {"Purchase"}


def test_a_party_is_printed_without_what_is_for_clicks(visit: Visit, product: Product) -> None:
    party = product.get("/v1/standings", stage="dormant_customer", limit=1)["data"][0]["party_id"]
    page = visit(f"/parties/{party}")
    assert page.locator("nav.side").is_visible()
    page.emulate_media(media="print")
    for gone in ("header.top", "nav.side", ".skip", ".acts", ".filters", "main button", "main form", "#said"):
        for each in page.locator(gone).all():
            assert not each.is_visible(), gone
    for kept in ("h1", "#stands", ".sentence", ".parts svg.meter", "svg.area", ".timeline .entry", "#h-owner"):
        expect(page.locator(kept).first).to_be_visible()
    main, side = page.locator("#top").bounding_box(), page.locator("#side").bounding_box()
    assert main is not None
    assert side is not None
    assert side["y"] > main["y"] + main["height"]
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert page.pdf(format="A4").startswith(b"%PDF")


@pytest.mark.parametrize("language", ["zh-Hant", "zh-Hans"])
@pytest.mark.parametrize("width", [390, 320])
def test_no_line_of_chinese_begins_or_ends_with_the_wrong_mark(
    visit: Visit, product: Product, language: str, width: int
) -> None:
    party = product.get("/v1/standings", stage="dormant_customer", limit=1)["data"][0]["party_id"]
    page = visit(f"/parties/{party}", language=language, width=width)
    lines, wrong = page.evaluate(LINES)
    assert lines > 20
    assert wrong == []


LINES = """() => {
  const never = { begin: "，。、；：？！」』）》〉…", end: "「『（《〈" };
  const wrong = [];
  let lines = 0;
  const texts = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode;
    const range = document.createRange();
    let before = null;
    for (let at = 0; at < node.length; at++) {
      range.setStart(node, at);
      range.setEnd(node, at + 1);
      const box = range.getBoundingClientRect();
      if (!box.width) continue;
      if (before && box.top > before.top + before.height / 2) {
        lines += 1;
        if (never.begin.includes(node.data[at]) || never.end.includes(before.letter)) wrong.push(node.data.trim());
      }
      before = { top: box.top, height: box.height, letter: node.data[at] };
    }
  }
  return [lines, wrong];
}"""


def test_the_table_of_values_tells_every_move_that_the_line_shows(visit: Visit, product: Product) -> None:
    party = product.get("/v1/standings", stage="dormant_customer", limit=1)["data"][0]["party_id"]
    page = visit(f"/parties/{party}")
    drawn = page.locator("svg.area .move title").all_text_contents()
    assert drawn
    page.get_by_text("As a table").click()
    told = page.locator("#top table").last.locator("td:last-child").all_inner_texts()
    written = [line for cell in told for line in cell.splitlines()]
    assert len(written) == len(drawn)
    for title in drawn:
        day, _, stage = title.partition(": ")
        assert [line for line in written if line.startswith(day) and line.endswith(stage)], title
    assert findings(page) == []


def test_moves_stand_with_the_first_day_that_is_told_since() -> None:
    days = [f"2026-01-{day:02}" for day in range(1, 29)]
    values = {"currency": "EUR", "data": [{"day": day, "value_minor": 100, "stage": "customer"} for day in days]}
    moves = [
        {"day": day, "from_stage": one, "to_stage": other}
        for day, one, other in (
            ("2026-02-03", "customer", "dormant_customer"),
            ("2026-01-11", "prospect", "customer"),
            ("2026-01-12", "customer", "customer"),
            ("2025-12-30", None, "prospect"),
        )
    ]
    worth = Worth.of(values, moves)
    assert worth is not None
    told = {row["day"]: [move["day"] for move in since] for row, since in worth.rows if since}
    assert told == {"2026-01-02": ["2025-12-30"], "2026-01-12": ["2026-01-11"], "2026-01-28": ["2026-02-03"]}


def test_a_merge_is_taken_back_on_the_page_of_the_party(visit: Visit, product: Product) -> None:
    token = str(now().timestamp()).replace(".", "")
    called = {}
    for name in ("Tess", "Tom"):
        address = {"scheme": "email", "value": f"{name.lower()}{token}@example.org"}
        called[product.post("/v1/parties", json={"name": name, "identifiers": [address]})["id"]] = name
    # The smallest id survives.
    one, other = sorted(called)
    product.post(f"/v1/parties/{one}/merge", json={"party_id": other})
    theirs = f"{called[other].lower()}{token}@example.org"
    page = visit(f"/parties/{other}")
    expect(page).to_have_url(re.compile(f"/parties/{one}"))
    expect(page.locator("#side")).to_contain_text(theirs)
    page.once("dialog", lambda dialog: dialog.accept())
    page.locator("form[action$='/unmerge'] button").click()
    expect(page.locator(".notice")).to_have_text(say("en", "party.unmerged_now"))
    expect(page.locator("#side")).not_to_contain_text(theirs)
    page.goto(f"/parties/{other}")
    expect(page.get_by_role("heading", level=1)).to_have_text(called[other])
