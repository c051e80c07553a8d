"""escalon what-if."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from streams.app.providers import comparison
from streams.app.settings import read_settings
from streams.cli.audit_access import open_audit
from streams.cli.commands import new_app
from streams.cli.console import out, print_json, table
from streams.cli.context import find_pipeline
from streams.cli.labelled_cases import labels_from
from streams.cli.options import JsonOption, PipelineOption, RunOption, SinceOption
from streams.cli.times import parse_time
from streams.core.counted import counted
from streams.evaluation.cases import MAX_CASES, AuditPart
from streams.evaluation.what_if.change import parse_change
from streams.evaluation.what_if.history import read_history
from streams.evaluation.what_if.report import sentence, spread, warnings
from streams.evaluation.what_if.what_if import Counts, WhatIf
from streams.evaluation.what_if.what_if import what_if as estimate
from streams.pipeline.load import load_uncalibrated

app = new_app()


@app.command(epilog="Example: escalon what-if --set workers.answer.threshold=0.8 --labels reasoner")
def what_if(
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="workers.NAME.threshold, .calibration, .reasoner or .explore, or routes.INTENT; may be repeated.",
        ),
    ] = None,
    run: RunOption = "live",
    since: SinceOption = None,
    labels: Annotated[
        str, typer.Option(help="The truth about answers: people (the topic labels) or reasoner (needs explore).")
    ] = "people",
    pipeline: PipelineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Estimate the effect of a change of thresholds or routes from the audit alone, without calling a model."""
    own = read_settings()
    loaded = find_pipeline(own, pipeline, load_uncalibrated)
    change = parse_change(settings or [], loaded)
    truth = labels_from(labels, ("people", "reasoner"))
    part = AuditPart(run=run, base=own.run, since=parse_time(since))
    handlers = {**loaded.reasoners, **loaded.workers}
    agrees = {name: comparison(one.correct) for name, one in handlers.items()}
    with open_audit(max_rows=MAX_CASES) as audit:
        history = read_history(audit, loaded, agrees, change, part, truth)
    found = estimate(history, change, loaded, truth)
    if as_json:
        print_json(asdict(found) | {"sentence": sentence(found), "warnings": list(warnings(found))})
    else:
        _print(found)


def _print(found: WhatIf) -> None:
    out.print(table(["", "as it was", "with the change", "difference"], _rows(found), _title(found)))
    out.print()
    _print_flips(found.counts)
    out.print(sentence(found), markup=False, style="bold")
    for line in warnings(found):
        out.print(f"- {line}", markup=False)


def _title(found: WhatIf) -> str:
    truth = "labels" if found.labels == "people" else "the reasoner's answers"
    return f"{counted(found.counts.events, 'event')}, 95 % intervals, right according to {truth}"


def _rows(found: WhatIf) -> list[list[str]]:
    shown = [
        ("right %", found.accuracy, 100.0, 1),
        ("$/1000 events", found.cost, 1000.0, 2),
        ("to reasoner %", found.reasoner_share, 100.0, 1),
        ("by worker %", found.worker_share, 100.0, 1),
    ]
    rows = []
    for name, figure, scale, digits in shown:
        if figure is None:
            rows.append([name, "unknown", "unknown", "unknown"])
            continue
        levels = [spread(one, scale, digits) for one in (figure.was, figure.then)]
        rows.append([name, *levels, spread(figure.difference, scale, digits, "+")])
    return rows


def _print_flips(counts: Counts) -> None:
    for old, new, events in counts.flips:
        out.print(f"From {old} to {new}: {counted(events, 'event')}.")
    if counts.unknown_reasoner:
        explored = f"; {counts.explored} accepted answers were explored" if counts.explored else ""
        out.print(f"The reasoner's answer is not recorded for {counts.unknown_reasoner} events{explored}.")
    if counts.flips or counts.unknown_reasoner:
        out.print()
