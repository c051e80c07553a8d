"""Builders of messages: each gives a valid message, of which a test names only what it is about."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from streams.audit.dead_letters.table import LetterStatus
from streams.core.fingerprint import call_id
from streams.core.messages import Call, Event, Label, Origin, Outcome, Score, Tier, Verdict

START = datetime(2026, 11, 1, tzinfo=UTC)

WORKER_USD, REASONER_USD = Decimal("0.001"), Decimal("0.02")


def event(event_id: str, text: str = "my order", *, run: str = "live", hour: float = 0.0, **more: Any) -> Event:
    """An event some hours after START."""
    at = START + timedelta(hours=hour)
    origin = Origin(event_id=event_id, run=run, event_time=at, trace_id="t", topic="events", partition=0, offset=0)
    return Event(origin=origin, kind="text", text=text, **more)


def verdict(of: Event, handler: str = "answer", **more: Any) -> Verdict:
    """A verdict that sends an event to a worker."""
    usual: dict[str, Any] = {"action": "work", "intents": ("order",), "findings": (), "confidence": None}
    return Verdict(
        event=of, handler=handler, fingerprint="f", pipeline="p", decided_at=of.origin.event_time, **usual | more
    )


def call(of: Event, handler: str = "answer", tier: Tier = "worker", **more: Any) -> Call:
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
    """What the reasoner answered to an event."""
    return call(of, "think", "reasoner", response=reply(answer), **more)


def outcome(of: Event) -> Outcome:
    """That an event was settled."""
    return Outcome(
        origin=of.origin, state="answered", tier="worker", handler="answer", intent="order", pipeline="p",
        settled_at=of.origin.event_time,
    )  # fmt: skip


def label(of: Event, truth: Any, *, hours: float = 1.0, **more: Any) -> Label:
    """The truth about an event, told some hours later."""
    origin = of.origin
    at = origin.event_time + timedelta(hours=hours)
    return Label(event_id=origin.event_id, run=origin.run, label=json.dumps(truth), labelled_at=at, **more)


def sources(**by_name: float) -> tuple[Score, ...]:
    """Sources of confidence."""
    return tuple(Score(label=name, probability=value) for name, value in by_name.items())


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)

ORIGIN = Origin(event_id="e1", run="live", event_time=AT, trace_id=TRACE, topic="events", partition=0, offset=7)

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
    started_at=AT,
    duration_seconds=1.5,
    finish_reason="end_turn",
    status="answered",
    decision="accepted",
    decision_reason="sure of it",
    response_id="req-1",
)


STANDING = LetterStatus(
    dead_letter_id="0" * 32, event_time=AT, event_id="e", topic="pre.events", partition=0, offset=0,
    reason="invalid_json", error_class="UnreadableError", detail="", payload_size=1, state="open", acted_at=None,
    operator="", why="", retried_partition=None, retried_offset=None, outcome=None, erased=False,
)  # fmt: skip
