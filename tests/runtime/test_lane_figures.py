"""A model's limits in the metrics and the log."""

from __future__ import annotations

import logging

import pytest

from streams.telemetry.metrics import REGISTRY, LimitMetrics


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"escalon_{name}", labels)


def states(model_key: str) -> dict[str, float | None]:
    return {
        state: value("breaker_state", model_key=model_key, state=state) for state in ("closed", "open", "half-open")
    }


def test_a_breaker_is_in_one_state_and_its_changes_are_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    figures = LimitMetrics()
    with caplog.at_level(logging.WARNING, "escalon.lanes"):
        for state in ("closed", "closed", "open", "half-open", "open", "half-open", "closed"):
            figures.breaker("a", state)
    assert states("a") == {"closed": 1, "open": 0, "half-open": 0}
    changes = {state: value("breaker_changes_total", model_key="a", state=state) for state in states("a")}
    assert changes == {"closed": 1, "open": 2, "half-open": 2}
    assert len(caplog.records) == 5
    assert "model a is open, it was closed" in caplog.text


def test_an_open_breaker_shows_as_open() -> None:
    LimitMetrics().breaker("b", "open")
    assert states("b") == {"closed": 0, "open": 1, "half-open": 0}


def test_retries_and_waits_are_counted() -> None:
    figures = LimitMetrics()
    for fate in ("made", "made", "refused"):
        figures.retry("c", fate)
    figures.held("c", 2.5)
    assert value("retries_total", model_key="c", fate="made") == 2
    assert value("retries_total", model_key="c", fate="refused") == 1
    assert value("rate_wait_seconds_sum", model_key="c") == 2.5
