"""escalon certify."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from streams.app.settings import Settings
from streams.audit.query import MAX_ROWS, MAX_SECONDS, Audit
from streams.audit.verify.report import VerifyReport, VerifyRequest
from streams.cli.audit_access import audit_database
from streams.cli.commands import new_app
from streams.cli.console import err, out, print_json, table
from streams.cli.context import find_pipeline_if_any, server_settings
from streams.cli.options import JsonOption, PipelineOption, SinceOption, UntilOption
from streams.cli.times import parse_time
from streams.cli.verification import verification
from streams.core.errors import ConfigError
from streams.panels.certificate import Certificate, RateBounds
from streams.panels.certificate_document import certificate_document
from streams.panels.certification import CertificateRequest
from streams.panels.certification import certify as make_certificate
from streams.panels.decision import percentage

NOT_GRANTED: Final = 1
GRACE_MILLISECONDS: Final = 600_000
"""The time that an event or a row may take to arrive, as of `escalon verify`."""
app = new_app()


@app.command(epilog='Example: escalon certify --claim "error <= 0.05" --since 2026-11-23 --html certificate.html')
def certify(
    panels: Annotated[
        list[str] | None, typer.Argument(metavar="[PANEL]…", help="Default: the newest panel that covers the time.")
    ] = None,
    claim: Annotated[str, typer.Option(help='The claim: "error <= 0.05", or "A better than B".')] = "error <= 0.05",
    certainty: Annotated[float, typer.Option(help="The certainty of the certificate.")] = 0.95,
    since: SinceOption = None,
    until: UntilOption = None,
    html: Annotated[Path | None, typer.Option(help="Write the certificate as a page.")] = None,
    pipeline: PipelineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Certify a claim by a panel's judgements, and that nothing of the stream is lost.

    The exit code is 0 if the certificate is granted and 1 if not; then it says why, and what people would have to do.
    """
    if html is not None and not html.absolute().parent.is_dir():
        raise ConfigError(f"there is no directory {html.absolute().parent}.", "Create it first.", "html")
    settings = server_settings()
    loaded = find_pipeline_if_any(settings, pipeline, "The pipeline file is not named in the certificate")
    request = CertificateRequest(
        claim=claim,
        certainty=certainty,
        run=settings.run,
        panels=tuple(panels or ()),
        pipeline=loaded.hash if loaded is not None else "",
        since=None if since is None else parse_time(since),
        until=None if until is None else parse_time(until, key="until"),
        now=settings.now(),
    )
    made = _certificate(settings, request)
    document = certificate_document(made)
    if html is not None:
        _write_page(html, made, str(document["hash"]))
    if as_json:
        print_json(document)
    else:
        _show(made, str(document["hash"]), html)
    if not made.granted:
        raise typer.Exit(NOT_GRANTED)


def _certificate(settings: Settings, request: CertificateRequest) -> Certificate:
    with audit_database() as database, err.status("Reading …") as status:
        connected = replace(settings, clickhouse=database)
        audit = Audit(database, MAX_SECONDS, MAX_ROWS)

        def verify(since: datetime | None) -> VerifyReport | None:
            if settings.kafka is None:
                return None
            now = int(request.now.timestamp() * 1000)
            begin = 0 if since is None else int(since.timestamp() * 1000)
            question = VerifyRequest(run=request.run, now=now, grace=GRACE_MILLISECONDS, since=begin)
            return verification(connected, question, lambda topic, read: status.update(f"Reading {topic}: {read}"))

        try:
            return make_certificate(audit, request, verify)
        finally:
            audit.close()


def _show(made: Certificate, digest: str, html: Path | None) -> None:
    if made.granted:
        if made.completeness.state == "proven":
            out.print("Granted.", style="bold green")
        else:
            out.print("Granted for quality alone.", style="bold yellow")
        out.print(made.statement, markup=False, highlight=False)
    else:
        out.print("Not granted.", style="bold red")
    for sentence in made.why_not:
        out.print(sentence, markup=False, highlight=False)
    for sentence in made.cautions:
        out.print(sentence, style="yellow", markup=False, highlight=False)
    if made.quality is not None:
        rows = [_row(one) for one in (made.quality.total, *made.quality.tiers)]
        out.print()
        out.print(table(["answers of", "tasks", "judged cases", "at least", "at most"], rows))
        out.print(table(["panel", "from", "to", "tasks", "cases", "counted"], _panels(made)))
    out.print(f"\nSHA-256 of the document (--json): {digest}", markup=False, highlight=False, soft_wrap=True)
    if html is not None:
        out.print(f"Wrote {html}.", markup=False, soft_wrap=True)


def _row(one: RateBounds) -> Sequence[object]:
    return [one.name, one.tasks, one.cases, percentage(one.low), percentage(one.high)]


def _panels(made: Certificate) -> list[list[object]]:
    return [
        [one.panel, one.since, one.until, one.tasks, one.cases, one.counted]
        for one in (made.quality.panels if made.quality is not None else ())
    ]


def _write_page(path: Path, made: Certificate, digest: str) -> None:
    from streams.panels.certificate_page import certificate_page

    try:
        path.write_text(certificate_page(made, digest), "utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror}).", "Name another file.", "html") from error
