"""Commands that run pipelines: worker, up, demo."""

from __future__ import annotations

import logging
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from streams.adapters.registry_config import codec_for
from streams.adapters.topic_reader import TopicReader
from streams.app.hiding import HidingFormatter
from streams.app.settings import Settings, hider, read_settings
from streams.app.worker import FAUST_TIERS, TIERS, run_resumer, run_sink, run_tier
from streams.cli.console import err, note, out
from streams.cli.context import DEFAULT_PIPELINE, clickhouse_of, kafka_of, located, pipeline_of
from streams.cli.demo import run_demo
from streams.cli.live_view import Flow, say_gap, show, watched
from streams.cli.options import PipelineOption
from streams.core.errors import ConfigError, ServiceError
from streams.embedded.local_pipeline import Running, running_pipeline
from streams.pipeline.load import Pipeline

Cassette = Annotated[Path | None, typer.Option(help="Language models answer from this recording, without a network.")]
Record = Annotated[Path | None, typer.Option(help="Add what language models answer to this recording.")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command(epilog="Example: escalon worker listen")(worker)
    app.command(epilog="Example: escalon up --pipeline desk/pipeline.toml --watch")(up)
    app.command(epilog="Example: escalon demo --models claude")(demo)


def worker(
    tier: Annotated[str, typer.Argument(help=f"One of {', '.join(TIERS)}.")],
    pipeline: PipelineOption = None,
) -> None:
    """Run one tier in this process: listen, work, reason, settle, record (the sink), resume (what was deferred)."""
    shown = logging.StreamHandler()
    shown.setFormatter(HidingFormatter("%(asctime)s %(levelname)s %(name)s %(message)s", hider()))
    logging.basicConfig(level=logging.INFO, handlers=[shown])
    for noisy in ("aiokafka", "faust.transport", "httpx", "httpx2"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    settings = located()
    if tier == "record":
        run_sink(settings, kafka_of(settings), clickhouse_of(settings), _pipeline_if_any(settings, pipeline))
    elif tier == "resume":
        run_resumer(settings, kafka_of(settings))
    elif tier in FAUST_TIERS:
        loaded = pipeline_of(settings, pipeline)
        run_tier(tier, settings, kafka_of(settings), loaded)
    else:
        raise ConfigError(f"there is no tier {tier!r}.", f"Use one of: {', '.join(TIERS)}.", "tier")


def _pipeline_if_any(settings: Settings, path: Path | None) -> Pipeline | None:
    """The pipeline whose redaction the sink follows; it also runs without one."""
    named = path or settings.pipeline
    return pipeline_of(settings, named) if named or DEFAULT_PIPELINE.is_file() else None


def up(
    pipeline: PipelineOption = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show the flow.")] = False,
    cassette: Cassette = None,
    record: Record = None,
) -> None:
    """Run a whole pipeline here until Ctrl-C: broker and ClickHouse (unless configured) and a process for each tier.

    On SIGHUP the pipeline's file is read again and the tiers start anew; broker and ClickHouse stay. A tier whose
    process ends is started anew; one that ends again within a minute stops it all.
    """
    settings = replace(read_settings(), cassette=cassette, record_cassette=record)
    loaded = pipeline_of(settings, pipeline)
    with running_pipeline(settings, loaded, note) as running:
        out.print(
            f"[bold]{loaded.name}[/bold] runs. Kafka {running.kafka.servers}   ClickHouse {running.clickhouse.url}"
        )
        out.print(f"Logs are in {settings.data_dir / 'logs'}. Publish with `escalon publish FILE`. Ctrl-C stops it.")
        try:
            _watch(running) if watch else _wait(running)
        except KeyboardInterrupt:
            out.print("Stopping.")


def _wait(running: Running) -> None:
    asked = _on_hangup()
    while True:
        _look_after(running, asked)
        time.sleep(0.5)


def _on_hangup() -> threading.Event:
    """An event that SIGHUP sets, as is usual for reading a configuration again."""
    asked = threading.Event()
    signal.signal(signal.SIGHUP, lambda *_: asked.set())
    return asked


def _look_after(running: Running, asked: threading.Event) -> None:
    _reload(running, asked)
    for line in running.revive():
        err.print(line, style="red", markup=False, highlight=False)


def _reload(running: Running, asked: threading.Event) -> None:
    """Reload the pipeline if that was asked for; a file that is wrong is told, and what runs goes on."""
    if not asked.is_set():
        return
    asked.clear()
    try:
        running.reload()
        out.print(f"Reloaded {running.pipeline}.", soft_wrap=True)
    except ConfigError as error:
        err.print(f"Not reloaded: {error}", style="red", markup=False, highlight=False)


def _watch(running: Running) -> None:
    asked = _on_hangup()

    def going_on() -> bool:
        _look_after(running, asked)
        return True

    prefix = running.settings.topic_prefix
    tail = TopicReader(running.kafka, watched(prefix), on_gap=say_gap)
    show(tail, Flow(codec_for(running.settings.schema_registry), prefix), going_on)


def demo(
    models: Annotated[
        str, typer.Option(help="local (fetched once, 1.6 GB) or claude (needs ANTHROPIC_API_KEY).")
    ] = "local",
    cassette: Cassette = None,
    record: Record = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait until every event has ended.")] = 900.0,
) -> None:
    """Stream a support desk's mail, chat and images through three tiers, and see where the money went."""
    settings = replace(read_settings(), cassette=cassette, record_cassette=record)
    if models == "claude" and settings.anthropic_api_key is None and cassette is None:
        raise ServiceError("The demo with Claude needs a key.", "Set ANTHROPIC_API_KEY.")
    run_demo(settings, models, timeout)
