from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from streams.audit.query import Audit
from streams.ui.operator.frame import OperatorSite
from tests.harness.audit_world import World
from tests.harness.operator_pages import operator_site
from tests.harness.panel_site import PanelServers


@pytest.fixture
def world(servers: PanelServers) -> World:
    return World(servers.kafka, servers.clickhouse)


@pytest.fixture
def site(world: World, tmp_path: Path) -> Iterator[OperatorSite]:
    site = operator_site(Audit(world.clickhouse), tmp_path)
    site.settings = replace(
        site.settings, clickhouse=world.clickhouse, kafka=world.kafka, topic_prefix=world.prefix, run=world.run
    )
    yield site
    site.close()
