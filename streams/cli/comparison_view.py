"""A comparison of two runs on a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from streams.core.counted import counted
from streams.core.harmless import one_line
from streams.evaluation.compare.comparison import RunComparison, Slice
from streams.evaluation.compare.conclusion import percent
from streams.evaluation.compare.diff import ComparedEvent, EventEnd
from streams.evaluation.compare.table_rows import rows

SHOWN_SLICES, SHOWN_FLIPS, SHOWN_TO_LABEL = 8, 5, 3
NO_VALUE = "–"


def print_comparison(made: RunComparison, out: Console) -> None:
    """Print the conclusion, the figures of both runs, and the first changed events."""
    both = counted(made.overlap.both, "event")
    out.print(f"A is {made.a.run}, B is {made.b.run}: {both} ended in both.", markup=False)
    out.print()
    out.print(made.conclusion.sentence, style="bold", markup=False, highlight=False)
    for caution in made.cautions:
        out.print(f"- {_plain(caution, 1000)}", markup=False, highlight=False)
    out.print()
    out.print(_table(("", "A", "B", "B minus A (95 % interval)"), [tuple(map(_short, row)) for row in rows(made)]))
    for line in _sentences(made):
        out.print()
        out.print(line, markup=False, highlight=False)
    _print_to_label(made, out)
    for title, slices in (("intent in A", made.by_intent), ("handler in A", made.by_handler)):
        out.print()
        out.print(_table((title, "events", "agree", "interval"), [_slice(one) for one in slices[:SHOWN_SLICES]]))
        if len(slices) > SHOWN_SLICES:
            out.print(f"and {len(slices) - SHOWN_SLICES} more; --json lists all", style="dim")
    shown = made.flips[:SHOWN_FLIPS]
    for one in shown:
        out.print()
        out.print(one_line(one.pair.event_id), markup=False, highlight=False, soft_wrap=True)
        for line in _flip(one, out.width):
            out.print(line, markup=False, highlight=False, no_wrap=True, overflow="ellipsis")
    if made.flipped > len(shown):
        out.print(f"\n{made.flipped - len(shown):,} more changed events; --html FILE shows them.", style="dim")


def _print_to_label(made: RunComparison, out: Console) -> None:
    """Print whole ids of events whose labels would say more."""
    if not made.to_label or made.conclusion.quality not in ("unlabelled", "too few", "too close"):
        return
    out.print("\nTo learn more, label events with different answers, drawn as here (more: to_label in --json):")
    for name in made.to_label[:SHOWN_TO_LABEL]:
        out.print(one_line(name), markup=False, highlight=False, soft_wrap=True)


def _sentences(made: RunComparison) -> Iterator[str]:
    for accuracy in (made.answers, made.intents):
        pairs = accuracy.labelled
        if pairs.n:
            yield (
                f"Labelled {accuracy.aspect}s: {pairs.n:,}, of which {accuracy.apart.n:,} differ. Both right "
                f"{pairs.both:,}, only A {pairs.only_a:,}, only B {pairs.only_b:,}, neither {pairs.neither:,} "
                f"(McNemar's exact test: p = {accuracy.p_value:.3g})."
            )
    changes = ", ".join(f"{name} {count:,}" for name, count in made.changes.items() if count)
    share = percent(made.flipped / made.agreement.events)
    yield f"Changed: {made.flipped:,} events ({share})" + (f": {changes}." if changes else ".")
    one = made.agreement
    interval = "" if one.low is None or one.high is None else f" (interval {_share(one.low)} to {_share(one.high)})"
    by = f"the rules of pipeline {made.rules}" if made.rules else "JSON values, because no pipeline was given"
    yield f"Both give the same answer to {_share(one.agreeing / one.events)} of the events{interval}, by {by}."


def _slice(one: Slice) -> tuple[str, ...]:
    if one.low is None or one.high is None:
        return _plain(one.name, 30), f"{one.events:,}", NO_VALUE, "too few events"
    interval = f"{_share(one.low)} to {_share(one.high)}"
    return _plain(one.name, 30), f"{one.events:,}", _share(one.agreeing / one.events), interval


def _share(share: float) -> str:
    return f"{100 * share:.1f} %"


def _flip(one: ComparedEvent, width: int) -> Iterator[str]:
    pair = one.pair
    right = {None: "", (True, False): "; only A is right", (False, True): "; only B is right"}
    yield f"  {', '.join(one.changes)} changed{right.get(one.right, '')}"
    yield f"  {_plain(pair.text, width - 2)}"
    for name, end in (("A", pair.a), ("B", pair.b)):
        yield f"  {name} {_plain(ended(end), width - 4)}"
    if pair.label is not None:
        yield f"  label {_plain(pair.label, width - 8)}"


def ended(end: EventEnd) -> str:
    """Return an event's ending in one line."""
    by = f"{end.tier} {end.handler}".strip()
    text = f"{by}: {end.answer}" if end.state == "answered" else f"{end.state} ({by})"
    return text + (f"  [{end.reasons[-1]}]" if end.reasons else "")


def _short(text: str) -> str:
    return _plain(text, 40)


def _plain(text: str, width: int) -> str:
    """Return a text, which may come from an event, in one line of `width` characters, without control characters."""
    line = "".join(letter if letter.isprintable() else " " for letter in text[: 4 * width])
    line = " ".join(line.split())
    return line if len(line) <= width else line[: max(0, width - 1)] + "…"


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> Table:
    shown = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for index, column in enumerate(columns):
        shown.add_column(column, justify="left" if index in (0, 3) else "right", no_wrap=index in (1, 2))
    for row in rows:
        shown.add_row(*(escape(value) for value in row))
    return shown
