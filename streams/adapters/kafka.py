"""How to reach Kafka, in the words of each client, and the topics made to measure."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from streams.core.errors import ConfigError, ServiceError
from streams.core.topics import TOPICS, TopicSpec

ADMIN_TIMEOUT = 15.0
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaConfig:
    """Where Kafka is and how to log in. `servers` is host:port, several by comma."""

    servers: str
    tls: bool = False
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    sasl_mechanism: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
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
            "sasl.mechanism": self.sasl_mechanism,
            "sasl.username": self.username,
            "sasl.password": self.password,
        }
        return {key: value for key, value in settings.items() if value is not None} | more

    def ssl_context(self) -> ssl.SSLContext | None:
        """For the asyncio clients; None without TLS."""
        if not self.tls:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.cert_file:
                context.load_cert_chain(self.cert_file, self.key_file)
        except OSError as error:  # ssl's own errors are of this kind too
            remedy = "Check ESCALON_KAFKA_CA_FILE, ESCALON_KAFKA_CERT_FILE and ESCALON_KAFKA_KEY_FILE."
            raise ConfigError(f"a TLS file cannot be used ({error}).", remedy, "ESCALON_KAFKA_TLS") from error
        return context


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a cluster says of itself: its id, and each topic's number of partitions."""

    cluster_id: str
    partitions: Mapping[str, int]


def describe_cluster(config: KafkaConfig, timeout: float = ADMIN_TIMEOUT) -> Cluster:
    """Ask the cluster; raises ServiceError when it cannot be reached."""
    try:
        found = AdminClient(config.confluent()).list_topics(timeout=timeout)
    except KafkaException as error:
        raise _unreachable(config, error) from error
    return Cluster(found.cluster_id or "", {name: len(topic.partitions) for name, topic in found.topics.items()})


def create_topics(config: KafkaConfig, prefix: str, partitions: int, replication: int) -> list[str]:
    """Create the topics that are not there; returns their names. Existing ones are left as they are."""
    present = describe_cluster(config).partitions
    missing = [spec for spec in TOPICS if prefix + spec.name not in present]
    return _create(config, (_new_topic(spec, prefix, partitions, replication) for spec in missing))


def _new_topic(spec: TopicSpec, prefix: str, partitions: int, replication: int) -> Any:
    return NewTopic(prefix + spec.name, num_partitions=spec.partitions or partitions, replication_factor=replication)


def _create(config: KafkaConfig, topics: Iterable[Any]) -> list[str]:
    wanted = list(topics)
    if not wanted:
        return []
    created = []
    admin = AdminClient(config.confluent())  # kept until the last future is there
    for name, future in admin.create_topics(wanted, request_timeout=ADMIN_TIMEOUT).items():
        try:
            future.result(timeout=ADMIN_TIMEOUT)
            created.append(name)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise ServiceError(f"The topic {name} could not be created: {error.args[0].str()}.") from error
    return sorted(created)


def _unreachable(config: KafkaConfig, error: Exception) -> ServiceError:
    remedy = "Check that it runs and that ESCALON_KAFKA (and its TLS and SASL settings) are right."
    return ServiceError(f"Kafka at {config.servers} cannot be reached ({error.args[0]}).", remedy)
