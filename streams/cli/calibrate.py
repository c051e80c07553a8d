"""escalon calibrate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from streams.app.providers import scorer
from streams.app.settings import read_settings
from streams.calibration.risk_control import Target
from streams.cli.calibration_view import print_calibration
from streams.cli.commands import new_app
from streams.cli.console import print_json
from streams.cli.context import find_pipeline
from streams.cli.labelled_cases import cases_of, find_worker, labels_from, report_left_out
from streams.cli.options import JsonOption, LabelsOption, PipelineOption, RunOption, SinceOption
from streams.cli.times import parse_time, today
from streams.core.errors import ConfigError
from streams.evaluation.calibrate import CalibrationResult
from streams.evaluation.calibrate import calibrate as calibrate_worker
from streams.evaluation.cases import AuditPart, Case, LabelsFrom, labelled, left_out, of_this_version, set_aside
from streams.evaluation.plots import GuaranteeCurve, plot_guarantee, plot_reliability
from streams.models.verifier.artifact import Verifier
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline, load_uncalibrated

app = new_app()


@app.command(epilog="Example: escalon calibrate --handler answer --max-error 0.05 --certainty 0.9")
def calibrate(
    handler: Annotated[str, typer.Option(help="The worker to calibrate.")],
    max_error: Annotated[float, typer.Option(help="The largest share of its accepted answers that may be wrong.")],
    certainty: Annotated[float, typer.Option(help="The certainty of that guarantee.")] = 0.9,
    output: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The artifact. Default: calibration/HANDLER.json beside the pipeline file."),
    ] = None,
    since: SinceOption = None,
    labels: LabelsOption = "people",
    run: RunOption = "live",
    plots: Annotated[Path | None, typer.Option(help="Draw reliability and guarantee in this directory.")] = None,
    pipeline: PipelineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Choose a worker's threshold from labelled cases, with a guarantee, and write the artifact."""
    loaded = find_pipeline(read_settings(), pipeline, load_uncalibrated)
    worker, source = find_worker(loaded, handler), labels_from(labels)
    cases = _cases(loaded, worker, AuditPart(run=run, since=parse_time(since)), source)
    known, excluded = labelled(cases, source), left_out(cases, source)
    report_left_out(excluded)
    if excluded and not known:
        raise ConfigError(f"no answer of {handler} can be compared. {excluded[0]}", "See docs/escalation.md.", "labels")
    target = Target(max_error, certainty)
    made = calibrate_worker(worker, scorer(worker), known, target, labels=source, date=today())
    path = output or loaded.path.parent / "calibration" / f"{handler}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(made.artifact.to_json(), "utf-8")
    if plots is not None:
        _draw(made, plots)
    if as_json:
        _print_json(made, path)
    else:
        print_calibration(made, path, loaded)


def _cases(pipeline: Pipeline, worker: Handler, part: AuditPart, labels: LabelsFrom) -> list[Case]:
    """Read the cases of the worker's present version that its verifier has not learnt from."""
    cases = list(of_this_version(cases_of(pipeline, [worker.name], part, labels), worker))
    if worker.confidence is None or worker.confidence.verifier is None:
        return cases
    learnt = Verifier.load(worker.confidence.verifier).aside
    return set_aside(cases, learnt.salt, learnt.share)[1] if learnt else cases


def _draw(made: CalibrationResult, directory: Path) -> None:
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


def _print_json(made: CalibrationResult, path: Path) -> None:
    names = (
        "id",
        "n",
        "threshold",
        "raw_threshold",
        "coverage",
        "bound",
        "accepted",
        "errors",
        "log_loss",
        "brier",
        "ece",
    )
    metrics = {name: getattr(made.artifact, name) for name in names}
    method = made.artifact.calibrator.method
    right = int(made.correct.sum())
    print_json({"artifact": str(path), "calibrator": method, "events": made.events, "right": right, **metrics})
