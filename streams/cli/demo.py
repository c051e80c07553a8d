"""`escalon demo`: the packaged support desk, from events to outcomes to the bill."""

from __future__ import annotations

import shutil
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from streams.adapters.clickhouse import ClickHouseConfig
from streams.adapters.registry_config import codec_for
from streams.adapters.topic_reader import Offsets, TopicReader
from streams.app.settings import Settings
from streams.audit.ended_events import ended
from streams.audit.query import Audit
from streams.audit.report import make_report
from streams.cli.building import pull
from streams.cli.console import note, out
from streams.cli.events import publish_all
from streams.cli.live_view import Flow, show, watched
from streams.cli.report import print_report
from streams.cli.sources import read_source
from streams.cli.train import train_classifier
from streams.core.errors import ServiceError
from streams.demo.starter import write_pack
from streams.embedded.local_pipeline import Running, running_pipeline
from streams.pipeline.code import AllowedPython
from streams.pipeline.load import Pipeline, load_pipeline
from streams.pipeline.spec import LocalModelSpec

RECORDED_WITHIN = 30.0
_RECORDED = """
    SELECT uniqExact(event_id)
    FROM (SELECT run, event_id FROM outcomes UNION ALL SELECT run, event_id FROM dead_letters)
    WHERE run = {run:String} AND event_id IN {ids:Array(String)}
"""
OWN_CODE = AllowedPython(("desk",))
"""The support desk's functions were written just now, by this command."""


def run_demo(settings: Settings, models: str, timeout: float) -> None:
    """Run the demo; raises ServiceError when an event has not ended within `timeout` seconds."""
    started = time.monotonic()
    directory = settings.data_dir / "demo"
    shutil.rmtree(directory, ignore_errors=True)
    file = write_pack(directory, models)
    out.print("[bold]A support desk in three tiers[/bold]  mail, chat and images; see", directory / "pipeline.toml")
    train_classifier(directory / "intents.jsonl", directory / "intents.npz")
    settings = replace(settings, python=OWN_CODE)
    pipeline = load_pipeline(file, settings.python)
    _weights(pipeline, settings)
    with running_pipeline(settings, pipeline, note) as running:
        expected = stream(running, directory / "events.jsonl", timeout)
        _await_audit(running.clickhouse, settings.run, expected)
        out.print()
        _report(running.clickhouse, settings, pipeline)
    out.print(f"Done in {time.monotonic() - started:.0f} s. The audit stays in {settings.data_dir}:", style="dim")
    out.print(
        '  escalon report\n  escalon query "SELECT event_id, tier, prompt, response FROM calls LIMIT 5"', style="dim"
    )


def _weights(pipeline: Pipeline, settings: Settings) -> None:
    if settings.cassette is not None:
        return
    for model in sorted({one.model for one in pipeline.spec.models.values() if isinstance(one, LocalModelSpec)}):
        if not model.endswith(".gguf"):
            pull(model)


def stream(running: Running, events: Path, timeout: float) -> set[str]:
    """Publish the events and show the flow until each has ended; returns their ids.

    Events that have ended in an earlier run are not waited for. Raises ServiceError after `timeout` seconds.
    """
    settings, deadline = running.settings, time.monotonic() + timeout
    codec, topics = codec_for(settings.schema_registry), watched(settings.topic_prefix)
    with closing(TopicReader(running.kafka, topics, start=_ends(running, topics))) as tail:
        expected = {one.event_id for one in publish_all(settings, list(read_source(str(events))))}
        flow = Flow(codec, settings.topic_prefix)
        flow.ended |= ended(running.kafka, running.clickhouse, codec, settings.topic_prefix, settings.run, expected)

        def going_on() -> bool:
            running.supervisor.check()
            left = expected - flow.ended
            if left and time.monotonic() > deadline:
                what = f"{len(left)} of {len(expected)} events had not ended after {timeout:.0f} s."
                raise ServiceError(what, f"See the logs in {settings.data_dir / 'logs'}, or give more --timeout.")
            return bool(left)

        if flow.ended:
            out.print(f"{len(flow.ended)} of {len(expected)} events have their outcome from an earlier run.")
        show(tail, flow, going_on, len(expected))
    return expected


def _ends(running: Running, topics: list[str]) -> Offsets:
    probe = TopicReader(running.kafka, topics)
    try:
        return probe.ends()
    finally:
        probe.close()


def _await_audit(clickhouse: ClickHouseConfig, run: str, expected: set[str]) -> None:
    """Wait until the sink has written how these events ended, which trails the topics by a second or two."""
    deadline = time.monotonic() + RECORDED_WITHIN
    with closing(Audit(clickhouse)) as audit:
        while time.monotonic() < deadline:
            if audit.query(_RECORDED, {"run": run, "ids": sorted(expected)}).rows[0][0] >= len(expected):
                return
            time.sleep(0.3)


def _report(clickhouse: ClickHouseConfig, settings: Settings, pipeline: Pipeline) -> None:
    audit = Audit(clickhouse)
    print_report(make_report(audit, settings.run, pipeline))
    audit.close()
