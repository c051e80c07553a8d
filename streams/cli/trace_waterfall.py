"""The calls of an event as bars over time: how long each waited and how long it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rich.text import Text

from streams.cli.console import TIER_COLOURS
from streams.cli.printable import one_line

LEAST_BAR = 10
"""Columns; narrower bars tell nothing."""
NAME_CHARACTERS = 24


@dataclass(frozen=True, slots=True)
class Bar:
    """One call: its name, its colour, and when it was handed over, began and ended."""

    name: str
    colour: str
    handed: datetime
    began: datetime
    ended: datetime
    note: str = ""


def bars_of(calls: Sequence[Mapping[str, Any]]) -> list[Bar]:
    """A bar for each call, in the order they began. What was reused or cached took no time here."""
    bars = []
    for call in sorted(calls, key=lambda one: (one["started_at"], one["call_id"])):
        began = call["started_at"]
        stored = call["cache_hit"]
        took = 0.0 if stored else call["duration_seconds"] or 0.0
        bars.append(
            Bar(
                name=one_line(f"{call['tier']} {call['handler']}", NAME_CHARACTERS),
                colour=TIER_COLOURS.get(call["tier"], "white"),
                handed=began - timedelta(seconds=call["queue_seconds"] or 0.0),
                began=began,
                ended=began + timedelta(seconds=took),
                note="stored" if stored else f"{took:.3f} s",
            )
        )
    return bars


def waterfall(bars: Sequence[Bar], settled: datetime | None, width: int) -> Text:
    """The bars in `width` columns: dots for waiting, blocks for the call, a diamond for the outcome."""
    start = min(bar.handed for bar in bars)
    end = max([*(bar.ended for bar in bars), *([settled] if settled else [])])
    name_width = max(len(bar.name) for bar in bars)
    note_width = max(len(bar.note) for bar in bars)
    room = max(LEAST_BAR, width - name_width - note_width - 4)
    span = max((end - start).total_seconds(), 1e-6)

    def place(time: datetime) -> int:
        return min(room - 1, int((time - start).total_seconds() / span * room))

    drawn = Text()
    for bar in bars:
        handed, began, ended = place(bar.handed), place(bar.began), max(place(bar.began) + 1, place(bar.ended))
        drawn.append(f"{bar.name:<{name_width}} ")
        drawn.append(" " * handed + "·" * (began - handed), "dim")
        drawn.append("█" * (ended - began), bar.colour)
        drawn.append(" " * (room - ended) + f" {bar.note:>{note_width}}\n")
    if settled is not None:
        drawn.append(f"{'outcome':<{name_width}} " + " " * place(settled) + "◆\n")
    drawn.append(f"{'':<{name_width}} 0{f'{span:.3f} s':>{room - 1}}", "dim")
    return drawn
