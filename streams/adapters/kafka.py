"""The connection to Kafka, as each client is configured for it."""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass, field
from typing import Any, Final

from streams.core.errors import ConfigError

CLIENT_LOG: Final = logging.getLogger("escalon.kafka")
"""The log of librdkafka's clients. Commands do not show it, because errors are raised as well."""
CLIENT_LOG.addHandler(logging.NullHandler())
ISOLATION: Final = "read_committed"
"""Read up to the last stable offset, and no record of a transaction that is open or was aborted."""
OFFSET_RESET: Final = "earliest"
"""Go on at the first record that Kafka still holds when the next one is gone."""
METADATA_MS: Final = 10_000
"""Longest time until a client uses partitions that were added, or notices that its topic was created again."""
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaConfig:
    """The address of Kafka and the login. `servers` is host:port, several separated by commas."""

    servers: str
    tls: bool = False
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    key_password: str | None = field(default=None, repr=False)
    sasl_mechanism: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if "@" in self.servers:
            remedy = "Write host:port, and set ESCALON_KAFKA_USERNAME and ESCALON_KAFKA_PASSWORD instead."
            raise ConfigError("the address holds a login, which would end up in logs.", remedy, "ESCALON_KAFKA")
        if self.sasl_mechanism is not None and self.sasl_mechanism not in MECHANISMS:
            remedy = f"Use one of {', '.join(MECHANISMS)}."
            raise ConfigError(f"{self.sasl_mechanism!r} is not supported.", remedy, "ESCALON_KAFKA_SASL_MECHANISM")
        if self.sasl_mechanism and not (self.username and self.password):
            remedy = "Set ESCALON_KAFKA_USERNAME and ESCALON_KAFKA_PASSWORD (or ESCALON_KAFKA_PASSWORD_FILE)."
            raise ConfigError("SASL needs a user name and a password.", remedy, "ESCALON_KAFKA_SASL_MECHANISM")

    @property
    def protocol(self) -> str:
        return ("SASL_" if self.sasl_mechanism else "") + ("SSL" if self.tls else "PLAINTEXT")

    def confluent(self, **more: Any) -> dict[str, Any]:
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
            "topic.metadata.refresh.interval.ms": METADATA_MS,
            "logger": CLIENT_LOG,
        }
        return {key: value for key, value in settings.items() if value is not None} | more

    def consumer(self, group: str, **more: Any) -> dict[str, Any]:
        """Return the configuration of a confluent-kafka consumer that does not commit by itself."""
        reading = {
            "group.id": group,
            "isolation.level": ISOLATION,
            "auto.offset.reset": OFFSET_RESET,
            "fetch.queue.backoff.ms": 10,  # by default, fetching pauses for a second whenever the queue is full
        }
        return self.confluent(**{**reading, "enable.auto.commit": False, **more})

    def accounting_consumer(self, group: str, **more: Any) -> dict[str, Any]:
        """Return the same for a reader that accounts for every offset: gaps are errors, ends are reported."""
        return self.consumer(group, **{"auto.offset.reset": "error", "enable.partition.eof": True, **more})

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return the context that the TLS files make; None without TLS. Raises ConfigError for unusable files."""
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
                "if the key is encrypted, ESCALON_KAFKA_KEY_PASSWORD."
            )
            raise ConfigError(f"a TLS file cannot be used ({error}).", remedy, "ESCALON_KAFKA_TLS") from error
        return context
