"""escalon verify."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import typer

from streams.audit.verify.report import FAULTS, FAULTS_OF_HELD_RECORDS, VerifyReport, VerifyRequest
from streams.cli.commands import new_app
from streams.cli.console import err, out, print_json, table
from streams.cli.context import find_pipeline_if_any, server_settings
from streams.cli.options import JsonOption, PipelineOption, SinceOption
from streams.cli.times import parse_time
from streams.cli.verification import verification
from streams.core.errors import ConfigError
from streams.pipeline.values import seconds

FAULTY = 1
app = new_app()


@app.command(epilog="Examples: escalon verify · escalon verify --since 7d --json")
def verify(
    since: SinceOption = None,
    grace: Annotated[str, typer.Option(help="The time an event or a row may take to arrive: 90s, 10m, 2h.")] = "10m",
    strict: Annotated[
        bool, typer.Option("--strict", help="Count an identical outcome that was delivered twice as a fault.")
    ] = False,
    pipeline: PipelineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prove that nothing was lost: each event has exactly one end, and each record its row in ClickHouse.

    The exit code is 1 if anything is missing, duplicated or without an origin. docs/verify.md says what is compared.
    """
    settings = server_settings()
    known = find_pipeline_if_any(settings, pipeline, "your own topics are not verified")
    specs = known.spec.source if known is not None else ()
    now = settings.now()
    question = VerifyRequest(
        run=settings.run,
        now=_milliseconds(now),
        grace=_grace(grace),
        since=_milliseconds(parse_time(since, lambda: now)),
        strict=strict,
    )
    with err.status("Reading …") as status:
        report = verification(
            settings, question, lambda topic, count: status.update(f"Reading {topic}: {count}"), specs
        )
    if as_json:
        print_json(_document(report, question))
    else:
        _show(report)
    if report.faults:
        raise typer.Exit(FAULTY)


def _document(report: VerifyReport, question: VerifyRequest) -> dict[str, Any]:
    own = {"clean": report.clean, "run": question.run, "grace_seconds": question.grace / 1000}
    # asdict would turn the pairs in these two into Counters.
    return own | asdict(report) | {"young": dict(report.young), "unproven": dict(report.unproven)}


def _show(report: VerifyReport) -> None:
    columns = ("records", "copies", "rows", "rows_unproven", "orphans_unproven")
    rows = [[topic, *(counts.get(name) for name in columns)] for topic, counts in report.counts.items()]
    out.print(table(["topic", "records", "same id again", "rows", "rows unproven", "events unproven"], rows))
    if report.sources:
        kinds = ("records", "events", "filtered", "deleted", "tombstone", "dead_letters", "waiting")
        rows = [[topic, *(counts.get(kind, 0) for kind in kinds)] for topic, counts in report.sources.items()]
        names = ("records", "events", "filtered", "deletes", "tombstones", "dead letters", "not read yet")
        out.print(table(["your topic", *names], rows))
    for topic in report.unchecked:
        out.print(f"{topic} was not read: give the pipeline file that names it (--pipeline).", style="yellow")
    out.print(table(["events that ended as", "events"], [[name, count] for name, count in report.ends.items()]))
    if report.reasons:
        out.print(table(["dead letters", "events"], [[name, count] for name, count in report.reasons.items()]))
    for topic in report.trimmed:
        out.print(f"{topic} was read only in part: nothing is proven of older records.", style="yellow")
    for topic, count in report.held_back.items():
        out.print(f"{count} offsets of {topic} are behind an open transaction and were not read.", style="yellow")
    _show_faults(report)
    _conclude(report)


def _show_faults(report: VerifyReport) -> None:
    for kind, count in report.young.items():
        out.print(f"{count} × {FAULTS[kind]}: too recent to be a fault.", highlight=False)
    for fault in report.faults:
        out.print(f"[red]{fault.topic}: {fault.count} {FAULTS[fault.kind]}[/red]", highlight=False)
        for example in fault.examples:
            said = "  ".join(f"{name} {value}" for name, value in example.items())
            out.print(f"  {said}", markup=False, highlight=False, soft_wrap=True)


def _conclude(report: VerifyReport) -> None:
    """Print in one sentence what is proven, and never more."""
    for kind, count in report.unproven.items():
        style = "yellow" if kind in FAULTS_OF_HELD_RECORDS else "dim"
        out.print(f"{count} × possibly {FAULTS[kind]}: unproven.", style=style, highlight=False)
    if report.clean:
        out.print("Nothing is lost, duplicated or without an origin, as far back as the topics go.", style="green")
    elif not report.faults:
        out.print(
            "No fault was found, but part of the topics is unproven, because the evidence was deleted.",
            style="yellow",
        )


def _milliseconds(time: datetime) -> int:
    return int(time.timestamp() * 1000)


def _grace(text: str) -> int:
    try:
        found = float(seconds(text))
    except ValueError as error:
        raise ConfigError(f"{text!r} is not a duration.", "Write 90s, 10m or 2h.", "grace") from error
    return int(found * 1000)
