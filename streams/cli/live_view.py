"""The live view: counts of what passes through each tier, read from the topics."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Self

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from streams.adapters.codec import Codec
from streams.adapters.codec_factory import codec_for
from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_record import KafkaRecord
from streams.adapters.log_reader import Gap
from streams.adapters.topic_reader import TopicReader
from streams.app.settings import Settings
from streams.cli.console import TIER_COLOURS, err, out, usd
from streams.core.errors import UnreadableError
from streams.core.messages import Call, DeadLetter, Escalation, Outcome, Verdict
from streams.core.topics import BY_NAME

WATCHED = ("verdicts", "escalations", "outcomes", "calls", "dead-letters")
TIERS = ("listener", "worker", "reasoner")
MAX_IDENTITIES = 1_000_000
LAST_LINES = 6
PLAIN_INTERVAL_SECONDS = 10.0
"""Time between two lines if the output is not a terminal."""


@dataclass
class LiveCounts:
    """Counts of the messages seen so far. `ended` holds the ids of events with an outcome or a dead letter."""

    codec: Codec
    prefix: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    cost: dict[str, Decimal] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    last: list[str] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)

    def add(self, record: KafkaRecord) -> None:
        """Count one record of a watched topic; a record that was delivered twice counts once."""
        kind = BY_NAME[record.topic.removeprefix(self.prefix)].message
        try:
            message: Any = self.codec.decode(kind, record.value or b"")
        except UnreadableError:
            self.counts["unreadable"] += 1
            return
        _COUNTERS[kind](self, message)

    def first(self, identity: str) -> bool:
        """True the first time an identity is seen, and always beyond MAX_IDENTITIES."""
        if identity in self._seen:
            return False
        if len(self._seen) < MAX_IDENTITIES:
            self._seen.add(identity)
        return True

    def show_line(self, line: str) -> None:
        """Append to the last few lines, which are shown."""
        self.last = [*self.last, line][-LAST_LINES:]


def _call(live: LiveCounts, call: Call) -> None:
    if not live.first(f"call {call.call_id}"):
        return
    live.counts[f"{call.tier} calls"] += 1
    live.counts[f"{call.tier} cached"] += call.cache_hit
    live.counts[f"{call.tier} refused"] += call.status == "refused"
    live.counts[f"{call.tier} broken"] += call.status in ("invalid", "failed")
    live.counts[f"{call.tier} escalated"] += call.decision == "escalated"
    live.counts[f"error {call.error_type}"] += call.error_type is not None
    if call.cost_usd is not None:
        live.cost[call.tier] = live.cost.get(call.tier, Decimal(0)) + call.cost_usd


def _verdict(live: LiveCounts, verdict: Verdict) -> None:
    if live.first(f"verdict {verdict.event.origin.event_id}"):
        live.counts["events"] += 1
        live.counts[f"route {verdict.action}"] += 1


def _escalation(live: LiveCounts, escalation: Escalation) -> None:
    if live.first(f"escalation {escalation.event.origin.event_id}"):
        live.counts[f"escalation {escalation.reason}"] += 1
        live.show_line(f"{escalation.event.origin.event_id}  ▲ {escalation.reason}: {escalation.detail}")


def _outcome(live: LiveCounts, outcome: Outcome) -> None:
    live.ended.add(outcome.origin.event_id)
    if live.first(f"outcome {outcome.origin.event_id}"):
        live.counts[f"outcome {outcome.state}"] += 1
        answer = outcome.answer or outcome.duplicate_of or "; ".join(outcome.reasons)
        live.show_line(f"{outcome.origin.event_id}  ● {outcome.state} by {outcome.tier} {outcome.handler}  {answer}")


def _dead_letter(live: LiveCounts, letter: DeadLetter) -> None:
    live.ended.add(letter.event_id)
    if live.first(f"dead {letter.dead_letter_id}"):
        live.counts["dead letters"] += 1
        live.show_line(f"{letter.event_id}  ✗ dead letter: {letter.reason}")


_COUNTERS: dict[type, Any] = {
    Call: _call,
    Verdict: _verdict,
    Escalation: _escalation,
    Outcome: _outcome,
    DeadLetter: _dead_letter,
}


def render(live: LiveCounts, expected: int | None = None) -> Group:
    """Return the view: a row for each tier, one for judges if there were any, the outcomes, and the last few lines."""
    shown = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("tier", "calls", "cached", "refused", "broken", "escalated", "cost"):
        shown.add_column(column, justify="left" if column == "tier" else "right", min_width=9)
    for tier in (*TIERS, *(("judge",) if live.counts["judge calls"] else ())):
        numbers = (str(live.counts[f"{tier} {what}"]) for what in ("calls", "cached", "refused", "broken", "escalated"))
        shown.add_row(Text(f"{tier}s", TIER_COLOURS[tier]), *numbers, usd(live.cost.get(tier)))
    states = "  ".join(
        f"{state} {live.counts[f'outcome {state}']}" for state in ("answered", "ignored", "duplicate", "failed")
    )
    done = f"{len(live.ended)} of {expected}" if expected is not None else str(len(live.ended))
    ends = Text(f"ended {done}  {states}  dead letters {live.counts['dead letters']}", "bold")
    lines = [Text(line, "dim", no_wrap=True, overflow="ellipsis") for line in live.last]
    return Group(shown, Text(), ends, *lines)


class LiveView:
    """The view on a terminal, redrawn as it changes; elsewhere a line every PLAIN_INTERVAL_SECONDS."""

    def __init__(self, live: LiveCounts, expected: int | None = None) -> None:
        self._counts = live
        self._expected = expected
        self._live = Live(render(live, expected), console=out, refresh_per_second=4)
        self._printed_at = time.monotonic()

    def __enter__(self) -> Self:
        if out.is_terminal:
            self._live.start()
        return self

    def update(self) -> None:
        if out.is_terminal:
            self._live.update(render(self._counts, self._expected))
        elif time.monotonic() - self._printed_at > PLAIN_INTERVAL_SECONDS:
            self._printed_at = time.monotonic()
            calls = ", ".join(f"{self._counts.counts[f'{tier} calls']} {tier}" for tier in TIERS)
            ended = f"{len(self._counts.ended)} of {self._expected or 'all'} events ended"
            out.print(f"{ended}; calls: {calls}", style="dim")

    def __exit__(self, *_: object) -> None:
        if out.is_terminal:
            self.update()
            self._live.stop()
        else:
            out.print(render(self._counts, self._expected))


def watched_topics(prefix: str) -> list[str]:
    return [prefix + name for name in WATCHED]


def report_gap(gap: Gap) -> None:
    """Warn that Kafka deleted records before they could be read."""
    err.print(f"Kafka deleted {gap} before they were read.", style="yellow", markup=False, highlight=False)


def show(tail: TopicReader, live: LiveCounts, keep_running: Callable[[], bool], expected: int | None = None) -> None:
    """Count and show new records while `keep_running` returns true; it may also raise."""
    with LiveView(live, expected) as view:
        while keep_running():
            for record in tail.batch():
                live.add(record)
            view.update()


def follow(settings: Settings, kafka: KafkaConfig, keep_running: Callable[[], bool]) -> None:
    """Show everything that the topics hold and what comes, while `keep_running` returns true."""
    with closing(TopicReader(kafka, watched_topics(settings.topic_prefix), on_gap=report_gap)) as tail:
        show(tail, LiveCounts(codec_for(settings.schema_registry), settings.topic_prefix), keep_running)
