"""The command about the truth: label."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from streams.adapters.ground_truth import from_json
from streams.app.publisher import Delivery, Publisher
from streams.app.settings import Settings
from streams.audit.query import Audit
from streams.cli.console import err, out, print_json
from streams.cli.context import kafka_of, located
from streams.cli.events import JsonOption
from streams.core.errors import ConfigError, EscalonError, UnreadableError
from streams.core.messages import Label

MAX_LABELS = 1_000_000
SHOWN_FAULTS = 10
ASKED_AT_ONCE = 1_000
_KNOWN = """
    SELECT DISTINCT event_id FROM verdicts WHERE run = {run:String} AND event_id IN {ids:Array(String)}
    UNION DISTINCT SELECT event_id FROM outcomes WHERE run = {run:String} AND event_id IN {ids:Array(String)}
"""


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(epilog='Example: echo \'{"event_id": "mail-77", "label": {"intent": "order"}}\' | escalon label -')(
        label
    )


def label(
    source: Annotated[str, typer.Argument(metavar="FILE|-", help="JSON lines, or - for stdin; see docs/messages.md.")],
    as_json: JsonOption = False,
) -> None:
    """Publish the truth about events and wait until Kafka has confirmed it. Nothing is published if a line is wrong.

    Labels about events that the audit does not know are published too, for the event may be on its way, and reported.
    """
    settings = located()
    labels = read_labels(source, settings.now())
    deliveries = publish_labels(settings, labels)
    known = known_events(settings, labels)
    unknown = [] if known is None else [one for one in labels if (one.run, one.event_id) not in known]
    if as_json:
        odd = {one.event_id for one in unknown}
        for one in deliveries:
            place = {"event_id": one.event_id, "topic": one.topic, "partition": one.partition, "offset": one.offset}
            print_json(place | {"event_known": None if known is None else one.event_id not in odd})
    else:
        out.print(f"{len(deliveries)} labels published and confirmed.")
    if known is None:
        err.print("Whether there are such events was not checked, for there is no audit to ask.")
    if unknown:
        what = f"{len(unknown)} of {len(labels)} labels are about events that the audit does not know"
        remedy = "They count once such an event is recorded. Check their event_id and run."
        err.print(f"{what} (for one, {unknown[0].event_id}). {remedy}", markup=False, highlight=False)


def known_events(settings: Settings, labels: Sequence[Label]) -> set[tuple[str, str]] | None:
    """The runs and ids of those of the labels' events that the audit knows; None where there is no audit to ask."""
    if settings.clickhouse is None:
        return None
    asked: dict[str, list[str]] = {}
    for one in labels:
        asked.setdefault(one.run, []).append(one.event_id)
    try:
        audit = Audit(settings.clickhouse, max_rows=MAX_LABELS)
        try:
            return {
                (run, one) for run, ids in asked.items() for part in _parts(ids) for one in _known(audit, run, part)
            }
        finally:
            audit.close()
    except EscalonError:
        return None


def _parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + ASKED_AT_ONCE] for start in range(0, len(ids), ASKED_AT_ONCE))


def _known(audit: Audit, run: str, ids: Sequence[str]) -> list[str]:
    return [row[0] for row in audit.query(_KNOWN, {"run": run, "ids": list(ids)}).rows]


def publish_labels(settings: Settings, labels: Sequence[Label]) -> list[Delivery]:
    """Publish labels; returns their confirmed deliveries."""
    with Publisher(kafka_of(settings), blobs=settings.blobs) as publisher:
        for one in labels:
            publisher.publish_label(one)
        return publisher.flush()


def read_labels(source: str, said_at: datetime) -> list[Label]:
    """The labels of a file of JSON lines, or of `-` for stdin; `said_at` is the time of those that name none.

    Raises ConfigError that names the lines which are no labels.
    """
    if source == "-":
        return _labels(sys.stdin.buffer, "standard input", said_at)
    try:
        with Path(source).open("rb") as lines:
            return _labels(lines, source, said_at)
    except OSError as error:
        raise ConfigError(
            f"{source} cannot be read ({error.strerror}).", "Name a file of JSON lines.", "FILE"
        ) from error


def _labels(lines: Iterable[bytes], name: str, said_at: datetime) -> list[Label]:
    labels, faults = [], []
    filled = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    for number, line in islice(filled, MAX_LABELS + 1):
        try:
            labels.append(from_json(Label, line, said_at))
        except UnreadableError as error:
            faults.append(f"line {number}: {error}")
    if len(labels) + len(faults) > MAX_LABELS:
        raise ConfigError(f"there are more than {MAX_LABELS} labels.", "Publish them in several parts.", name)
    if faults:
        more = [f"and {len(faults) - SHOWN_FAULTS} more lines"] if len(faults) > SHOWN_FAULTS else []
        told = "\n  ".join(["", *faults[:SHOWN_FAULTS], *more])
        raise ConfigError(f"lines that are no labels: {len(faults)}. Nothing was published.{told}", "", name)
    return labels
