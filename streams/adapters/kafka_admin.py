"""The cluster's topics: described, measured and created."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final, TypeVar

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
    TopicDescription,
)

from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_errors import refused, unreachable
from streams.core.errors import ServiceError
from streams.core.topics import TOPICS

ADMIN_TIMEOUT = 15.0
CREATE_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 0.5
_NO_ID: Final = "AAAAAAAAAAAAAAAAAAAAAA"
"""The UUID of zeros: the broker keeps no ids."""
_NO_ANSWER: Final = (
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError._DESTROY_BROKER,  # the client gave up its connection to a broker that is not in the cluster's list yet
)
_MAY_PASS: Final = (KafkaError.INVALID_REPLICATION_FACTOR, *_NO_ANSWER)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ClusterMetadata:
    cluster_id: str
    partitions: Mapping[str, int]


def describe_cluster(config: KafkaConfig, timeout: float = ADMIN_TIMEOUT) -> ClusterMetadata:
    """Ask the cluster for its metadata.

    Raises ServiceError when it cannot be reached, refuses the login, or presents a certificate that is not trusted, and
    ConfigError when a TLS file cannot be used or Amazon's signer has no credentials.
    """
    config.check_login()
    heard: list[KafkaError] = []
    # The raised error reports a failure once; the client would log it at every attempt.
    admin = AdminClient(config.confluent(error_cb=heard.append, log_level=0))
    wait = min(1.0, timeout)
    while True:
        try:
            found = admin.list_topics(timeout=wait)
            break
        except KafkaException as error:
            admin.poll(0)
            if refusal := next(filter(None, (refused(config, one) for one in heard)), None):
                raise refusal from error
            timeout -= wait
            if timeout <= 0:
                raise unreachable(config, error.args[0].str()) from error
            wait = min(2 * wait, timeout)
    return ClusterMetadata(
        found.cluster_id or "", {name: len(topic.partitions) for name, topic in found.topics.items()}
    )


class TopicIds:
    """The ids that Kafka gives to topics when they are created: a topic that is created again gets another one."""

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self._admin: AdminClient | None = None

    def known(self, topics: Collection[str]) -> dict[str, str]:
        """Return the id of each topic, without those that do not exist, may not be described, or have no id.

        Raises ServiceError when the broker does not answer.
        """
        found = self._describe(topics)
        return {name: one for name, one in found.items() if isinstance(one, str) and one != _NO_ID}

    def required(self, topics: Collection[str]) -> dict[str, str]:
        """Return the id of each topic. Raises ServiceError when one does not exist or the broker does not answer."""
        ids = {}
        for name, found in self._describe(topics).items():
            if isinstance(found, KafkaException):
                what = f"The topic {name} cannot be looked up ({found.args[0].str()})."
                remedy = "Create the topics with `escalon topics --create`, or check the broker."
                raise ServiceError(what, remedy) from found
            ids[name] = found
        return ids

    def _describe(self, topics: Collection[str]) -> dict[str, str | KafkaException]:
        if not topics:
            return {}
        if self._admin is None:
            self._admin = AdminClient(self._config.confluent(log_level=0))
        asked = self._admin.describe_topics(TopicCollection([*topics]), request_timeout=ADMIN_TIMEOUT)
        return {name: self._answer(future) for name, future in asked.items()}

    def _answer(self, future: Future[TopicDescription]) -> str | KafkaException:
        try:
            return str(_result(future).topic_id)
        except KafkaException as error:
            if error.args[0].code() in _NO_ANSWER:
                raise unreachable(self._config, error.args[0].str()) from error
            return error


def written_up_to(config: KafkaConfig, topic: str, partitions: Collection[int]) -> dict[int, int]:
    """Return, by partition, the offset after its last record, committed or not. Raises ServiceError."""
    admin, latest = AdminClient(config.confluent()), OffsetSpec.latest()
    asked = admin.list_offsets(
        {TopicPartition(topic, number): latest for number in partitions},
        isolation_level=IsolationLevel.READ_UNCOMMITTED,
        request_timeout=ADMIN_TIMEOUT,
    )
    try:
        return {place.partition: int(_result(future).offset) for place, future in asked.items()}
    except KafkaException as error:
        what = f"Kafka does not report where {topic} ends ({error.args[0].str()})."
        raise ServiceError(what, "Check the broker, then try again.") from error


def cleanup_policy(config: KafkaConfig, topic: str) -> str:
    """Return a topic's policy: `delete`, `compact` or both; empty where the user may not describe the topic."""
    admin, named = AdminClient(config.confluent()), ConfigResource(ResourceType.TOPIC, topic)
    try:
        found = _result(admin.describe_configs([named], request_timeout=ADMIN_TIMEOUT)[named])
    except KafkaException:  # describing takes a right that reading does not
        return ""
    policy = found.get("cleanup.policy")
    return str(policy.value) if policy is not None else ""


def create_topics(
    config: KafkaConfig,
    prefix: str,
    partitions: int,
    replication: int,
    retention_seconds: float | None = None,
    wait_seconds: float = CREATE_SECONDS,
) -> list[str]:
    """Create the topics that do not exist yet, and return their names. Existing ones are left as they are.

    Topics keep a message for at least `retention_seconds`; None leaves that to the broker. `wait_seconds` is the time
    for enough brokers to join, and for a busy one to answer.
    """
    keeping = {} if retention_seconds is None else {"retention.ms": str(int(retention_seconds * 1000))}
    topics = [
        NewTopic(prefix + spec.name, spec.partitions or partitions, replication, config=keeping) for spec in TOPICS
    ]
    return _create_missing(config, topics, wait_seconds)


def create_changelogs(config: KafkaConfig, partitions: Mapping[str, int], replication: int) -> list[str]:
    """Create the changelogs that do not exist yet, by name with their partitions; return the names of those."""
    compact = {"cleanup.policy": "compact"}
    topics = [NewTopic(name, number, replication, config=compact) for name, number in partitions.items()]
    return _create_missing(config, topics, CREATE_SECONDS)


def _create_missing(config: KafkaConfig, topics: Iterable[NewTopic], wait_seconds: float) -> list[str]:
    """Create topics, and ask again for `wait_seconds` while the cluster has too few brokers or does not answer.

    A broker that starts, or that missed its heartbeats, is fenced: it answers, and takes no partitions. And a busy one
    lists a topic some time after its creation: a consumer that starts before that would be assigned none of it.
    """
    present = describe_cluster(config).partitions
    left = {topic.topic: topic for topic in topics if topic.topic not in present}
    unlisted, created = set(left), []
    deadline = time.monotonic() + wait_seconds
    admin = AdminClient(config.confluent())  # kept until the last future is done
    while left:
        for name, future in admin.create_topics([*left.values()], request_timeout=ADMIN_TIMEOUT).items():
            try:
                _result(future)
                created.append(name)
            except KafkaException as error:
                code = error.args[0].code()
                if code in _MAY_PASS and time.monotonic() < deadline:
                    continue
                if code != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise ServiceError(f"The topic {name} could not be created: {error.args[0].str()}.") from error
            del left[name]
        if left:
            time.sleep(RETRY_SECONDS)
    while unlisted and (unlisted := unlisted - describe_cluster(config).partitions.keys()):
        if time.monotonic() > deadline:
            what = f"Kafka has created the topic {min(unlisted)} and does not list it."
            raise ServiceError(what, "Check the load of its brokers, then try again.")
        time.sleep(RETRY_SECONDS)
    return sorted(created)


def _result(future: Future[_T]) -> _T:
    """Wait for the answer to a request. Raises KafkaException, with the code `_TIMED_OUT` where none comes."""
    try:
        return future.result(timeout=2 * ADMIN_TIMEOUT)  # the client itself gives up after ADMIN_TIMEOUT
    except TimeoutError as error:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from error
