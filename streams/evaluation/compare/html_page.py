"""A comparison as an HTML page."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from streams.evaluation.compare.comparison import RunComparison
from streams.evaluation.compare.conclusion import percent
from streams.evaluation.compare.diff import ComparedEvent, EventEnd
from streams.evaluation.compare.plots import plots
from streams.evaluation.compare.table_rows import number, rows
from streams.evaluation.html_document import html_document, shown_text

MAX_TEXT, MAX_ANSWER, MAX_SLICES = 600, 2000, 50
_RIGHT = {None: "", (True, True): "both", (True, False): "only A", (False, True): "only B", (False, False): "neither"}
_CAPTIONS = {
    "difference": "How much more often B is right, over all events",
    "endings": "Who answered",
    "money": "What it would cost live, by tier",
    "seconds": "Model time until an outcome",
}


def page(made: RunComparison) -> str:
    """Render the page: about 100 kB, plus at most 6 kB for each changed event before escaping."""
    drawn = plots(made)
    values = {
        "made": made,
        "figures": [(caption, drawn[name]) for name, caption in _CAPTIONS.items() if name in drawn],
        "rows": list(rows(made)),
        "accuracies": [one for one in (made.answers, made.intents) if one.labelled.n],
        "changes": [(name, count) for name, count in made.changes.items() if count],
        "flipped": percent(made.flipped / made.overlap.both),
        "slices": [("Intent in A", made.by_intent[:MAX_SLICES]), ("Sent to in A", made.by_handler[:MAX_SLICES])],
        "flips": [_flip(one) for one in made.flips],
    }
    title = f"{made.a.run} and {made.b.run} compared"
    return html_document(_part("page.html"), values, title=title, style=_part("page.css"), script=_part("page.js"))


def _flip(one: ComparedEvent) -> dict[str, Any]:
    pair = one.pair
    return {
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
        "usd": number(end.usd, ".6f"),
    }


def _part(name: str) -> str:
    return files("streams.evaluation.compare").joinpath(name).read_text("utf-8")
