"""Write a screenshot of every page of the panel, narrow and wide, light and dark.

Usage: `python -m bench.panel_screenshots DIR`.

It needs Chromium and the development packages, but no broker: the pages are the tests' examples.
"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, Route

from tests.harness.browser import DESKTOP, PHONE, THEMES, chromium
from tests.harness.panel_pages import example_pages
from tests.harness.pictures import picture

ORIGIN = "http://panel.example"
STATIC = Path(__file__).parents[1] / "streams" / "ui" / "static"
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def answer(route: Route) -> None:
    """Serve a page, a file of its own, or the example's image; nothing leaves the process."""
    path = route.request.url.removeprefix(ORIGIN)
    if path.startswith("/static/"):
        file = STATIC / path.removeprefix("/static/")
        route.fulfill(body=file.read_text("utf-8"), content_type=TYPES[file.suffix])
    elif path.startswith("/image/"):
        route.fulfill(body=picture(480), content_type="image/jpeg")
    else:
        route.fulfill(body=example_pages()[path.removeprefix("/")], content_type="text/html; charset=utf-8")


def opened(page: Page, name: str) -> None:
    """Bring a page into the state to be shown."""
    page.goto(f"{ORIGIN}/{name.partition('+')[0]}")
    if "+" in name:
        page.keyboard.press({"help": "?", "skip": "s"}.get(name.partition("+")[2], "d"))
        if name.endswith("+differences"):
            for key in "yn4":
                page.keyboard.press(key)


def photograph(browser: Browser, directory: Path, *, phone: bool) -> None:
    """Write all pages in one width and both themes, long ones also as a whole."""
    size = PHONE if phone else DESKTOP
    width = size["width"]
    for theme in THEMES:
        context = browser.new_context(
            viewport={"width": width, "height": size["height"]}, color_scheme=theme, has_touch=phone, is_mobile=phone
        )
        page = context.new_page()
        page.route("**/*", answer)
        for name in [*example_pages(), "case+differences", "case+help", "case+skip"]:
            opened(page, name)
            page.screenshot(path=directory / f"{name}-{width}-{theme}.png")
            height = page.evaluate("document.documentElement.scrollHeight")
            if "+" not in name and height > size["height"]:
                page.set_viewport_size({"width": width, "height": height})
                page.screenshot(path=directory / f"{name}-{width}-{theme}-whole.png")
                page.set_viewport_size({"width": width, "height": size["height"]})
        context.close()


def main() -> None:
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        for phone in (True, False):
            photograph(browser, directory, phone=phone)


if __name__ == "__main__":
    main()
