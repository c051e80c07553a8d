"""Topics are created once, as soon as the cluster has enough brokers."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from streams.adapters import kafka_admin
from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_admin import ClusterMetadata, create_changelogs, create_topics, describe_cluster
from streams.core.errors import ServiceError
from streams.embedded.broker import MESSAGE_BYTES, ApacheKafka, Tansu, await_broker, free_ports
from streams.embedded.kafka_node import KafkaNode, new_cluster_id
from streams.embedded.supervisor import Supervisor
from streams.packaged_files import resource


@pytest.mark.kafka
def test_topics_wait_for_a_broker_that_is_still_starting(tmp_path: Path, kafka_home: Path) -> None:
    ports, cluster_id = free_ports(6), new_cluster_id()
    controllers = dict(zip((1, 2, 3), ports[3:], strict=True))
    nodes = [
        KafkaNode(
            id=number,
            port=port,
            controllers=controllers,
            home=kafka_home,
            resources=resource("kafka").resolve(),
            data_dir=tmp_path / str(number),
            message_bytes=MESSAGE_BYTES,
        )
        for number, port in zip(controllers, ports[:3], strict=True)
    ]
    with Supervisor(tmp_path / "logs") as supervisor, ThreadPoolExecutor(1) as pool:
        first, second = (node.start(supervisor, cluster_id) for node in nodes[:2])
        config = KafkaConfig(servers=await_broker(supervisor, first, f"127.0.0.1:{ports[0]}", 2))
        await_broker(supervisor, second, f"127.0.0.1:{ports[1]}", 2)
        creating = pool.submit(create_topics, config, "", 1, 3)
        time.sleep(1)
        assert (creating.done(), describe_cluster(config).partitions) == (False, {})
        nodes[2].start(supervisor, cluster_id)
        assert creating.result() == sorted(describe_cluster(config).partitions)


@pytest.mark.kafka
def test_more_copies_than_brokers_is_an_error_in_the_end(tmp_path: Path, kafka_home: Path) -> None:
    with Supervisor(tmp_path / "logs") as supervisor:
        config = KafkaConfig(servers=ApacheKafka(kafka_home, resource("kafka"), tmp_path).start(supervisor))
        with pytest.raises(ServiceError, match=r"could not be created: .*replicat"):
            create_topics(config, "", 1, 3, wait_seconds=2.0)


@pytest.mark.embedded
def test_a_changelog_exists_before_the_first_worker_and_is_created_only_once(kafka: KafkaConfig) -> None:
    assert create_changelogs(kafka, {"a-changelog": 4, "b-changelog": 1}, 1) == ["a-changelog", "b-changelog"]
    found = describe_cluster(kafka).partitions
    assert (found["a-changelog"], found["b-changelog"]) == (4, 1)
    assert create_changelogs(kafka, {"a-changelog": 4}, 1) == []
    assert create_changelogs(kafka, {}, 1) == []


@pytest.mark.kafka
def test_a_created_topic_is_listed_even_by_a_broker_that_is_busy_with_others(tmp_path: Path, kafka_home: Path) -> None:
    with Supervisor(tmp_path / "logs") as supervisor:
        config = KafkaConfig(servers=ApacheKafka(kafka_home, resource("kafka"), tmp_path).start(supervisor))
        admin = AdminClient(config.confluent())
        admin.create_topics([NewTopic("large", 1000, 1)])["large"].result()
        create_changelogs(config, {"a-changelog": 1}, 1)
        assert "a-changelog" in describe_cluster(config).partitions


@pytest.fixture
def stopping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[float], KafkaConfig]]:
    """A broker that stops as soon as it has first described itself, for so many seconds."""
    monkeypatch.setattr(kafka_admin, "ADMIN_TIMEOUT", 1.0)
    with Supervisor(tmp_path / "logs") as supervisor:
        config = KafkaConfig(servers=Tansu().start(supervisor))
        (pid,) = supervisor.pids().values()

        def stopped(seconds: float) -> KafkaConfig:
            def described(config: KafkaConfig) -> ClusterMetadata:
                monkeypatch.setattr(kafka_admin, "describe_cluster", describe_cluster)
                found = describe_cluster(config)
                os.kill(pid, signal.SIGSTOP)
                if math.isfinite(seconds):
                    threading.Timer(seconds, os.kill, (pid, signal.SIGCONT)).start()
                return found

            monkeypatch.setattr(kafka_admin, "describe_cluster", described)
            return config

        try:
            yield stopped
        finally:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.embedded
def test_a_broker_that_does_not_answer_for_a_while_is_asked_again(stopping: Callable[[float], KafkaConfig]) -> None:
    config = stopping(4.0)
    create_changelogs(config, {"a-changelog": 2}, 1)
    assert describe_cluster(config).partitions == {"a-changelog": 2}


@pytest.mark.embedded
def test_a_request_that_the_client_gave_up_with_its_connection_is_made_again(
    kafka: KafkaConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    class Forgetful(AdminClient):  # type: ignore[misc]
        """Gives up its first request, as the client does with a broker that the cluster does not list."""

        def create_topics(self, topics: list[NewTopic], **options: Any) -> dict[str, Future[None]]:
            asked.append(len(topics))
            found: dict[str, Future[None]] = super().create_topics(topics, **options)
            if len(asked) == 1:
                found = {topic.topic: Future() for topic in topics}
                for future in found.values():
                    future.set_exception(KafkaException(KafkaError(KafkaError._DESTROY_BROKER)))
            return found

    monkeypatch.setattr(kafka_admin, "AdminClient", Forgetful)
    create_changelogs(kafka, {"given-up-changelog": 2}, 1)
    assert asked == [1, 1]
    assert describe_cluster(kafka).partitions["given-up-changelog"] == 2


@pytest.mark.embedded
def test_a_broker_that_never_answers_is_an_error_with_its_reason(stopping: Callable[[float], KafkaConfig]) -> None:
    config = stopping(math.inf)
    with pytest.raises(ServiceError, match=r"could not be created: .*[Tt]imed out"):
        create_topics(config, "", 1, 1, wait_seconds=2.0)
