"""Every one of the operator's pages in a real browser, on an audit of real shape."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from bench.audit_fill import PIPELINE, filled
from streams.ui.operator.pages import PAGES
from tests.harness.browser import DESKTOP, PHONE, Visitor, chromium
from tests.harness.served_pages import ADDRESSES, FOLLOWED, OperatorPages, addresses, served_pages

pytestmark = pytest.mark.embedded
EVENTS = 4000
NAMES = (*ADDRESSES, *FOLLOWED)
LONGEST_MS = 120_000
"""Milliseconds that an estimate may take on a busy machine."""
PRINTED = ("money", "pipeline", "event")
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
CUT = """() => [...document.querySelectorAll("table")].filter((one) => {
  const place = one.closest(".scroll");
  if (!place) return one.getBoundingClientRect().right > document.documentElement.clientWidth;
  const shades = getComputedStyle(place).backgroundAttachment;
  return !(place.tabIndex === 0 && place.ariaLabel && shades === "local, local, scroll, scroll");
}).map((one) => one.outerHTML.slice(0, 200))"""
"""Finds tables that are cut without a shade at the edge, or that the keyboard does not reach."""
NUMBERED = """() => {
  const kinds = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']";
  const controls = [...document.querySelectorAll(kinds)].filter((one) => one.checkVisibility() && !one.disabled);
  window.reached = [];
  addEventListener("focusin", (event) => window.reached.push(controls.indexOf(event.target)));
  return controls.length;
}"""
"""Numbers the controls in the order of the page, and notes which get the focus."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorPages]:
    data = tmp_path_factory.mktemp("pages")
    shutil.copy(PIPELINE, data / "pipeline.toml")
    with filled(EVENTS, data):
        pass
    with served_pages(data, data / "pipeline.toml") as pages:
        yield pages


@pytest.fixture(scope="module")
def operator(browser: Browser, pages: OperatorPages) -> Iterator[Visitor]:
    visitor = Visitor.of(browser, pages.origin)
    pages.sign_in(visitor.context)
    yield visitor
    visitor.context.close()


@pytest.fixture(scope="module")
def known(operator: Visitor, pages: OperatorPages) -> dict[str, str]:
    return dict(addresses(operator.page, pages))


@pytest.fixture(params=NAMES)
def opened(request: pytest.FixtureRequest, operator: Visitor, known: dict[str, str]) -> Visitor:
    operator.faults.clear()
    show(operator, known[request.param])
    return operator


def show(operator: Visitor, address: str) -> None:
    """Open a page, and wait until the parts of it that take longer are there."""
    operator.page.goto(operator.origin + address, wait_until="domcontentloaded")
    operator.page.wait_for_selector("main h1")
    operator.page.locator("main [role=status]").first.wait_for(state="detached", timeout=LONGEST_MS)


def test_every_page_of_the_table_is_tried() -> None:
    below = [beginning.rstrip("/") for _, beginning in FOLLOWED.values()]
    assert {page.path for page in PAGES} <= {*ADDRESSES.values(), *below}


def test_a_page_is_accessible_fits_and_asks_its_own_server_alone(opened: Visitor) -> None:
    for size in (PHONE, DESKTOP):
        opened.page.set_viewport_size({"width": size["width"], "height": size["height"]})
        assert opened.page.evaluate(TOO_WIDE) <= 0, f"wider than {size['width']}"
    assert opened.inspect() == []
    controls = opened.page.evaluate(NUMBERED)
    assert reached_by_tab(opened.page, controls) == list(range(controls))
    assert opened.faults == []


def test_every_table_that_is_cut_can_be_scrolled_by_the_keyboard_and_says_what_it_is(opened: Visitor) -> None:
    opened.page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
    opened.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert opened.page.evaluate(CUT) == []


def reached_by_tab(page: Page, controls: int) -> list[int]:
    """Press the tab key once for each control, and return the numbers of those that got the focus, in turn."""
    for _ in range(controls):
        page.keyboard.press("Tab")
    reached: list[int] = page.evaluate("window.reached")
    return reached


def test_two_letters_are_ticked_and_dropped_with_the_keyboard_alone(operator: Visitor) -> None:
    page = operator.page
    page.goto(f"{operator.origin}/dead-letters?state=open")
    for number in range(2):
        page.get_by_role("checkbox").nth(number).press("Space")
    page.get_by_role("button", name="Drop …", exact=True).press("Enter")
    page.get_by_text("2 open dead letters will be dropped.").wait_for()
    page.get_by_label("Why (it is recorded)").focus()
    page.keyboard.type("by the keyboard")
    page.keyboard.press("Enter")
    page.get_by_text("2 dead letters dropped.").wait_for()


@pytest.mark.parametrize("name", PRINTED)
def test_a_page_prints_without_navigation(operator: Visitor, known: dict[str, str], name: str) -> None:
    show(operator, known[name])
    operator.page.emulate_media(media="print")
    try:
        assert operator.page.locator("main h1").is_visible()
        assert operator.page.locator("nav:visible, form.range:visible, button:visible").count() == 0
    finally:
        operator.page.emulate_media(media="screen")


def test_a_threshold_is_suggested_once_the_slider_leaves_the_present_one(
    operator: Visitor, known: dict[str, str]
) -> None:
    show(operator, known["what-if"])
    worker = operator.page.locator('[data-worker="extract"]')
    worker.get_by_text("Move the slider").wait_for(state="visible")
    assert worker.locator("pre").is_hidden()
    worker.locator("input[type=range]").press("ArrowRight")
    assert "workers.extract.threshold=0.775" in worker.locator("pre").inner_text()
    assert worker.get_by_text("Move the slider").is_hidden()
    worker.locator("input[type=range]").press("ArrowLeft")
    assert worker.locator("pre").is_hidden()
