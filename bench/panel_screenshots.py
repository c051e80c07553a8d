"""Write a screenshot of every page of the panel, narrow and wide, light and dark.

Usage: `python -m bench.panel_screenshots DIR`.

It needs Chromium and the development packages, but no broker: the pages are the tests' examples.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, Route, sync_playwright

from tests.harness.browser import chromium_path
from tests.harness.panel_pages import example_pages
from tests.harness.pictures import picture

ORIGIN = "http://panel.example"
STATIC = Path(__file__).parents[1] / "streams" / "ui" / "static"
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
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


def photograph(browser: Browser, directory: Path, width: int) -> None:
    """Write all pages in one width and both themes."""
    for theme in THEMES:
        context = browser.new_context(
            viewport={"width": width, "height": 844 if width < 500 else 800},
            color_scheme=theme,
            has_touch=width < 500,
            is_mobile=width < 500,
        )
        page = context.new_page()
        page.route("**/*", answer)
        for name in [*example_pages(), "case+differences", "case+help", "case+skip"]:
            opened(page, name)
            page.screenshot(path=directory / f"{name}-{width}-{theme}.png")
            if width < 500 and page.evaluate("document.documentElement.scrollHeight > innerHeight + 8"):
                page.screenshot(path=directory / f"{name}-{width}-{theme}-whole.png", full_page=True)
        context.close()


def main() -> None:
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=["--no-sandbox"])
        for width in (390, 1280):
            photograph(browser, directory, width)
        browser.close()


if __name__ == "__main__":
    main()
