"""Fixtures of the tests of panels: the shop, and the audit of a module, in which each test has runs of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from streams.audit.query import Audit
from streams.pipeline.load import Pipeline
from tests.harness.shop import shop


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
