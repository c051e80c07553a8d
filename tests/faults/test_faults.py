"""Faults on Apache Kafka, seeded: nothing is lost, nothing ends twice, nothing that was stored is paid for again."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.embedded.broker import ApacheKafka
from streams.packaged_files import resource
from tests.harness.faults.clock import compiler
from tests.harness.faults.cluster import KafkaCluster
from tests.harness.faults.fleet import fleet
from tests.harness.faults.proof import Proof
from tests.harness.faults.run import Load, run
from tests.harness.faults.scenarios import SCENARIOS

pytestmark = pytest.mark.embedded

CLOCK = pytest.param(
    "clock",
    marks=pytest.mark.skipif(compiler() is None, reason="skipped: no clock jumps, for want of a C compiler named cc"),
)
STOP_SECONDS = 25.0
"""15 to drain and 10 to leave."""


def proven(name: str, seed: int, load: Load, home: Path, data: Path) -> Proof:
    scenario = SCENARIOS[name]
    kind = KafkaCluster if scenario.brokers > 1 else ApacheKafka
    with fleet(data, kind(home, resource("kafka"), data / "kafka"), scenario.brokers) as running:
        return run(running, scenario, seed, load)


def test_a_worker_killed_and_one_stopped_in_a_short_stream(kafka_home: Path, tmp_path: Path) -> None:
    proof = proven("short", 1, Load(events=400, rate=20), kafka_home, tmp_path)
    assert proof.faults == {}
    assert (proof.events, len(proof.toll["kills"])) == (400, 1)
    assert max(proof.toll["stops"]) < STOP_SECONDS


def test_a_leader_of_three_brokers_lost_in_a_short_stream(kafka_home: Path, tmp_path: Path) -> None:
    proof = proven("short leader", 1, Load(events=300, rate=20), kafka_home, tmp_path)
    assert proof.faults == {}
    assert any("SIGKILL kafka-" in note for note in proof.toll["notes"])


def test_a_worker_that_is_suspended_until_its_partitions_have_moved(kafka_home: Path, tmp_path: Path) -> None:
    proof = proven("frozen", 1, Load(events=600, rate=15), kafka_home, tmp_path)
    assert proof.faults == {}
    assert sum("SIGSTOP" in note for note in proof.toll["notes"]) == 2


def test_topics_that_get_more_partitions_in_a_short_stream(kafka_home: Path, tmp_path: Path) -> None:
    proof = proven("partitions", 1, Load(events=600, rate=15), kafka_home, tmp_path)
    # What is stored stays in its partition, so a text that comes again may be asked once more.
    assert proof.faults.keys() <= {"stored_again"}
    assert sum("has 12 partitions" in note for note in proof.toll["notes"]) >= 4


@pytest.mark.faults
@pytest.mark.parametrize("name", ["kill", "wiped", "broker", "leader", "clickhouse", CLOCK])
def test_a_longer_stream_with_a_fault_of_each_kind(name: str, kafka_home: Path, tmp_path: Path) -> None:
    proof = proven(name, 1, Load(events=2000, rate=25), kafka_home, tmp_path)
    assert proof.faults == {}
    assert proof.toll["notes"]


@pytest.mark.faults
@pytest.mark.parametrize("name", ["stop", "restarts", "rebalance"])
def test_workers_stopped_under_load_end_in_time_and_cause_no_duplicate(
    name: str, kafka_home: Path, tmp_path: Path
) -> None:
    proof = proven(name, 1, Load(events=2000, rate=25), kafka_home, tmp_path)
    assert proof.faults == {}
    assert max(proof.toll["stops"]) < STOP_SECONDS
    assert (proof.paid_again, proof.copies) == (0, 0)
