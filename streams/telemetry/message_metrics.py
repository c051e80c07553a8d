"""Metrics of messages, counted when they are published."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from streams.core.messages import Call, DeadLetter, Deferred, Escalation, Outcome, Verdict
from streams.telemetry import metrics

SERIES_KEPT = 1024
"""Series kept without a look-up in the registry."""


def observe(message: Any) -> None:
    """Count a published message."""
    count = _COUNTS.get(type(message))
    if count is not None:
        count(message)


def observe_outcome(outcome: Outcome) -> None:
    """Count the end of an event."""
    _series(metrics.OUTCOMES, outcome.state, outcome.tier).inc()
    took = (outcome.settled_at - outcome.origin.event_time).total_seconds()
    _series(metrics.OUTCOME_SECONDS, outcome.tier).observe(max(0.0, took))


@contextmanager
def handling(topic: str) -> Iterator[None]:
    """Count and time the handling of a message; one that is interrupted is not timed, because it comes again."""
    flying, started = _series(metrics.IN_FLIGHT, topic), time.perf_counter()
    flying.inc()
    try:
        yield
        _series(metrics.HANDLING, topic).observe(time.perf_counter() - started)
    finally:
        flying.dec()


@contextmanager
def observe_insert(table: str, rows: int) -> Iterator[None]:
    """Count and time the insert of a batch of rows; a failed one is not counted."""
    started = time.perf_counter()
    yield
    metrics.observe_rows(table, rows, time.perf_counter() - started)


def handled(topic: str, error: str | None) -> None:
    """Count a handled message by its result."""
    _series(metrics.MESSAGES, topic, "dead_letter" if error else "ok").inc()


def _call(call: Call) -> None:
    asked = call.tier, call.handler, call.request_model
    _series(metrics.CALLS, *asked, call.status, call.decision).inc()
    if call.error_type is not None:
        _series(metrics.CALL_ERRORS, *asked, call.error_type).inc()
    _money(call, asked)
    if call.queue_seconds is not None:
        _series(metrics.QUEUE_SECONDS, call.tier, call.handler).observe(call.queue_seconds)
    if call.cache_hit:
        _series(metrics.CACHE_HITS, *asked).inc()
        return
    if call.duration_seconds is not None:
        _series(metrics.CALL_SECONDS, *asked).observe(call.duration_seconds)
    for direction, tokens in (
        ("input", call.input_tokens),
        ("output", call.output_tokens),
        ("cache_read", call.cache_read_tokens),
        ("cache_write", call.cache_write_tokens),
    ):
        if tokens and tokens > 0:
            _series(metrics.TOKENS, *asked, direction).inc(tokens)


def _money(call: Call, asked: tuple[str, str, str]) -> None:
    if call.cost_usd is None:
        _series(metrics.UNPRICED, *asked).inc()
    elif call.cost_usd > 0:
        _series(metrics.COST, *asked).inc(float(call.cost_usd))
    if call.saved_usd and call.saved_usd > 0:
        _series(metrics.SAVED, *asked).inc(float(call.saved_usd))


def _verdict(verdict: Verdict) -> None:
    _series(metrics.VERDICTS, verdict.action).inc()


def _escalation(escalation: Escalation) -> None:
    _series(metrics.ESCALATIONS, escalation.handler, escalation.reason).inc()


def _deferred(deferred: Deferred) -> None:
    tier = "worker" if deferred.verdict is not None else "reasoner"
    _series(metrics.DEFERRALS, deferred.cause, tier, deferred.task.handler).inc()


def _dead_letter(letter: DeadLetter) -> None:
    _series(metrics.DEAD_LETTERS, letter.topic, letter.reason).inc()


@lru_cache(SERIES_KEPT)
def _series(metric: Any, *labels: str) -> Any:
    """Return a series of a metric, kept because the registry takes a lock and builds the labels each time."""
    return metric.labels(*labels)


_COUNTS: dict[type, Callable[[Any], None]] = {
    Call: _call,
    Verdict: _verdict,
    Escalation: _escalation,
    Deferred: _deferred,
    DeadLetter: _dead_letter,
    Outcome: observe_outcome,
}
