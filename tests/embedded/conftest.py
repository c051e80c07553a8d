"""Servers shared by the tests of a module; each is a process of its own, as chDB allows one path per process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from streams.embedded.broker import Tansu
from streams.embedded.stack import start_clickhouse
from streams.embedded.supervisor import Supervisor


@pytest.fixture(scope="module")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    data_dir = tmp_path_factory.mktemp("clickhouse")
    with Supervisor(data_dir / "logs") as supervisor:
        yield start_clickhouse(supervisor, data_dir)


@pytest.fixture(scope="module")
def tansu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Supervisor(tmp_path_factory.mktemp("tansu")) as supervisor:
        yield Tansu().start(supervisor)
