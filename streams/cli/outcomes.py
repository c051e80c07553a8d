"""escalon outcomes."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.padding import Padding
from rich.text import Text

from streams.adapters.clickhouse import row_of
from streams.adapters.codec_factory import codec_for
from streams.adapters.log_reader import refuse
from streams.adapters.topic_reader import TopicReader
from streams.cli.commands import new_app
from streams.cli.console import TIER_COLOURS, cell, err, out, print_json
from streams.cli.context import require_kafka, server_settings
from streams.cli.live_view import report_gap
from streams.cli.options import JsonLinesOption
from streams.core.errors import UnreadableError
from streams.core.harmless import one_line
from streams.core.messages import Outcome

app = new_app()


@app.command(epilog="Example: escalon outcomes --json | jq .answer")
def outcomes(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Continue with new outcomes until Ctrl-C.")] = False,
    as_json: JsonLinesOption = False,
) -> None:
    """Print the outcome of every event."""
    settings = server_settings()
    # A follower may skip what retention deleted; a complete listing must not.
    on_gap = report_gap if follow else refuse
    tail = TopicReader(require_kafka(settings), [f"{settings.topic_prefix}outcomes"], on_gap=on_gap)
    codec, seen = codec_for(settings.schema_registry), set[str]()
    for record in tail.follow(lambda: False) if follow else tail.to_end():
        try:
            outcome = codec.decode(Outcome, record.value or b"")
        except UnreadableError as error:
            err.print(f"{record.topic}/{record.partition}/{record.offset}: {error}", style="red", markup=False)
            continue
        if outcome.origin.event_id not in seen:
            seen.add(outcome.origin.event_id)
            print_json(row_of(outcome)) if as_json else print_outcome(outcome)
    tail.close()


def print_outcome(outcome: Outcome) -> None:
    """Print one line about the end of an event, and below it, indented, its answer or its reasons."""
    colour = TIER_COLOURS[outcome.tier]
    out.print(
        f"[bold]{cell(outcome.origin.event_id)}[/bold]  {outcome.state}  [{colour}]{outcome.tier}[/{colour}] "
        f"{cell(outcome.handler)}  [dim]{cell(outcome.intent)}[/dim]",
        highlight=False,
    )
    what = outcome.answer or outcome.duplicate_of or "; ".join(outcome.reasons)
    if what:
        out.print(Padding.indent(Text(one_line(what), overflow="fold"), 2))
