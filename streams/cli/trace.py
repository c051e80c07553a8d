"""The command that draws what became of one event: trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text
from rich.tree import Tree

from streams.audit.query import Audit
from streams.audit.trace import Trace, TraceStep, read_trace
from streams.cli.answers import plain
from streams.cli.console import out, print_json
from streams.cli.context import audit_database
from streams.cli.options import RunOption
from streams.cli.printable import one_line
from streams.cli.trace_lines import (
    Show,
    call_lines,
    head_lines,
    letter_lines,
    outcome_lines,
    truth_lines,
    verdict_lines,
)
from streams.cli.trace_waterfall import bars_of, waterfall


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command("trace", epilog="Example: escalon trace mail-77")(trace_event)


def trace_event(
    event_id: Annotated[str, typer.Argument(metavar="EVENT_ID", help="The event's id.")],
    run: RunOption = "live",
    full: Annotated[bool, typer.Option("--full", help="Show texts, prompts and answers whole.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document, for programs.")] = False,
) -> None:
    """Draw what became of one event: every call with its cost, time and reason, and the outcome."""
    with audit_database() as database:
        audit = Audit(database)
        try:
            trace = read_trace(audit, event_id, run)
        finally:
            audit.close()
    if as_json:
        print_json(plain(asdict(trace) | {"open": trace.open_for()}))
        return
    out.print(tree_of(trace, Show(full)))
    if trace.calls:
        settled = trace.outcome["settled_at"] if trace.outcome else None
        out.print(Text("\nTimes (dots: waiting)", "bold"))
        out.print(waterfall(bars_of(trace.calls), settled, out.width), soft_wrap=True)
    if others := [one for one in trace.runs if one != trace.run]:
        out.print(Text(f"Also in: {one_line(', '.join(others))}. Add --run NAME.", "dim"))


def tree_of(trace: Trace, show: Show) -> Tree:
    """The event, what led to what, and what is known of the end."""
    tree = Tree(_joined(head_lines(trace, show)), guide_style="dim")
    _add(tree, trace.steps(), trace, show)
    for letter in trace.dead_letters:
        tree.add(_joined(letter_lines(letter)))
    if trace.outcome is not None:
        tree.add(_joined(outcome_lines(trace.outcome, show)))
    elif waits := trace.open_for():
        tree.add(Text(waits, "yellow"))
    for truth in (*trace.labels, *trace.judgements):
        tree.add(_joined(truth_lines(truth, show)))
    return tree


def _add(branch: Tree, nodes: Sequence[TraceStep], trace: Trace, show: Show) -> None:
    for node in nodes:
        told = verdict_lines(node.row) if node.kind == "verdict" else call_lines(node.row, trace.findings, show)
        _add(branch.add(_joined(told)), node.led_to, trace, show)


def _joined(lines: Sequence[Text]) -> Text:
    return Text("\n").join(lines)
