"""Labelled cases from the audit, for the commands that learn from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from streams.app.providers import comparison
from streams.cli.audit_access import open_audit
from streams.cli.console import err, note
from streams.core.errors import ConfigError
from streams.evaluation.cases import MAX_CASES, AuditPart, Case, LabelsFrom, read_cases
from streams.evaluation.panel_labels import PanelLabels, with_verdicts
from streams.panels.labels import read_panel_labels
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline


def find_worker(pipeline: Pipeline, name: str) -> Handler:
    """Return a worker by name; raise ConfigError if the pipeline has none of that name."""
    if name not in pipeline.workers:
        raise ConfigError(
            f"the pipeline has no worker {name!r}.", f"Use one of: {', '.join(pipeline.workers)}.", "handler"
        )
    return pipeline.workers[name]


def cases_of(pipeline: Pipeline, workers: list[str], part: AuditPart, labels: LabelsFrom = "people") -> list[Case]:
    """Read the workers' cases; with the labels of panels, their verdicts, too. Raises ConfigError if there are none."""
    agrees = {name: comparison(find_worker(pipeline, name).correct) for name in workers}
    with open_audit(max_rows=MAX_CASES) as audit:
        cases = read_cases(audit, pipeline, agrees, workers, part)
        if labels != "panel":
            return cases
        found = read_panel_labels(audit, pipeline, (part.run, part.base), part.since)
        report_panels(found)
        return with_verdicts(cases, found)


def report_panels(labels: PanelLabels) -> None:
    """Print to standard error which panels' verdicts are used."""
    note(
        f"Truth by {', '.join(labels.panels)}: {labels.used} of {labels.judged} judged cases, "
        f"thinned so that each task had the same chance. Their raters skipped {labels.skipped}."
    )


def labels_from(text: str, known: Sequence[LabelsFrom] = ("people", "reasoner", "panel")) -> LabelsFrom:
    """Return the value of --labels; raise ConfigError if it is not one of `known`."""
    for one in known:
        if text == one:
            return one
    raise ConfigError(f"{text!r} is not a source of labels here.", f"Use {' or '.join(known)}.", "labels")


def report_left_out(sentences: Sequence[str]) -> None:
    """Print to standard error which answers could not be compared."""
    for sentence in sentences:
        err.print(sentence, markup=False, highlight=False)


def relative(path: Path, pipeline: Pipeline) -> Path:
    """Return a file's path as the pipeline file would name it."""
    place, directory = path.resolve(), pipeline.path.parent.resolve()
    return place.relative_to(directory) if place.is_relative_to(directory) else place
