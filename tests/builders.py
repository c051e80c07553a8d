"""Builders of messages: each gives a valid message, of which a test names only what it is about.

Every event is published at START, in the same place of its topic, and belongs to the same trace.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from streams.audit.dead_letters.table import LetterStatus
from streams.core.fingerprint import call_id
from streams.core.messages import (
    Attempt,
    AttemptStatus,
    Call,
    CallTier,
    Event,
    EventKind,
    Label,
    Origin,
    Outcome,
    Score,
    Verdict,
)

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
WORKER_USD, REASONER_USD = Decimal("0.001"), Decimal("0.02")


def origin(event_id: str = "e1", *, run: str = "live", hour: float = 0.0, **more: Any) -> Origin:
    """The origin of an event that was published some hours after START."""
    usual: dict[str, Any] = {"trace_id": TRACE, "topic": "events", "partition": 0, "offset": 7}
    return Origin(event_id=event_id, run=run, event_time=START + timedelta(hours=hour), **usual | more)


ORIGIN = origin()


def event(event_id: str = "e1", text: str = "my order", *, run: str = "live", hour: float = 0.0, **more: Any) -> Event:
    """An event some hours after START, of the kind that its fields make it."""
    kind: EventKind = "image" if more.get("image") else "text" if text else "json"
    return Event(origin=origin(event_id, run=run, hour=hour), kind=kind, text=text, **more)


def verdict(of: Event, handler: str = "answer", **more: Any) -> Verdict:
    """A verdict that routes an event to a worker."""
    usual: dict[str, Any] = {"action": "work", "intents": ("order",), "findings": (), "confidence": None}
    return Verdict(
        event=of, handler=handler, fingerprint="f", pipeline="p", decided_at=of.origin.event_time, **usual | more
    )


def call(of: Event, handler: str = "answer", tier: CallTier = "worker", **more: Any) -> Call:
    """A worker's answered and accepted call, a minute after its event."""
    number, sample = more.get("attempt", 1), more.get("sample", 0)
    usual: dict[str, Any] = {
        "handler_version": "v",
        "pipeline": "p",
        "operation": "chat",
        "provider": "recorded",
        "request_model": "m",
        "started_at": of.origin.event_time + timedelta(minutes=1),
        "status": "answered",
        "decision": "accepted",
        "finish_reason": "end_turn",
        "cost_usd": REASONER_USD if tier == "reasoner" else WORKER_USD,
    }
    own = call_id(of.origin.run, of.origin.event_id, tier, handler, number, sample)
    return Call(origin=of.origin, call_id=own, tier=tier, handler=handler, **usual | more)


def reply(answer: Any, confidence: float | None = None) -> str:
    """The response of a model that is held to a schema."""
    return json.dumps({"answer": answer} | ({} if confidence is None else {"confidence": confidence}))


def thought(of: Event, answer: Any, **more: Any) -> Call:
    """The answer of the reasoner to an event."""
    return call(of, "think", "reasoner", response=reply(answer), **more)


def outcome(of: Event) -> Outcome:
    """The outcome of an event that a worker answered."""
    return Outcome(
        origin=of.origin, state="answered", tier="worker", handler="answer", intent="order", pipeline="p",
        settled_at=of.origin.event_time,
    )  # fmt: skip


def label(of: Event, truth: Any, *, hours: float = 1.0, **more: Any) -> Label:
    """The truth about an event, labelled some hours after it."""
    at = of.origin.event_time + timedelta(hours=hours)
    return Label(event_id=of.origin.event_id, run=of.origin.run, label=json.dumps(truth), labelled_at=at, **more)


def sources(**by_name: float) -> tuple[Score, ...]:
    """Sources of confidence by name."""
    return tuple(Score(label=name, probability=value) for name, value in by_name.items())


def attempt(status: AttemptStatus = "answered", **more: Any) -> Attempt:
    """An attempt of the worker `answer`."""
    return Attempt(**{"tier": "worker", "handler": "answer", "status": status, "call_id": "c"} | more)


CALL = Call(
    origin=ORIGIN,
    call_id="0123456789abcdef0123456789abcdef",
    tier="worker",
    handler="answer",
    handler_version="v1",
    pipeline="p",
    operation="chat",
    provider="anthropic",
    request_model="claude-haiku-5-5",
    response_model="claude-haiku-5-5-20261001",
    system_prompt="be brief",
    prompt="where is my order?",
    response='{"answer": "here"}',
    input_tokens=100,
    output_tokens=20,
    cache_read_tokens=40,
    cost_usd=Decimal("0.0012"),
    started_at=START,
    duration_seconds=1.5,
    finish_reason="end_turn",
    status="answered",
    decision="accepted",
    decision_reason="sure of it",
    response_id="req-1",
)
"""A call with all that spans and metrics report."""


LETTER_STATUS = LetterStatus(
    dead_letter_id="0" * 32, event_time=START, event_id="e", topic="pre.events", partition=0, offset=0,
    reason="invalid_json", error_class="UnreadableError", detail="", payload_size=1, state="open", acted_at=None,
    operator="", why="", retried_partition=None, retried_offset=None, outcome=None, erased=False,
)  # fmt: skip
