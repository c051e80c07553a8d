"""Figures for Prometheus: what there is to count, as one table.

Labels hold only what the pipeline file, the topics or the code name, never what an event says. Counters count what was
done, so what is delivered twice counts twice; the audit is what counts each call once.
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
"""Bounds in seconds, of work and of waiting."""

disable_created_metrics()  # type: ignore[no-untyped-call]
ProcessCollector(registry=REGISTRY)
M = TypeVar("M", Counter, Gauge)


def _of(kind: type[M], name: str, help_: str, *labels: str) -> M:
    return kind(f"escalon_{name}", help_, labels, registry=REGISTRY)


def _seconds(name: str, help_: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(f"escalon_{name}_seconds", help_, labels, buckets=buckets, registry=REGISTRY)


ASKED = ("tier", "handler", "model")

# fmt: off
# Every worker under Faust
MESSAGES       = _of(Counter, "messages", "Messages handled, by how that ended.", "topic", "result")
HANDLING       = _seconds("handling", "Time a message took to handle, with all its waiting.", SHORT, "topic")
IN_FLIGHT      = _of(Gauge, "in_flight", "Messages being handled now.", "topic")
WAITS          = _of(Counter, "waits", "Times a message had to wait for a service that is away.", "topic")
SKIPPED        = _of(Counter, "skipped", "Offsets that were deleted before they were read.", "topic")
PUBLISH_WAITS  = _of(Counter, "publish_waits", "Times publishing had to wait for Kafka.", "topic")
TABLES_REBUILT = _of(Counter, "tables_rebuilt", "Tables found broken and rebuilt from their changelogs.", "table")
UNHEALTHY      = _of(Gauge, "unhealthy", "1 while this process cannot work for want of disk, handles or the like.")
DEAD_LETTERS   = _of(Counter, "dead_letters", "Messages put into the dead letters.", "topic", "reason")

# What the tiers do
CALLS          = _of(Counter, "calls", "Model calls by status and decision.", *ASKED, "status", "decision")
CALL_ERRORS    = _of(Counter, "call_errors", "Model calls that went wrong.", *ASKED, "error_type")
CACHE_HITS     = _of(Counter, "cache_hits", "Calls answered from the store.", *ASKED)
TOKENS         = _of(Counter, "tokens", "Tokens: input, output, cache_read, cache_write.", *ASKED, "direction")
COST           = _of(Counter, "cost_usd", "What model calls cost, in US dollars, as far as it is known.", *ASKED)
SAVED          = _of(Counter, "saved_usd", "What answers from the store would have cost, in US dollars.", *ASKED)
UNPRICED       = _of(Counter, "unpriced_calls", "Calls whose cost is not known.", *ASKED)
CALL_SECONDS   = _seconds("call", "Time a model call took; answers from the store are left out.", SHORT, *ASKED)
QUEUE_SECONDS  = _seconds("queue", "From the message's timestamp to the start of the call.", LONG, "tier", "handler")
BREAKER        = _of(
    Gauge, "breaker_state", "1 for the state a model's circuit breaker is in, 0 for the others.", "model_key", "state"
)
BREAKER_CHANGES = _of(Counter, "breaker_changes", "Times a breaker came into a state.", "model_key", "state")
RETRIES        = _of(Counter, "retries", "Retries that were made, or refused by the budget.", "model_key", "fate")
RATE_WAIT      = _seconds("rate_wait", "Time calls waited for their model's rate limit.", LONG, "model_key")
VERDICTS       = _of(Counter, "verdicts", "Events routed, by what was decided.", "action")
ESCALATIONS    = _of(Counter, "escalations", "Tasks handed to a reasoner.", "handler", "reason")
DEFERRALS      = _of(Counter, "deferrals", "Tasks that wait for a budget or a provider.", "cause", "tier", "handler")
OUTCOMES       = _of(Counter, "outcomes", "Events that came to an end.", "state", "tier")
OUTCOME_SECONDS = _seconds("outcome", "Time from the event's own time to its outcome.", LONG, "tier")
BUDGET         = _of(Gauge, "budget_usd_per_day", "The money a tier may spend a day, in US dollars.", "tier")
BUDGET_SPENT   = _of(Counter, "budget_spent_usd", "What a budget counts as spent, unknown costs at worst.", "tier")
CALIBRATION_HOLDS = _of(
    Gauge, "calibration_holds",
    "1 while a worker's scores look like those it was calibrated on, 0 once they no longer do.",
    "worker", "calibration",
)

# RECORD and RESUME
ROWS           = _of(Counter, "rows", "Rows that ClickHouse has acknowledged.", "table")
INSERT_SECONDS = _seconds("insert", "Time ClickHouse took for a batch of rows.", SHORT, "table")
INSERT_RETRIES = _of(Counter, "insert_retries", "Batches that ClickHouse did not take at once.", "table")
CLICKHOUSE_UNAVAILABLE = _of(
    Gauge, "clickhouse_unavailable", "1 while ClickHouse accepts no rows and the sink waits.", "table"
)
RESUMED        = _of(Counter, "resumed", "Tasks put off that went on.", "topic")
WAITING        = _of(Gauge, "deferred_partitions_waiting", "Partitions whose next task must wait.", "topic")

# Traces
SPANS          = _of(Counter, "spans", "Spans of traces: exported, failed, or dropped because too many wait.", "fate")
# fmt: on

STATES = get_args(State)
log = logging.getLogger("escalon.calibration")
lanes_log = logging.getLogger("escalon.lanes")
_flagged: set[tuple[str, str]] = set()


def observe_calibration(worker: str, calibration: str, holds: bool) -> None:
    """Set the gauge; say in the log, once in a process, that a calibration no longer holds.

    One partition's alarm stands for the process: its neighbours have seen less of the stream, not a better one.
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
    """Implements calling.limited.LimitObserver."""

    def __init__(self) -> None:
        self._states: dict[str, str] = {}

    def breaker(self, model_key: str, state: str) -> None:
        """Set the gauge and count the change, if it is one."""
        before = self._states.get(model_key, "closed")
        self._states[model_key] = state
        for one in STATES:
            BREAKER.labels(model_key, one).set(1 if one == state else 0)
        if state != before:
            BREAKER_CHANGES.labels(model_key, state).inc()
            lanes_log.warning("the circuit breaker of model %s is %s, it was %s", model_key, state, before)

    def retry(self, model_key: str, fate: str) -> None:
        """Count a retry, made or refused."""
        RETRIES.labels(model_key, fate).inc()

    def held(self, model_key: str, seconds: float) -> None:
        """Count how long a call waited for the rate limit."""
        RATE_WAIT.labels(model_key).observe(seconds)


def observe_spans(fate: str, count: int) -> None:
    """Count spans."""
    SPANS.labels(fate).inc(count)


def observe_rows(table: str, count: int, seconds: float) -> None:
    """ClickHouse took a batch of rows."""
    ROWS.labels(table).inc(count)
    INSERT_SECONDS.labels(table).observe(seconds)
    CLICKHOUSE_UNAVAILABLE.labels(table).set(0)


def observe_insert_retry(table: str) -> None:
    """ClickHouse did not take a batch of rows, which is tried again."""
    INSERT_RETRIES.labels(table).inc()
    CLICKHOUSE_UNAVAILABLE.labels(table).set(1)
