"""The browser of the tests: an installed Chromium, headless, that reaches this machine alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

Theme = Literal["light", "dark"]
PHONE: Final = {"width": 390, "height": 844}
DESKTOP: Final = {"width": 1280, "height": 800}
THEMES: Final[tuple[Theme, ...]] = ("light", "dark")
_FLAGS: Final = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]


def chromium_path() -> str | None:
    """Return the path of the installed Chromium; None if there is none."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Chromium. Skips the test where it is not installed."""
    path = chromium_path()
    if path is None:
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visitor:
    """A person's browser profile with one page, which notes what must not happen."""

    context: BrowserContext
    origin: str
    """The only address that may be asked."""
    faults: list[str] = field(default_factory=list)
    """Errors in the console, and requests to other addresses."""

    def __post_init__(self) -> None:
        self.page: Page = self.context.new_page()
        self.context.on("request", self._requested)
        self.context.on("console", self._said)
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))

    @classmethod
    def of(cls, browser: Browser, origin: str, *, phone: bool = False, **more: Any) -> Visitor:
        """A visitor with a keyboard, or with a phone."""
        size: Any = PHONE if phone else DESKTOP
        return cls(browser.new_context(viewport=size, has_touch=phone, is_mobile=phone, **more), origin)

    def inspect(self) -> list[str]:
        """Return what axe finds serious or critical on the page, narrow and wide, light and dark."""
        before, found = self.page.viewport_size, []
        for size in (PHONE, DESKTOP):
            self.page.set_viewport_size({"width": size["width"], "height": size["height"]})
            for theme in THEMES:
                self.page.emulate_media(color_scheme=theme)
                only = {} if theme == "light" else {"runOnly": ["color-contrast"]}
                for one in Axe().run(self.page, options=only).response["violations"]:
                    if one["impact"] in ("serious", "critical"):
                        places = ", ".join(str(node["target"]) for node in one["nodes"])
                        found.append(f"{self.page.url} {size['width']} {theme}: {one['id']} at {places}")
        self.page.emulate_media(color_scheme="light")
        assert before is not None
        self.page.set_viewport_size(before)
        return found

    def _requested(self, request: Request) -> None:
        if not request.url.startswith((self.origin, "data:")):
            self.faults.append(f"request to {request.url}")

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.faults.append(f"console: {message.text}")
