"""Servers and a browser, shared by the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.harness.browser import chromium
from tests.harness.panel_site import PanelServers, panel_servers


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, clickhouse_server: str) -> Iterator[PanelServers]:
    with panel_servers(tmp_path_factory.mktemp("panels"), clickhouse_server) as servers:
        yield servers


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser
