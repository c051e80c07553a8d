"""A Kafka broker in memory, and a ClickHouse server with a cluster of one shard and one whose second is unreachable."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from streams.adapters.kafka import KafkaConfig
from streams.embedded.broker import Tansu
from streams.embedded.stack import start_clickhouse
from streams.embedded.supervisor import Supervisor
from tests.harness.audit import unused_database

# The port makes the address one of the engine's own, so that nothing needs to listen there.
CONFIGURATION = """
<clickhouse>
  <tcp_port>9000</tcp_port>
  <remote_servers>
    <one><shard><replica><host>127.0.0.1</host><port>9000</port></replica></shard></one>
    <two>
      <shard><replica><host>127.0.0.1</host><port>9000</port></replica></shard>
      <shard><replica><host>127.0.0.1</host><port>1</port></replica></shard>
    </two>
  </remote_servers>
</clickhouse>
"""


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[KafkaConfig]:
    """A broker in memory."""
    with Supervisor(tmp_path / "logs") as supervisor:
        yield KafkaConfig(servers=Tansu().start(supervisor))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server's address."""
    directory = tmp_path_factory.mktemp("clickhouse")
    (directory / "clickhouse").mkdir()
    (directory / "clickhouse" / "config.xml").write_text(CONFIGURATION)
    with Supervisor(directory / "logs") as supervisor:
        yield start_clickhouse(supervisor, directory)


@pytest.fixture
def config(server: str) -> ClickHouseConfig:
    """A database that does not exist yet."""
    return unused_database(server)
