"""Fixtures of the tests of panels: one audit for all of them, in which each test has runs of its own, and the shop."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from streams.audit.query import Audit
from streams.pipeline.load import Pipeline
from tests.harness.audit import database
from tests.harness.shop import shop


@pytest.fixture(scope="package")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseConfig]:
    """ClickHouse with the audit's tables."""
    with database(tmp_path_factory.mktemp("audit")) as config:
        yield config


@pytest.fixture
def audit(config: ClickHouseConfig) -> Iterator[Audit]:
    """The audit, to read."""
    audit = Audit(config)
    yield audit
    audit.close()


@pytest.fixture(scope="package")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """The shop's pipeline."""
    return shop(tmp_path_factory.mktemp("shop"))
