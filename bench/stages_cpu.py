"""CPU microseconds of each stage for one event, and of each kind of message, as JSON: run by the benchmark `stages`.

It imports `streams` alone, so that it can be run with another checkout's.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

from fastavro import schemaless_reader, schemaless_writer

from streams.adapters import schemas
from streams.adapters.codec import Codec
from streams.adapters.event_reader import EventReader
from streams.adapters.kafka_record import KafkaRecord
from streams.app.providers import Providers
from streams.app.settings import read_settings
from streams.calling.cached import StoredAnswers
from streams.calling.chain import CallServices
from streams.calling.record import CallRecords
from streams.core.messages import Result, StoredAnswer, Verdict
from streams.core.topics import topic_of
from streams.pipeline.code import ANY_PYTHON
from streams.pipeline.load import load_pipeline
from streams.stages.listen import listen
from streams.stages.settle import settle
from streams.stages.work import work
from streams.telemetry.message_metrics import observe
from streams.telemetry.tracing import OFF

PIPELINE = """
name = "bench"
listeners.rules = {kind = "rules", cache = "off", rules = {order = ["where is my order"], thanks = ["thank you"]}}
routes = {order = "workers.answer", thanks = "ignore", unsure = "ignore"}
workers.answer = {task = "answer", handler = "bench_answer:answer"}
"""
TEXTS = "Where is my order? I have waited for two weeks. " * 5, "Thank you for the quick reply. " * 8
CODEC, PASSES = Codec(), 5
APART, PAUSE_SECONDS = 100, 0.04
OWN, FASTAVRO = "escalon", "fastavro"
"""The stage or the codec, and fastavro alone, from a dict and to a dict."""


class _Nowhere:
    """Stored answers that are encoded and not kept."""

    def get(self, _: str) -> None: ...

    def put(self, _: str, answer: StoredAnswer) -> None:
        CODEC.encode(answer)


class Stages:
    """The stages of one pipeline: a rule, and a function that answers."""

    def __init__(self, directory: Path) -> None:
        (directory / "pipeline.toml").write_text(PIPELINE)
        (directory / "bench_answer.py").write_text("async def answer(task):\n    return 'It left on Monday.'\n")
        sys.path.insert(0, str(directory))
        self.pipeline = pipeline = load_pipeline(directory / "pipeline.toml", ANY_PYTHON)
        self.records = records = CallRecords(
            pipeline_hash=pipeline.hash, prices=pipeline.prices, now=lambda: datetime.now(UTC), timer=time.perf_counter
        )
        answers = StoredAnswers(store=_Nowhere(), records=records)
        services = CallServices(answers=answers, records=records, sleep=asyncio.sleep, jitter=random.random)
        providers = Providers(pipeline, read_settings())
        self.listeners = providers.callers(pipeline.listeners, services)
        self.workers, self.scorers = providers.callers(pipeline.workers, services), providers.scorers(pipeline.workers)
        self.reader = EventReader(CODEC, "cluster", "live", 900_000)

    async def listen(self, record: KafkaRecord) -> list[Any]:
        event = self.reader(record)
        self.reader.is_named(record, event)
        return await listen(event, record.timestamp, self.pipeline, self.listeners, self.records, None)  # type: ignore[arg-type]

    async def work(self, verdict: Verdict) -> list[Any]:
        at = verdict.event.origin.event_time
        return await work(verdict, at, self.pipeline, self.workers, self.records, self.scorers)


async def figures(events: int) -> dict[str, dict[str, float]]:
    """Return the least of some passes over all events, of each stage and each way of a message."""
    with tempfile.TemporaryDirectory() as directory:
        stages = Stages(Path(directory))
    records = [_record(number) for number in range(events)]
    heard = [await stages.listen(record) for record in records]
    verdicts = [one for messages in heard for one in messages if isinstance(one, Verdict) and one.action == "work"]
    worked = [await stages.work(verdict) for verdict in verdicts]
    results = [one for messages in (*heard, *worked) for one in messages if isinstance(one, Result)]
    found = {
        "listen": {OWN: await _least(stages.listen, records)},
        "listen, 25/s": {OWN: await _apart(stages.listen, records[:APART])},
        "work": {OWN: await _least(stages.work, verdicts)},
        "settle": {OWN: await _least(lambda one: settle(one, one.decided_at), results)},
        "publish": {OWN: await _least(lambda one: _publish(*one), list(zip(records, heard, strict=True)))},
    }
    for sample in {
        type(one): one for one in (*heard[0], *worked[0], settle(results[0], results[0].decided_at))
    }.values():
        found |= await _message(sample, events)
    return found


def _record(number: int) -> KafkaRecord:
    value = json.dumps({"id": f"mail-{number}", "text": TEXTS[number % 2]}).encode()
    return KafkaRecord("events", 0, number, b"key", value, datetime.now(UTC))


def _publish(record: KafkaRecord, messages: Sequence[Any]) -> None:
    """Do for an event's messages what comes between its stage and the producer."""
    handling = OFF.begin(record)
    for message in messages:
        topic_of(message).key(message)
        CODEC.encode(message)
        handling.headers(message)
        observe(message)


async def _message(sample: Any, times: int) -> dict[str, dict[str, float]]:
    kind, schema = type(sample), schemas.current()[type(sample)].parsed
    values, fields = [CODEC.encode(sample)] * times, [dataclasses.asdict(sample)] * times
    messages = [CODEC.decode(kind, value) for value in values]  # each one of its own
    written = await _least(lambda one: schemaless_writer(BytesIO(), schema, one), fields)
    read = await _least(lambda one: schemaless_reader(BytesIO(one[10:]), schema, None), values)
    return {
        f"encode {kind.__name__}": {OWN: await _least(CODEC.encode, messages), FASTAVRO: written},
        f"decode {kind.__name__}": {OWN: await _least(lambda one: CODEC.decode(kind, one), values), FASTAVRO: read},
    }


async def _apart(do: Callable[[Any], Awaitable[Any]], subjects: Sequence[Any]) -> float:
    """Return the mean of calls with a pause before each: the processor has other work in its caches by then."""
    spent = 0.0
    for one in subjects:
        await asyncio.sleep(PAUSE_SECONDS)
        started = time.process_time()
        await do(one)
        spent += time.process_time() - started
    return spent / len(subjects) * 1e6


async def _least(do: Callable[[Any], Awaitable[Any] | Any], subjects: Sequence[Any]) -> float:
    passes = []
    for _ in range(PASSES):
        started = time.process_time()
        for one in subjects:
            done = do(one)
            if isinstance(done, Awaitable):
                await done
        passes.append(time.process_time() - started)
    return min(passes) / len(subjects) * 1e6


if __name__ == "__main__":
    print(json.dumps(asyncio.run(figures(int(sys.argv[1])))))
