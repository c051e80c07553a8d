"""escalon demo."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing, nullcontext
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from streams.adapters.clickhouse_connection import ClickHouseConfig
from streams.adapters.codec_factory import codec_for
from streams.adapters.ground_truth import from_json
from streams.adapters.topic_reader import Offsets, TopicReader
from streams.app.settings import Settings, read_settings
from streams.audit.ended_events import ended_events
from streams.audit.query import Audit
from streams.cli.classifier_training import train_classifier
from streams.cli.commands import new_app
from streams.cli.console import err, out
from streams.cli.context import find_pipeline
from streams.cli.demo_summary import print_summary
from streams.cli.event_source import read_source
from streams.cli.live_view import LiveCounts, show, watched_topics
from streams.cli.pages_process import pages_beside
from streams.cli.publication import publish_events, publish_labels
from streams.core.errors import ConfigError, ServiceError
from streams.core.messages import Label
from streams.demo.events import mark_of, write_events
from streams.demo.recording import begin_recording, finish_recording, read_recording
from streams.demo.results import DemoResult, TruthFile, read_results
from streams.demo.starter import Server, write_pack
from streams.embedded.local_pipeline import RunningPipeline, running_pipeline
from streams.models.weights import store
from streams.pipeline.code import AllowedPython
from streams.pipeline.dialects import DIALECTS
from streams.pipeline.load import Pipeline
from streams.pipeline.model_specs import LocalModelSpec

AUDIT_SECONDS = 30.0
DRAIN_SECONDS = 1.0
"""The time for tasks in flight when the demo is broken off, so that Ctrl-C takes less than ten seconds."""
INTERRUPTED = 130
LABEL_SOURCE = "the demo's truth file"
_RECORDED = """
    SELECT uniqExact(event_id)
    FROM (SELECT run, event_id FROM outcomes UNION ALL SELECT run, event_id FROM dead_letters)
    WHERE run = {run:String} AND event_id IN {ids:Array(String)}
"""
DEMO_PYTHON = AllowedPython(("desk",))
"""The demo may run the support desk's functions, because this command has just written them."""
app = new_app()


@app.command(epilog="Example: escalon demo --recorded")
def demo(
    models: Annotated[
        str,
        typer.Option(help="local (1.6 GB, downloaded once), claude (needs ANTHROPIC_API_KEY), openai (--base-url)."),
    ] = "local",
    base_url: Annotated[
        str | None, typer.Option(metavar="URL", help="With openai: the server, such as http://127.0.0.1:8080/v1.")
    ] = None,
    dialect: Annotated[str, typer.Option(help=f"With openai: {', '.join(DIALECTS)}.")] = "llama-server",
    worker: Annotated[
        str | None, typer.Option(metavar="MODEL", help="With openai: the server's name of the workers' model.")
    ] = None,
    reasoner: Annotated[
        str | None, typer.Option(metavar="MODEL", help="With openai: the server's name of the reasoners' model.")
    ] = None,
    recorded: Annotated[
        bool, typer.Option("--recorded", help="Take the models' answers from the packaged recording; no weights.")
    ] = False,
    record: Annotated[
        Path | None, typer.Option(metavar="DIRECTORY", help="Write what the models answer to a recording there.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave servers and pages running until Ctrl-C.")] = False,
    no_ui: Annotated[bool, typer.Option("--no-ui", help="Start no pages.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait until every event has ended.")] = 900.0,
) -> None:
    """Run a sample support desk's mail, chat and images through the three tiers, and judge every answer."""
    settings = replace(read_settings(), python=DEMO_PYTHON, drain_seconds=DRAIN_SECONDS)
    if recorded and (record is not None or models != "local"):
        raise ConfigError("The packaged recording is of the local models.", "Use --recorded alone.", "--recorded")
    server = _server(settings, models, base_url, dialect, worker, reasoner)
    if record is not None:
        settings = replace(settings, record_cassette=begin_recording(record))
    file = settings.data_dir / "demo" / "pipeline.toml"
    try:
        with nullcontext() if no_ui else pages_beside(settings, file):
            _run(settings, models, server, recorded=recorded, record=record, keep=keep, timeout=timeout)
    except KeyboardInterrupt:
        out.print("Stopped.")
        raise typer.Exit(INTERRUPTED) from None


def _server(
    settings: Settings, models: str, base_url: str | None, dialect: str, worker: str | None, reasoner: str | None
) -> Server | None:
    """Return the server for --models openai. Raises ConfigError or ServiceError for what is missing."""
    if models == "claude" and settings.anthropic_api_key is None:
        raise ServiceError("The demo with Claude needs an API key.", "Set ANTHROPIC_API_KEY.")
    if (models == "openai") != (base_url is not None):
        raise ConfigError("--models openai and --base-url go together.", "Give both, or neither.", "--base-url")
    if dialect not in DIALECTS:
        raise ConfigError(f"{dialect!r} is not known.", f"Use one of: {', '.join(DIALECTS)}.", "--dialect")
    return Server(base_url=base_url, dialect=dialect, worker=worker, reasoner=reasoner) if base_url else None


def _run(
    settings: Settings,
    models: str,
    server: Server | None,
    *,
    recorded: bool,
    record: Path | None,
    keep: bool,
    timeout: float,
) -> None:
    started, directory = time.monotonic(), settings.data_dir / "demo"
    shutil.rmtree(directory, ignore_errors=True)
    file = write_pack(directory, models, server)
    if recorded:
        recording = read_recording(directory)
        settings = replace(settings, cassette=recording.cassette)
        out.print(recording.label, highlight=False)
    with ExitStack() as open_:
        pipeline = _prepare(settings, file)
        with err.status("Starting") as status:
            running = open_.enter_context(running_pipeline(settings, pipeline, progress=status.update))
        results = _stream(running, pipeline, timeout)
        if record is not None:
            finish_recording(record, pipeline, settings.now().date())
        with closing(Audit(running.clickhouse)) as audit:
            shown = shlex.quote(min(str(file), os.path.relpath(file), key=len))
            print_summary(results, audit.named("money", settings.run).records()[0], shown)
        out.print(
            f"\nDone in {time.monotonic() - started:.0f} s. The audit stays in {settings.data_dir}.",
            style="dim",
            soft_wrap=True,
        )
        out.print(f"Its pages: escalon ui -p {shown}", style="dim", soft_wrap=True)
        if keep:
            _keep(running)


def _prepare(settings: Settings, file: Path) -> Pipeline:
    """Train the support desk's listener, load the file, and download the weights that it names."""
    with err.status("Training the listener"):
        train_classifier(file.parent / "intents.jsonl", file.parent / "intents.npz", quiet=True)
    pipeline = find_pipeline(settings, file)
    local = {one.model for one in pipeline.spec.models.values() if isinstance(one, LocalModelSpec)}
    try:
        for model in sorted(local) if settings.cassette is None else ():
            store.pull(model, settings.weights_dir)
    except ServiceError as error:
        without = "To see the demo without weights, run `escalon demo --recorded`."
        raise ServiceError(error.what, f"{error.remedy} {without}") from error
    return pipeline


def _stream(running: RunningPipeline, pipeline: Pipeline, timeout: float) -> list[DemoResult]:
    """Publish the events and their labels, wait until all have ended, and judge the ends."""
    settings, directory, now = running.settings, running.pipeline.parent, running.settings.now()
    expected = stream(running, write_events(directory, mark_of(now), now), timeout)
    truth = TruthFile(directory / "truth.jsonl", pipeline)
    publish_labels(settings, [_label(one, now) for one in truth.labels(expected)])
    _await_audit(running.clickhouse, settings.run, expected)
    with closing(Audit(running.clickhouse)) as audit:
        return read_results(audit, settings.run, expected, truth)


def _label(fields: Mapping[str, object], now: datetime) -> Label:
    return from_json(Label, json.dumps({**fields, "source": LABEL_SOURCE}).encode(), now)


def stream(running: RunningPipeline, events: Path, timeout: float) -> set[str]:
    """Publish the events, show the live view until each has ended, and return their ids.

    An event that ended in an earlier run counts as ended. Raises ServiceError after `timeout` seconds, and ConfigError
    if the recording lacks an answer.
    """
    settings, deadline = running.settings, time.monotonic() + timeout
    codec, topics = codec_for(settings.schema_registry), watched_topics(settings.topic_prefix)
    with closing(TopicReader(running.kafka, topics, start=_ends(running, topics))) as tail:
        expected = {one.event_id for one in publish_events(settings, list(read_source(str(events))))}
        live = LiveCounts(codec, settings.topic_prefix)
        live.ended |= ended_events(
            running.kafka, running.clickhouse, codec, settings.topic_prefix, settings.run, expected
        )

        def keep_running() -> bool:
            running.supervisor.check()
            left = expected - live.ended
            if live.counts["error not_recorded"]:
                remedy = "Make it again: escalon demo --record DIRECTORY. docs/demo.md has the steps."
                raise ConfigError("The recording has no answer to a prompt of this demo.", remedy)
            if left and time.monotonic() > deadline:
                what = f"{len(left)} of {len(expected)} events had not ended after {timeout:.0f} s."
                raise ServiceError(what, f"See the logs in {settings.data_dir / 'logs'}, or raise --timeout.")
            return bool(left)

        show(tail, live, keep_running, len(expected))
    return expected


def _keep(running: RunningPipeline) -> None:
    out.print("Servers and pages run until Ctrl-C.")
    while True:
        for line in running.restart_ended():
            err.print(line, style="red", markup=False, highlight=False)
        time.sleep(0.5)


def _ends(running: RunningPipeline, topics: list[str]) -> Offsets:
    with closing(TopicReader(running.kafka, topics)) as probe:
        return probe.ends()


def _await_audit(clickhouse: ClickHouseConfig, run: str, expected: set[str]) -> None:
    """Wait until the sink, which is a second or two behind the topics, has written how these events ended."""
    deadline = time.monotonic() + AUDIT_SECONDS
    with closing(Audit(clickhouse)) as audit:
        while time.monotonic() < deadline:
            if audit.query(_RECORDED, {"run": run, "ids": sorted(expected)}).rows[0][0] >= len(expected):
                return
            time.sleep(0.3)
