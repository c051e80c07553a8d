"""How to reach Kafka, in the words of each client, and the topics made to measure."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, OffsetSpec, ResourceType

from streams.core.errors import ConfigError, ServiceError
from streams.core.topics import TOPICS, TopicSpec

ADMIN_TIMEOUT = 15.0
RETRY_SECONDS: Final = 0.5
CLIENT_LOG: Final = logging.getLogger("escalon.kafka")
"""What the clients of librdkafka say. Commands do not show it: what matters of it comes back as an error."""
CLIENT_LOG.addHandler(logging.NullHandler())
ISOLATION: Final = "read_committed"
"""Every client reads up to the last stable offset: no record of a transaction that is open or was aborted."""
OFFSET_RESET: Final = "earliest"
"""Where a client goes on when what it would read next is gone: at the first record that is held."""
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaConfig:
    """Where Kafka is and how to log in. `servers` is host:port, several by comma."""

    servers: str
    tls: bool = False
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    key_password: str | None = field(default=None, repr=False)
    """Opens `key_file`, where that is encrypted."""
    sasl_mechanism: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if "@" in self.servers:
            remedy = "Write host:port, and set ESCALON_KAFKA_USERNAME and ESCALON_KAFKA_PASSWORD instead."
            raise ConfigError("the address holds a login, which would end up in logs.", remedy, "ESCALON_KAFKA")
        if self.sasl_mechanism is not None and self.sasl_mechanism not in MECHANISMS:
            remedy = f"Use one of {', '.join(MECHANISMS)}."
            raise ConfigError(f"{self.sasl_mechanism!r} is not known.", remedy, "ESCALON_KAFKA_SASL_MECHANISM")
        if self.sasl_mechanism and not (self.username and self.password):
            remedy = "Set ESCALON_KAFKA_USERNAME and ESCALON_KAFKA_PASSWORD (or ESCALON_KAFKA_PASSWORD_FILE)."
            raise ConfigError("SASL needs a user name and a password.", remedy, "ESCALON_KAFKA_SASL_MECHANISM")

    @property
    def protocol(self) -> str:
        """Kafka's name of the security protocol."""
        return ("SASL_" if self.sasl_mechanism else "") + ("SSL" if self.tls else "PLAINTEXT")

    def confluent(self, **more: Any) -> dict[str, Any]:
        """The configuration of a confluent-kafka client."""
        settings = {
            "bootstrap.servers": self.servers,
            "security.protocol": self.protocol,
            "ssl.ca.location": self.ca_file,
            "ssl.certificate.location": self.cert_file,
            "ssl.key.location": self.key_file,
            "ssl.key.password": self.key_password,
            "sasl.mechanism": self.sasl_mechanism,
            "sasl.username": self.username,
            "sasl.password": self.password,
            "logger": CLIENT_LOG,
        }
        return {key: value for key, value in settings.items() if value is not None} | more

    def consumer(self, group: str, **more: Any) -> dict[str, Any]:
        """The configuration of a consumer of confluent-kafka, which commits only when asked to."""
        reading = {"group.id": group, "isolation.level": ISOLATION, "auto.offset.reset": OFFSET_RESET}
        return self.confluent(**{**reading, "enable.auto.commit": False, **more})

    def accounting_consumer(self, group: str, **more: Any) -> dict[str, Any]:
        """The same for a reader that must account for every offset: one that is gone is an error, and ends are told."""
        return self.consumer(group, **{"auto.offset.reset": "error", "enable.partition.eof": True, **more})

    def ssl_context(self) -> ssl.SSLContext | None:
        """For the asyncio clients; None without TLS."""
        if not self.tls:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.cert_file:
                # Without a password given, OpenSSL would ask for one at the terminal.
                context.load_cert_chain(self.cert_file, self.key_file, password=self.key_password or "")
        except OSError as error:  # ssl's own errors are of this kind too
            remedy = (
                "Check ESCALON_KAFKA_CA_FILE, ESCALON_KAFKA_CERT_FILE, ESCALON_KAFKA_KEY_FILE and, "
                "where that is encrypted, ESCALON_KAFKA_KEY_PASSWORD."
            )
            raise ConfigError(f"a TLS file cannot be used ({error}).", remedy, "ESCALON_KAFKA_TLS") from error
        return context


@dataclass(frozen=True, slots=True)
class ClusterMetadata:
    """What a cluster says of itself: its id, and each topic's number of partitions."""

    cluster_id: str
    partitions: Mapping[str, int]


def describe_cluster(config: KafkaConfig, timeout: float = ADMIN_TIMEOUT) -> ClusterMetadata:
    """Ask the cluster.

    Raises ServiceError when it cannot be reached, refuses the login, or shows a certificate that is not believed, and
    ConfigError when a TLS file of ours cannot be used.
    """
    config.ssl_context()
    heard: list[KafkaError] = []
    # What goes wrong is told once, by the error that is raised, instead of by the client at every attempt.
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
                raise _unreachable(config, error) from error
            wait = min(2 * wait, timeout)
    return ClusterMetadata(
        found.cluster_id or "", {name: len(topic.partitions) for name, topic in found.topics.items()}
    )


def topic_ids(config: KafkaConfig, topics: Sequence[str]) -> dict[str, str]:
    """Kafka's own id of each topic. Raises ServiceError when one is not there, or Kafka does not answer."""
    admin = AdminClient(config.confluent())
    found = {}
    for name, future in admin.describe_topics(TopicCollection(list(topics)), request_timeout=ADMIN_TIMEOUT).items():
        try:
            found[name] = str(future.result(timeout=ADMIN_TIMEOUT).topic_id)
        except KafkaException as error:
            what = f"The topic {name} cannot be looked up ({error.args[0].str()})."
            remedy = "Create the topics with `escalon topics --create`, or check the broker."
            raise ServiceError(what, remedy) from error
    return found


def written_up_to(config: KafkaConfig, topic: str, partitions: Collection[int]) -> dict[int, int]:
    """By partition, the offset after its last record, whether that is committed or not. Raises ServiceError."""
    admin, latest = AdminClient(config.confluent()), OffsetSpec.latest()
    asked = admin.list_offsets(
        {TopicPartition(topic, number): latest for number in partitions},
        isolation_level=IsolationLevel.READ_UNCOMMITTED,
        request_timeout=ADMIN_TIMEOUT,
    )
    try:
        return {place.partition: int(future.result(timeout=ADMIN_TIMEOUT).offset) for place, future in asked.items()}
    except KafkaException as error:
        what = f"Kafka does not tell where {topic} ends ({error.args[0].str()})."
        raise ServiceError(what, "Check the broker, then try again.") from error


def cleanup_policy(config: KafkaConfig, topic: str) -> str:
    """How a topic's records are removed: `delete`, `compact` or both; empty where the broker does not tell."""
    admin, named = AdminClient(config.confluent()), ConfigResource(ResourceType.TOPIC, topic)
    try:
        found = admin.describe_configs([named], request_timeout=ADMIN_TIMEOUT)[named].result(timeout=ADMIN_TIMEOUT)
    except KafkaException:  # to ask takes a right that reading does not
        return ""
    policy = found.get("cleanup.policy")
    return str(policy.value) if policy is not None else ""


# What librdkafka says when no waiting helps: its code, its words, what that means, and the remedy.
_REFUSALS: Final = (
    (
        KafkaError._AUTHENTICATION,
        "",
        "refuses the login of {username} by {mechanism}.",
        "Check ESCALON_KAFKA_USERNAME and ESCALON_KAFKA_PASSWORD (or ESCALON_KAFKA_PASSWORD_FILE), and that the broker "
        "has this user for the mechanism in ESCALON_KAFKA_SASL_MECHANISM.",
    ),
    (
        KafkaError._SSL,
        "certificate verify failed",
        "shows a certificate that is not signed by {ca}, or not made out to that address.",
        "Set ESCALON_KAFKA_CA_FILE to the authority of the brokers' certificates, and use the name that they are for.",
    ),
    (
        KafkaError._SSL,
        "wrong version number",
        "speaks no TLS at this port.",
        "Give the port of its TLS listener, or leave ESCALON_KAFKA_TLS out.",
    ),
    (
        KafkaError._SSL,
        "",
        "ends the TLS handshake.",
        "It may ask for a certificate of ours: ESCALON_KAFKA_CERT_FILE and ESCALON_KAFKA_KEY_FILE.",
    ),
)


def refused(config: KafkaConfig, error: KafkaError) -> ServiceError | None:
    """What a client was told that no waiting helps against; None for what may pass."""
    said = error.str()
    for code, words, what, remedy in _REFUSALS:
        if error.code() == code and words in said:
            filled = what.format(
                username=config.username,
                mechanism=config.sasl_mechanism,
                ca=config.ca_file or "an authority that this machine knows",
            )
            return ServiceError(f"Kafka at {config.servers} {filled}", remedy)
    return None


class TopicIds:
    """Asks for the ids that topics have had since they were made."""

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self._admin: AdminClient | None = None

    def __call__(self, topics: Collection[str]) -> dict[str, str]:
        """By topic its id; those that are gone, may not be described, or are on a broker without ids are left out.

        Raises ServiceError when the broker does not answer.
        """
        if not topics:
            return {}
        if self._admin is None:
            self._admin = AdminClient(self._config.confluent(log_level=0))
        asked = self._admin.describe_topics(TopicCollection([*topics]), request_timeout=ADMIN_TIMEOUT)
        found = {name: self._answer(future) for name, future in asked.items()}
        return {name: topic_id for name, topic_id in found.items() if topic_id != _NO_ID}

    def _answer(self, future: Any) -> str:
        try:
            return str(future.result(timeout=ADMIN_TIMEOUT).topic_id)
        except KafkaException as error:
            if error.args[0].code() in _NO_ANSWER:
                raise _unreachable(self._config, error) from error
            return _NO_ID
        except TimeoutError as error:
            raise ServiceError("Kafka does not say which topics it has.", "Check that it runs.") from error


_NO_ID: Final = "AAAAAAAAAAAAAAAAAAAAAA"
"""The UUID of zeros, which Kafka says where there is none."""
_NO_ANSWER: Final = (
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError.REQUEST_TIMED_OUT,
)


def create_topics(
    config: KafkaConfig, prefix: str, partitions: int, replication: int, retention_seconds: float | None = None
) -> list[str]:
    """Create the topics that are not there; returns their names. Existing ones are left as they are.

    `retention_seconds` is how long they keep a message at least; None leaves that to the broker.
    """
    present = describe_cluster(config).partitions
    missing = [spec for spec in TOPICS if prefix + spec.name not in present]
    keeping = {} if retention_seconds is None else {"retention.ms": str(int(retention_seconds * 1000))}
    return _create(config, (_new_topic(spec, prefix, partitions, replication, keeping) for spec in missing))


def create_changelogs(config: KafkaConfig, partitions: Mapping[str, int], replication: int) -> list[str]:
    """Create the changelogs that are not there, by name with their partitions; returns those created."""
    present = describe_cluster(config).partitions
    compact = {"cleanup.policy": "compact"}
    missing = [name for name in partitions if name not in present]
    return _create(
        config,
        (
            NewTopic(name, num_partitions=partitions[name], replication_factor=replication, config=compact)
            for name in missing
        ),
    )


def _new_topic(spec: TopicSpec, prefix: str, partitions: int, replication: int, settings: Mapping[str, str]) -> Any:
    return NewTopic(
        prefix + spec.name,
        num_partitions=spec.partitions or partitions,
        replication_factor=replication,
        config=dict(settings),
    )


def _create(config: KafkaConfig, topics: Iterable[Any]) -> list[str]:
    """Create topics; for ADMIN_TIMEOUT seconds, ask again where the cluster has too few brokers at the moment.

    A broker that starts, or that missed its heartbeats, is fenced: it answers, and takes no partitions.
    """
    left = {topic.topic: topic for topic in topics}
    created = []
    deadline = time.monotonic() + ADMIN_TIMEOUT
    admin = AdminClient(config.confluent())  # kept until the last future is there
    while left:
        for name, future in admin.create_topics([*left.values()], request_timeout=ADMIN_TIMEOUT).items():
            try:
                future.result(timeout=ADMIN_TIMEOUT)
                created.append(name)
            except KafkaException as error:
                code = error.args[0].code()
                if code == KafkaError.INVALID_REPLICATION_FACTOR and time.monotonic() < deadline:
                    continue
                if code != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise ServiceError(f"The topic {name} could not be created: {error.args[0].str()}.") from error
            del left[name]
        if left:
            time.sleep(RETRY_SECONDS)
    return sorted(created)


def _unreachable(config: KafkaConfig, error: Exception) -> ServiceError:
    remedy = "Check that it runs and that ESCALON_KAFKA (and its TLS and SASL settings) are right."
    if not config.tls:
        remedy += " A broker that wants TLS hangs up without a word: then set ESCALON_KAFKA_TLS=1."
    elif config.cert_file is None:
        remedy += " A broker that wants a certificate of ours hangs up as well: then set ESCALON_KAFKA_CERT_FILE."
    return ServiceError(f"Kafka at {config.servers} cannot be reached ({error.args[0]}).", remedy)
