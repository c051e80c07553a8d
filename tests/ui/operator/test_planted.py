"""Planted markup, control characters and secrets on all pages, by following every link from the navigation."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, urldefrag, urlencode

import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from streams.audit.query import Audit
from streams.ui.operator import frame
from tests.harness.audit import database, write
from tests.harness.operator_pages import operator_site, visitor
from tests.harness.planted import EVENT_ID, MARKUP, RUN, SECRETS, planted, read_page

pytestmark = pytest.mark.embedded
MOST_PAGES = 150


@pytest.fixture(scope="module")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseConfig]:
    with database(tmp_path_factory.mktemp("audit")) as config:
        write(config, *planted())
        yield config


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    frame.secrets_hider.cache_clear()
    yield
    frame.secrets_hider.cache_clear()


async def test_nothing_planted_gets_out_of_its_text_on_any_page(clickhouse: ClickHouseConfig, tmp_path: Path) -> None:
    site = operator_site(Audit(clickhouse), tmp_path)
    site.settings = replace(site.settings, clickhouse=clickhouse)
    asked = [{"text": text, "handler": text, "run": run} for text in MARKUP for run in ("live", RUN)]
    words = [f"/search?{urlencode(one)}" for one in asked]
    events = [f"/events/{quote(one, safe='')}" for one in (EVENT_ID, "long", *MARKUP)]
    waiting = deque([*(path for path, _ in site.navigation), *events, "/dead-letters/" + "0" * 32, *words])
    seen: set[str] = set()
    async with visitor(site) as operator:
        while waiting and len(seen) < MOST_PAGES:
            address = urldefrag(waiting.popleft())[0]
            if address in seen or address.startswith("/static/") or not address.startswith("/"):
                continue
            seen.add(address)
            answer = await operator.get(address, follow_redirects=True)
            assert answer.status_code in (200, 400, 404), (address, answer.text[-2000:])
            if "attachment" in answer.headers.get("content-disposition", ""):
                assert answer.headers["content-type"] == "application/octet-stream"
                continue
            found = read_page(answer.text)
            assert (address, found.faults) == (address, [])
            waiting += sorted({one for one in found.links if one.startswith(("/", "?"))})
    assert len(seen) > 40
    assert any(one.endswith("/original") for one in seen)
