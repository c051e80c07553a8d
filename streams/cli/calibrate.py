"""Commands that learn from prior cases: calibrate."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import numpy as np
import typer

from streams.app.providers import assessor, comparison
from streams.app.settings import read_settings
from streams.audit.query import Audit
from streams.cli.console import err, out, print_json, table
from streams.cli.context import audit_database, pipeline_of
from streams.cli.options import LabelsOption, PipelineOption, RunOption, SinceOption
from streams.cli.times import moment
from streams.core.errors import ConfigError
from streams.evaluation.cases import (
    MAX_CASES,
    Case,
    LabelsFrom,
    Since,
    labelled,
    left_out,
    of_this_version,
    read_cases,
    set_aside,
)
from streams.models.verifier.artifact import Verifier
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline, load_uncalibrated

if TYPE_CHECKING:
    from streams.evaluation.calibrate import Calibrated


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("calibrate", epilog="Example: escalon calibrate --handler answer --max-error 0.05 --certainty 0.9")(
        calibrate_handler
    )


def calibrate_handler(
    handler: Annotated[str, typer.Option(help="The worker to calibrate.")],
    max_error: Annotated[float, typer.Option(help="Of what it answers alone, at most this share may be wrong.")],
    certainty: Annotated[float, typer.Option(help="How certain that must be.")] = 0.9,
    output: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The artifact; else calibration/HANDLER.json beside the pipeline file."),
    ] = None,
    since: SinceOption = None,
    labels: LabelsOption = "people",
    run: RunOption = "live",
    plots: Annotated[Path | None, typer.Option(help="A directory for the reliability and guarantee diagrams.")] = None,
    pipeline: PipelineOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document, for programs.")] = False,
) -> None:
    """Pick the threshold of a worker from labelled cases, with a guarantee, and write it down."""
    # These bring SciPy, which every worker would else wait for at its start.
    from streams.calibration.risk_control import Target
    from streams.evaluation.calibrate import calibrate

    loaded = pipeline_of(read_settings(), pipeline, load_uncalibrated)
    worker = worker_of(loaded, handler)
    part = Since(run=run, since=moment(since, lambda: datetime.now(UTC)))
    cases = list(of_this_version(cases_of(loaded, [handler], part), worker))
    if worker.trust is not None and worker.trust.verifier is not None:
        learnt = Verifier.load(worker.trust.verifier).aside
        cases = set_aside(cases, learnt.salt, learnt.share)[1] if learnt else cases
    known, odd = labelled(cases, labels_from(labels)), left_out(cases, labels_from(labels))
    tell_left_out(odd)
    if odd and not known:
        raise ConfigError(f"no answer of {handler} can be compared. {odd[0]}", "See docs/escalation.md.", "labels")
    today = datetime.now(UTC).date().isoformat()
    made = calibrate(
        worker, assessor(worker), known, Target(max_error, certainty), labels=labels_from(labels), date=today
    )
    path = output or loaded.path.parent / "calibration" / f"{handler}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(made.artifact.to_json(), "utf-8")
    if plots is not None:
        draw_plots(made, plots)
    _tell(made, path, loaded, as_json=as_json)


def worker_of(pipeline: Pipeline, name: str) -> Handler:
    """A worker by name."""
    if name not in pipeline.workers:
        raise ConfigError(
            f"the pipeline has no worker {name!r}.", f"Use one of: {', '.join(pipeline.workers)}.", "handler"
        )
    return pipeline.workers[name]


def cases_of(pipeline: Pipeline, workers: list[str], part: Since) -> list[Case]:
    """The audited cases of some workers."""
    agrees = {name: comparison(worker_of(pipeline, name).spec.correct) for name in workers}
    with audit_database() as database:
        audit = Audit(database, max_rows=MAX_CASES)
        try:
            return read_cases(audit, pipeline, agrees, workers, part)
        finally:
            audit.close()


def relative(path: Path, pipeline: Pipeline) -> Path:
    """A file's path as the pipeline file would name it."""
    place, directory = path.resolve(), pipeline.path.parent.resolve()
    return place.relative_to(directory) if place.is_relative_to(directory) else place


def labels_from(text: str) -> LabelsFrom:
    """The option's value, checked."""
    for known in get_args(LabelsFrom):
        if text == known:
            return known  # type: ignore[no-any-return]
    raise ConfigError(f"{text!r} gives no labels.", "Use people or reasoner.", "labels")


def tell_left_out(sentences: Sequence[str]) -> None:
    """Say which answers could not be compared, apart from the figures."""
    for sentence in sentences:
        err.print(sentence, markup=False, highlight=False)


def draw_plots(made: Calibrated, directory: Path) -> None:
    """The diagrams of a calibration, as SVG."""
    from streams.evaluation.plots import GuaranteeCurve, plot_guarantee, plot_reliability

    directory.mkdir(parents=True, exist_ok=True)
    name, artifact = made.artifact.handler, made.artifact
    plot_reliability(directory / f"{name}-reliability.svg", made.measured, f"{name}: calibrated confidence")
    thresholds = np.unique(made.raw)
    accepted = [made.correct[made.raw >= value] for value in thresholds]
    curve = GuaranteeCurve(
        thresholds=[artifact.calibrator(float(value)) for value in thresholds],
        errors=[1 - float(right.mean()) for right in accepted],
        coverages=[len(right) / artifact.n for right in accepted],
        max_error=artifact.max_error,
        threshold=artifact.threshold,
        bound=artifact.bound,
    )
    plot_guarantee(directory / f"{name}-guarantee.svg", curve, f"{name}: what each threshold would accept")


def _tell(made: Calibrated, path: Path, pipeline: Pipeline, *, as_json: bool) -> None:
    artifact = made.artifact
    if as_json:
        names = ("id", "n", "threshold", "coverage", "bound", "accepted", "errors", "log_loss", "brier", "ece")
        figures = {name: getattr(artifact, name) for name in names}
        print_json({"artifact": str(path), "calibrator": artifact.calibrator.method, "events": made.events, **figures})
        return
    rows = [(row.method, row.log_loss, row.brier, row.ece) for row in made.choice.table]
    out.print(table(["calibrator", "log loss", "Brier", "ECE"], rows, "On held-out folds"))
    low, high = made.measured.ece_interval
    out.print(f"Taken: {artifact.calibrator.method}. ECE {artifact.ece:.3f} (95 % interval {low:.3f} to {high:.3f}).\n")
    out.print(
        f"Threshold {artifact.threshold:.3f} accepts {artifact.coverage:.0%} of the {artifact.n} labelled cases "
        f"(different tasks, of {made.events} events); {artifact.errors} of those {artifact.accepted} "
        f"are wrong. With certainty {artifact.certainty:.0%}, at most {artifact.max_error:.0%} of the tasks it accepts "
        f"are answered wrongly, while tasks stay like these ({artifact.method})."
    )
    named = pipeline.spec.workers[artifact.handler]
    out.print(f"Wrote {path}, id {artifact.id}.", soft_wrap=True)
    out.print(
        f'In [workers.{artifact.handler}] write calibration = "{relative(path, pipeline)}"',
        markup=False,
        soft_wrap=True,
    )
    if named.threshold is not None:
        out.print("and remove its threshold, which the calibration replaces.")
