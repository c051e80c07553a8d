"""The findings of `escalon doctor`: each line is ok, a warning, or a failure with its remedy."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final, Literal

from streams.adapters.clickhouse_connection import ClickHouseConfig
from streams.adapters.kafka import KafkaConfig
from streams.adapters.reachable import PROBE_SECONDS, check_clickhouse, check_kafka, check_registry
from streams.app.language_models import lacking
from streams.app.providers import Providers
from streams.app.redaction import redaction_policy
from streams.app.settings import Settings
from streams.core.errors import ConfigError, EscalonError
from streams.core.topics import TOPICS
from streams.embedded.broker import choose_broker
from streams.packaged_files import resource
from streams.pipeline.load import Pipeline, price_of
from streams.pipeline.problems import Mistakes, mistakes_in
from streams.ui.address import DEFAULT_PORT, address_of_pages, are_served

State = Literal["ok", "warn", "fail"]
EXTRAS: Final = {
    "embedded": ("chdb", "the local servers of `demo` and `up`"),
    "local": ("xllamacpp", "language models in process"),
    "ui": ("uvicorn", "the pages"),
    "evaluation": ("scipy", "calibrate, train, evaluate, compare, what-if"),
    "openai": ("openai", "models of servers with OpenAI's API"),
    "otel": ("opentelemetry.exporter", "traces to a collector"),
    "msk": ("aws_msk_iam_sasl_signer", "the login at Amazon MSK"),
    "protobuf": ("google.protobuf", "events in Protobuf"),
}
"""A module of each optional extra, and what needs it."""
LEAST_FREE_BYTES: Final = 1 << 30
MOST_FILES: Final = 100_000
"""Files of a directory whose sizes are added up."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One line of the report."""

    area: str
    state: State
    what: str
    remedy: str = ""


def check_runnable(settings: Settings, pipeline: Pipeline) -> None:
    """Try what can be tried before a server or a model is started. Raises ConfigError for all that is missing."""
    mistakes = Mistakes()
    with mistakes:
        handlers = [*pipeline.listeners.values(), *pipeline.workers.values(), *pipeline.reasoners.values()]
        Providers(pipeline, settings).check(handlers)
    with mistakes:
        redaction_policy(pipeline)
    mistakes.found += lacking(pipeline, settings)
    mistakes.report()


def findings(settings: Settings, load: Callable[[], Pipeline] | None) -> Iterator[Diagnosis]:
    """Yield every finding; `load` loads the pipeline, None if there is none to check."""
    yield from _installed(settings)
    servers = (_kafka, _clickhouse, _registry)
    with ThreadPoolExecutor(len(servers)) as pool:  # at the same time, because each may take PROBE_SECONDS
        for found in pool.map(lambda check: list(check(settings)), servers):
            yield from found
    yield from _directories(settings)
    yield from _ports(settings)
    yield Diagnosis(
        "tiers", "ok", "listen, work, reason, settle, resume and batch need Kafka; record needs ClickHouse as well"
    )
    if load is not None:
        yield from _pipeline(settings, load)


def _installed(settings: Settings) -> Iterator[Diagnosis]:
    yield Diagnosis("installed", "ok", f"escalon {version('escalon')} on Python {platform.python_version()}")
    embedded = settings.kafka is None or settings.clickhouse is None
    for extra, (module, needed_by) in EXTRAS.items():
        remedy = f"Install it: `pip install '.[{extra}]'`."
        if _is_installed(module):
            yield Diagnosis("installed", "ok", f"extra {extra}: {needed_by}")
        elif extra == "embedded" and embedded:
            yield Diagnosis("installed", "fail", f"extra {extra} is missing, and no servers are configured", remedy)
        else:
            yield Diagnosis("installed", "warn", f"extra {extra} is missing: {needed_by}", remedy)
    lost = [name for name in ("java", "mvn") if shutil.which(name) is None]
    if lost and settings.kafka is None:
        remedy = "Install Java 17 and Maven, then run `escalon kafka install`, if topics must survive a restart."
        yield Diagnosis("installed", "warn", f"{' and '.join(lost)}: not found", remedy)


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package that would contain it
        return False


def _tried(area: str, check: Callable[[], str | Diagnosis]) -> Iterator[Diagnosis]:
    """Yield what a check found, or a failure for each error that it raised."""
    try:
        found = check()
        yield found if isinstance(found, Diagnosis) else Diagnosis(area, "ok", found)
    except ConfigError as error:
        for one in mistakes_in(error):
            yield Diagnosis(area, "fail", f"{one.key}: {one.what}" if one.key else one.what, one.remedy)
    except EscalonError as error:
        yield Diagnosis(area, "fail", error.what, error.remedy)


def _kafka(settings: Settings) -> Iterator[Diagnosis]:
    def check() -> str | Diagnosis:
        if settings.kafka is None:
            kafka_home, cache = settings.kafka_home, settings.cache_dir
            broker = choose_broker(settings.data_dir, resource("kafka"), kafka_home=kafka_home, cache_dir=cache)
            return f"none is running; `escalon up` starts one: {broker.note}"
        return _topics(settings, settings.kafka)

    return _tried("Kafka", check)


def _topics(settings: Settings, kafka: KafkaConfig) -> str | Diagnosis:
    from streams.adapters.kafka_admin import describe_cluster

    check_kafka(kafka)
    present = describe_cluster(kafka, PROBE_SECONDS).partitions
    wanted = [settings.topic_prefix + spec.name for spec in TOPICS]
    missing = [name for name in wanted if name not in present]
    if missing:
        what = f"{kafka.servers}: {len(missing)} of {len(wanted)} topics are missing"
        return Diagnosis("Kafka", "warn", what, "Create them: `escalon topics --create`; `escalon up` does it as well.")
    return f"{kafka.servers}: all {len(wanted)} topics exist" + (f"; login {kafka.login}" if kafka.login else "")


def _clickhouse(settings: Settings) -> Iterator[Diagnosis]:
    def check() -> str | Diagnosis:
        if settings.clickhouse is None:
            return "none is running; `escalon up` starts one"
        return _migrated(settings.clickhouse)

    return _tried("ClickHouse", check)


def _migrated(clickhouse: ClickHouseConfig) -> str | Diagnosis:
    from streams.adapters.clickhouse_migrations import pending

    check_clickhouse(clickhouse)
    lacks = pending(clickhouse)
    if lacks:
        what = f"{clickhouse.url}: the database {clickhouse.database} lacks {', '.join(lacks)}"
        return Diagnosis("ClickHouse", "warn", what, "Run `escalon migrate`; `escalon up` does it as well.")
    return f"{clickhouse.url}: the tables of {clickhouse.database} are up to date"


def _registry(settings: Settings) -> Iterator[Diagnosis]:
    def check() -> str:
        if settings.schema_registry is None:
            return "none is configured, and none is needed"
        check_registry(settings.schema_registry)
        login = settings.schema_registry.login
        return f"{settings.schema_registry.url} accepts connections" + (f"; login {login}" if login else "")

    return _tried("registry", check)


def _directories(settings: Settings) -> Iterator[Diagnosis]:
    named = {"data": settings.data_dir, "cache": settings.cache_dir, "weights": settings.weights_dir}
    for name, path in named.items():
        yield Diagnosis("directories", "ok", f"{name}: {path} ({_size(path)})")
    parent = next(one for one in (settings.data_dir, *settings.data_dir.parents) if one.exists())
    if not os.access(parent, os.W_OK):
        yield Diagnosis("directories", "fail", f"{parent} cannot be written", "Set ESCALON_DATA to another directory.")
    free = shutil.disk_usage(parent).free
    what = f"{free / 1e9:.1f} GB are free for {settings.data_dir}"
    enough = free >= LEAST_FREE_BYTES
    yield Diagnosis(
        "directories", "ok" if enough else "warn", what, "" if enough else "Free space, or move ESCALON_DATA."
    )


def _size(path: Path) -> str:
    """Return the size of a directory's files in words; `more than` if it has very many."""
    if not path.is_dir():
        return "does not exist yet"
    total, files = 0, 0
    for directory, _, names in os.walk(path):
        for name in names:
            files += 1
            try:
                total += (Path(directory) / name).lstat().st_size
            except OSError:  # it was removed meanwhile
                continue
        if files >= MOST_FILES:
            return f"more than {total / 1e6:.0f} MB"
    return f"{total / 1e6:.0f} MB"


def _ports(settings: Settings) -> Iterator[Diagnosis]:
    wanted = {DEFAULT_PORT: "`escalon ui`; name another by --port"}
    if settings.web_port is not None:
        wanted |= {settings.web_port: "health and metrics; set ESCALON_WEB_PORT to another"}
    for port, use in wanted.items():
        if port == DEFAULT_PORT and are_served(settings):
            yield Diagnosis("ports", "ok", f"the pages are served already, on {address_of_pages(settings)}")
            continue
        free = _is_free(port)
        what = f"port {port} is {'free' if free else 'taken'}, for {use}"
        yield Diagnosis("ports", "ok" if free else "warn", what, "" if free else "Stop the process that uses it.")


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def _pipeline(settings: Settings, load: Callable[[], Pipeline]) -> Iterator[Diagnosis]:
    loaded: list[Pipeline] = []

    def check() -> str:
        loaded.append(load())
        check_runnable(settings, loaded[0])
        return f"{loaded[0].name} can run; its keys and weights are present"

    yield from _tried("pipeline", check)
    for pipeline in loaded:
        yield from _models(pipeline)


def _models(pipeline: Pipeline) -> Iterator[Diagnosis]:
    for key, model in pipeline.spec.models.items():
        users = ", ".join(_users(pipeline, key)) or "no handler"
        what = f"{key}: {model.model} ({model.provider}), for {users}"
        if price_of(model, pipeline.prices) is not None:
            yield Diagnosis("models", "ok", f"{what}; priced")
        elif model.provider == "local":
            yield Diagnosis("models", "ok", f"{what}; free, as it runs here")
        else:
            remedy = "Set priced_as, or give a price list by `prices`; until then its cost is unknown."
            yield Diagnosis("models", "warn", f"{what}; not priced", remedy)


def _users(pipeline: Pipeline, key: str) -> Sequence[str]:
    """Return the handlers that ask a model, fallbacks included."""
    spec = pipeline.spec
    tables = {"listeners": spec.listeners, "workers": spec.workers, "reasoners": spec.reasoners}
    return [
        f"{table}.{name}"
        for table, handlers in tables.items()
        for name, one in handlers.items()  # type: ignore[attr-defined]
        if key in (getattr(one, "model", None), getattr(one, "fallback", None))
    ]
