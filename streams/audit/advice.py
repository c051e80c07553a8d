"""Advice on whether tiering pays: its savings, net of listeners and wasted worker calls.

The arithmetic: a worker's call costs w, a reasoner's r, and a share e of the worker's events goes on to the reasoner.
An event then costs w + e r instead of r, so the worker pays off while e < 1 - w / r, and saves r - w - e r an event.
Only events that a call was made for count, because both sides would answer the others from the same store.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from streams.core.dollars import dollars

SMALL_STREAM = 100
"""Events a day that need a model; below this, three tiers are seldom worth their upkeep."""
NEARLY_ALL = 0.8
"""Share of its events above which a worker escalates nearly everything."""
ENOUGH = 20
"""Events below which a worker is not judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerValue:
    """The economics of one worker. Money is None where a price is unknown."""

    worker: str
    events: int
    events_a_day: float
    escalated: float
    """Share of its events."""
    worker_usd: Decimal | None
    wasted_usd: Decimal | None
    saved_usd: Decimal | None
    """Saved against sending its events straight to the reasoner; negative if it costs more."""
    break_even: float | None
    """Share of escalations up to which it pays off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """The total savings of tiering, and advice in sentences."""

    workers: tuple[WorkerValue, ...]
    calls_a_day: float
    """Events a day for which a worker or a reasoner is called."""
    listeners_usd: Decimal | None
    saved_usd: Decimal | None
    """All workers' savings minus the cost of the listeners."""
    saved_a_day_usd: Decimal | None
    upkeep_usd: Decimal
    break_even_a_day: float | None
    """Events a day at which the savings cover the upkeep; None if nothing is saved."""
    lines: tuple[str, ...]
    left_out: int = 0
    """Events with a call of unknown cost, which no figure includes."""
    saved_interval: tuple[float, float] | None = None
    """95 % interval of `saved_usd`; None if too few events reached the reasoner."""

    @property
    def significant(self) -> bool:
        """True unless the interval contains 0."""
        return self.saved_interval is None or not self.saved_interval[0] <= 0 <= self.saved_interval[1]


def advise(
    economy: Sequence[Mapping[str, Any]],
    listeners_usd: Decimal | None,
    upkeep_usd: Decimal,
    money: Mapping[str, Any] | None = None,
) -> Advice:
    """Return advice from the rows of the query `economy`, the cost of the listeners, and the upkeep of the tiers a day.

    `money` is the row of the query of that name; its total savings are used, so that both always agree.
    """
    workers = tuple(_worth(row) for row in economy if row["handler"])
    calls = float(sum(row.get("asked_a_day", row["events_a_day"]) for row in economy))
    events = sum(row.get("asked", row["events"]) + row.get("left_out", 0) for row in economy)
    straight = [_saved(row) for row in economy if not row["handler"]]
    own = [*(one.saved_usd for one in workers), *straight]
    saved = _sum([*own, -listeners_usd if listeners_usd is not None else None])
    if money is not None and money["net_saved_usd"] is not None:
        saved = money["net_saved_usd"]
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
        left_out=sum(row.get("left_out", 0) for row in economy),
        saved_interval=_interval(money),
    )
    return _with_lines(advice)


def on_batches(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line for each handler whose calls could have waited for a batch, from the rows of `batchable`."""
    for row in rows:
        if row["with_room"] >= ENOUGH and row["saved_usd"]:
            name, room, calls = row["handler"], row["with_room"], row["calls"]
            saved, spent = dollars(row["saved_usd"]), dollars(row["usd"])
            yield (
                f"{name}: {room:,} of its {calls:,} calls had time for a batch, which would"
                f' have saved {saved} of {spent}. Set batch = "1h" where an answer may take an hour.'
            )


def _interval(money: Mapping[str, Any] | None) -> tuple[float, float] | None:
    if money is None or money["net_saved_low"] is None:
        return None
    return money["net_saved_low"], money["net_saved_high"]


def _worth(row: Mapping[str, Any]) -> WorkerValue:
    events, paid, reasoner = row["events"], row.get("compared_usd", row["worker_usd"]), row["reasoner_call_usd"]
    asked = row.get("asked", events)
    known = paid is not None and reasoner is not None and reasoner > 0 and asked > 0
    return WorkerValue(
        worker=row["handler"],
        events=events,
        events_a_day=float(row["events_a_day"]),
        escalated=row["escalated"] / events,
        worker_usd=row["worker_usd"],
        wasted_usd=row["wasted_usd"],
        saved_usd=_saved(row),
        break_even=1 - float(paid / asked / reasoner) if known else None,
    )


def _saved(row: Mapping[str, Any]) -> Decimal | None:
    """Return the reasoner's price of the events that were asked about, minus their cost; 0 if there were none."""
    asked: int = row.get("asked", row["events"])
    paid: Decimal | None = row.get("compared_usd", row["worker_usd"])
    call: Decimal | None = row["reasoner_call_usd"]
    if asked == 0 and row.get("left_out", 0) == 0:
        return Decimal(0)
    if paid is None or not call:
        return None
    taken: Decimal = row.get("reasoner_usd", call * row["escalated"])
    return call * asked - paid - taken


def _sum(amounts: Sequence[Decimal | None]) -> Decimal | None:
    """Return the sum; None if a part is unknown."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known, Decimal(0)) if len(known) == len(amounts) else None


def _with_lines(advice: Advice) -> Advice:
    return replace(advice, lines=(*_on_the_stream(advice), *(line for one in advice.workers for line in _on(one))))


def _on_the_stream(advice: Advice) -> Iterator[str]:
    calls, saved, upkeep = advice.calls_a_day, advice.saved_a_day_usd, dollars(advice.upkeep_usd)
    if advice.left_out:
        yield f"{advice.left_out} events with a call of unknown cost are left out. Set priced_as on their models."
    if advice.saved_interval == (0.0, 0.0):
        yield "Tiering neither saves nor costs money here, as with functions and models that have no price."
    elif calls < SMALL_STREAM and (saved is None or saved < advice.upkeep_usd or saved <= 0):
        known = "" if saved is None else f"Tiering saves {dollars(saved)} a day, its upkeep is {upkeep}. "
        yield (
            f"This stream needs a model {calls:.0f} times a day. {known}Three tiers are not worth it for so few: send "
            "every event to the reasoner, and keep the listeners only where they discard noise."
        )
    elif saved is None:
        yield "Some calls have no known price, so the savings are unknown. Set priced_as on their models."
    elif not advice.workers:
        yield "Every event that needs a model goes straight to the reasoner, so there is nothing to weigh."
    elif not advice.significant and advice.saved_interval is not None:
        low, high = advice.saved_interval
        yield (
            f"The savings are still uncertain: between {dollars(low)} and {dollars(high)} in all. More events that "
            "reach the reasoner narrow that down; explore = 0.01 sends it some of the others."
        )
    elif advice.break_even_a_day is None:
        yield "Tiering saves nothing here. See which worker below is to blame."
    elif calls < advice.break_even_a_day:
        yield (
            f"Tiering saves {dollars(saved)} a day, less than its upkeep of {upkeep}. It "
            f"pays off from about {advice.break_even_a_day:,.0f} events a day; there are {calls:,.0f}."
        )
    else:
        yield (
            f"Tiering pays off: it saves {dollars(saved)} a day before its upkeep of "
            f"{upkeep}, which {advice.break_even_a_day:,.0f} events a day would cover; "
            f"there are {calls:,.0f}."
        )


def _on(one: WorkerValue) -> Iterator[str]:
    if one.events < ENOUGH:
        yield f"{one.worker}: {one.events} events are too few to judge it."
    elif one.break_even is not None and one.saved_usd is not None and one.saved_usd < 0:
        yield (
            f"{one.worker} costs more than it saves: it escalates {one.escalated:.0%} of its events and pays off up to "
            f"{max(0.0, one.break_even):.0%}. Route its intents straight to the reasoner, or make it better or cheaper."
        )
    elif one.escalated >= NEARLY_ALL:
        yield (
            f"{one.worker} escalates {one.escalated:.0%} of its events: that is work for a reasoner. Route its intents "
            "straight there, which also saves the wait."
        )
