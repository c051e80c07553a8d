"""The waterfall of one event: a bar for each call, all on one axis of time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from markupsafe import Markup

from streams.audit.trace import Trace
from streams.audit.waterfall import bars_of
from streams.ui.operator.wording import seconds

BAR_UNITS: Final = 1000
"""The width of a bar's drawing, in its own units."""


@dataclass(frozen=True, slots=True)
class BarRow:
    """A call in the waterfall. `end` is the share of the whole time at which it ended."""

    call_id: str
    tier: str
    handler: str
    drawing: Markup
    waited: str
    took: str


def bar_rows(trace: Trace) -> tuple[BarRow, ...]:
    """Return the waterfall: the calls on one axis, from the first one's handover to the last end or the outcome."""
    bars = bars_of(trace.calls)
    if not bars:
        return ()
    start, end = span_of(trace)
    span = max((end - start).total_seconds(), 1e-6)

    def place(time: datetime) -> float:
        return round((time - start).total_seconds() / span * BAR_UNITS, 1)

    return tuple(
        BarRow(
            call_id=bar.call_id,
            tier=bar.tier,
            handler=bar.handler,
            drawing=_bar(bar.tier, place(bar.handed), place(bar.began), place(bar.ended)),
            waited=seconds(bar.waited),
            took="stored" if bar.stored else seconds(bar.took),
        )
        for bar in bars
    )


def span_of(trace: Trace) -> tuple[datetime, datetime]:
    """Return the first and the last time of the waterfall."""
    bars = bars_of(trace.calls)
    ends = [bar.ended for bar in bars]
    settled = [trace.outcome["settled_at"]] if trace.outcome is not None else []
    return min(bar.handed for bar in bars), max([*ends, *settled])


def _bar(tier: str, handed: float, began: float, ended: float) -> Markup:
    """Draw one bar: thin for the wait, thick for the call, which is at least as wide as an eye can see."""
    width = max(ended - began, 4.0)
    began = min(began, BAR_UNITS - width)
    return Markup(
        '<svg class="bar {}" viewBox="0 0 {} 16" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        '<line class="grid" x1="0" x2="{}" y1="15.5" y2="15.5"/>'
        '<rect class="wait" x="{}" y="6" width="{}" height="4"/>'
        '<rect class="mark" x="{}" y="2" width="{}" height="12"/></svg>'
    ).format(tier, BAR_UNITS, BAR_UNITS, handed, round(max(began - handed, 0.0), 1), began, round(width, 1))
