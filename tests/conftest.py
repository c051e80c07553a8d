"""Settings, marks and fixtures of all tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from streams.adapters.clickhouse import ClickHouseConfig
from streams.adapters.kafka import KafkaConfig
from streams.core.errors import ServiceError
from streams.embedded.broker import ApacheKafka
from streams.embedded.kafka_install import install
from streams.embedded.stack import start_clickhouse
from streams.embedded.supervisor import Supervisor
from streams.packaged_files import resource
from tests.harness.audit import database
from tests.harness.commands import Escalon, in_shop
from tests.harness.shop import shop

# Property-based tests are not timed: other work may share the machine.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# The tests' own pipelines may name any function; tests/pipeline/test_code.py has what is refused without this.
os.environ.setdefault("ESCALON_ALLOW_PYTHON", "1")


NO_KAFKA = "skipped: Apache Kafka is not tested"

# What `make test` leaves to `make test-slow`. A single costly test, or module, has the mark `slow` itself.
SLOW_MARKS = ("ecosystem", "faults", "kafka", "providers", "weights")
SLOW_FIXTURES = ("browser",)
SLOW_DIRECTORIES = ("faults", "journey", "secure", "storm", "tiers")
HAPPY_PATH = "test_journey.py"
"""The one module of tests/journey that `make test` runs, on the in-memory broker."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Set the marks `kafka` and `slow` by rule."""
    for item in items:
        if needs_kafka(item):
            item.add_marker(pytest.mark.kafka)
        if is_slow(item):
            item.add_marker(pytest.mark.slow)


def needs_kafka(item: pytest.Item) -> bool:
    """True if a test uses the fixture, or has the broker among its parameters."""
    spec = getattr(item, "callspec", None)
    chosen = [one for one in spec.params.values() if isinstance(one, str)] if spec is not None else []
    return "kafka_home" in getattr(item, "fixturenames", ()) or "kafka" in chosen


def is_slow(item: pytest.Item) -> bool:
    """True by a mark, a fixture, or the directory below tests/."""
    directory = item.path.relative_to(Path(__file__).parent).parts[0]
    return (
        any(item.get_closest_marker(mark) for mark in SLOW_MARKS)
        or any(fixture in SLOW_FIXTURES for fixture in getattr(item, "fixturenames", ()))
        or (directory in SLOW_DIRECTORIES and item.path.name != HAPPY_PATH)
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say it loudly when tests on Apache Kafka were left out."""
    reasons = [str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", ()) if report.longrepr]
    left_out = [reason for reason in reasons if NO_KAFKA in reason]
    if left_out:
        terminalreporter.section("APACHE KAFKA WAS NOT TESTED", red=True, bold=True)
        terminalreporter.line(f"{len(left_out)} tests were left out. {left_out[0].removeprefix('Skipped: ')}", red=True)


@pytest.fixture(scope="session")
def kafka_home(pytestconfig: pytest.Config) -> Path:
    """An installed Apache Kafka, kept between runs in pytest's cache."""
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            pytest.skip(f"{NO_KAFKA}: there is no {program}")
    cache = pytestconfig.cache
    assert cache is not None
    try:
        return install(cache.mkdir("kafka"), print, resource("kafka"))
    except ServiceError as error:
        pytest.skip(f"{NO_KAFKA}: {error}")


@pytest.fixture(scope="module")
def kafka(kafka_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaConfig]:
    """Apache Kafka, for the tests of one module."""
    directory = tmp_path_factory.mktemp("kafka")
    with Supervisor(directory) as supervisor:
        yield KafkaConfig(servers=ApacheKafka(kafka_home, resource("kafka"), directory / "data").start(supervisor))


@pytest.fixture(scope="session")
def clickhouse_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a ClickHouse server, for all tests that neither restart, break nor fill it."""
    directory = tmp_path_factory.mktemp("clickhouse")
    with Supervisor(directory / "logs") as supervisor:
        yield start_clickhouse(supervisor, directory)


@pytest.fixture(scope="module")
def config(clickhouse_server: str) -> Iterator[ClickHouseConfig]:
    """An empty audit for the tests of one module, each of which has a run of its own."""
    with database(clickhouse_server) as config:
        yield config


@pytest.fixture
def escalon(
    tmp_path: Path, config: ClickHouseConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Escalon]:
    """The commands in the shop's directory, on the audit of the module's fixture `config`."""
    shop(tmp_path)
    with in_shop(tmp_path, config, monkeypatch, capsys) as escalon:
        yield escalon
