"""A new calibration on a terminal: the labelled cases, the calibrators, the threshold, and what to do with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.table import Table

from streams.cli.console import out, table
from streams.cli.labelled_cases import relative
from streams.core.counted import counted
from streams.evaluation.calibrate import CalibrationResult
from streams.pipeline.load import Pipeline


def print_calibration(made: CalibrationResult, path: Path, pipeline: Pipeline) -> None:
    """Print what a calibration was made of, what it does, and the line of the pipeline file that uses it."""
    artifact, worker = made.artifact, pipeline.spec.workers[made.artifact.handler]
    tasks, events = counted(artifact.n, "different task"), counted(made.events, "event")
    out.print(f"{tasks} of {artifact.handler} have a label, from {events}.\n")
    out.print(_calibrators(made))
    low, high = made.measured.ece_interval
    out.print(
        f"Chosen: {artifact.calibrator.method}. Its confidence is off by {100 * artifact.ece:.1f} points on average "
        f"(95 % interval {100 * low:.1f} to {100 * high:.1f}).\n"
    )
    out.print(_confusion(made, worker.threshold if worker.calibration is None else None))
    out.print(
        f"Threshold {artifact.threshold:.3f} on the calibrated confidence, {artifact.raw_threshold:.3f} on the raw "
        f"one: it accepts {artifact.coverage:.0%} of the {artifact.n} labelled cases; {artifact.errors} of those "
        f"{artifact.accepted} are wrong. With certainty {artifact.certainty:.0%}, at most {artifact.max_error:.0%} of "
        f"the tasks it accepts are answered wrongly, as long as tasks stay like these ({artifact.method})."
    )
    out.print(f"Wrote {path}, id {artifact.id}.", soft_wrap=True)
    replaced = " and remove threshold, which the calibration replaces" if worker.threshold is not None else ""
    named = f'In [workers.{artifact.handler}] write calibration = "{relative(path, pipeline)}"{replaced}.'
    out.print(named, markup=False, soft_wrap=True)
    out.print("To see first what it would change, do that in a copy of the file, then escalon replay and compare.")


def _calibrators(made: CalibrationResult) -> Table:
    rows = [(row.method, row.log_loss, row.brier, 100 * row.ece) for row in made.choice.table]
    columns = ["calibrator", "log loss, nats", "Brier, 0 to 1", "ECE, points"]
    return table(columns, rows, "Errors of the confidence on held-out tasks: less is better")


def _confusion(made: CalibrationResult, before: float | None) -> Table:
    """Count right and wrong answers on either side of the new threshold, and of the one that the file has now."""
    sides = [("calibrated", made.raw >= made.artifact.raw_threshold)]
    sides += [(f"now, {before:.3f}", made.raw >= before)] if before is not None else []
    rows = [
        (name, what, int((made.correct & some).sum()), int((~made.correct & some).sum()))
        for name, accepted in sides
        for what, some in (("accepted", accepted), ("escalated", np.logical_not(accepted)))
    ]
    return table(["threshold", "answers", "right", "wrong"], rows, "Labelled tasks by threshold")
