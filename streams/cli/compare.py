"""The command that holds one run against another: compare."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.app.providers import comparison
from streams.app.settings import Settings, read_settings
from streams.audit.query import Audit
from streams.cli.console import err, out, print_json
from streams.cli.context import audit_database, pipeline_of
from streams.cli.options import PipelineOption, SinceOption
from streams.cli.times import moment
from streams.core.errors import ConfigError

if TYPE_CHECKING:
    from streams.evaluation.compare.audit_reader import Runs
    from streams.evaluation.compare.comparison import Ask, RunComparison
    from streams.evaluation.compare.diff import Rules
    from streams.pipeline.load import Pipeline

MAX_EXAMPLES = 5000


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command("compare", epilog="Example: escalon compare live cheaper --html compare.html")(compare_runs)


def compare_runs(
    run_a: Annotated[str, typer.Argument(metavar="RUN_A", help="What you have: live, or the name of a replay.")],
    run_b: Annotated[str, typer.Argument(metavar="RUN_B", help="What you may want: the name of a replay.")],
    margin: Annotated[
        float, typer.Option(help="How much less often B may be right and still count as as good: 0.02 is 2 points.")
    ] = 0.02,
    since: SinceOption = None,
    until: Annotated[str | None, typer.Option(help="Only events before then, written as for --since.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots and the changed events.")] = None,
    examples: Annotated[int, typer.Option(help="How many changed events the page and the JSON hold.")] = 200,
    pipeline: PipelineOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document, for programs.")] = False,
) -> None:
    """Hold two runs side by side on the same events: what changed, what it would cost, which is better."""
    # These bring SciPy, which every worker would else wait for at its start.
    from streams.evaluation.compare.audit_reader import FOREVER, Runs

    _check(margin, examples, html)
    settings = read_settings()
    end = FOREVER if until is None else moment(until, _now, "until")
    runs = Runs(a=run_a, b=run_b, base=settings.run, since=moment(since, _now), until=end)
    loaded = _loaded(settings, pipeline)
    made = _compared(runs, _ask(loaded, margin, examples))
    _tell(made, html, as_json=as_json)


def _compared(runs: Runs, ask: Ask) -> RunComparison:
    from streams.evaluation.compare.compare import compare

    with audit_database() as database:
        audit = Audit(database)
        try:
            return compare(audit, runs, ask)
        finally:
            audit.close()


def _tell(made: RunComparison, html: Path | None, *, as_json: bool) -> None:
    from streams.cli.compare_tables import print_comparison
    from streams.evaluation.compare.json_document import document

    if html is not None:
        _write(html, made)
    if as_json:
        print_json(document(made))
        return
    print_comparison(made, out)
    if html is not None:
        out.print(f"\nWrote {html}.", markup=False, soft_wrap=True)


def _check(margin: float, examples: int, html: Path | None) -> None:
    if not 0 < margin < 1:
        raise ConfigError(f"{margin} is no margin.", "Give a share between 0 and 1, as in 0.02.", "margin")
    if not 0 <= examples <= MAX_EXAMPLES:
        raise ConfigError(f"{examples} examples are not possible.", f"Ask for 0 to {MAX_EXAMPLES}.", "examples")
    if html is not None and not html.absolute().parent.is_dir():
        raise ConfigError(f"there is no directory {html.absolute().parent}.", "Make it first.", "html")


def _now() -> datetime:
    return datetime.now(UTC)


def _ask(loaded: Pipeline | None, margin: float, examples: int) -> Ask:
    """How to compare: by the rules of a pipeline, as JSON without one."""
    from streams.evaluation.cases import markers_of
    from streams.evaluation.compare.comparison import Ask

    if loaded is None:
        return Ask(rules={}, margin=margin, examples=examples)
    handlers = [*loaded.workers.values(), *loaded.reasoners.values()]
    rules: Rules = {(one.tier, one.name): comparison(one.spec.correct) for one in handlers}
    return Ask(rules=rules, rules_of=loaded.spec.name, margin=margin, examples=examples, markers=markers_of(loaded))


def _loaded(settings: Settings, path: Path | None) -> Pipeline | None:
    """The pipeline that was named, or that lies here; None where there is none."""
    try:
        return pipeline_of(settings, path)
    except ConfigError as error:
        if path is not None:
            raise
        if error.key != "pipeline":  # a file that is there and wrong
            err.print(f"Answers are compared as JSON: {error}", style="red", markup=False, highlight=False)
        return None


def _write(path: Path, made: RunComparison) -> None:
    from streams.evaluation.compare.html_page import page

    text = page(made)
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror}).", "Name another file.", "html") from error
