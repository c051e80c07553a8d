"""Commands about events: publish, watch, outcomes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer
from rich.progress import track

from streams.adapters.clickhouse import row_of
from streams.adapters.log_reader import refuse
from streams.adapters.registry_config import codec_for
from streams.adapters.topic_reader import TopicReader
from streams.app.publisher import Delivery, Publisher
from streams.app.settings import Settings
from streams.cli.console import TIER_COLOURS, cell, err, out, print_json
from streams.cli.context import kafka_of, located
from streams.cli.live_view import Flow, say_gap, show, watched
from streams.cli.sources import Publishable, read_source
from streams.core.errors import UnreadableError
from streams.core.messages import Outcome

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command(
        epilog="Examples: escalon publish mail.jsonl · escalon publish photos/ · tail -f log | escalon publish -"
    )(publish)
    app.command(epilog="Example: escalon watch")(watch)
    app.command(epilog="Example: escalon outcomes --json | jq .answer")(outcomes)


def publish(
    source: Annotated[
        str, typer.Argument(metavar="FILE|-", help="JSONL, text (an event a line), images, or - for stdin.")
    ],
    topic: Annotated[str | None, typer.Option(help="Another topic than events.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Publish events and wait until Kafka has confirmed them."""
    settings = located()
    if source == "-":
        deliveries = publish_all(settings, read_source(source), topic)
    else:
        events = list(read_source(source))
        bar = track(events, "publishing", console=err, disable=as_json or not err.is_terminal, transient=True)
        deliveries = publish_all(settings, bar, topic)
    if as_json:
        for one in deliveries:
            print_json({"event_id": one.event_id, "topic": one.topic, "partition": one.partition, "offset": one.offset})
    else:
        out.print(f"{len(deliveries)} events published and confirmed.")


def publish_all(settings: Settings, events: Iterable[Publishable], topic: str | None = None) -> list[Delivery]:
    """Publish events; returns their confirmed deliveries."""
    with Publisher(kafka_of(settings), blobs=settings.blobs, topic=topic) as publisher:
        for item in events:
            publisher.publish_raw(item.event, image=item.image)
        return publisher.flush()


def watch() -> None:
    """Show the flow through the tiers, live, until Ctrl-C."""
    settings = located()
    tail = TopicReader(kafka_of(settings), watched(settings.topic_prefix), on_gap=say_gap)
    show(tail, Flow(codec_for(settings.schema_registry), settings.topic_prefix), lambda: True)


def outcomes(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Print the outcome of every event."""
    settings = located()
    # Who follows goes on behind what retention deleted; who wants all there is must not miss any.
    on_gap = say_gap if follow else refuse
    tail = TopicReader(kafka_of(settings), [f"{settings.topic_prefix}outcomes"], on_gap=on_gap)
    coding, seen = codec_for(settings.schema_registry), set[str]()
    for record in tail.follow(lambda: False) if follow else tail.to_end():
        try:
            outcome = coding.decode(Outcome, record.value or b"")
        except UnreadableError as error:
            err.print(f"{record.topic}/{record.partition}/{record.offset}: {error}", style="red", markup=False)
            continue
        if outcome.origin.event_id not in seen:
            seen.add(outcome.origin.event_id)
            print_json(row_of(outcome)) if as_json else _print(outcome)
    tail.close()


def _print(outcome: Outcome) -> None:
    colour = TIER_COLOURS[outcome.tier]
    what = outcome.answer or outcome.duplicate_of or "; ".join(outcome.reasons) or ""
    out.print(
        f"[bold]{cell(outcome.origin.event_id)}[/bold]  {outcome.state}  [{colour}]{outcome.tier}[/{colour}] "
        f"{cell(outcome.handler)}  [dim]{cell(outcome.intent)}[/dim]  {cell(what)}",
        highlight=False,
        soft_wrap=True,
    )
