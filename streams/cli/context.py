"""The servers, pipeline and user that a command works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from streams.adapters.clickhouse_connection import ClickHouseConfig
from streams.adapters.kafka import KafkaConfig
from streams.adapters.reachable import check_clickhouse, check_kafka
from streams.app import settings as required
from streams.app.settings import Settings, read_settings
from streams.core.errors import ConfigError
from streams.pipeline.code import AllowedPython, make_importable

if TYPE_CHECKING:
    from streams.pipeline.load import Pipeline

DEFAULT_PIPELINE = Path("pipeline.toml")


def server_settings() -> Settings:
    """Return the settings, with the addresses of a running embedded stack where none are configured."""
    settings = read_settings()
    if settings.kafka is not None and settings.clickhouse is not None:
        return settings
    from streams.embedded.stack import running

    found = running(settings.data_dir)
    if found is None:
        return settings
    return replace(
        settings,
        kafka=settings.kafka or KafkaConfig(servers=found.kafka),
        clickhouse=settings.clickhouse or ClickHouseConfig(url=found.clickhouse),
    )


def require_kafka(settings: Settings) -> KafkaConfig:
    """Return Kafka's configuration. Raises ServiceError if there is none, or none of its servers can be reached."""
    config = required.require_kafka(settings)
    check_kafka(config)
    return config


def require_clickhouse(settings: Settings) -> ClickHouseConfig:
    """Return ClickHouse's configuration. Raises ServiceError if there is none, or it cannot be reached."""
    config = required.require_clickhouse(settings)
    check_clickhouse(config)
    return config


def find_pipeline(
    settings: Settings, path: Path | None, load: Callable[[Path, AllowedPython], Pipeline] | None = None
) -> Pipeline:
    """Load the pipeline named on the command line or by ESCALON_PIPELINE, or ./pipeline.toml, with its functions."""
    from streams.pipeline.load import load_pipeline

    chosen = path or settings.pipeline or DEFAULT_PIPELINE
    if not chosen.is_file():
        remedy = "Write a starter with `escalon init .`, or name the file: `--pipeline FILE`, or `escalon check FILE`."
        raise ConfigError(f"there is no pipeline file {chosen}.", remedy, "pipeline")
    pipeline = (load or load_pipeline)(chosen.absolute(), settings.python)
    make_importable(pipeline.spec, chosen.absolute().parent)
    return pipeline


def find_pipeline_if_any(settings: Settings, path: Path | None, consequence: str) -> Pipeline | None:
    """Load the named or the default pipeline; return None if there is none, or if the default one is wrong.

    `consequence` says what a wrong default pipeline means for the command.
    """
    try:
        return find_pipeline(settings, path)
    except ConfigError as error:
        if path is not None:
            raise
        if error.key != "pipeline":  # the default file exists, but is wrong
            from streams.cli.console import err  # it imports Rich, which a worker does not need

            err.print(f"{consequence}: {error}", style="red", markup=False, highlight=False)
        return None
