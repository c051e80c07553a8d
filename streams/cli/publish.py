"""escalon publish."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.progress import track

from streams.adapters.source_topics import SourceTopics
from streams.cli.commands import new_app
from streams.cli.console import err, out, print_json
from streams.cli.context import find_pipeline_if_any, server_settings
from streams.cli.event_source import misspelt_content, read_source
from streams.cli.options import JsonLinesOption
from streams.cli.publication import publish_events
from streams.core.counted import counted
from streams.core.errors import ConfigError

app = new_app()


@app.command(epilog="Examples: escalon publish mail.jsonl · escalon publish photos/ · tail -f log | escalon publish -")
def publish(
    source: Annotated[
        str, typer.Argument(metavar="FILE|-", help="JSON lines, text (one event a line), images, or - for stdin.")
    ],
    topic: Annotated[str | None, typer.Option(help="The topic to publish to, if it is not events.")] = None,
    as_json: JsonLinesOption = False,
) -> None:
    """Publish events and wait until Kafka has confirmed them."""
    if source == "-":
        deliveries = publish_events(server_settings(), read_source(source), topic)
    else:
        events = list(read_source(source))
        if not events:
            raise ConfigError(f"{source} holds no events.", "Write one event a line: JSON or text.", "FILE")
        if caution := misspelt_content(events):
            err.print(caution, style="yellow", markup=False, highlight=False)
        bar = track(events, "publishing", console=err, disable=as_json or not err.is_terminal, transient=True)
        deliveries = publish_events(server_settings(), bar, topic)
    if as_json:
        for one in deliveries:
            print_json(asdict(one))
    else:
        out.print(f"{counted(len(deliveries), 'event')} published and confirmed.")
        _mention_source(topic)


def _mention_source(topic: str | None) -> None:
    """Say that the pipeline reads topics of the user's as well, if it does."""
    settings = server_settings()
    pipeline = find_pipeline_if_any(settings, None, "the pipeline file is not read")
    if topic is None and pipeline is not None and pipeline.spec.source:
        reads = SourceTopics(pipeline.spec.source, settings.topic_prefix)
        note = f"They are on escalon's topic events. The pipeline also makes events of {reads}."
        err.print(note, markup=False, highlight=False, soft_wrap=True)
