"""escalon panel report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.audit_access import open_audit
from streams.cli.console import out, print_json, table
from streams.cli.options import JsonOption, PipelineOption
from streams.core.errors import ConfigError

if TYPE_CHECKING:
    from streams.panels.report.results import PanelResults

MAX_JUDGEMENTS = 1_000_000


def report_panel(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The panel.")],
    certainty: Annotated[float, typer.Option(help="The certainty of the intervals.")] = 0.95,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page with tables and plots.")] = None,
    propose: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a candidate pipeline with the one change that the panel speaks for."),
    ] = None,
    max_error: Annotated[
        float, typer.Option(help="With --propose: the largest share of a worker's accepted answers that may be wrong.")
    ] = 0.05,
    pipeline: PipelineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Report what a panel found, reweighted to the whole stream, and how far its raters agree."""
    from streams.panels.answer_calls import read_answer_calls
    from streams.panels.evidence import read_panel
    from streams.panels.report.json_document import document
    from streams.panels.report.results import panel_results

    _check(certainty, html)
    with open_audit(max_rows=MAX_JUDGEMENTS) as audit:
        evidence, answers = read_panel(audit, name), read_answer_calls(audit, name)
    found = panel_results(evidence, certainty, {call: one.characters for call, one in answers.items()})
    if html is not None:
        _write_page(html, found)
    proposed = None
    if propose is not None:
        from streams.cli.panel_proposal import proposed_change

        proposed = proposed_change(evidence, answers, pipeline, propose, max_error, certainty)
    if as_json:
        print_json(document(found) | ({} if proposed is None else {"proposal": proposed.document()}))
        return
    _print(found)
    if html is not None:
        out.print(f"\nWrote {html}.", markup=False, soft_wrap=True)
    if proposed is not None:
        for line in proposed.lines():
            out.print(line, markup=False, highlight=False, soft_wrap=True)


def _check(certainty: float, html: Path | None) -> None:
    if not 0.5 <= certainty < 1:
        raise ConfigError(f"{certainty} is not a certainty from 0.5 to below 1.", "Write 0.95 for 95 %.", "certainty")
    if html is not None and not html.absolute().parent.is_dir():
        raise ConfigError(f"there is no directory {html.absolute().parent}.", "Create it first.", "html")


def _write_page(path: Path, found: PanelResults) -> None:
    from streams.panels.report.html_page import page

    text = page(found)
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror}).", "Name another file.", "html") from error


def _print(found: PanelResults) -> None:
    from streams.panels.report.tables import report_tables
    from streams.panels.report.words import cautions, conclusion, headline, standing

    out.print(headline(found), markup=False, highlight=False)
    out.print(standing(found), markup=False, highlight=False)
    out.print()
    out.print(conclusion(found), style="bold", markup=False, highlight=False)
    for line in cautions(found):
        out.print(f"- {line}", markup=False, highlight=False)
    for one in report_tables(found):
        out.print()
        out.print(table(one.columns, one.rows, one.title, right=one.numeric))
        out.print(one.note, style="dim", markup=False, highlight=False)
