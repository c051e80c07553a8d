"""The connection to Kafka, as each client is configured for it."""

from __future__ import annotations

import importlib.util
import logging
import ssl
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from streams.core.address import has_login, is_http, without_login
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
PASSWORD_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
OAUTH: Final = "OAUTHBEARER"
MSK_IAM: Final = "AWS_MSK_IAM"
MECHANISMS = (*PASSWORD_MECHANISMS, OAUTH, MSK_IAM)
DEFAULT_COMPRESSION: Final = "lz4"
"""A quarter of the bytes in a backlog, at no CPU time that `bench.compression` can see."""
COMPRESSIONS = ("none", "lz4", "zstd", "gzip", "snappy")


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaConfig:
    """The address of Kafka and the login. `servers` is host:port, several separated by commas.

    With the mechanism OAUTHBEARER, the user is the id of an OAuth client and the password its secret; with AWS_MSK_IAM
    the login comes from Amazon's usual credentials.
    """

    servers: str
    tls: bool = False
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    key_password: str | None = field(default=None, repr=False)
    sasl_mechanism: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token_url: str | None = None
    """The address at which an OAuth client gets its tokens."""
    scope: str | None = None
    extensions: str | None = None
    """SASL extensions that are sent with a token: name=value, several separated by commas."""
    aws_region: str = ""
    compression: str = DEFAULT_COMPRESSION
    """Of what is produced: one of COMPRESSIONS."""

    def __post_init__(self) -> None:
        if "@" in self.servers:
            remedy = "Write host:port, and set ESCALON_KAFKA_USERNAME and ESCALON_KAFKA_PASSWORD instead."
            raise ConfigError("the address holds a login, which would end up in logs.", remedy, "ESCALON_KAFKA")
        if self.sasl_mechanism is not None and self.sasl_mechanism not in MECHANISMS:
            remedy = f"Use one of {', '.join(MECHANISMS)}."
            raise ConfigError(f"{self.sasl_mechanism!r} is not supported.", remedy, "ESCALON_KAFKA_SASL_MECHANISM")
        if self.compression not in COMPRESSIONS:
            remedy = f"Use one of {', '.join(COMPRESSIONS)}."
            raise ConfigError(f"{self.compression!r} is not supported.", remedy, "ESCALON_KAFKA_COMPRESSION")
        if self.sasl_mechanism == MSK_IAM:
            self._check_msk()
        elif self.sasl_mechanism and not (self.username and self.password):
            remedy = "Set ESCALON_KAFKA_USERNAME and ESCALON_KAFKA_PASSWORD (or ESCALON_KAFKA_PASSWORD_FILE)."
            raise ConfigError("SASL needs a user name and a password.", remedy, "ESCALON_KAFKA_SASL_MECHANISM")
        if self.sasl_mechanism == OAUTH:
            self._check_oauth()

    def _check_oauth(self) -> None:
        name = "ESCALON_KAFKA_TOKEN_URL"
        if self.token_url is None:
            remedy = "Set it to the address where clients get their tokens."
            raise ConfigError("OAUTHBEARER needs the address of a token endpoint.", remedy, name)
        if has_login(self.token_url) or not is_http(self.token_url):
            what = f"{without_login(self.token_url)!r} is not an HTTP address without a login."
            raise ConfigError(what, "Write it as https://login.example.com/token.", name)

    def _check_msk(self) -> None:
        if not self.aws_region:
            remedy = "Set it to the cluster's region, such as eu-central-1."
            raise ConfigError("AWS_MSK_IAM needs a region.", remedy, "ESCALON_KAFKA_AWS_REGION")
        if not self.tls:
            raise ConfigError("AWS_MSK_IAM needs TLS.", "Set it to 1.", "ESCALON_KAFKA_TLS")
        if importlib.util.find_spec("aws_msk_iam_sasl_signer") is None:
            what = "AWS_MSK_IAM needs the package aws-msk-iam-sasl-signer-python, which is not installed."
            raise ConfigError(what, "Install the extra: pip install 'escalon[msk]'.", "ESCALON_KAFKA_SASL_MECHANISM")

    @property
    def login(self) -> str:
        """The way it logs in, for people and without secrets; empty without a login."""
        who = f" as {self.username}" if self.username else ""
        ways = [f"by {self.sasl_mechanism}{who}"] if self.sasl_mechanism else []
        if self.tls and self.cert_file:
            ways.append(f"by the certificate {self.cert_file}")
        return " and ".join(ways)

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
            **self._sasl(),
            "topic.metadata.refresh.interval.ms": METADATA_MS,
            "logger": CLIENT_LOG,
        }
        return {key: value for key, value in settings.items() if value is not None} | more

    def _sasl(self) -> dict[str, Any]:
        match self.sasl_mechanism:
            case None:
                return {}
            case "OAUTHBEARER":
                return {
                    "sasl.mechanism": OAUTH,
                    "sasl.oauthbearer.method": "oidc",
                    "sasl.oauthbearer.token.endpoint.url": self.token_url,
                    "sasl.oauthbearer.client.id": self.username,
                    "sasl.oauthbearer.client.secret": self.password,
                    "sasl.oauthbearer.scope": self.scope,
                    "sasl.oauthbearer.extensions": self.extensions,
                    "https.ca.location": self.ca_file,
                }
            case "AWS_MSK_IAM":
                from streams.adapters.msk import token

                return {"sasl.mechanism": OAUTH, "oauth_cb": partial(token, self.aws_region)}
        return {"sasl.mechanism": self.sasl_mechanism, "sasl.username": self.username, "sasl.password": self.password}

    def producer(self, **more: Any) -> dict[str, Any]:
        """Return the configuration of a confluent-kafka producer."""
        return self.confluent(**{"compression.type": self.compression, **more})

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

    def check_login(self) -> None:
        """Raise ConfigError if the login lacks what this machine must have: TLS files, or Amazon's credentials."""
        self.ssl_context()
        if self.sasl_mechanism != MSK_IAM:
            return
        from streams.adapters.msk import token

        try:
            token(self.aws_region)
        except Exception as error:  # of many kinds, by the place that credentials may come from
            what = f"Amazon's signer gives no token ({error})."
            remedy = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role of this machine."
            raise ConfigError(what, remedy, "ESCALON_KAFKA_SASL_MECHANISM") from error

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
