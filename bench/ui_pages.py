"""Time and photograph the operator's pages: `python -m bench.ui_pages DATA [--shots DIRECTORY]`.

DATA is a directory that bench/audit_fill.py has filled. For each page: the time of the server until the last byte
(median of five requests, each of another range, so that none is answered from memory), and until the browser has
painted the content and loaded everything. Exits with 1 if a page takes longer than LIMIT_SECONDS.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from urllib.request import Request, urlopen

from playwright.sync_api import Browser, Page
from rich.console import Console

from streams.cli.console import table
from streams.ui.operator.guard import OPERATOR_COOKIE
from tests.harness.browser import DESKTOP, PHONE, THEMES, chromium
from tests.harness.served_pages import OperatorPages, addresses, served_pages

LIMIT_SECONDS = 1.0
TIMES = 5
RANGES = ("1", "1.1", "1.2", "1.3", "1.4")
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? performance.now()"
LOADED = "performance.timing.loadEventEnd - performance.timing.navigationStart"


def server_seconds(pages: OperatorPages, address: str) -> float:
    """Return the median time of a page, in seconds."""
    taken = []
    for hours in RANGES:
        ranged = f"{address}{'&' if '?' in address else '?'}hours={hours}"
        request = Request(pages.origin + ranged, headers={"Cookie": f"{OPERATOR_COOKIE}={pages.token}"})  # noqa: S310
        begun = time.perf_counter()
        with urlopen(request) as response:  # noqa: S310
            response.read()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def browser_seconds(page: Page, address: str) -> tuple[float, float]:
    """Return the times until the content is painted and until everything is loaded, in seconds."""
    page.goto(address, wait_until="load")
    page.wait_for_timeout(200)
    return page.evaluate(PAINTED) / 1000, page.evaluate(LOADED) / 1000


def photograph(browser: Browser, pages: OperatorPages, named: dict[str, str], directory: Path) -> None:
    """Write every page whole, narrow and wide, light and dark."""
    directory.mkdir(parents=True, exist_ok=True)
    for theme in THEMES:
        for size in (PHONE, DESKTOP):
            context = browser.new_context(
                viewport={"width": size["width"], "height": size["height"]}, color_scheme=theme
            )
            pages.sign_in(context)
            page = context.new_page()
            for name, address in named.items():
                page.goto(pages.origin + address, wait_until="load")
                page.wait_for_timeout(1500 if name in ("run-pair", "what-if") else 300)
                page.screenshot(path=directory / f"{name}-{size['width']}-{theme}.png", full_page=True)
            context.close()


def main() -> int:
    """Measure, print, and say by the exit code whether all are fast enough."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--shots", type=Path, help="write screenshots into this directory")
    given = parser.parse_args()
    with served_pages(given.data, given.data / "pipeline.toml") as pages, chromium() as browser:
        context = browser.new_context(viewport={"width": DESKTOP["width"], "height": DESKTOP["height"]})
        pages.sign_in(context)
        page = context.new_page()
        named = dict(addresses(page, pages))
        rows = [
            (name, server_seconds(pages, address), *browser_seconds(page, pages.origin + address))
            for name, address in named.items()
        ]
        context.close()
        if given.shots:
            photograph(browser, pages, named, given.shots)
    Console().print(table(["page", "server s", "painted s", "loaded s"], rows))
    late = [name for name, *taken in rows if max(taken) > LIMIT_SECONDS]
    print(f"over {LIMIT_SECONDS} s: {', '.join(late) or 'none'}")
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
