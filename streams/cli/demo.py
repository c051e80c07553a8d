"""escalon demo."""

from __future__ import annotations

import shutil
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from streams.adapters.clickhouse_connection import ClickHouseConfig
from streams.adapters.codec_factory import codec_for
from streams.adapters.topic_reader import Offsets, TopicReader
from streams.app.settings import Settings, read_settings
from streams.audit.ended_events import ended_events
from streams.audit.query import Audit
from streams.audit.report import make_report
from streams.cli.classifier_training import train_classifier
from streams.cli.commands import new_app
from streams.cli.console import note, out
from streams.cli.event_source import read_source
from streams.cli.live_view import LiveCounts, show, watched_topics
from streams.cli.options import CassetteOption, RecordOption
from streams.cli.publication import publish_events
from streams.cli.report_tables import print_report
from streams.core.errors import ServiceError
from streams.demo.starter import write_pack
from streams.embedded.local_pipeline import RunningPipeline, running_pipeline
from streams.models.weights import store
from streams.pipeline.code import AllowedPython
from streams.pipeline.load import Pipeline, load_pipeline
from streams.pipeline.spec import LocalModelSpec

AUDIT_SECONDS = 30.0
_RECORDED = """
    SELECT uniqExact(event_id)
    FROM (SELECT run, event_id FROM outcomes UNION ALL SELECT run, event_id FROM dead_letters)
    WHERE run = {run:String} AND event_id IN {ids:Array(String)}
"""
DEMO_PYTHON = AllowedPython(("desk",))
"""The demo may run the support desk's functions, because this command has just written them."""
app = new_app()


@app.command(epilog="Example: escalon demo --models claude")
def demo(
    models: Annotated[
        str, typer.Option(help="local (1.6 GB, downloaded once) or claude (needs ANTHROPIC_API_KEY).")
    ] = "local",
    cassette: CassetteOption = None,
    record: RecordOption = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait until every event has ended.")] = 900.0,
) -> None:
    """Run a sample support desk's mail, chat and images through the three tiers, and report time and cost."""
    settings = replace(read_settings(), cassette=cassette, record_cassette=record, python=DEMO_PYTHON)
    if models == "claude" and settings.anthropic_api_key is None and cassette is None:
        raise ServiceError("The demo with Claude needs an API key.", "Set ANTHROPIC_API_KEY.")
    started = time.monotonic()
    directory = settings.data_dir / "demo"
    pipeline = _prepare(settings, directory, models)
    with running_pipeline(settings, pipeline, note) as running:
        expected = stream(running, directory / "events.jsonl", timeout)
        _await_audit(running.clickhouse, settings.run, expected)
        out.print()
        with closing(Audit(running.clickhouse)) as audit:
            print_report(make_report(audit, settings.run, pipeline))
    out.print(f"Done in {time.monotonic() - started:.0f} s. The audit stays in {settings.data_dir}:", style="dim")
    out.print(
        '  escalon report\n  escalon query "SELECT event_id, tier, prompt, response FROM calls LIMIT 5"', style="dim"
    )


def _prepare(settings: Settings, directory: Path, models: str) -> Pipeline:
    """Write the support desk, train its listener, download its weights, and load it."""
    shutil.rmtree(directory, ignore_errors=True)
    file = write_pack(directory, models)
    out.print("[bold]A support desk in three tiers[/bold]: mail, chat and images. See", file)
    train_classifier(directory / "intents.jsonl", directory / "intents.npz")
    pipeline = load_pipeline(file, settings.python)
    if settings.cassette is None:
        local = {one.model for one in pipeline.spec.models.values() if isinstance(one, LocalModelSpec)}
        for model in sorted(name for name in local if not name.endswith(".gguf")):
            store.pull(model, settings.weights_dir)
    return pipeline


def stream(running: RunningPipeline, events: Path, timeout: float) -> set[str]:
    """Publish the events, show the live view until each has ended, and return their ids.

    An event that ended in an earlier run counts as ended. Raises ServiceError after `timeout` seconds.
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
            if left and time.monotonic() > deadline:
                what = f"{len(left)} of {len(expected)} events had not ended after {timeout:.0f} s."
                raise ServiceError(what, f"See the logs in {settings.data_dir / 'logs'}, or raise --timeout.")
            return bool(left)

        if live.ended:
            out.print(f"{len(live.ended)} of {len(expected)} events have an outcome from an earlier run.")
        show(tail, live, keep_running, len(expected))
    return expected


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
