"""escalon evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

import typer

from streams.app.providers import comparison
from streams.app.settings import read_settings
from streams.cli.audit_access import open_audit
from streams.cli.commands import new_app
from streams.cli.console import out, print_json
from streams.cli.context import find_pipeline
from streams.cli.evaluation_view import print_evaluation
from streams.cli.options import JsonOption, PipelineOption, RunOption, SinceOption, UntilOption
from streams.cli.times import parse_time
from streams.core.errors import ConfigError
from streams.core.messages import Tier
from streams.core.time_range import LATEST
from streams.evaluation.cases import MAX_CASES
from streams.evaluation.tiers.attempts import Agrees
from streams.evaluation.tiers.evaluation import TIERS, TierEvaluation, evaluate_tiers
from streams.evaluation.tiers.html_page import page
from streams.evaluation.tiers.json_document import document
from streams.evaluation.tiers.truth import EvaluatedPart
from streams.panels.tier_figures import read_panel_figures
from streams.pipeline.load import Pipeline

app = new_app()


@app.command(epilog="Example: escalon evaluate --since 7d --html evaluation.html")
def evaluate(
    tier: Annotated[
        list[str] | None, typer.Option(help="listener, worker or reasoner; may be repeated. Default: all.")
    ] = None,
    run: RunOption = "live",
    since: SinceOption = None,
    until: UntilOption = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with all tables and plots.")] = None,
    pipeline: PipelineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the quality of every tier by labels and panels, each source of truth by itself."""
    tiers = _tiers(tier)
    if html is not None and not html.absolute().parent.is_dir():
        raise ConfigError(f"there is no directory {html.absolute().parent}.", "Create it first.", "html")
    settings = read_settings()
    loaded = find_pipeline(settings, pipeline)
    end = LATEST if until is None else parse_time(until, key="until")
    part = EvaluatedPart(run=run, base=settings.run, since=parse_time(since), until=end)
    made = _evaluated(loaded, part, tiers)
    if html is not None:
        _write(html, page(made))
    if as_json:
        print_json(document(made))
        return
    print_evaluation(made, out)
    if html is not None:
        out.print(f"\nWrote {html}.", markup=False, soft_wrap=True)


def _tiers(names: list[str] | None) -> tuple[Tier, ...]:
    if unknown := [name for name in names or () if name not in get_args(Tier)]:
        raise ConfigError(f"{unknown[0]!r} is not a tier.", f"Use {', '.join(TIERS[:-1])} or {TIERS[-1]}.", "tier")
    return tuple(tier for tier in TIERS if not names or tier in names)


def _evaluated(pipeline: Pipeline, part: EvaluatedPart, tiers: tuple[Tier, ...]) -> TierEvaluation:
    handlers = [*pipeline.workers.values(), *pipeline.reasoners.values()]
    agrees: Agrees = {(one.tier, one.name): comparison(one.correct) for one in handlers}
    with open_audit(max_rows=MAX_CASES) as audit:
        panels = read_panel_figures(audit, part.run, part.since, part.until)
        return evaluate_tiers(audit, pipeline, agrees, part, tiers, panels)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror}).", "Name another file.", "html") from error
