from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from streams.core.errors import ServiceError
from streams.embedded.broker import Tansu
from streams.embedded.stack import EmbeddedStack, clickhouse_only, running
from tests.harness.clickhouse_client import connect

pytestmark = pytest.mark.embedded


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, EmbeddedStack]]:
    data_dir = tmp_path_factory.mktemp("data")
    with EmbeddedStack(data_dir, Tansu()) as stack:
        yield data_dir, stack


def test_both_servers_answer_at_their_addresses(stack: tuple[Path, EmbeddedStack]) -> None:
    addresses = stack[1].addresses
    assert connect(addresses.clickhouse).command("SELECT 1") == 1
    assert AdminClient({"bootstrap.servers": addresses.kafka}).list_topics(timeout=5).brokers


def test_another_command_finds_the_running_servers(stack: tuple[Path, EmbeddedStack]) -> None:
    data_dir, one = stack
    assert running(data_dir) == one.addresses
    with clickhouse_only(data_dir) as url:
        assert url == one.addresses.clickhouse


def test_a_second_stack_on_the_directory_is_refused(stack: tuple[Path, EmbeddedStack]) -> None:
    data_dir, one = stack
    with pytest.raises(ServiceError, match=f"in use by process {os.getpid()}"), EmbeddedStack(data_dir, Tansu()):
        pass
    assert running(data_dir) == one.addresses


def test_clickhouse_alone_reads_what_a_stack_wrote(tmp_path: Path) -> None:
    with EmbeddedStack(tmp_path, Tansu()) as stack:
        client = connect(stack.addresses.clickhouse)
        client.command("CREATE TABLE kept (id UInt64) ENGINE = MergeTree ORDER BY id")
        client.command("INSERT INTO kept VALUES (5)")
    assert running(tmp_path) is None
    with clickhouse_only(tmp_path) as url:
        assert connect(url).command("SELECT id FROM kept") == 5
        with (
            pytest.raises(ServiceError, match="in use by process"),
            clickhouse_only(tmp_path, wait_seconds=0),
        ):
            pass


def test_without_the_engine_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "chdb", None)
    with (
        pytest.raises(ServiceError, match=r"ClickHouse engine is not installed.*\[embedded\]"),
        clickhouse_only(tmp_path),
    ):
        pass


def test_a_stack_whose_server_was_killed_is_not_running(tmp_path: Path) -> None:
    with EmbeddedStack(tmp_path, Tansu()) as stack:
        pid = stack.supervisor.pids()["tansu"]
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert running(tmp_path) is None
        with pytest.raises(ServiceError, match=r"tansu .* was killed by signal 9"):
            stack.supervisor.check()


def test_a_file_left_by_a_killed_stack_is_not_believed(tmp_path: Path) -> None:
    addresses = {"kafka": "127.0.0.1:1", "clickhouse": "http://127.0.0.1:1"}
    state = {"pids": {"owner": os.getpid()}, "addresses": addresses}
    (tmp_path / "embedded.json").write_text(json.dumps(state))
    assert running(tmp_path) is None
