"""The lag of consumer groups on a real broker: what is published less what is committed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from streams.adapters.group_lag import GroupLags
from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_admin import create_topics
from streams.core.errors import ServiceError
from streams.embedded.broker import Tansu, free_ports
from streams.embedded.supervisor import Supervisor

pytestmark = pytest.mark.embedded


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaConfig]:
    with Supervisor(tmp_path_factory.mktemp("logs")) as supervisor:
        config = KafkaConfig(servers=Tansu().start(supervisor))
        create_topics(config, "", 1, 1)
        yield config


def test_a_group_is_behind_by_what_it_has_not_committed(kafka: KafkaConfig) -> None:
    producer = Producer(kafka.confluent())
    for number in range(5):
        producer.produce("events", str(number), partition=0)
        producer.flush(30)
    reader = Consumer(kafka.confluent(**{"group.id": "escalon-listen"}))
    try:
        reader.commit(offsets=[TopicPartition("events", 0, 2)], asynchronous=False)
    finally:
        reader.close()
    asked = {"escalon-listen": ["events"], "escalon-work": ["verdicts", "nowhere"], "escalon-none": []}
    assert GroupLags(kafka).read(asked) == {"escalon-listen": 3, "escalon-work": 0, "escalon-none": 0}


def test_topics_that_are_found_among_all_of_them_count_as_well(kafka: KafkaConfig) -> None:
    producer = Producer(kafka.confluent())
    for number in range(3):
        producer.produce("labels", str(number), partition=0)
        producer.flush(30)
    found = {"escalon-listen": lambda topics: [one for one in topics if one.startswith("labe")]}
    assert GroupLags(kafka).read({"escalon-listen": [], "escalon-work": []}, found) == {
        "escalon-listen": 3, "escalon-work": 0,
    }  # fmt: skip


def test_a_group_that_has_committed_nothing_is_behind_by_all(kafka: KafkaConfig) -> None:
    producer = Producer(kafka.confluent())
    producer.produce("results", "one", partition=0)
    producer.flush(30)
    assert GroupLags(kafka).read({"escalon-settle": ["results"]}) == {"escalon-settle": 1}


def test_a_broker_that_does_not_answer_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.adapters.group_lag.LAG_SECONDS", 0.2)
    with pytest.raises(ServiceError, match="does not report"):
        GroupLags(KafkaConfig(servers=f"127.0.0.1:{free_ports(1)[0]}")).read({"escalon-listen": ["events"]})
