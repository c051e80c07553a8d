"""The live view of the flow: what passes through each tier, counted from the topics."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from streams.adapters.codec import Codec
from streams.adapters.events import KafkaRecord
from streams.adapters.log_reader import Gap
from streams.adapters.topic_reader import TopicReader
from streams.cli.console import TIER_COLOURS, err, out, usd
from streams.core.errors import UnreadableError
from streams.core.messages import Call, DeadLetter, Escalation, Outcome, Verdict
from streams.core.topics import BY_NAME

WATCHED = ("verdicts", "escalations", "outcomes", "calls", "dead-letters")
TIERS = ("listener", "worker", "reasoner")
MAX_EVENTS = 1_000_000
LAST = 6
QUIET_SECONDS = 10.0


@dataclass
class Flow:
    """What has passed so far. `ended` holds the events with an outcome or a dead letter."""

    codec: Codec
    prefix: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    cost: dict[str, Any] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    last: list[str] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)

    def add(self, record: KafkaRecord) -> None:
        """Count one record of a watched topic; one delivered twice counts once."""
        kind = BY_NAME[record.topic.removeprefix(self.prefix)].message
        try:
            message: Any = self.codec.decode(kind, record.value or b"")
        except UnreadableError:
            self.counts["unreadable"] += 1
            return
        _COUNTERS[kind](self, message)

    def first(self, identity: str) -> bool:
        """Whether this is seen for the first time; beyond the bound everything counts."""
        if identity in self._seen:
            return False
        if len(self._seen) < MAX_EVENTS:
            self._seen.add(identity)
        return True

    def say(self, line: str) -> None:
        """Keep a line for the last few shown."""
        self.last = [*self.last, line][-LAST:]


def _call(flow: Flow, call: Call) -> None:
    if not flow.first(f"call {call.call_id}"):
        return
    flow.counts[f"{call.tier} calls"] += 1
    flow.counts[f"{call.tier} cached"] += call.cache_hit
    flow.counts[f"{call.tier} refused"] += call.status == "refused"
    flow.counts[f"{call.tier} broken"] += call.status in ("invalid", "failed")
    flow.counts[f"{call.tier} escalated"] += call.decision == "escalated"
    if call.cost_usd is not None:
        flow.cost[call.tier] = flow.cost.get(call.tier, 0) + call.cost_usd


def _verdict(flow: Flow, verdict: Verdict) -> None:
    if flow.first(f"verdict {verdict.event.origin.event_id}"):
        flow.counts["events"] += 1
        flow.counts[f"route {verdict.action}"] += 1


def _escalation(flow: Flow, escalation: Escalation) -> None:
    if flow.first(f"escalation {escalation.event.origin.event_id}"):
        flow.counts[f"escalation {escalation.reason}"] += 1
        flow.say(f"{escalation.event.origin.event_id}  ▲ {escalation.reason}: {escalation.detail}")


def _outcome(flow: Flow, outcome: Outcome) -> None:
    flow.ended.add(outcome.origin.event_id)
    if flow.first(f"outcome {outcome.origin.event_id}"):
        flow.counts[f"outcome {outcome.state}"] += 1
        answer = outcome.answer or outcome.duplicate_of or "; ".join(outcome.reasons)
        flow.say(f"{outcome.origin.event_id}  ● {outcome.state} by {outcome.tier} {outcome.handler}  {answer}")


def _dead_letter(flow: Flow, letter: DeadLetter) -> None:
    flow.ended.add(letter.event_id)
    if flow.first(f"dead {letter.dead_letter_id}"):
        flow.counts["dead letters"] += 1
        flow.say(f"{letter.event_id}  ✗ dead letter: {letter.reason}")


_COUNTERS: dict[type, Any] = {
    Call: _call,
    Verdict: _verdict,
    Escalation: _escalation,
    Outcome: _outcome,
    DeadLetter: _dead_letter,
}


def render(flow: Flow, expected: int | None = None) -> Group:
    """The view: a row a tier, a line of outcomes, and what happened last."""
    shown = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("tier", "calls", "cached", "refused", "broken", "escalated", "cost"):
        shown.add_column(column, justify="left" if column == "tier" else "right", min_width=9)
    for tier in TIERS:
        numbers = (str(flow.counts[f"{tier} {what}"]) for what in ("calls", "cached", "refused", "broken", "escalated"))
        shown.add_row(Text(f"{tier}s", TIER_COLOURS[tier]), *numbers, usd(flow.cost.get(tier)))
    states = "   ".join(
        f"{state} {flow.counts[f'outcome {state}']}" for state in ("answered", "ignored", "duplicate", "failed")
    )
    done = f"{len(flow.ended)} of {expected}" if expected is not None else str(len(flow.ended))
    ends = Text(f"events ended {done}   {states}   dead letters {flow.counts['dead letters']}", "bold")
    lines = [Text(line, "dim", no_wrap=True, overflow="ellipsis") for line in flow.last]
    return Group(shown, Text(), ends, *lines)


class FlowView:
    """The view on a terminal, redrawn as it changes; elsewhere a line now and then."""

    def __init__(self, flow: Flow, expected: int | None = None) -> None:
        self._flow = flow
        self._expected = expected
        self._live = Live(render(flow, expected), console=out, refresh_per_second=4)
        self._said = time.monotonic()

    def __enter__(self) -> Self:
        if out.is_terminal:
            self._live.start()
        return self

    def update(self) -> None:
        """Show what has changed."""
        if out.is_terminal:
            self._live.update(render(self._flow, self._expected))
        elif time.monotonic() - self._said > QUIET_SECONDS:
            self._said = time.monotonic()
            calls = ", ".join(f"{self._flow.counts[f'{tier} calls']} {tier}" for tier in TIERS)
            out.print(f"{len(self._flow.ended)} of {self._expected or 'all'} events ended; calls: {calls}", style="dim")

    def __exit__(self, *_: object) -> None:
        if out.is_terminal:
            self.update()
            self._live.stop()
        else:
            out.print(render(self._flow, self._expected))


def watched(prefix: str) -> list[str]:
    """The topics the view counts."""
    return [prefix + name for name in WATCHED]


def say_gap(gap: Gap) -> None:
    """Say what was deleted before it could be shown."""
    err.print(f"Kafka deleted {gap} before they were read.", style="yellow", markup=False, highlight=False)


def show(tail: TopicReader, flow: Flow, going_on: Callable[[], bool], expected: int | None = None) -> None:
    """Count what comes and show it, for as long as `going_on` says; it may also raise."""
    with FlowView(flow, expected) as view:
        while going_on():
            for record in tail.batch():
                flow.add(record)
            view.update()
