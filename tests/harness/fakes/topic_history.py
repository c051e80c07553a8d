"""Changes of topics over time: records are deleted from their beginning, and topics are deleted and made again."""

from __future__ import annotations

from uuid import uuid4

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_admin import TopicIds
from streams.core.errors import ServiceError

WAIT_SECONDS = 60.0


def make(kafka: KafkaConfig, topic: str | None = None, partitions: int = 1) -> str:
    """Make a topic; returns its name."""
    name, admin = topic or uuid4().hex, AdminClient(kafka.confluent())
    admin.create_topics([NewTopic(name, partitions, 1)])[name].result(WAIT_SECONDS)
    while _id(kafka, name) is None:  # the controller has made it, the broker may not know yet
        pass
    return name


def forget(kafka: KafkaConfig, topic: str, before: int, partition: int = 0) -> None:
    """Delete the records before an offset, as retention does."""
    admin = AdminClient(kafka.confluent())
    for future in admin.delete_records([TopicPartition(topic, partition, before)]).values():
        future.result(WAIT_SECONDS)


def remake(kafka: KafkaConfig, topic: str, partitions: int = 1) -> None:
    """Delete a topic and make it again."""
    admin, before = AdminClient(kafka.confluent()), _id(kafka, topic)
    admin.delete_topics([topic])[topic].result(WAIT_SECONDS)
    while True:  # its name is free once it is gone
        try:
            make(kafka, topic, partitions)
            break
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
    while _id(kafka, topic) in (before, None):
        pass


def _id(kafka: KafkaConfig, topic: str) -> str | None:
    try:
        return TopicIds(kafka).required([topic])[topic]
    except ServiceError:
        return None
