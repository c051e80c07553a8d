"""Planted markup, control characters and secrets on all pages, by following every link from the navigation."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, unquote, urldefrag, urlencode, urljoin, urlsplit

import pytest
from starlette.routing import Route

from bench.audit_fill import PIPELINE
from streams.adapters.clickhouse import ClickHouseConfig
from streams.audit.dead_letters.retry import NotRetried
from streams.audit.query import Audit
from streams.pipeline.load import load_pipeline
from streams.ui.operator import frame
from streams.ui.operator.frame import OperatorSite
from streams.ui.operator.letters import HandledLetters
from streams.ui.operator.pages import PAGES, operator_routes
from tests.harness.audit import write
from tests.harness.operator_pages import operator_site, visitor
from tests.harness.planted import EVENT_ID, MARKUP, PLANT, RUN, SECRETS, planted, read_page

pytestmark = pytest.mark.embedded
MOST_OF_A_PAGE = 2
"""Addresses of the same page that are followed; they differ in their parameters."""
MOST_OF_A_ROUTE = 60
NOT_FOLLOWED = {"/live", "/o/{token}"}
"""A stream whose parts are read one by one, and the link that opens the session."""


@pytest.fixture(scope="module")
def clickhouse(config: ClickHouseConfig) -> ClickHouseConfig:
    write(config, *planted())
    return config


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    frame.secrets_hider.cache_clear()
    yield
    frame.secrets_hider.cache_clear()


@pytest.fixture
def site(clickhouse: ClickHouseConfig, tmp_path: Path) -> Iterator[OperatorSite]:
    site = operator_site(Audit(clickhouse), tmp_path, load_pipeline(PIPELINE))
    site.settings = replace(site.settings, clickhouse=clickhouse)
    yield site
    site.close()


def route_of(address: str) -> str:
    """The route that serves an address."""
    path = unquote(urlsplit(address).path)
    routes = [one for one in operator_routes() if isinstance(one, Route) and "GET" in (one.methods or ())]
    return next(one.path for one in routes if one.path_regex.match(path))


@pytest.mark.slow
async def test_nothing_planted_gets_out_of_its_text_on_any_page_that_a_link_reaches(site: OperatorSite) -> None:
    site.form_results.add(HandledLetters("retried", 1, [NotRetried("0" * 32, EVENT_ID, PLANT)], stopped=PLANT))
    asked = [{"text": text, "handler": text, "run": run} for text in MARKUP for run in ("live", RUN)]
    words = [f"/search?{urlencode(one)}" for one in asked[:MOST_OF_A_PAGE]]
    waiting = deque([*(path for path, _ in site.navigation), *words, f"/?{urlencode({'run': RUN})}"])
    waiting += [f"/events/{quote(one, safe='')}" for one in (EVENT_ID, "long")]
    waiting += ["/dead-letters/" + "0" * 32, "/dead-letters/done/1"]
    seen: set[str] = set()
    paths, routes = Counter[str](), Counter[str]()
    async with visitor(site) as operator:
        while waiting:
            address = waiting.popleft()
            path, route = urlsplit(address).path, route_of(address)
            if address in seen or paths[path] == MOST_OF_A_PAGE or routes[route] == MOST_OF_A_ROUTE:
                continue
            seen.add(address)
            paths[path] += 1
            routes[route] += 1
            answer = await operator.get(address, follow_redirects=True)
            assert answer.status_code == 200, (address, answer.text[-2000:])
            if "attachment" in answer.headers.get("content-disposition", ""):
                assert answer.headers["content-type"] in ("application/octet-stream", "text/csv; charset=utf-8")
                assert answer.headers["x-content-type-options"] == "nosniff"
                assert route == "/dead-letters/{letter}/original" or not any(map(answer.text.count, SECRETS.values()))
                continue
            found = read_page(answer.text)
            assert (address, found.faults) == (address, [])
            links = sorted({urldefrag(urljoin(address, one))[0] for one in found.links})
            waiting += [one for one in links if not one.startswith("/static/")]
    every = {one.path for one in operator_routes() if isinstance(one, Route) and "GET" in (one.methods or ())}
    assert set(routes) == every - NOT_FOLLOWED


async def test_live_parts_hold_nothing_planted(site: OperatorSite) -> None:
    parts = [part for page in PAGES for part in page.fragments(site)]
    assert parts
    for part in parts:
        for run in ("live", RUN):
            assert (part.name, read_page(await part.render({"run": run})).faults) == (part.name, [])


async def test_a_search_for_half_a_secret_does_not_show_the_other_half(site: OperatorSite) -> None:
    half = SECRETS["ANTHROPIC_API_KEY"][:15]
    async with visitor(site) as operator:
        found = (await operator.get(f"/search?{urlencode({'text': half})}")).text
    assert "2 events" in found
    assert SECRETS["ANTHROPIC_API_KEY"][15:] not in found


@pytest.mark.parametrize("text", MARKUP)
async def test_a_planted_address_that_leads_nowhere_says_so(site: OperatorSite, text: str) -> None:
    quoted = quote(text, safe="")
    places = (f"/events/{quoted}", f"/dead-letters/{quoted}", f"/query/{quoted}", f"/{quoted}", "/dead-letters/done/9")
    async with visitor(site) as operator:
        for place in (*places, f"/events/x?{urlencode({'run': text})}"):
            answer = await operator.get(place)
            assert (place, answer.status_code) == (place, 404)
            assert 'aria-label="Pages"' in answer.text
            assert (place, read_page(answer.text).faults) == (place, [])
        for place in (f"/runs/live/{quoted}", f"/runs/{quoted}/{quoted}"):
            answer = await operator.get(place)
            assert answer.status_code in (200, 400), place  # 200 while it is compared
            assert (place, read_page(answer.text).faults) == (place, [])
