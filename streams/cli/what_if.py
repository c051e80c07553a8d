"""The command what-if."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from streams.app.providers import comparison
from streams.app.settings import read_settings
from streams.audit.query import Audit
from streams.cli.calibrate import labels_from
from streams.cli.console import out, print_json, table
from streams.cli.context import audit_database, pipeline_of
from streams.cli.options import LabelsOption, PipelineOption, RunOption, SinceOption
from streams.cli.times import moment
from streams.evaluation.cases import MAX_CASES, Since
from streams.pipeline.load import load_uncalibrated

if TYPE_CHECKING:
    from streams.evaluation.what_if.what_if import Counts, WhatIf


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command("what-if", epilog="Example: escalon what-if --set workers.answer.threshold=0.8 --labels reasoner")(
        what_if_command
    )


def what_if_command(
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
    labels: LabelsOption = "people",
    pipeline: PipelineOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document, for programs.")] = False,
) -> None:
    """Say what a change of thresholds or routes would have come to, from the audit alone, without any call."""
    # These bring SciPy, which every worker would else wait for at its start.
    from streams.evaluation.what_if.change import parse_change
    from streams.evaluation.what_if.history import read_history
    from streams.evaluation.what_if.what_if import what_if

    own = read_settings()
    loaded = pipeline_of(own, pipeline, load_uncalibrated)
    change = parse_change(settings or [], loaded)
    truth = labels_from(labels)
    part = Since(run=run, base=own.run, since=moment(since, lambda: datetime.now(UTC)))
    handlers = {**loaded.reasoners, **loaded.workers}
    agrees = {name: comparison(one.spec.correct) for name, one in handlers.items()}
    with audit_database() as database:
        audit = Audit(database, max_rows=MAX_CASES)
        try:
            history = read_history(audit, loaded, agrees, change, part, truth)
        finally:
            audit.close()
    _tell(what_if(history, change, loaded, truth), as_json=as_json)


def _tell(found: WhatIf, *, as_json: bool) -> None:
    from streams.evaluation.what_if.report import sentence, warnings

    if as_json:
        print_json(asdict(found) | {"sentence": sentence(found), "warnings": list(warnings(found))})
        return
    out.print(table(["", "as it was", "with the change", "difference"], _rows(found), _title(found)))
    out.print()
    _tell_flips(found.counts)
    out.print(sentence(found), markup=False, style="bold")
    for line in warnings(found):
        out.print(f"- {line}", markup=False)


def _title(found: WhatIf) -> str:
    truth = "labels" if found.labels == "people" else "the reasoner's answers"
    return f"{found.counts.events} events, 95 % intervals, right by {truth}"


def _rows(found: WhatIf) -> list[list[str]]:
    from streams.evaluation.what_if.report import spread

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


def _tell_flips(counts: Counts) -> None:
    for old, new, events in counts.flips:
        out.print(f"{events} events go from {old} to {new}.")
    if counts.unknown_reasoner:
        explored = f"; {counts.explored} accepted answers were explored" if counts.explored else ""
        out.print(f"Of {counts.unknown_reasoner} the reasoner's answer is not recorded{explored}.")
    if counts.flips or counts.unknown_reasoner:
        out.print()
