"""The flow of events through the tiers: ways of the query `flow` as a Sankey diagram, and in a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from streams.core.counted import counted
from streams.ui.flow_layout import FlowStop, Way
from streams.ui.sankey import narrow_sankey, sankey

HEADS: Final = ("Events", "Verdict", "Worker", "Decision", "Reasoner", "Outcome")
REASONS: Final = (
    ("routed", "sent straight"), ("refused", "refused"), ("unsure", "unsure"), ("invalid", "unusable answer"),
    ("failed", "call failed"),
)  # fmt: skip
"""The reasons for escalation, in their order on the page, with their words."""
OUTCOMES: Final = (("answered", "answered", "fine"), ("", "in progress", "rest"), ("failed", "failed", "bad"))
_EVENTS: Final = FlowStop(0, 0, "events", "events", "listener")
_ROUTED: Final = FlowStop(1, 0, "routed", "routed", "listener")
_ENDS: Final = {
    "": FlowStop(1, 1, "waiting", "waiting", "rest"),
    "ignore": FlowStop(1, 2, "ignored", "ignored", "rest"),
    "duplicate": FlowStop(1, 3, "duplicate", "duplicate", "rest"),
}
"""The stops at which a way without a worker or reasoner ends, by the verdict's action."""
_REASONS: Final = {
    name: FlowStop(3, 10 + place, name, words, "reasoner") for place, (name, words) in enumerate(REASONS)
}
_OUTCOMES: Final = {name: FlowStop(5, rank, words, words, kind) for rank, (name, words, kind) in enumerate(OUTCOMES)}
_UNESCALATED: Final = {
    "answered": FlowStop(3, 0, "accepted", "accepted", "worker"),
    "": FlowStop(3, 1, "open", "in progress", "rest"),
    "failed": FlowStop(3, 2, "failed", "failed", "bad"),
}
"""The decisions about events that were not escalated, by their state."""
_NO_WORKER: Final = FlowStop(2, 99, "none", "no worker", "rest")
_NOT_ASKED: Final = FlowStop(4, 0, "none", "not asked", "worker")
_NOT_YET: Final = FlowStop(4, 99, "not yet", "not asked yet", "rest")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowCounts:
    """The events of a flow by where they ended."""

    events: int
    ignored: int
    duplicates: int
    by_worker: int
    by_reasoner: int
    escalated: int
    """Events that were passed on to a reasoner, answered or not."""
    failed: int
    waiting: int


def way_of(row: Mapping[str, Any]) -> Way:
    """Return the stops of a row of `flow`."""
    action, state, events = row["action"], row["state"], int(row["events"])
    if action in _ENDS:
        return (_EVENTS, _ENDS[action]), events
    end = _OUTCOMES.get(state, _OUTCOMES[""])
    worker = FlowStop(2, 0, row["worker"], row["worker"], "worker") if row["worker"] else _NO_WORKER
    if not row["reason"]:
        return (_EVENTS, _ROUTED, worker, _UNESCALATED.get(state, _UNESCALATED[""]), _NOT_ASKED, end), events
    decision, name = _REASONS.get(row["reason"], _REASONS["failed"]), row["reasoner"]
    reasoner = FlowStop(4, 10, name, name, "reasoner") if name else _NOT_ASKED if state == "failed" else _NOT_YET
    return (_EVENTS, _ROUTED, worker, decision, reasoner, end), events


def flow_diagrams(rows: Iterable[Mapping[str, Any]], summary: str) -> tuple[Markup, Markup]:
    """Draw the flow for a wide and for a narrow screen."""
    label, ways = f"Flow of events through the tiers. {summary}", [way_of(row) for row in rows]
    return sankey(label, ways, HEADS), narrow_sankey(label, ways, HEADS)


def flow_counts(rows: Sequence[Mapping[str, Any]]) -> FlowCounts:
    """Count events by where they ended."""

    def total(**wanted: str) -> int:
        return sum(int(row["events"]) for row in rows if all(row[name] == value for name, value in wanted.items()))

    answered = total(state="answered")
    by_worker = total(state="answered", reason="")
    events = sum(int(row["events"]) for row in rows)
    ignored, duplicates, failed = total(action="ignore"), total(action="duplicate"), total(state="failed")
    return FlowCounts(
        events=events,
        ignored=ignored,
        duplicates=duplicates,
        by_worker=by_worker,
        by_reasoner=answered - by_worker,
        escalated=events - total(reason=""),
        failed=failed,
        waiting=events - ignored - duplicates - answered - failed,
    )


def flow_sentence(counts: FlowCounts) -> str:
    """Say where the events ended."""
    if not counts.events:
        return "No event in this time."
    named = (
        (counts.ignored, "were irrelevant"), (counts.duplicates, "were duplicates"),
        (counts.by_worker, "were answered by workers"), (counts.by_reasoner, "by reasoners"), (counts.failed, "failed"),
        (counts.waiting, "are still in progress"),
    )  # fmt: skip
    parts = [f"{number:,} {words}" for number, words in named if number]
    said = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    return f"Of {counted(counts.events, 'event')}, {said}."
