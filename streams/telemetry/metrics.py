"""The Prometheus metrics of all processes, in one table.

Labels hold only names of the pipeline file, of topics and of the code, never contents of events. Counters count work,
so a message that is delivered twice counts twice; the audit counts each call once.
"""

from __future__ import annotations

import logging
from typing import TypeVar, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from streams.core.breaker import State

REGISTRY = CollectorRegistry()
SHORT = (0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
LONG = (0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 1800, 7200, 28_800, 86_400)
"""Bucket bounds in seconds, of work and of waiting."""

disable_created_metrics()  # type: ignore[no-untyped-call]
ProcessCollector(registry=REGISTRY)
M = TypeVar("M", Counter, Gauge)


def _of(kind: type[M], name: str, help_: str, *labels: str) -> M:
    return kind(f"escalon_{name}", help_, labels, registry=REGISTRY)


def _seconds(name: str, help_: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(f"escalon_{name}_seconds", help_, labels, buckets=buckets, registry=REGISTRY)


ASKED = ("tier", "handler", "model")

# fmt: off
# Faust tiers
MESSAGES       = _of(Counter, "messages", "Messages handled, by result.", "topic", "result")
HANDLING       = _seconds("handling", "Time to handle a message, waiting included.", SHORT, "topic")
IN_FLIGHT      = _of(Gauge, "in_flight", "Messages being handled now.", "topic")
WAITS          = _of(Counter, "waits", "Times a message waited for an unavailable service.", "topic")
SKIPPED        = _of(Counter, "skipped", "Offsets that were deleted before they were read.", "topic")
SOURCE_SKIPPED = _of(
    Counter, "source_skipped", "Records of [source] topics that make no event, by reason.", "topic", "reason"
)
PUBLISH_WAITS  = _of(Counter, "publish_waits", "Times publishing waited for Kafka.", "topic")
TABLES_REBUILT = _of(Counter, "tables_rebuilt", "Broken tables rebuilt from their changelogs.", "table")
UNHEALTHY      = _of(Gauge, "unhealthy", "1 while this process lacks disk space, file handles or memory to work.")
DEAD_LETTERS   = _of(Counter, "dead_letters", "Messages that became dead letters.", "topic", "reason")

# Model calls and events
CALLS          = _of(Counter, "calls", "Model calls by status and decision.", *ASKED, "status", "decision")
CALL_ERRORS    = _of(Counter, "call_errors", "Model calls that failed.", *ASKED, "error_type")
CACHE_HITS     = _of(Counter, "cache_hits", "Calls answered from stored answers.", *ASKED)
TOKENS         = _of(Counter, "tokens", "Tokens: input, output, cache_read, cache_write.", *ASKED, "direction")
COST           = _of(Counter, "cost_usd", "Cost of model calls in US dollars, where it is known.", *ASKED)
SAVED          = _of(Counter, "saved_usd", "Cost avoided by stored answers, in US dollars.", *ASKED)
UNPRICED       = _of(Counter, "unpriced_calls", "Calls whose cost is unknown.", *ASKED)
CALL_SECONDS   = _seconds("call", "Duration of a model call; stored answers are left out.", SHORT, *ASKED)
QUEUE_SECONDS  = _seconds("queue", "From the message's timestamp to the start of the call.", LONG, "tier", "handler")
BREAKER        = _of(
    Gauge, "breaker_state", "1 for the state a model's circuit breaker is in, 0 for the others.", "model_key", "state"
)
BREAKER_CHANGES = _of(Counter, "breaker_changes", "Times a breaker changed to a state.", "model_key", "state")
RETRIES        = _of(Counter, "retries", "Retries made, or refused by the retry budget.", "model_key", "fate")
RATE_WAIT      = _seconds("rate_wait", "Time calls waited for their model's rate limit.", LONG, "model_key")
VERDICTS       = _of(Counter, "verdicts", "Events routed, by action.", "action")
ESCALATIONS    = _of(Counter, "escalations", "Tasks handed to a reasoner.", "handler", "reason")
DEFERRALS      = _of(Counter, "deferrals", "Tasks that wait for a budget or a provider.", "cause", "tier", "handler")
OUTCOMES       = _of(Counter, "outcomes", "Events that ended.", "state", "tier")
OUTCOME_SECONDS = _seconds("outcome", "Time from the event's own time to its outcome.", LONG, "tier")
BUDGET         = _of(Gauge, "budget_usd_per_day", "Budget of a tier in US dollars a day.", "tier")
BUDGET_SPENT   = _of(Counter, "budget_spent_usd", "Spent from the budget; unknown costs count at worst.", "tier")
CALIBRATION_HOLDS = _of(
    Gauge, "calibration_holds",
    "1 while a worker's scores match its calibration, 0 once they have drifted.",
    "worker", "calibration",
)

# Sink and scheduler
ROWS           = _of(Counter, "rows", "Rows acknowledged by ClickHouse.", "table")
INSERT_SECONDS = _seconds("insert", "Time to insert a batch of rows.", SHORT, "table")
INSERT_RETRIES = _of(Counter, "insert_retries", "Batches inserted again after a failure.", "table")
CLICKHOUSE_UNAVAILABLE = _of(
    Gauge, "clickhouse_unavailable", "1 while ClickHouse accepts no rows and the sink waits.", "table"
)
RESUMED        = _of(Counter, "resumed", "Deferred tasks that were published again.", "topic")
BATCH_TASKS    = _of(Gauge, "batch_tasks", "Tasks that wait for a provider's batch, by where they are.", "state")
WAITING        = _of(Gauge, "deferred_partitions_waiting", "Partitions whose next task must wait.", "topic")

# Traces
SPANS          = _of(Counter, "spans", "Spans exported, failed, or dropped because the queue was full.", "fate")
# fmt: on

STATES = get_args(State)
log = logging.getLogger("escalon.calibration")
lanes_log = logging.getLogger("escalon.lanes")
_flagged: set[tuple[str, str]] = set()


def observe_calibration(worker: str, calibration: str, holds: bool) -> None:
    """Set the gauge, and log once that a calibration no longer holds.

    The alarm of one partition holds for the process: the other partitions have seen less of the stream, not a better
    part of it.
    """
    key = worker, calibration
    if not holds and key not in _flagged:
        _flagged.add(key)
        log.warning(
            "the calibration %s of worker %s no longer holds: its scores have changed. Label recent cases and run "
            "`escalon calibrate --handler %s` again.",
            calibration, worker, worker,
        )  # fmt: skip
    CALIBRATION_HOLDS.labels(worker, calibration).set(0 if key in _flagged else 1)


class LimitMetrics:
    """Metrics of the limits of each model: implements LimitObserver."""

    def __init__(self) -> None:
        self._states: dict[str, str] = {}

    def breaker(self, model_key: str, state: str) -> None:
        """Set the gauge, and count and log a change."""
        before = self._states.get(model_key)
        if state == before:
            return
        self._states[model_key] = state
        for one in STATES:
            BREAKER.labels(model_key, one).set(1 if one == state else 0)
        if state != (before or "closed"):
            BREAKER_CHANGES.labels(model_key, state).inc()
            lanes_log.warning("the circuit breaker of model %s is %s, it was %s", model_key, state, before or "closed")

    def retry(self, model_key: str, fate: str) -> None:
        RETRIES.labels(model_key, fate).inc()

    def held(self, model_key: str, seconds: float) -> None:
        RATE_WAIT.labels(model_key).observe(seconds)


def observe_spans(fate: str, count: int) -> None:
    SPANS.labels(fate).inc(count)


def observe_rows(table: str, count: int, seconds: float) -> None:
    """Count the rows of an insert, and its time."""
    ROWS.labels(table).inc(count)
    INSERT_SECONDS.labels(table).observe(seconds)
    CLICKHOUSE_UNAVAILABLE.labels(table).set(0)


def observe_insert_retry(table: str) -> None:
    """Count a failed insert, which is tried again."""
    INSERT_RETRIES.labels(table).inc()
    CLICKHOUSE_UNAVAILABLE.labels(table).set(1)
