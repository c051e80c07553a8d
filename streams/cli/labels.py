"""The command about the truth: label."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from streams.adapters.truth import from_json
from streams.app.publisher import Delivery, Publisher
from streams.app.settings import Settings
from streams.cli.console import out, print_json
from streams.cli.context import kafka_of, located
from streams.cli.events import JsonOption
from streams.core.errors import ConfigError, UnreadableError
from streams.core.messages import Label

MAX_LABELS = 1_000_000
SHOWN_FAULTS = 10


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(epilog='Example: echo \'{"event_id": "mail-77", "label": {"intent": "order"}}\' | escalon label -')(
        label
    )


def label(
    source: Annotated[str, typer.Argument(metavar="FILE|-", help="JSON lines, or - for stdin; see docs/messages.md.")],
    as_json: JsonOption = False,
) -> None:
    """Publish the truth about events and wait until Kafka has confirmed it. Nothing is published if a line is wrong."""
    settings = located()
    labels = read_labels(source, settings.now())
    deliveries = publish_labels(settings, labels)
    if as_json:
        for one in deliveries:
            print_json({"event_id": one.event_id, "topic": one.topic, "partition": one.partition, "offset": one.offset})
    else:
        out.print(f"{len(deliveries)} labels published and confirmed.")


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
