"""The command that proves the audit: verify."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli.console import err, out, print_json, table
from streams.cli.context import clickhouse_of, kafka_of, located
from streams.cli.options import SinceOption
from streams.core.errors import ConfigError

if TYPE_CHECKING:
    from streams.app.settings import Settings
    from streams.audit.verify.report import VerifyReport, VerifyRequest

FAULTY = 1


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(epilog="Examples: escalon verify · escalon verify --since 7d --json")(verify)


def verify(
    since: SinceOption = None,
    grace: Annotated[str, typer.Option(help="How long an event or a row may be on its way: 90s, 10m, 2h.")] = "10m",
    strict: Annotated[bool, typer.Option("--strict", help="Count outcomes delivered twice, alike, as faults.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document, for programs.")] = False,
) -> None:
    """Prove that nothing was lost: every event has one end, and every record of the topics its row in ClickHouse.

    Exit code 1 when anything is missing, doubled or without an origin. docs/verify.md says what is compared.
    """
    from streams.audit.verify.report import VerifyRequest

    settings = located()
    now = settings.now()
    question = VerifyRequest(
        run=settings.run,
        now=_milliseconds(now),
        grace=_grace(grace),
        since=_since(since, lambda: now),
        strict=strict,
    )
    with err.status("Reading …") as status:
        report = _run(settings, question, lambda topic, count: status.update(f"Reading {topic}: {count}"))
    if as_json:
        print_json(_document(report, question))
    else:
        _show(report)
    if report.faults:
        raise typer.Exit(FAULTY)


def _run(settings: Settings, question: VerifyRequest, tell: Callable[[str, int], None]) -> VerifyReport:
    from streams.adapters.blobs import BlobStore
    from streams.adapters.dead_letters import EventIds
    from streams.adapters.kafka_admin import describe_cluster
    from streams.adapters.registry_config import codec_for
    from streams.adapters.topic_reader import TopicReader
    from streams.app.reading import reading
    from streams.audit.verify.check import ConsistencyCheck
    from streams.audit.verify.topic_evidence import EvidenceReader

    kafka, codec = kafka_of(settings), codec_for(settings.schema_registry)
    client = clickhouse_of(settings).connect(readonly=True)
    reader, letters = reading(settings, describe_cluster(kafka), codec, BlobStore(settings.blobs))
    with TopicReader(kafka) as scan:
        collector = EvidenceReader(
            scan=scan,
            codec=codec,
            prefix=settings.topic_prefix,
            run=settings.run,
            letters=letters,
            event=EventIds(reader, codec, settings.topic_prefix).event,
            since=question.since,
            tell=tell,
        )
        return ConsistencyCheck(scan=scan, collector=collector, client=client, question=question).run()


def _document(report: VerifyReport, question: VerifyRequest) -> dict[str, Any]:
    own = {"clean": report.clean, "run": question.run, "grace_seconds": question.grace / 1000}
    # asdict would make Counters of the pairs in these two.
    return own | asdict(report) | {"young": dict(report.young), "unproven": dict(report.unproven)}


def _show(report: VerifyReport) -> None:
    columns = ("records", "copies", "rows", "rows_unproven", "orphans_unproven")
    rows = [[topic, *(counts.get(name) for name in columns)] for topic, counts in report.counts.items()]
    out.print(table(["topic", "records", "same id again", "rows", "rows unproven", "events unproven"], rows))
    out.print(table(["events that ended as", "events"], [[name, count] for name, count in report.ends.items()]))
    if report.reasons:
        out.print(table(["dead letters", "events"], [[name, count] for name, count in report.reasons.items()]))
    for topic in report.trimmed:
        out.print(f"Of {topic} only a part is held or was asked for: what is older is not proven.", style="yellow")
    for topic, count in report.held_back.items():
        out.print(f"{count} offsets of {topic} lie behind an open transaction and are not read yet.", style="yellow")
    _show_faults(report)
    _conclude(report)


def _show_faults(report: VerifyReport) -> None:
    from streams.audit.verify.report import FAULTS

    for kind, count in report.young.items():
        out.print(f"{count} × {FAULTS[kind]}: too young to be a fault.", highlight=False)
    for fault in report.faults:
        out.print(f"[red]{fault.topic}: {fault.count} {FAULTS[fault.kind]}[/red]", highlight=False)
        for example in fault.examples:
            said = "  ".join(f"{name} {value}" for name, value in example.items())
            out.print(f"  {said}", markup=False, highlight=False, soft_wrap=True)


def _conclude(report: VerifyReport) -> None:
    """Say in one sentence what is proven, and never more."""
    from streams.audit.verify.report import FAULTS, OF_WHAT_IS_HELD

    for kind, count in report.unproven.items():
        style = "yellow" if kind in OF_WHAT_IS_HELD else "dim"
        out.print(f"{count} × perhaps {FAULTS[kind]}: unproven.", style=style, highlight=False)
    if report.clean:
        out.print("Nothing is lost, doubled or without an origin, as far as the topics go back.", style="green")
    elif not report.faults:
        out.print(
            "No fault is found, but not everything that the topics hold is proven: what would tell is deleted.",
            style="yellow",
        )


def _milliseconds(time: datetime) -> int:
    return int(time.timestamp() * 1000)


def _since(text: str | None, now: Callable[[], datetime]) -> int:
    from streams.cli.times import moment

    return _milliseconds(moment(text, now))


def _grace(text: str) -> int:
    from streams.pipeline.values import seconds

    try:
        found = float(seconds(text))
    except ValueError as error:
        raise ConfigError(f"{text!r} is no time.", "Write 90s, 10m or 2h.", "grace") from error
    return int(found * 1000)
