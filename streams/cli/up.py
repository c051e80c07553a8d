"""escalon up."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from typing import Annotated

import typer

from streams.app.settings import read_settings
from streams.cli.commands import new_app
from streams.cli.console import err, note, out
from streams.cli.context import find_pipeline
from streams.cli.doctor_checks import check_runnable
from streams.cli.live_view import follow
from streams.cli.options import CassetteOption, PipelineOption, RecordOption
from streams.cli.pages_process import pages_beside
from streams.core.errors import ConfigError
from streams.embedded.local_pipeline import RunningPipeline, running_pipeline

app = new_app()


@app.command(epilog="Example: escalon up --pipeline desk/pipeline.toml --watch")
def up(
    pipeline: PipelineOption = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show events as they pass through the tiers.")] = False,
    cassette: CassetteOption = None,
    record: RecordOption = None,
    no_ui: Annotated[bool, typer.Option("--no-ui", help="Start no pages.")] = False,
) -> None:
    """Run a whole pipeline on this machine until Ctrl-C.

    It starts a broker and ClickHouse, unless they are configured, and one process for each tier.

    SIGHUP reads the pipeline file again and restarts the tiers and the pages, but not the broker and ClickHouse. A
    tier whose process ends is restarted; if it ends again within a minute, everything stops.
    """
    settings = replace(read_settings(), cassette=cassette, record_cassette=record)
    loaded = find_pipeline(settings, pipeline)
    check_runnable(settings, loaded)
    pages = nullcontext(lambda: None) if no_ui else pages_beside(settings, loaded.path)
    with pages as restart_pages, ExitStack() as open_:
        with err.status("Starting") as status:
            running = open_.enter_context(running_pipeline(settings, loaded, note, status.update))
        servers = f"Kafka {running.kafka.servers}   ClickHouse {running.clickhouse.url}"
        out.print(f"[bold]{loaded.name}[/bold] is running. {servers}")
        logs = f"Logs are in {settings.data_dir / 'logs'}. Publish with `escalon publish FILE`. Ctrl-C stops it."
        out.print(logs, soft_wrap=True)  # a path that a terminal can copy
        try:
            _supervise(running, restart_pages, watch)
        except KeyboardInterrupt:
            out.print("Stopping.")


def _supervise(running: RunningPipeline, restart_pages: Callable[[], None], watch: bool) -> None:
    """Restart and reload tiers until Ctrl-C, with the live view or without."""
    reload_asked = threading.Event()
    signal.signal(signal.SIGHUP, lambda *_: reload_asked.set())

    def keep_running() -> bool:
        _reload(running, restart_pages, reload_asked)
        for line in running.restart_ended():
            err.print(line, style="red", markup=False, highlight=False)
        return True

    if watch:
        follow(running.settings, running.kafka, keep_running)
    while keep_running():
        time.sleep(0.5)


def _reload(running: RunningPipeline, restart_pages: Callable[[], None], asked: threading.Event) -> None:
    """Reload the pipeline, and its pages, if asked; if its file is wrong, report that and keep the running tiers."""
    if not asked.is_set():
        return
    asked.clear()
    try:
        running.reload()
        restart_pages()
        out.print(f"Reloaded {running.pipeline}.", soft_wrap=True)
    except ConfigError as error:
        err.print(f"Not reloaded: {error}", style="red", markup=False, highlight=False)
