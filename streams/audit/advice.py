"""Whether tiering pays: what it saved, net of listeners and wasted worker calls, and plain advice.

The arithmetic: a worker's call costs w, a reasoner's r, and a share e of the worker's events goes on to the reasoner.
An event then costs w + e r instead of r, so the worker pays while e < 1 - w / r, and saves r - w - e r an event.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

SMALL_STREAM = 100
"""Worker and reasoner calls a day under which nobody should run three tiers."""
NEARLY_ALL = 0.8
"""The share of its events from which on a worker escalates nearly everything."""
ENOUGH = 20
"""Events under which a worker is not judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """What one worker is worth. Money is None where a price is unknown."""

    worker: str
    events: int
    events_a_day: float
    escalated: float
    """Share of its events."""
    worker_usd: Decimal | None
    wasted_usd: Decimal | None
    """Spent on calls whose event went to the reasoner all the same."""
    saved_usd: Decimal | None
    """Against sending its events straight to the reasoner; below 0 it costs more than it saves."""
    break_even: float | None
    """The share of escalations up to which it pays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What tiering saved in all, and what to do."""

    workers: tuple[Worth, ...]
    calls_a_day: float
    """Events a day that need a worker or a reasoner at all."""
    listeners_usd: Decimal | None
    saved_usd: Decimal | None
    """All workers' savings less what the listeners cost."""
    saved_a_day_usd: Decimal | None
    upkeep_usd: Decimal
    break_even_a_day: float | None
    """Events a day from which on the savings pay the upkeep; None where nothing is saved."""
    lines: tuple[str, ...]


def advise(economy: Sequence[Mapping[str, Any]], listeners_usd: Decimal | None, upkeep_usd: Decimal) -> Advice:
    """Advice from the rows of the query `economy`, what the listeners cost, and the upkeep of the tiers a day."""
    workers = tuple(_worth(row) for row in economy if row["handler"])
    calls = float(sum(row["events_a_day"] for row in economy))
    events = sum(row["events"] for row in economy)
    saved = _sum([*(one.saved_usd for one in workers), -listeners_usd if listeners_usd is not None else None])
    days = Decimal(events / calls) if calls else Decimal(1)
    per_event = saved / events if saved is not None and events else None
    enough = float(upkeep_usd / per_event) if per_event is not None and per_event > 0 else None
    advice = Advice(
        workers=workers,
        calls_a_day=calls,
        listeners_usd=listeners_usd,
        saved_usd=saved,
        saved_a_day_usd=None if saved is None else saved / days,
        upkeep_usd=upkeep_usd,
        break_even_a_day=enough,
        lines=(),
    )
    return _with_lines(advice)


def _worth(row: Mapping[str, Any]) -> Worth:
    events, paid, reasoner = row["events"], row["worker_usd"], row["reasoner_call_usd"]
    escalated = row["escalated"] / events
    known = paid is not None and reasoner is not None and reasoner > 0
    return Worth(
        worker=row["handler"],
        events=events,
        events_a_day=float(row["events_a_day"]),
        escalated=escalated,
        worker_usd=paid,
        wasted_usd=row["wasted_usd"],
        saved_usd=reasoner * (events - row["escalated"]) - paid if known else None,
        break_even=1 - float(paid / events / reasoner) if known else None,
    )


def _sum(amounts: Sequence[Decimal | None]) -> Decimal | None:
    """The sum; unknown when a part is."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known, Decimal(0)) if len(known) == len(amounts) else None


def _with_lines(advice: Advice) -> Advice:
    return replace(advice, lines=(*_on_the_stream(advice), *(line for one in advice.workers for line in _on(one))))


def _on_the_stream(advice: Advice) -> Iterator[str]:
    calls = advice.calls_a_day
    if calls < SMALL_STREAM:
        yield (
            f"This stream needs a model {calls:.0f} times a day. Three tiers do not pay for so few: send every event "
            "to the reasoner, and keep the listeners only where they discard noise."
        )
    elif advice.saved_a_day_usd is None:
        yield "Whether tiering pays cannot be said: some calls have no known price. Set priced_as on their models."
    elif not advice.workers:
        yield "Every event that needs a model goes straight to the reasoner, so there is nothing to weigh."
    elif advice.break_even_a_day is None:
        yield "Tiering saves nothing here. See which worker below is to blame."
    elif calls < advice.break_even_a_day:
        yield (
            f"Tiering saves ${advice.saved_a_day_usd:.2f} a day, less than its upkeep of ${advice.upkeep_usd:.2f}. It "
            f"pays from about {advice.break_even_a_day:,.0f} events a day on; there are {calls:,.0f}."
        )
    else:
        yield (
            f"Tiering pays: it saves ${advice.saved_a_day_usd:.2f} a day before its upkeep of "
            f"${advice.upkeep_usd:.2f}, which {advice.break_even_a_day:,.0f} events a day would cover; "
            f"there are {calls:,.0f}."
        )


def _on(one: Worth) -> Iterator[str]:
    if one.events < ENOUGH:
        yield f"{one.worker}: {one.events} events are too few to judge it."
    elif one.break_even is not None and one.escalated > one.break_even:
        yield (
            f"{one.worker} costs more than it saves: it passes on {one.escalated:.0%} of its events and pays up to "
            f"{max(0.0, one.break_even):.0%}. Route its intents straight to the reasoner, or make it better or cheaper."
        )
    elif one.escalated >= NEARLY_ALL:
        yield (
            f"{one.worker} passes on {one.escalated:.0%} of its events: that is work for a reasoner. Route its intents "
            "straight there, which also spares them a wait."
        )
