"""What the commands run against: the configured servers, else the embedded ones of the data directory."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from streams.adapters.clickhouse import ClickHouseConfig
from streams.adapters.kafka import KafkaConfig
from streams.app.settings import Settings, read_settings
from streams.core.errors import ConfigError, ServiceError
from streams.embedded.stack import clickhouse_only, running
from streams.pipeline.code import AllowedPython, functions_in
from streams.pipeline.files import has_beside
from streams.pipeline.load import Pipeline, load_pipeline

DEFAULT_PIPELINE = Path("pipeline.toml")


def located(settings: Settings | None = None) -> Settings:
    """The settings, with the addresses of a running embedded stack where none are configured."""
    settings = settings or read_settings()
    if settings.kafka is not None and settings.clickhouse is not None:
        return settings
    found = running(settings.data_dir)
    if found is None:
        return settings
    return replace(
        settings,
        kafka=settings.kafka or KafkaConfig(servers=found.kafka),
        clickhouse=settings.clickhouse or ClickHouseConfig(url=found.clickhouse),
    )


def kafka_of(settings: Settings) -> KafkaConfig:
    """Where Kafka is; raises ServiceError when there is none."""
    if settings.kafka is None:
        what = f"No broker is configured, and none runs on {settings.data_dir}."
        raise ServiceError(what, "Start one with `escalon up`, or set ESCALON_KAFKA.")
    return settings.kafka


def clickhouse_of(settings: Settings) -> ClickHouseConfig:
    """Where ClickHouse is; raises ServiceError when there is none."""
    if settings.clickhouse is None:
        what = f"No ClickHouse is configured, and none runs on {settings.data_dir}."
        raise ServiceError(what, "Start one with `escalon up`, or set ESCALON_CLICKHOUSE.")
    return settings.clickhouse


@contextmanager
def audit_database() -> Iterator[ClickHouseConfig]:
    """ClickHouse, if need be the embedded one started on the data directory for as long as it is asked."""
    settings = located()
    if settings.clickhouse is not None:
        yield settings.clickhouse
        return
    if not (settings.data_dir / "clickhouse").is_dir():
        what = f"There is no audit in {settings.data_dir}."
        raise ServiceError(what, "Run `escalon demo` or `escalon up` first, or set ESCALON_DATA or ESCALON_CLICKHOUSE.")
    with clickhouse_only(settings.data_dir) as url:
        yield ClickHouseConfig(url=url)


def pipeline_of(
    settings: Settings, path: Path | None, load: Callable[[Path, AllowedPython], Pipeline] = load_pipeline
) -> Pipeline:
    """The pipeline that was named, on the command line or by ESCALON_PIPELINE; else ./pipeline.toml.

    Its directory goes on Python's path only where it names functions of a module there, and is allowed to: any
    other file in it could take the place of one of Python's own modules.
    """
    chosen = path or settings.pipeline or DEFAULT_PIPELINE
    if not chosen.is_file():
        remedy = "Write a starter with `escalon init .`, or name the file."
        raise ConfigError(f"there is no pipeline file {chosen}.", remedy, "pipeline")
    pipeline, directory = load(chosen.absolute(), settings.python), chosen.absolute().parent
    if any(has_beside(directory, function) for _, function in functions_in(pipeline.spec)):
        sys.path.insert(0, str(directory))
    return pipeline
