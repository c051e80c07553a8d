from __future__ import annotations

import pytest
from confluent_kafka import Producer

from streams.adapters.confirmed_producer import ConfirmedProducer
from streams.adapters.kafka import KafkaConfig
from streams.core.errors import ServiceError


def test_each_user_of_a_producer_learns_of_its_own_messages() -> None:
    kafka = KafkaConfig(servers="127.0.0.1:1")
    shared = Producer(kafka.producer(**{"message.timeout.ms": 300}))
    tasks, log = ConfirmedProducer(shared), ConfirmedProducer(shared)
    tasks.produce("t", b"x", key="k")
    log.confirm("the log", "all is well")
    with pytest.raises(ServiceError) as caught:
        tasks.confirm("the tasks", "nothing was committed")
    assert caught.value.what.startswith("Kafka did not confirm the tasks (")
    assert "time ran out" not in caught.value.what
    assert caught.value.remedy == "Check the broker, then restart this process; nothing was committed."
