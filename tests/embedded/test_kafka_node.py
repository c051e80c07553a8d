"""The properties of a node; that they work is tested with the brokers."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.embedded.kafka_node import KafkaNode


def node(controllers: dict[int, int], directory: str = "/data") -> KafkaNode:
    return KafkaNode(
        id=2,
        port=9092,
        controllers=controllers,
        home=Path("/kafka"),
        resources=Path("/infra"),
        data_dir=Path(directory),
        message_bytes=17,
    )


def properties(controllers: dict[int, int], directory: str = "/data") -> dict[str, str]:
    return dict(line.split("=", 1) for line in node(controllers, directory)._properties().splitlines())


def test_a_node_alone_keeps_one_copy() -> None:
    told = properties({2: 5})
    assert (told["controller.quorum.voters"], told["offsets.topic.replication.factor"]) == ("2@127.0.0.1:5", "1")
    assert told["min.insync.replicas"] == "1"


def test_one_of_three_keeps_copies_on_all_and_confirms_with_two() -> None:
    told = properties({1: 4, 2: 5, 3: 6})
    assert told["controller.quorum.voters"] == "1@127.0.0.1:4,2@127.0.0.1:5,3@127.0.0.1:6"
    assert (told["offsets.topic.replication.factor"], told["min.insync.replicas"]) == ("3", "2")
    assert told["listeners"] == "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:5"


def test_it_listens_to_this_machine_alone() -> None:
    assert all(
        "127.0.0.1" in value for key, value in properties({2: 5}).items() if "listeners" in key and "//" in value
    )


def test_a_directory_with_letters_beyond_ascii_is_escaped() -> None:
    assert properties({2: 5}, "/düta")["log.dirs"] == "/d\\u00fcta/logs"


def test_java_has_the_options_that_kafkas_own_scripts_would_heed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.embedded.kafka_node.java_program", lambda: "java")
    monkeypatch.delenv("KAFKA_JVM_PERFORMANCE_OPTS", raising=False)
    monkeypatch.setenv("KAFKA_HEAP_OPTS", "-Xms1g -Xmx2g")
    assert node({2: 5})._java()[:5] == ["java", "-Xms1g", "-Xmx2g", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    monkeypatch.setenv("KAFKA_JVM_PERFORMANCE_OPTS", "-XX:+UseG1GC")
    monkeypatch.delenv("KAFKA_HEAP_OPTS")
    assert node({2: 5})._java()[:4] == ["java", "-Xms512m", "-Xmx512m", "-XX:+UseG1GC"]
