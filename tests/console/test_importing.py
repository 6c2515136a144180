import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from gateway.console.messages import say
from tests.console.conftest import LOOKS, Visit, findings
from tests.system.product import Product

ODD = "a,b,c\nodd-1,01/02/2024,5\nodd-2,03/04/2024,6\nodd-3,,7\n"
"""Columns whose names say nothing, days that could be months, a row without a day."""


def send(page: Page, content: str, name: str, *, language: str = "en") -> None:
    page.get_by_label(say(language, "importing.source"), exact=False).fill("till")
    page.locator("input[type=file]").set_input_files({"name": name, "mimeType": "text/csv", "buffer": content.encode()})
    page.get_by_role("button", name=say(language, "importing.look")).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    expect(page.get_by_role("heading", name=say(language, "importing.progress_looked_at"))).to_be_visible(
        timeout=60_000
    )


def narrow(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def test_a_file_is_looked_at_understood_otherwise_imported_and_undone(visit: Visit, tmp_path: Path):
    page = visit("/import")
    send(page, ODD, "till.csv")
    expect(page.get_by_text("Nothing can be recorded until you say")).to_contain_text("Customer id")
    page.locator("#map_party").select_option("a")
    page.locator("#map_occurred_at").select_option("b")
    page.locator("#map_amount").select_option("c")
    page.get_by_role("button", name="Import 3 rows").click()
    expect(page.get_by_role("alert")).to_contain_text("Day and month cannot be told apart")
    assert page.locator("#map_party").input_value() == "a"
    page.locator("#dates").select_option("dmy")
    page.get_by_role("button", name="Look once more").click()
    expect(page.locator("#progress")).to_contain_text("Would be taken2", timeout=60_000, use_inner_text=False)
    understood = page.get_by_role("region", name="The first rows as they are understood")
    expect(understood.get_by_role("columnheader", name="Customer id")).to_be_visible()
    expect(understood).not_to_contain_text(re.compile(r"\dT\d"))
    page.get_by_role("button", name="Import 3 rows").click()
    expect(page.get_by_role("heading", name="Imported")).to_be_visible(timeout=60_000)
    expect(page.get_by_role("table").last).to_contain_text("No date")
    with page.expect_download() as download:
        page.get_by_role("link", name="All of them as CSV").click()
    assert "no_date" in download.value.path().read_text()
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Undo this import").click()
    expect(page.get_by_role("heading", name="Everything was taken back")).to_be_visible(timeout=60_000)
    page.get_by_role("link", name="Import", exact=True).first.click()
    expect(page.get_by_role("row", name="till.csv").first).to_be_visible()


def test_a_file_let_go_on_the_place_for_it_is_looked_at_and_webhooks_that_would_hear_of_it_are_told(
    visit: Visit, product: Product
):
    page = visit("/import")
    dragged = page.evaluate_handle(
        """(content) => {
          const given = new DataTransfer();
          given.items.add(new File([content], "let-go.csv", { type: "text/csv" }));
          given.items.add(new File(["more"], "another.csv", { type: "text/csv" }));
          return given;
        }""",
        ODD,
    )
    place = page.locator(".drop")
    assert place.evaluate(
        "(place, given) => !place.dispatchEvent(new DragEvent('dragover', { cancelable: true, dataTransfer: given }))",
        dragged,
    ), "whoever does not take it is not asked to"
    field = place.locator("input[type=file]")
    field.evaluate("(field) => (field.disabled = true)")
    place.locator(".hint").dispatch_event("drop", {"dataTransfer": dragged})
    assert field.evaluate("(field) => field.files.length") == 0
    field.evaluate("(field) => (field.disabled = false)")
    place.locator(".hint").dispatch_event("drop", {"dataTransfer": dragged})
    expect(place.get_by_role("status")).to_have_text("One file at a time: the first one was taken.")
    page.get_by_role("button", name="Look at the file").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("let-go.csv")
    hint = page.get_by_text("Moves of long ago are not told")
    expect(hint).to_contain_text("No webhook asks for it.", timeout=60_000)
    wanted = {"url": "https://example.com/hooks", "historic": True, "types": ["community.referral_converted.v1"]}
    webhook = product.post("/v1/webhooks", json=wanted)["id"]
    page.reload()
    expect(hint).to_contain_text("1 webhook asks for it.")
    product.post(f"/v1/webhooks/{webhook}/pause")
    page.reload()
    expect(hint).to_contain_text("No webhook asks for it.")
    product.client.delete(f"/v1/webhooks/{webhook}")


@pytest.mark.parametrize(("language", "said"), [("en", "The file is empty."), ("zh-Hans", "文件是空的。")])
def test_a_file_that_cannot_be_read_says_so_beside_the_form(visit: Visit, language: str, said: str):
    page = visit("/import", language=language)
    page.locator("input[type=file]").set_input_files({"name": "no.csv", "mimeType": "text/csv", "buffer": b" "})
    with page.expect_response(lambda answer: answer.request.method == "POST") as answered:
        page.get_by_role("button", name=say(language, "importing.look")).click()
    assert answered.value.status == 422
    expect(page.get_by_role("alert")).to_contain_text(said)
    assert page.get_by_role("alert").locator("[lang=en]").count() == 0
    expect(page.locator("input[type=file]")).to_be_visible()


def test_a_file_sent_by_no_page_of_ours_is_refused(visit: Visit):
    page = visit("/import")
    answer = page.request.post(
        "/import",
        multipart={"kind": "purchases", "file": {"name": "a.csv", "mimeType": "text/csv", "buffer": b"a,b"}},
        headers={"Accept": "text/html"},
    )
    assert answer.status == 403
    assert say("en", "frame.refused_stale") in answer.text()
    assert say("en", "frame.send_again") not in answer.text()


@pytest.mark.parametrize(("language", "width"), LOOKS)
def test_imports_have_no_barriers(visit: Visit, language: str, width: int):
    page = visit("/import", language=language, width=width)
    assert page.get_by_role("heading", level=1).inner_text() == say(language, "importing.title")
    assert findings(page) == []
    assert narrow(page)
    send(page, ODD, "look.csv", language=language)
    assert findings(page) == []
    assert narrow(page)
