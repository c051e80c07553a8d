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
from streams.audit.query import Audit
from streams.cli.commands import new_app
from streams.cli.console import err, out, print_json
from streams.cli.context import server_settings
from streams.cli.options import JsonLinesOption
from streams.cli.publication import publish_labels
from streams.core.errors import ConfigError, EscalonError, UnreadableError
from streams.core.messages import Label

MAX_LABELS = 1_000_000
SHOWN_FAULTS = 10
IDS_PER_QUERY = 1_000
_KNOWN = """
    SELECT DISTINCT event_id FROM verdicts WHERE run = {run:String} AND event_id IN {ids:Array(String)}
    UNION DISTINCT SELECT event_id FROM outcomes WHERE run = {run:String} AND event_id IN {ids:Array(String)}
"""
app = new_app()


@app.command(epilog='Example: echo \'{"event_id": "mail-77", "label": {"intent": "order"}}\' | escalon label -')
def label(
    source: Annotated[str, typer.Argument(metavar="FILE|-", help="JSON lines, or - for stdin; see docs/messages.md.")],
    as_json: JsonLinesOption = False,
) -> None:
    """Publish labels, the correct answers to events, and wait until Kafka has confirmed them.

    If a line is wrong, nothing is published. A label whose event the audit does not know is published and reported,
    because its event may still be on the way.
    """
    settings = server_settings()
    labels = read_labels(source, settings.now())
    deliveries = publish_labels(settings, labels)
    known = known_events(settings, labels)
    unknown = [] if known is None else [one for one in labels if (one.run, one.event_id) not in known]
    if as_json:
        unknown_ids = {one.event_id for one in unknown}
        for one in deliveries:
            print_json(asdict(one) | {"event_known": None if known is None else one.event_id not in unknown_ids})
    else:
        out.print(f"{len(deliveries)} labels published and confirmed.")
    if known is None:
        err.print("The events were not checked, because there is no audit.")
    if unknown:
        what = f"{len(unknown)} of {len(labels)} labels are about events that the audit does not know"
        remedy = "They count as soon as the event is recorded. Check their event_id and run."
        err.print(f"{what} (for example {unknown[0].event_id}). {remedy}", markup=False, highlight=False)


def known_events(settings: Settings, labels: Sequence[Label]) -> set[tuple[str, str]] | None:
    """Return (run, event_id) of each labelled event that the audit knows; None if the audit cannot be queried."""
    if settings.clickhouse is None:
        return None
    ids: dict[str, list[str]] = {}
    for one in labels:
        ids.setdefault(one.run, []).append(one.event_id)
    try:
        with closing(Audit(settings.clickhouse, max_rows=MAX_LABELS)) as audit:
            return {(run, found) for run in ids for found in _known(audit, run, ids[run])}
    except EscalonError:
        return None


def _known(audit: Audit, run: str, ids: Sequence[str]) -> Iterator[str]:
    for start in range(0, len(ids), IDS_PER_QUERY):
        rows = audit.query(_KNOWN, {"run": run, "ids": list(ids[start : start + IDS_PER_QUERY])}).rows
        yield from (row[0] for row in rows)


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
        more = [f"and {len(faults) - SHOWN_FAULTS} more lines"] if len(faults) > SHOWN_FAULTS else []
        listed = "\n  ".join(["", *faults[:SHOWN_FAULTS], *more])
        raise ConfigError(f"invalid lines: {len(faults)}. Nothing was published. Fix them:{listed}", "", name)
    return labels
