"""Made-up traffic of realistic size for bench/sink.py and its test: events with verdict, call and outcome."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from streams.adapters.codec import Codec
from streams.core.fingerprint import call_id, digest, trace_id
from streams.core.messages import Call, Event, Finding, Origin, Outcome, Score, Verdict
from streams.core.topics import topic_of

PROMPT, RESPONSE = 800, 400
START = datetime(2026, 11, 1, tzinfo=UTC)
PARTITIONS = 4
_WORDS = (Path(__file__).resolve().parent.parent / "docs" / "pipeline.md").read_text("utf-8").split()
_SYSTEM = "You answer questions of a shop's customers. Be brief and kind, and say so when you do not know. "


def text(draw: random.Random, length: int) -> str:
    """Words of our own documentation in a random order, of so many characters."""
    words = draw.choices(_WORDS, k=length // 3)
    return " ".join(words)[:length].ljust(length, ".")


def origin(number: int, run: str = "live") -> Origin:
    """The origin of event `number`, whose partition follows from the number."""
    event_id = f"mail-{number:07d}"
    return Origin(
        event_id=event_id,
        run=run,
        event_time=START + timedelta(milliseconds=37 * number),
        trace_id=trace_id(run, event_id),
        topic="events",
        partition=number % PARTITIONS,
        offset=number // PARTITIONS,
        data_subject=digest("subject", number % 997) if number % 3 else None,
    )


def call(number: int, seed: int = 0) -> Call:
    """A worker's call with a prompt of 800 characters and a response of 400."""
    draw, of = random.Random(seed * 10**9 + number), origin(number)
    sure = draw.random()
    return Call(
        origin=of,
        call_id=call_id(of.run, of.event_id, "worker", "answer", 1),
        tier="worker",
        handler="answer",
        handler_version=digest("handler")[:16],
        pipeline=digest("pipeline")[:16],
        operation="chat",
        provider="anthropic",
        request_model="claude-haiku-4-5",
        response_model="claude-haiku-4-5-20251001",
        system_prompt=_SYSTEM * 3,
        prompt=text(draw, PROMPT),
        response=text(draw, RESPONSE),
        input_tokens=draw.randrange(200, 400),
        output_tokens=draw.randrange(50, 150),
        cost_usd=Decimal(draw.randrange(10**9)).scaleb(-12),
        started_at=datetime.now(UTC),
        queue_seconds=draw.random(),
        first_token_seconds=draw.random(),
        duration_seconds=3 * draw.random(),
        finish_reason="end_turn",
        status="answered",
        sources=(Score(label="verbalized", probability=sure), Score(label="logprob", probability=draw.random())),
        raw_confidence=sure,
        confidence=sure,
        threshold=0.8,
        decision="accepted",
        response_id=f"req_{digest(number)}",
        fingerprint=digest("task", number),
    )


def verdict(number: int, of: Call) -> Verdict:
    """The verdict that sent the event to the worker."""
    event = Event(origin=of.origin, kind="text", text=f"{number}: where is my order?")
    finding = Finding(listener="intent", label="order", confidence=0.9, call_id=of.call_id)
    return Verdict(
        event=event,
        findings=(finding,),
        intents=("order",),
        confidence=0.9,
        action="work",
        handler="answer",
        fingerprint=of.fingerprint,
        pipeline=of.pipeline,
        decided_at=of.started_at,
    )


def outcome(of: Call) -> Outcome:
    """The outcome that the call made."""
    return Outcome(
        origin=of.origin, state="answered", tier="worker", handler="answer", intent="order", answer=of.response,
        call_id=of.call_id, pipeline=of.pipeline, settled_at=datetime.now(UTC),
    )  # fmt: skip


def traffic(first: int, last: int) -> Iterator[tuple[str, int, bytes]]:
    """Topic, partition and bytes of everything that some events lead to."""
    codec = Codec()
    for number in range(first, last):
        one = call(number)
        partition = number % PARTITIONS
        event = {"id": one.origin.event_id, "text": f"{number}: where is my order?"}
        yield "events", partition, json.dumps(event).encode()
        for message in (verdict(number, one), one, outcome(one)):
            yield topic_of(message).name, partition, codec.encode(message)


def publish(servers: str, messages: Iterator[tuple[str, int, bytes]]) -> int:
    """Publish, wait until all is confirmed, and say how many there were."""
    failures: list[Any] = []
    settings: dict[str, Any] = {"bootstrap.servers": servers, "linger.ms": 20, "queue.buffering.max.messages": 50_000}
    producer, count = Producer(settings), 0

    def delivered(error: Any, _: Any) -> None:
        if error is not None:
            failures.append(error)

    for topic, partition, value in messages:
        while True:
            try:
                producer.produce(topic, value, partition=partition, on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
        count += 1
    if producer.flush(120) or failures:
        raise RuntimeError(f"not everything was confirmed: {failures[:1]}")
    return count
