"""A running `escalon ui` on an audit, and the addresses of all its pages for the operator."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Page

from streams.ui.operator.guard import OPERATOR_COOKIE
from streams.ui.operator.pages import PAGES


@dataclass(frozen=True, slots=True)
class OperatorPages:
    """The operator's link to a server, its origin, and its process."""

    link: str
    pid: int

    @property
    def origin(self) -> str:
        parts = urlsplit(self.link)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def token(self) -> str:
        return self.link.rpartition("/")[2]

    def sign_in(self, context: BrowserContext) -> None:
        """Give a browser the cookie that the link would set."""
        context.add_cookies([{"name": OPERATOR_COOKIE, "value": self.token, "url": self.origin, "sameSite": "Strict"}])


@contextmanager
def served_pages(data: Path, pipeline: Path) -> Iterator[OperatorPages]:
    """Run `escalon ui` on a data directory, with an embedded ClickHouse, on a free port."""
    command = [sys.executable, "-m", "streams", "ui", "--port", "0", "-p", str(pipeline)]
    environment = os.environ | {"ESCALON_DATA": str(data), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            said = ""
            while not (found := re.search(r"http://\S+/o/\S+", said)):
                line = process.stdout.readline()
                assert line, f"escalon ui ended: {said}"
                said += line
            yield OperatorPages(found[0].rstrip("."), process.pid)
        finally:
            process.terminate()
            process.stdout.read()


ADDRESSES = {page.title.lower().replace(" ", "-"): page.path for page in PAGES if not page.section} | {
    "search-text": "/search?text=stove&tier=worker",
    "run-pair": "/runs/live/stricter",
    "query": "/query/tiers",
}
"""Each page of the navigation, and some below them, on the audit of bench/audit_fill.py."""
FOLLOWED = {"event": ("/search?state=escalated", "/events/"), "dead-letter": ("/dead-letters", "/dead-letters/")}
"""Pages that are reached by a link: the page with it, and the beginning of the link's address."""


def addresses(page: Page, pages: OperatorPages) -> Iterator[tuple[str, str]]:
    """Yield the name and the address of every page; the first link of a list leads to the pages below it."""
    yield from ADDRESSES.items()
    for name, (start, beginning) in FOLLOWED.items():
        page.goto(pages.origin + start, wait_until="domcontentloaded")
        links = page.locator(f'main a[href^="{beginning}"]:not([href*="/confirm"])')
        yield name, str(links.first.get_attribute("href"))
