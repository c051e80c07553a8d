"""escalon label."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from streams.adapters.ground_truth import from_json
from streams.app.settings import Settings
from streams.audit.label_check import KnownEvents, LabelShapes, known_events
from streams.audit.query import Audit
from streams.cli.commands import new_app
from streams.cli.console import err, out, print_json
from streams.cli.context import find_pipeline_if_any, require_clickhouse, server_settings
from streams.cli.options import JsonLinesOption, PipelineOption
from streams.cli.publication import publish_labels
from streams.core.counted import counted
from streams.core.errors import ConfigError, EscalonError, UnreadableError
from streams.core.messages import Label

MAX_LABELS = 1_000_000
SHOWN_FAULTS = 10
app = new_app()


@app.command(epilog='Example: echo \'{"event_id": "mail-77", "label": {"intent": "order"}}\' | escalon label -')
def label(
    source: Annotated[str, typer.Argument(metavar="FILE|-", help="JSON lines, or - for stdin; see docs/messages.md.")],
    pipeline: PipelineOption = None,
    as_json: JsonLinesOption = False,
) -> None:
    """Publish labels, the correct answers to events, and wait until Kafka has confirmed them.

    If a line is wrong, or no handler of the pipeline file could give such an answer, nothing is published. Labels whose
    event the audit does not know are published and counted, because their events may still be on the way; and so are
    those that cannot be compared with an answer of their event's own handler.
    """
    settings = server_settings()
    labels = read_labels(source, settings.now())
    shapes = _shapes(settings, pipeline)
    _refuse_impossible(labels, shapes, source)
    deliveries = publish_labels(settings, labels)
    known = _known_events(settings, labels)
    if as_json:
        ids = None if known is None else {event_id for _, event_id in known}
        for one in deliveries:
            print_json(asdict(one) | {"event_known": None if ids is None else one.event_id in ids})
    else:
        out.print(f"{counted(len(deliveries), 'label')} published and confirmed.")
    for sentence in _cautions(labels, known, shapes):
        err.print(sentence, markup=False, highlight=False)


def _shapes(settings: Settings, path: Path | None) -> LabelShapes:
    pipeline = find_pipeline_if_any(settings, path, "Labels are not compared with the pipeline file")
    return LabelShapes.of(pipeline) if pipeline else LabelShapes({})


def _refuse_impossible(labels: Sequence[Label], shapes: LabelShapes, source: str) -> None:
    """Raise ConfigError if no handler could give an answer that agrees with one of the labels."""
    if faults := [f"event {one.event_id}: {fault}" for one in labels if (fault := shapes.fault(one))]:
        what = f"labels that no answer can agree with: {len(faults):,} of {len(labels):,}. Nothing was published."
        remedy = "Write them like the handler's answers, by its schema and `correct` in the pipeline file:"
        raise ConfigError(f"{what} {remedy}{_listed(faults, 'labels')}", "", source)


def _cautions(labels: Sequence[Label], known: KnownEvents | None, shapes: LabelShapes) -> Iterator[str]:
    if known is None:
        yield "The events were not checked, because there is no audit."
        return
    if unknown := [one for one in labels if (one.run, one.event_id) not in known]:
        what = f"{len(unknown):,} of {len(labels):,} labels are about events that the audit does not know"
        remedy = "They count as soon as the event is recorded. Check their event_id and run."
        yield f"{what} (for example {unknown[0].event_id}). {remedy}"
    for (handler, fault), some in shapes.unfit(labels, known).items():
        what = f"{len(some):,} of {len(labels):,} labels say nothing about the answers of {handler}, to which their"
        yield f"{what} events went: {fault} (for example, event {some[0].event_id})."


def _known_events(settings: Settings, labels: Sequence[Label]) -> KnownEvents | None:
    """Return the labelled events that the audit knows; None if the audit cannot be queried."""
    try:
        with closing(Audit(require_clickhouse(settings), max_rows=MAX_LABELS)) as audit:
            return known_events(audit, labels)
    except EscalonError:
        return None


def _listed(faults: Sequence[str], rest: str) -> str:
    more = [f"and {len(faults) - SHOWN_FAULTS} more {rest}"] if len(faults) > SHOWN_FAULTS else []
    return "\n  ".join(["", *faults[:SHOWN_FAULTS], *more])


def read_labels(source: str, said_at: datetime, most: int = MAX_LABELS) -> list[Label]:
    """Read the labels of a file of JSON lines, or of stdin for `-`; `said_at` is the time of those without one.

    Raises ConfigError, which names the lines that are not labels.
    """
    if source == "-":
        return _labels(sys.stdin.buffer, "standard input", said_at, most)
    try:
        with Path(source).open("rb") as lines:
            return _labels(lines, source, said_at, most)
    except OSError as error:
        raise ConfigError(
            f"{source} cannot be read ({error.strerror}).", "Name a file of JSON lines.", "FILE"
        ) from error


def _labels(lines: Iterable[bytes], name: str, said_at: datetime, most: int) -> list[Label]:
    labels, faults = [], []
    filled = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    for number, line in islice(filled, most + 1):
        try:
            labels.append(from_json(Label, line, said_at))
        except UnreadableError as error:
            faults.append(f"line {number}: {error}")
    if len(labels) + len(faults) > most:
        raise ConfigError(f"there are more than {most} labels.", "Publish them in several parts.", name)
    if faults:
        what = f"invalid lines: {len(faults)}. Nothing was published. Fix them:{_listed(faults, 'lines')}"
        raise ConfigError(what, "", name)
    return labels
