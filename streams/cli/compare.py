"""escalon compare."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from streams.app.settings import read_settings
from streams.audit.query import Audit
from streams.cli.audit_access import open_audit
from streams.cli.commands import new_app
from streams.cli.comparison_view import print_comparison
from streams.cli.console import out, print_json
from streams.cli.context import find_pipeline_if_any
from streams.cli.labelled_cases import labels_from
from streams.cli.options import JsonOption, PipelineOption, SinceOption, UntilOption
from streams.cli.times import parse_time
from streams.core.errors import ConfigError
from streams.evaluation.compare.audit_reader import FOREVER, Runs
from streams.evaluation.compare.compare import compare as compare_runs
from streams.evaluation.compare.comparison import RunComparison
from streams.evaluation.compare.html_page import page
from streams.evaluation.compare.json_document import document
from streams.evaluation.compare.rules import compare_settings
from streams.evaluation.panel_labels import PanelLabels
from streams.panels.labels import read_panel_labels
from streams.pipeline.load import Pipeline

MAX_EXAMPLES = 5000
app = new_app()


@app.command(epilog="Example: escalon compare live cheaper --html compare.html")
def compare(
    run_a: Annotated[str, typer.Argument(metavar="RUN_A", help="The present run: live, or the name of a replay.")],
    run_b: Annotated[str, typer.Argument(metavar="RUN_B", help="The candidate: the name of a replay.")],
    margin: Annotated[
        float,
        typer.Option(help="B counts as equally good if it is right less often by at most this: 0.02 is 2 points."),
    ] = 0.02,
    since: SinceOption = None,
    until: UntilOption = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots and the changed events.")] = None,
    examples: Annotated[
        int, typer.Option(help="The largest number of changed events in the page and in the JSON.")
    ] = 200,
    labels: Annotated[
        str, typer.Option(help="The truth about answers: people (the topic labels) or panel (judgements).")
    ] = "people",
    pipeline: PipelineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two runs on the same events: what changed, what it costs, which is better."""
    _check(margin, examples, html)
    settings = read_settings()
    end = FOREVER if until is None else parse_time(until, key="until")
    runs = Runs(a=run_a, b=run_b, base=settings.run, since=parse_time(since), until=end)
    loaded = find_pipeline_if_any(settings, pipeline, "Answers are compared as JSON")
    ask, source = compare_settings(loaded, margin, examples), labels_from(labels, ("people", "panel"))
    with open_audit() as audit:
        if source == "panel":
            ask = replace(ask, verdicts=_verdicts(audit, loaded, runs))
        made = compare_runs(audit, runs, ask)
    if html is not None:
        _write_page(html, made)
    if as_json:
        print_json(document(made))
        return
    print_comparison(made, out)
    if html is not None:
        out.print(f"\nWrote {html}.", markup=False, soft_wrap=True)


def _check(margin: float, examples: int, html: Path | None) -> None:
    if not 0 < margin < 1:
        raise ConfigError(f"{margin} is not a share between 0 and 1.", "Write 0.02 for 2 points.", "margin")
    if not 0 <= examples <= MAX_EXAMPLES:
        raise ConfigError(f"{examples} examples are not possible.", f"Ask for 0 to {MAX_EXAMPLES}.", "examples")
    if html is not None and not html.absolute().parent.is_dir():
        raise ConfigError(f"there is no directory {html.absolute().parent}.", "Create it first.", "html")


def _verdicts(audit: Audit, loaded: Pipeline | None, runs: Runs) -> PanelLabels:
    """Read the panels' verdicts on both runs. Raises ConfigError without a pipeline, whose contracts read answers."""
    if loaded is None:
        what = "a panel's judgements can be used only with a pipeline file."
        raise ConfigError(what, "Name it with --pipeline.", "labels")
    return read_panel_labels(audit, loaded, (runs.base, runs.a, runs.b), runs.since)


def _write_page(path: Path, made: RunComparison) -> None:
    text = page(made)
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror}).", "Name another file.", "html") from error
