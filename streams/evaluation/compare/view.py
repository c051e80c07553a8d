"""A comparison as plain values for a page. Texts of events are cut, and without control characters."""

from __future__ import annotations

from typing import Any

from streams.core.dollars import dollars
from streams.evaluation.compare.comparison import RunComparison
from streams.evaluation.compare.conclusion import percent
from streams.evaluation.compare.diff import ComparedEvent, EventEnd
from streams.evaluation.compare.table_rows import rows
from streams.evaluation.html_document import shown_text

MAX_TEXT, MAX_ANSWER, MAX_SLICES = 600, 2000, 50
_RIGHT = {None: "", (True, True): "both", (True, False): "only A", (False, True): "only B", (False, False): "neither"}


def view(made: RunComparison) -> dict[str, Any]:
    """Return the values of a comparison's template, about 6 kB for each changed event before escaping."""
    return {
        "made": made,
        "dollars": dollars,
        "rows": list(rows(made)),
        "accuracies": [one for one in (made.answers, made.intents) if one.labelled.n],
        "changes": [(name, count) for name, count in made.changes.items() if count],
        "flipped": percent(made.flipped / made.overlap.both),
        "slices": [("Intent in A", made.by_intent[:MAX_SLICES]), ("Sent to in A", made.by_handler[:MAX_SLICES])],
        "flips": [_flip(one) for one in made.flips],
    }


def _flip(one: ComparedEvent) -> dict[str, Any]:
    pair = one.pair
    return {
        "event_id": pair.event_id,
        "id": shown_text(pair.event_id, MAX_TEXT),
        "text": shown_text(pair.text, MAX_TEXT - 1),
        "changes": one.changes,
        "right": _RIGHT[one.right],
        "label": shown_text(pair.label or "", MAX_ANSWER),
        "ends": [_end("A", pair.a), _end("B", pair.b)],
    }


def _end(name: str, end: EventEnd) -> dict[str, str]:
    return {
        "run": name,
        "how": f"{end.state} by {end.tier} {end.handler}".strip(),
        "intent": end.intent,
        "answer": shown_text(end.answer or "", MAX_ANSWER),
        "why": shown_text("; ".join(end.reasons), MAX_TEXT),
        "usd": dollars(end.usd, "unknown"),
    }
