"""A small pipeline with its audit: rows as the stages would have written them, and cases made to measure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from streams.calling.task import Task
from streams.core.messages import Attempt
from streams.evaluation.cases import Case
from streams.pipeline.code import ANY_PYTHON
from streams.pipeline.load import Pipeline, load_pipeline
from tests.builders import START, WORKER_USD, call, event, label, reply, sources, verdict

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

ONLY_ORDERS = re.sub(r'(?s)\[workers\.(name|add)\].*?(?=\n\[)|(name|sum) = "workers.*?\n', "", PIPELINE)
"""The shop without the workers whose answers are text and numbers."""


def shop(directory: Path, text: str = PIPELINE) -> Pipeline:
    """The pipeline, with the files it names."""
    for name, content in (FILES | {"pipeline.toml": text}).items():
        (directory / name).write_text(content, "utf-8")
    return load_pipeline(directory / "pipeline.toml", ANY_PYTHON)


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


WORDS = ("order", "parcel", "blue", "red", "green", "house", "tree", "number", "seven", "hello", "thanks", "please")


def texts(count: int, seed: int) -> list[str]:
    draw = np.random.default_rng(seed)
    return [f"{' '.join(draw.choice(WORDS, 6))} {number}" for number in range(count)]
