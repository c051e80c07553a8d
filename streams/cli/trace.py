"""escalon trace."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

from streams.app.settings import read_settings
from streams.audit.trace import read_trace
from streams.audit.waterfall import bars_of
from streams.cli.audit_access import open_audit
from streams.cli.commands import new_app
from streams.cli.console import out, print_json
from streams.cli.context import find_pipeline_if_any
from streams.cli.options import JsonOption, PipelineOption, RunOption
from streams.cli.trace_view import Show, tree_of, waterfall
from streams.core.harmless import one_line

app = new_app()


@app.command(epilog="Example: escalon trace mail-77")
def trace(
    event_id: Annotated[str, typer.Argument(metavar="EVENT_ID", help="The event's id.")],
    run: RunOption = "live",
    full: Annotated[bool, typer.Option("--full", help="Show texts, prompts and answers whole.")] = False,
    pipeline: PipelineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show everything that happened to one event: each call with its cost, time and reason, and the outcome.

    Labels are compared with the answers as the pipeline file says.
    """
    loaded = find_pipeline_if_any(read_settings(), pipeline, "Labels are not compared with answers")
    with open_audit() as audit:
        found = read_trace(audit, event_id, run, loaded)
    if as_json:
        print_json(asdict(found) | {"open": found.open_for()})
        return
    out.print(tree_of(found, Show(full)))
    if found.calls:
        settled = found.outcome["settled_at"] if found.outcome else None
        out.print(Text("\nTimes (dots: waiting)", "bold"))
        out.print(waterfall(bars_of(found.calls), settled, out.width), soft_wrap=True)
    if others := [one for one in found.runs if one != found.run]:
        out.print(Text(f"Also in: {one_line(', '.join(others))}. Add --run NAME.", "dim"))
