"""Traces of one event, made of messages and not read from an audit."""

from __future__ import annotations

from typing import Any

from streams.adapters.clickhouse import row_of
from streams.audit.trace import Trace
from streams.core.messages import Call
from tests.builders import event, outcome, verdict

EVENT = event()


def row(one: Call) -> dict[str, Any]:
    return row_of(one) | {"model": one.response_model or one.request_model}


def trace(*calls: Call, **more: Any) -> Trace:
    usual: dict[str, Any] = {"verdict": row_of(verdict(EVENT)), "outcome": row_of(outcome(EVENT)), "dead_letters": []}
    return Trace(
        event_id="e1", run="live", runs=["live"], calls=[row(one) for one in calls], judge_calls=[], labels=[],
        judgements=[], **usual | more,
    )  # fmt: skip
