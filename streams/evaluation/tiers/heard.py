"""Read the listeners' findings from the audit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from streams.audit.query import Audit
from streams.core.errors import ConfigError
from streams.evaluation.cases import MAX_CASES
from streams.evaluation.tiers.truth import EvaluatedPart


@dataclass(frozen=True, slots=True)
class FoundLabel:
    """The finding of one listener about an event: a label, or None, and its confidence."""

    listener: str
    label: str | None
    confidence: float | None


@dataclass(frozen=True, slots=True)
class HeardEvent:
    """One labelled event at the listeners. `intent` decided its route; events with the same content share `task_id`."""

    event_id: str
    task_id: str
    intent: str
    findings: tuple[FoundLabel, ...]
    duplicate_of: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardTotals:
    """Tasks and events at the listeners. `duplicates` and `copies` count events, the others count tasks.

    `copies` repeat an earlier event byte for byte, at a listener that looks for duplicates; it missed `missed` of them.
    """

    tasks: int
    events: int
    ignored: int
    unsure: int
    duplicates: int
    copies: int
    missed: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListenerCounts:
    """The tasks that a listener looked at, and in how many of them it found a label."""

    listener: str
    tasks: int
    found: int


def read_totals(audit: Audit, part: EvaluatedPart, watchers: Sequence[str]) -> HeardTotals:
    """Count the events of a part. `watchers` are the listeners that look for duplicates."""
    (totals,) = audit.query(_sql("heard_totals"), part.parameters()).records()
    (copies,) = audit.query(_sql("heard_copies"), part.parameters() | {"watchers": list(watchers)}).records()
    return HeardTotals(**totals, **copies | {"examples": tuple(copies["examples"])})


def read_listeners(audit: Audit, part: EvaluatedPart) -> tuple[ListenerCounts, ...]:
    return tuple(ListenerCounts(*row) for row in audit.query(_sql("heard_listeners"), part.parameters()).rows)


def read_heard(audit: Audit, part: EvaluatedPart) -> list[HeardEvent]:
    """Read the events with a label of their intent, oldest first. Raises ConfigError if there are too many."""
    rows = audit.query(_sql("heard_labelled"), part.parameters()).rows
    if len(rows) >= MAX_CASES:
        raise ConfigError(f"there are more than {MAX_CASES:,} labelled events.", "Choose a later --since.", "since")
    return [_heard(row) for row in rows]


def _heard(row: Sequence[Any]) -> HeardEvent:
    event_id, task, intent, findings, duplicate_of = row
    return HeardEvent(event_id, task, intent, tuple(_found(json.loads(one)) for one in findings), duplicate_of)


def _found(finding: dict[str, Any]) -> FoundLabel:
    return FoundLabel(finding["listener"], finding["label"], finding["confidence"])


def _sql(name: str) -> str:
    """Return a query over the events at the listeners."""
    folder = files("streams.evaluation.tiers")
    return "\n".join(folder.joinpath(f"{one}.sql").read_text("utf-8") for one in ("heard", name))
