"""Every kind of the operator's pages in a real browser, on an audit of real shape."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from bench.audit_fill import PIPELINE, filled
from tests.harness.browser import DESKTOP, PHONE, Visitor, chromium
from tests.harness.served_pages import ADDRESSES, OperatorPages, served_pages

pytestmark = pytest.mark.embedded
EVENTS = 2000
WAYS = 40
"""Presses of the tab key."""
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
CONTROLS = "[...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary')]"
VISIBLE = f"{CONTROLS}.filter(one => one.checkVisibility()).length"
NUMBER = f"{CONTROLS}.indexOf(document.activeElement)"


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


@pytest.fixture
def operator(browser: Browser, pages: OperatorPages) -> Iterator[Visitor]:
    visitor = Visitor.of(browser, pages.origin)
    pages.sign_in(visitor.context)
    yield visitor
    visitor.context.close()


@pytest.mark.parametrize("name", ADDRESSES)
def test_a_page_is_accessible_fits_and_asks_its_own_server_alone(operator: Visitor, name: str) -> None:
    operator.page.goto(f"{operator.origin}{ADDRESSES[name]}", wait_until="domcontentloaded")
    operator.page.wait_for_selector("main h1")
    for size in (PHONE, DESKTOP):
        operator.page.set_viewport_size({"width": size["width"], "height": size["height"]})
        assert operator.page.evaluate(TOO_WIDE) <= 0, f"wider than {size['width']}"
    assert operator.inspect() == []
    assert operator.faults == []


@pytest.mark.parametrize("name", ADDRESSES)
def test_the_tab_key_reaches_the_controls_in_their_order(operator: Visitor, name: str) -> None:
    operator.page.goto(f"{operator.origin}{ADDRESSES[name]}", wait_until="domcontentloaded")
    operator.page.wait_for_selector("main h1")
    reached = []
    for _ in range(min(WAYS, operator.page.evaluate(VISIBLE))):
        operator.page.keyboard.press("Tab")
        reached.append(operator.page.evaluate(NUMBER))
    controls = [number for number in reached if number >= 0]
    assert controls == sorted(set(controls))
    assert len(controls) >= 3


def test_a_page_prints_without_navigation(operator: Visitor) -> None:
    operator.page.goto(f"{operator.origin}/pipeline", wait_until="domcontentloaded")
    operator.page.emulate_media(media="print")
    assert not operator.page.locator("nav").first.is_visible()
    assert operator.page.locator("svg.pipeline:visible").count() == 1
