"""Servers shared by the tests of a module; each is a process of its own, as chDB allows one path per process."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
import pytest

from streams.core.errors import ServiceError
from streams.embedded.broker import Tansu
from streams.embedded.kafka_install import install
from streams.embedded.stack import start_clickhouse
from streams.embedded.supervisor import Supervisor
from streams.resources import resource


@pytest.fixture(scope="module")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    data_dir = tmp_path_factory.mktemp("clickhouse")
    with Supervisor(data_dir / "logs") as supervisor:
        yield start_clickhouse(supervisor, data_dir)


@pytest.fixture(scope="module")
def tansu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Supervisor(tmp_path_factory.mktemp("tansu")) as supervisor:
        yield Tansu().start(supervisor)


@pytest.fixture(scope="session")
def kafka_home(pytestconfig: pytest.Config) -> Path:
    """An installed Apache Kafka, kept between runs in pytest's cache."""
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            pytest.skip(f"skipped: no {program}, so Apache Kafka is not tested")
    cache = pytestconfig.cache
    assert cache is not None
    try:
        return install(cache.mkdir("kafka"), print, resource("kafka"))
    except ServiceError as error:
        pytest.skip(f"skipped: Apache Kafka is not tested: {error}")


def connect(url: str, **options: Any) -> Any:
    """A stock clickhouse-connect client of the server at `url`."""
    parts = urlsplit(url)
    return clickhouse_connect.get_client(host=parts.hostname, port=parts.port, **options)
