"""The cost of metrics and traces for one handled message: CPU time, the exporter's own thread included.

A message goes through the runtime's binding without a broker: one call and one verdict are published. The binding is
first run with counting and the trace's headers taken out, then with figures alone, with the headers as well, and with
spans sent to a collector on this machine, which needs the extra `otel`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Final
from unittest.mock import patch

from bench.measure import Case, Options, Result, interleave
from streams.adapters.kafka_record import KafkaRecord
from streams.runtime import bind
from streams.telemetry.trace_context import TraceContext
from streams.telemetry.tracing import Handling, Tracing
from tests.builders import CALL, TRACE, event, verdict
from tests.harness.bound_stage import StageOnFakes, record

PRODUCER = TraceContext(TRACE, "00f067aa0ba902b7", True)
FIGURE: Final = "CPU µs/message"
VERDICT = verdict(event(text="x" * 200))


async def _publish(_: KafkaRecord, publisher: bind.StagePublisher) -> None:
    publisher.publish([CALL, VERDICT])


def once(tracing: Tracing, messages: int) -> float:
    """Microseconds of CPU a message."""
    headers = [("traceparent", PRODUCER.header().encode())]
    records = [record(offset, b"x" * 200, headers) for offset in range(messages)]
    started = time.process_time()
    asyncio.run(_handle(tracing, records))
    return (time.process_time() - started) / messages * 1e6


async def _handle(tracing: Tracing, records: list[KafkaRecord]) -> None:
    await StageOnFakes(_publish, tracing=tracing).handle(*records)


@contextmanager
def without(*names: str) -> Iterator[None]:
    """The binding without some of its metrics and traces."""
    with ExitStack() as out:
        if "figures" in names:
            for name in ("observe", "handled"):
                out.enter_context(patch.object(bind, name, lambda *_: None))
            out.enter_context(patch.object(bind, "handling", lambda _: contextlib.nullcontext()))
        if "headers" in names:
            out.enter_context(patch.object(Handling, "headers", lambda *_: []))
        yield


def run(options: Options) -> Result:
    """Run the binding in its four forms."""
    messages = options.size(3000, 20)
    once(Tracing(), messages)  # imports and caches are not measured
    spans, note = _spans()
    with spans as traced:
        cases = {
            "bare": _case(("figures", "headers"), Tracing(), messages),
            "figures": _case(("headers",), Tracing(), messages),
            "figures, headers": _case((), Tracing(), messages),
        }
        if traced is not None:
            cases["figures, headers, spans"] = _case((), traced, messages)
        rounds = interleave(cases, options.rounds_or(7))
    ratios = [rounds.ratio(f"{name} by bare", (name, FIGURE), ("bare", FIGURE)) for name in list(cases)[1:]]
    return Result("telemetry", ratios, rounds.figures(), note)


def _case(out: tuple[str, ...], tracing: Tracing, messages: int) -> Case:
    def measured() -> Mapping[str, float]:
        with without(*out):
            return {FIGURE: once(tracing, messages)}

    return measured


def _spans() -> tuple[Any, tuple[str, ...]]:
    try:
        import opentelemetry.sdk  # noqa: F401
    except ImportError:
        return contextlib.nullcontext(None), ("spans skipped: pip install 'escalon[otel]'",)
    return _collected(), ()


@contextmanager
def _collected() -> Iterator[Tracing]:
    from streams.telemetry.metrics import observe_spans
    from streams.telemetry.otlp import OtlpExporter
    from tests.harness.fakes.otlp_receiver import collector

    with collector() as got:
        got.keeps = False
        with patch.dict(os.environ, {"OTEL_EXPORTER_OTLP_ENDPOINT": got.endpoint}):
            spans = OtlpExporter({"service.name": "bench"}, observe_spans)
        yield Tracing(group="g", spans=spans)
        spans.close()
