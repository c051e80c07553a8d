"""Spans of calls and of handled messages, with OpenTelemetry's attributes."""

from __future__ import annotations

import dataclasses
import json
from datetime import timedelta
from typing import Any

import pytest

from streams.telemetry.span import HandledMessage, Span, call_span, handling_span
from streams.telemetry.trace_context import TraceContext
from tests.builders import CALL, ORIGIN, START, TRACE

HANDLING = TraceContext(TRACE, "aaaaaaaaaaaaaaaa", True)
PLACE = HandledMessage(topic="verdicts", partition=3, offset=17, group="escalon-work", size=200)


def of(texts: bool = False, **changes: Any) -> Span:
    return call_span(dataclasses.replace(CALL, **changes), HANDLING, texts=texts)


def test_a_call_is_a_span_under_its_own_id_for_as_long_as_it_took() -> None:
    span = of()
    assert span.context == TraceContext(TRACE, "0123456789abcdef", True)
    assert (span.name, span.kind, span.error) == ("chat claude-haiku-5-5", "client", None)
    assert (span.started_at, span.ended_at) == (START, START + timedelta(seconds=1.5))


def test_a_call_lies_beneath_the_call_that_led_to_it_else_beneath_the_handling() -> None:
    assert of().parent == "aaaaaaaaaaaaaaaa"
    assert of(parent_call_id="fedcba9876543210" * 2).parent == "fedcba9876543210"


@pytest.mark.parametrize("changes", [{"provider": "llama.cpp"}, {"cache_hit": True}])
def test_what_happens_within_the_process_is_internal(changes: dict[str, Any]) -> None:
    assert of(**changes).kind == "internal"


def test_attributes_follow_the_conventions_for_generative_ai() -> None:
    attributes = {name: value for name, value in of().attributes.items() if name.startswith("gen_ai.")}
    assert attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-haiku-5-5",
        "gen_ai.response.model": "claude-haiku-5-5-20261001",
        "gen_ai.response.id": "req-1",
        "gen_ai.response.finish_reasons": ("end_turn",),
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 40,
    }


def test_what_is_not_known_is_left_out_and_0_is_not() -> None:
    attributes = of(cost_usd=None, input_tokens=0).attributes
    assert "escalon.cost_usd" not in attributes
    assert attributes["gen_ai.usage.input_tokens"] == 0


def test_no_text_of_an_event_or_a_model_is_on_a_span_unless_asked_for() -> None:
    secret: dict[str, Any] = dict.fromkeys(
        ("system_prompt", "prompt", "response", "decision_reason", "error"), "my secret"
    )
    refused: dict[str, Any] = {"refusal_reason": "my secret", "status": "refused"}
    assert "my secret" not in repr(of(**secret, **refused))
    assert "my secret" in repr(of(texts=True, **secret, **refused))


def test_texts_have_the_form_of_the_conventions() -> None:
    attributes = of(texts=True).attributes
    (asked,) = json.loads(str(attributes["gen_ai.input.messages"]))
    (told,) = json.loads(str(attributes["gen_ai.output.messages"]))
    assert asked == {"role": "user", "parts": [{"type": "text", "content": "where is my order?"}]}
    assert (told["role"], told["finish_reason"]) == ("assistant", "end_turn")
    assert json.loads(str(attributes["gen_ai.system_instructions"])) == [{"type": "text", "content": "be brief"}]


def test_a_call_that_failed_says_how() -> None:
    assert of(status="failed", error_type="overloaded", error="It is busy.").error == "overloaded"


def test_a_handled_message_is_a_span_with_its_place() -> None:
    parent = TraceContext(TRACE, "bbbbbbbbbbbbbbbb", True)
    span = handling_span(HANDLING, parent, PLACE, (START, START + timedelta(seconds=2)), ORIGIN, None)
    assert (span.name, span.kind, span.parent) == ("process verdicts", "consumer", "bbbbbbbbbbbbbbbb")
    assert span.attributes == {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "verdicts",
        "messaging.destination.partition.id": "3",
        "messaging.kafka.offset": 17,
        "messaging.consumer.group.name": "escalon-work",
        "messaging.message.body.size": 200,
        "escalon.event_id": "e1",
        "escalon.run": "live",
    }


def test_a_clock_that_is_set_back_gives_no_span_that_ends_before_it_starts() -> None:
    span = handling_span(HANDLING, None, PLACE, (START, START - timedelta(seconds=2)), None, None)
    assert (span.started_at, span.ended_at, span.parent) == (START, START, None)


def test_every_name_is_one_of_the_conventions_or_our_own() -> None:
    attributes = pytest.importorskip("opentelemetry.semconv._incubating.attributes.gen_ai_attributes")
    messaging = pytest.importorskip("opentelemetry.semconv._incubating.attributes.messaging_attributes")
    known = {value for module in (attributes, messaging) for value in vars(module).values() if isinstance(value, str)}
    used = {
        **of(texts=True, cache_write_tokens=1, first_token_seconds=0.1).attributes,
        **handling_span(HANDLING, None, PLACE, (START, START), ORIGIN, None).attributes,
    }
    assert [name for name in used if not name.startswith("escalon.") and name not in known] == []
