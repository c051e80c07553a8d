"""The bench of telemetry runs, and measures what it says."""

from __future__ import annotations

from bench.telemetry import once, without
from streams.telemetry.metrics import REGISTRY
from streams.telemetry.tracing import Tracing
from tests.builders import CALL


def counted() -> float:
    labels = {
        "tier": CALL.tier, "handler": CALL.handler, "model": CALL.request_model,
        "status": CALL.status, "decision": CALL.decision,
    }  # fmt: skip
    return REGISTRY.get_sample_value("escalon_calls_total", labels) or 0.0


def test_what_is_taken_out_does_not_count_and_what_is_left_in_does() -> None:
    before = counted()
    with without("figures", "headers"):
        once(Tracing(), 3)
    assert counted() == before
    once(Tracing(), 3)
    assert counted() == before + 3
