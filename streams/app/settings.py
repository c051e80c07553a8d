"""The settings, read from environment variables here and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from streams.adapters.clickhouse_connection import ClickHouseConfig
from streams.adapters.clickhouse_retention import Retention
from streams.adapters.kafka import DEFAULT_COMPRESSION, KafkaConfig
from streams.adapters.registry_config import RegistryConfig
from streams.core.address import has_login, is_http
from streams.core.errors import ConfigError, ServiceError
from streams.pipeline.code import NO_PYTHON, AllowedPython, allowed_python
from streams.telemetry.web import WebAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings, as `read_settings` reads them; the repr leaves secrets out."""

    kafka: KafkaConfig | None
    """None for the embedded broker."""
    clickhouse: ClickHouseConfig | None
    """None for the embedded ClickHouse."""
    schema_registry: RegistryConfig | None
    data_dir: Path
    weights_dir: Path
    cache_dir: Path
    blobs: str = field(repr=False)
    """The address of the blob store, which may contain a login."""
    pipeline: Path | None
    python: AllowedPython = NO_PYTHON
    """The Python that a pipeline file may run."""
    run: str
    partitions: int
    replication: int
    topic_prefix: str
    max_event_bytes: int
    retention_seconds: float
    """The retention of the RocksDB tables: answers, settled events, images."""
    audit_retention: Retention
    topic_retention_seconds: float | None
    """The retention of topics that are created now; None for the broker's default."""
    web_host: str
    web_port: int | None
    batch_bytes: int
    """The most bytes that a producer sends to one partition at once."""
    drain_seconds: float
    """The time to finish tasks in flight before a worker stops or gives up partitions."""
    dead_letter_run: int
    """Dead letters of one partition in a row at which a tier stops; 0 for no limit."""
    dead_letter_percent: int
    """Share of the last messages of one partition that may become dead letters before a tier stops; 0 for no limit."""
    anthropic_api_key: str | None = field(repr=False)
    anthropic_base_url: str | None
    openai_api_key: str | None = field(repr=False)
    secret: Callable[[str], str | None] = field(default=lambda _: None, repr=False, compare=False)
    """Returns the secret that a pipeline file names by its variable, or that NAME_FILE holds; None without one."""
    cassette: Path | None
    """A recording that language models answer from, instead of a provider."""
    record_cassette: Path | None
    """A recording that the answers of language models are added to."""
    kafka_home: Path | None
    clock_offset: timedelta
    """Added to the time of day, to rehearse the change of a day."""
    instance: str
    """The name of this process among those of one tier that share a data directory."""
    ui_key: str | None = field(repr=False)
    """The key that signs the links to panels; None for the one in the data directory."""
    ui_url: str
    """The address of the pages in the browsers of the panel's people, without a slash at its end."""
    traces: bool
    traces_percent: int
    """The percentage of the traces begun here that is recorded."""
    traces_texts: bool
    """True if spans contain prompts and answers."""

    @property
    def web(self) -> WebAddress | None:
        """Return the address for health and metrics; None if they are not served."""
        return None if self.web_port is None else WebAddress(self.web_host, self.web_port)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.clock_offset


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the variables that docs/settings.md lists; raise ConfigError if one is wrong."""
    get = _Reader(os.environ if environment is None else environment)
    return replace(_settings(get), secret=get.secret)


def _settings(get: _Reader) -> Settings:
    data_dir, cache_dir = _directories(get)
    return Settings(
        kafka=_kafka(get),
        clickhouse=_clickhouse(get),
        schema_registry=_registry(get),
        data_dir=data_dir,
        cache_dir=cache_dir,
        weights_dir=Path(get.text("ESCALON_WEIGHTS") or cache_dir / "weights"),
        blobs=get.secret("ESCALON_BLOBS") or f"file://{data_dir / 'blobs'}",
        pipeline=get.path("ESCALON_PIPELINE"),
        python=allowed_python(get.text("ESCALON_ALLOW_PYTHON") or ""),
        run=get.text("ESCALON_RUN") or "live",
        partitions=get.number("ESCALON_PARTITIONS", 4, least=1),
        replication=get.number("ESCALON_REPLICATION", 1, least=1),
        topic_prefix=get.text("ESCALON_TOPIC_PREFIX") or "",
        max_event_bytes=get.number("ESCALON_MAX_EVENT_BYTES", 900_000),
        retention_seconds=86_400.0 * get.number("ESCALON_RETENTION_DAYS", 30, least=1),
        audit_retention=Retention(get.number("ESCALON_AUDIT_BODY_DAYS", 0), get.number("ESCALON_AUDIT_DAYS", 0)),
        topic_retention_seconds=86_400.0 * get.number("ESCALON_TOPIC_RETENTION_DAYS", 0) or None,
        web_host=get.text("ESCALON_WEB_HOST") or "127.0.0.1",
        web_port=get.number("ESCALON_WEB_PORT", 0) or None,
        batch_bytes=get.number("ESCALON_KAFKA_BATCH_BYTES", 16_384),
        drain_seconds=float(get.number("ESCALON_DRAIN_SECONDS", 15)),
        dead_letter_run=get.number("ESCALON_DEAD_LETTER_RUN", 100),
        dead_letter_percent=get.number("ESCALON_DEAD_LETTER_PERCENT", 50),
        anthropic_api_key=get.secret("ANTHROPIC_API_KEY"),
        anthropic_base_url=get.address("ANTHROPIC_BASE_URL"),
        openai_api_key=get.secret("OPENAI_API_KEY"),
        cassette=get.path("ESCALON_CASSETTE"),
        record_cassette=get.path("ESCALON_RECORD_CASSETTE"),
        kafka_home=get.path("KAFKA_HOME"),
        clock_offset=timedelta(seconds=get.number("ESCALON_CLOCK_OFFSET", 0)),
        instance=get.text("ESCALON_INSTANCE") or "0",
        ui_key=get.secret("ESCALON_UI_KEY"),
        ui_url=_ui_url(get),
        traces=get.flag("ESCALON_TRACES"),
        traces_percent=get.number("ESCALON_TRACES_PERCENT", 100),
        traces_texts=get.flag("ESCALON_TRACES_TEXTS"),
    )


def _directories(get: _Reader) -> tuple[Path, Path]:
    """Return the directory of the data and that of the cache."""
    data = Path(get.text("ESCALON_DATA") or ".escalon").absolute()
    return data, Path(get.text("ESCALON_CACHE") or Path.home() / ".cache" / "escalon")


def require_kafka(settings: Settings) -> KafkaConfig:
    """Return Kafka's configuration; raise ServiceError if there is none."""
    if settings.kafka is None:
        what = f"No Kafka broker is configured, and none is running for {settings.data_dir}."
        raise ServiceError(what, "Start one with `escalon up`, or set ESCALON_KAFKA.")
    return settings.kafka


def require_clickhouse(settings: Settings) -> ClickHouseConfig:
    """Return ClickHouse's configuration; raise ServiceError if there is none."""
    if settings.clickhouse is None:
        what = f"No ClickHouse server is configured, and none is running for {settings.data_dir}."
        raise ServiceError(what, "Start one with `escalon up`, or set ESCALON_CLICKHOUSE.")
    return settings.clickhouse


def _kafka(get: _Reader) -> KafkaConfig | None:
    servers = get.text("ESCALON_KAFKA")
    if servers is None:
        return None
    return KafkaConfig(
        servers=servers,
        tls=get.flag("ESCALON_KAFKA_TLS"),
        ca_file=get.text("ESCALON_KAFKA_CA_FILE"),
        cert_file=get.text("ESCALON_KAFKA_CERT_FILE"),
        key_file=get.text("ESCALON_KAFKA_KEY_FILE"),
        key_password=get.secret("ESCALON_KAFKA_KEY_PASSWORD"),
        sasl_mechanism=get.text("ESCALON_KAFKA_SASL_MECHANISM"),
        username=get.text("ESCALON_KAFKA_USERNAME"),
        password=get.secret("ESCALON_KAFKA_PASSWORD"),
        token_url=get.text("ESCALON_KAFKA_TOKEN_URL"),
        scope=get.text("ESCALON_KAFKA_SCOPE"),
        extensions=get.text("ESCALON_KAFKA_EXTENSIONS"),
        aws_region=get.text("ESCALON_KAFKA_AWS_REGION") or get.text("AWS_REGION") or "",
        compression=get.text("ESCALON_KAFKA_COMPRESSION") or DEFAULT_COMPRESSION,
    )


def _registry(get: _Reader) -> RegistryConfig | None:
    url = get.text("ESCALON_SCHEMA_REGISTRY")
    if url is None:
        return None
    return RegistryConfig(
        url=url,
        username=get.text("ESCALON_SCHEMA_REGISTRY_USER"),
        password=get.secret("ESCALON_SCHEMA_REGISTRY_PASSWORD"),
        ca_file=get.text("ESCALON_SCHEMA_REGISTRY_CA_FILE"),
        cert_file=get.text("ESCALON_SCHEMA_REGISTRY_CERT_FILE"),
        key_file=get.text("ESCALON_SCHEMA_REGISTRY_KEY_FILE"),
        key_password=get.secret("ESCALON_SCHEMA_REGISTRY_KEY_PASSWORD"),
        token_url=get.text("ESCALON_SCHEMA_REGISTRY_TOKEN_URL"),
        scope=get.text("ESCALON_SCHEMA_REGISTRY_SCOPE"),
        logical_cluster=get.text("ESCALON_SCHEMA_REGISTRY_LOGICAL_CLUSTER"),
        identity_pool=get.text("ESCALON_SCHEMA_REGISTRY_IDENTITY_POOL"),
        register=get.flag("ESCALON_SCHEMA_REGISTRY_REGISTER", default=True),
    )


def _ui_url(get: _Reader) -> str:
    url = (get.address("ESCALON_UI_URL") or "").rstrip("/")
    if url and (not is_http(url) or url.count("/") > 2):
        what = f"{url!r} is not the HTTP address of a server."
        raise ConfigError(what, "Write it without a path, as https://panel.example.com.", "ESCALON_UI_URL")
    return url


def _clickhouse(get: _Reader) -> ClickHouseConfig | None:
    url = get.text("ESCALON_CLICKHOUSE")
    if url is None:
        return None
    return ClickHouseConfig(
        url=url,
        username=get.text("ESCALON_CLICKHOUSE_USER") or "default",
        password=get.secret("ESCALON_CLICKHOUSE_PASSWORD") or "",
        database=get.text("ESCALON_CLICKHOUSE_DATABASE") or "escalon",
        ca_file=get.text("ESCALON_CLICKHOUSE_CA_FILE"),
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    environment: Mapping[str, str]

    def text(self, name: str) -> str | None:
        return self.environment.get(name, "").strip() or None

    def path(self, name: str) -> Path | None:
        value = self.text(name)
        return Path(value).expanduser() if value else None

    def address(self, name: str) -> str | None:
        """Return an address; it must not contain a login, because it is printed."""
        value = self.text(name)
        if value is not None and has_login(value):
            raise ConfigError("the address contains a login, which would be logged.", "Remove it.", name)
        return value

    def number(self, name: str, default: int, least: int = 0) -> int:
        value = self.text(name)
        try:
            number = default if value is None else int(value)
        except ValueError:
            number = least - 1
        if number < least:
            what = f"{value!r} is not a whole number of at least {least}."
            raise ConfigError(what, f"Set it to a number such as {default}.", name)
        return number

    def flag(self, name: str, *, default: bool = False) -> bool:
        value = (self.text(name) or str(int(default))).lower()
        if value not in ("0", "1", "true", "false", "yes", "no"):
            raise ConfigError(f"{value!r} is neither yes nor no.", "Set it to 1 or 0.", name)
        return value in ("1", "true", "yes")

    def secret(self, name: str) -> str | None:
        """Return a secret, from the variable or from the file that NAME_FILE names."""
        file = self.path(f"{name}_FILE")
        if file is None:
            return self.text(name)
        try:
            return file.read_text("utf-8").strip() or None
        except OSError as error:
            raise ConfigError(
                f"{file} cannot be read ({error.strerror}).", "Check the path.", f"{name}_FILE"
            ) from error
        except UnicodeDecodeError:  # not chained, because it quotes the file
            raise ConfigError(
                f"{file} is not UTF-8 text.", "Write only the secret into it, as UTF-8.", f"{name}_FILE"
            ) from None
