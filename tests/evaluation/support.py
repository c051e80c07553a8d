"""A small pipeline with its audit: rows as the stages would have written them, and cases made to measure."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from streams.adapters.clickhouse import TABLES, ClickHouseConfig, insert, migrate, row_of
from streams.core.fingerprint import call_id
from streams.core.messages import Attempt, Call, Event, Label, Origin, Outcome, Score, Tier, Verdict
from streams.embedded.stack import start_clickhouse
from streams.embedded.supervisor import Supervisor
from streams.evaluation.cases import Case
from streams.pipeline.code import ANY_PYTHON
from streams.pipeline.load import Pipeline, load_pipeline
from streams.stages.task import Task

START = datetime(2026, 11, 1, tzinfo=UTC)
WORKER_USD, REASONER_USD = Decimal("0.001"), Decimal("0.02")
FILES = {
    "prompt.j2": "{% block system %}Be brief.{% endblock %}{% block user %}{{ text | fenced }}{% endblock %}",
    "order.json": '{"type": "object", "properties": {"number": {"type": "string"}}}',
    "text.json": '{"type": "string"}',
}
PIPELINE = """
name = "shop"

[models.m]
provider = "recorded"
model = "m"
cassette = "none.jsonl"

[listeners.rules]
kind = "rules"
[listeners.rules.rules]
order = ["order"]

[routes]
order = "workers.answer"
name = "workers.name"
sum = "workers.add"
unsure = "ignore"

[workers.answer]
model = "m"
prompt = "prompt.j2"
schema = "order.json"
confidence = "verbalized"
threshold = 0.8
correct = { by = "fields", fields = ["number"] }

[workers.name]
model = "m"
prompt = "prompt.j2"
schema = "text.json"
inputs = ["text"]

[workers.add]
handler = "json:dumps"
correct = { by = "numeric", tolerance = 0.01 }

[reasoners.think]
model = "m"
prompt = "prompt.j2"
schema = "order.json"
"""


def shop(directory: Path, text: str = PIPELINE) -> Pipeline:
    """The pipeline, with the files it names."""
    for name, content in (FILES | {"pipeline.toml": text}).items():
        (directory / name).write_text(content, "utf-8")
    return load_pipeline(directory / "pipeline.toml", ANY_PYTHON)


@contextmanager
def database(directory: Path) -> Iterator[ClickHouseConfig]:
    """An empty audit, on a server of its own. Tests share it, each with a run of its own."""
    with Supervisor(directory / "logs") as supervisor:
        config = ClickHouseConfig(url=start_clickhouse(supervisor, directory))
        migrate(config)
        yield config


def write(config: ClickHouseConfig, *messages: Any) -> None:
    """Put messages into their tables."""
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for message in messages:
        rows[TABLES[type(message)]].append(row_of(message))
    client = config.connect()
    try:
        for table, some in rows.items():
            insert(client, table, some)
    finally:
        client.close()


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


def case(number: int, raw: float | None = None, **more: Any) -> Case:
    """An accepted answer of the worker `answer`, about which nothing more is known."""
    task = more.pop("task", Task(text=f"my order {number}"))
    attempt = Attempt(
        tier="worker",
        handler=more.get("handler", "answer"),
        status="answered",
        answer='{"number": "7"}',
        sources=() if raw is None else sources(verbalized=raw),
        raw_confidence=raw,
        call_id=f"call-{number}",
    )
    usual: dict[str, Any] = {
        "event_id": f"e{number}",
        "event_time": START + timedelta(minutes=number),
        "handler": "answer",
        "handler_version": "v",
        "intent": "order",
        "task": task,
        "whole": task,
        "attempt": attempt,
        "calibration": None,
        "pipeline": "p",
        "repeated": False,
        "accepted": True,
        "propensity": None,
        "correct": None,
        "agrees": None,
        "reasoner_correct": None,
        "cost_usd": WORKER_USD,
        "reasoner_cost_usd": None,
    }
    return Case(**usual | more)


def honest_cases(count: int, seed: int = 0) -> list[tuple[Case, bool]]:
    """Labelled cases whose answers are right as often as their scores say, from 0.5 to 1."""
    draw = np.random.default_rng(seed)
    scores = draw.uniform(0.5, 1.0, count).round(6).tolist()
    rights = (draw.random(count) < scores).tolist()
    return [(case(n, raw, correct=right), right) for n, (raw, right) in enumerate(zip(scores, rights, strict=True))]


def messages_of(cases: Iterable[tuple[Case, bool]], version: str, run: str = "live") -> list[Any]:
    """Verdicts, calls and labels that are read back as such cases of the worker `answer`."""
    found: list[Any] = []
    for one, right in cases:
        hour = (one.event_time - START).total_seconds() / 3600
        of = event(one.event_id, one.whole.text, run=run, hour=hour)
        said: dict[str, Any] = {
            "response": reply({"number": "7"}, one.attempt.raw_confidence),
            "sources": one.attempt.sources,
            "raw_confidence": one.attempt.raw_confidence,
        }
        found += [verdict(of), call(of, handler_version=version, **said), label(of, "7" if right else "8")]
    return found
