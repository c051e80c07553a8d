"""Spans of model calls and of handled messages, with the attributes of OpenTelemetry's semantic conventions.

Model calls follow the conventions for generative AI, handled messages those for messaging and Kafka. Both are in
development; the names are those of release 1.44.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from streams.core.messages import Call, Origin
from streams.core.provider_names import REMOTE
from streams.telemetry.trace_context import TraceContext, span_of_call

Kind = Literal["client", "consumer", "internal"]
Value = str | bool | int | float | tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """An operation that took time. Its attributes hold texts of events only if they were asked for."""

    context: TraceContext
    parent: str | None
    """The id of the parent span; None for the root of a trace."""
    name: str
    kind: Kind
    started_at: datetime
    ended_at: datetime
    attributes: Mapping[str, Value] = field(default_factory=dict)
    error: str | None = None
    """A short code of the failure; None for success."""


def call_span(call: Call, handling: TraceContext, *, texts: bool) -> Span:
    """Return the span of a model call. Its parent is the call that led to it, or else the message's handling."""
    parent = span_of_call(call.parent_call_id) if call.parent_call_id else handling.span_id
    remote = call.provider in REMOTE and not call.cache_hit
    return Span(
        context=TraceContext(call.origin.trace_id, span_of_call(call.call_id), handling.sampled),
        parent=parent,
        name=f"{call.operation} {call.request_model}",
        kind="client" if remote else "internal",
        started_at=call.started_at,
        ended_at=call.started_at + timedelta(seconds=call.duration_seconds or 0.0),
        attributes=_known(_of_the_model(call) | _of_the_call(call) | (_texts(call) if texts else {})),
        error=call.error_type,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HandledMessage:
    """The position and the size in bytes of a handled message, and the consumer group."""

    topic: str
    partition: int
    offset: int
    group: str
    size: int


def handling_span(
    context: TraceContext,
    parent: TraceContext | None,
    handled: HandledMessage,
    times: tuple[datetime, datetime],
    origin: Origin | None,
    error: str | None,
) -> Span:
    """Return the span of handling a message. `parent` produced the message; `times` are the start and the end."""
    return Span(
        context=context,
        parent=parent.span_id if parent else None,
        name=f"process {handled.topic}",
        kind="consumer",
        started_at=times[0],
        ended_at=max(times),
        attributes=_known(
            {
                "messaging.system": "kafka",
                "messaging.operation.name": "process",
                "messaging.operation.type": "process",
                "messaging.destination.name": handled.topic,
                "messaging.destination.partition.id": str(handled.partition),
                "messaging.kafka.offset": handled.offset,
                "messaging.consumer.group.name": handled.group,
                "messaging.message.body.size": handled.size,
                "escalon.event_id": origin.event_id if origin else None,
                "escalon.run": origin.run if origin else None,
            }
        ),
        error=error,
    )


def _of_the_model(call: Call) -> dict[str, Value | None]:
    return {
        "gen_ai.operation.name": call.operation,
        "gen_ai.provider.name": call.provider,
        "gen_ai.request.model": call.request_model,
        "gen_ai.response.model": call.response_model,
        "gen_ai.response.id": call.response_id,
        "gen_ai.response.finish_reasons": (call.finish_reason,) if call.finish_reason else None,
        "gen_ai.response.time_to_first_chunk": call.first_token_seconds,
        "gen_ai.usage.input_tokens": call.input_tokens,
        "gen_ai.usage.output_tokens": call.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": call.cache_read_tokens,
        "gen_ai.usage.cache_creation.input_tokens": call.cache_write_tokens,
    }


def _of_the_call(call: Call) -> dict[str, Value | None]:
    return {
        "escalon.event_id": call.origin.event_id,
        "escalon.run": call.origin.run,
        "escalon.call_id": call.call_id,
        "escalon.tier": call.tier,
        "escalon.handler": call.handler,
        "escalon.pipeline": call.pipeline,
        "escalon.status": call.status,
        "escalon.decision": call.decision,
        "escalon.refusal_class": call.refusal_class,
        "escalon.confidence": call.confidence,
        "escalon.threshold": call.threshold,
        "escalon.calibration": call.calibration,
        "escalon.attempt": call.attempt,
        "escalon.sample": call.sample,
        "escalon.cache_hit": call.cache_hit,
        "escalon.cost_usd": None if call.cost_usd is None else float(call.cost_usd),
        "escalon.queue_seconds": call.queue_seconds,
    }


def _texts(call: Call) -> dict[str, Value | None]:
    """Return prompt and answer as JSON, in the conventions' form of messages."""
    answer = None
    if call.response is not None:
        answer = _json(
            [{"role": "assistant", "parts": _part(call.response), "finish_reason": call.finish_reason or ""}]
        )
    return {
        "gen_ai.system_instructions": _json(_part(call.system_prompt)) if call.system_prompt else None,
        "gen_ai.input.messages": _json([{"role": "user", "parts": _part(call.prompt)}]),
        "gen_ai.output.messages": answer,
        "escalon.decision_reason": call.decision_reason or None,
    }


def _part(text: str) -> list[dict[str, str]]:
    return [{"type": "text", "content": text}]


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _known(attributes: Mapping[str, Value | None]) -> dict[str, Value]:
    return {name: value for name, value in attributes.items() if value is not None}
