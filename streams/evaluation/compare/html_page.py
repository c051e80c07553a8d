"""A comparison as an HTML page."""

from __future__ import annotations

from importlib.resources import files

from streams.evaluation.compare.comparison import RunComparison
from streams.evaluation.compare.plots import plots
from streams.evaluation.compare.view import view
from streams.evaluation.html_document import html_document

_CAPTIONS = {
    "difference": "How much more often B is right, over all events",
    "endings": "Who answered",
    "money": "What it would cost live, by tier",
    "seconds": "Model time until an outcome",
}


def page(made: RunComparison) -> str:
    """Render the page: about 100 kB, plus at most 6 kB for each changed event before escaping."""
    drawn = plots(made)
    values = view(made) | {"figures": [(caption, drawn[name]) for name, caption in _CAPTIONS.items() if name in drawn]}
    title = f"{made.a.run} and {made.b.run} compared"
    return html_document(_part("page.html"), values, title=title, style=_part("page.css"), script=_part("page.js"))


def _part(name: str) -> str:
    return files("streams.evaluation.compare").joinpath(name).read_text("utf-8")
