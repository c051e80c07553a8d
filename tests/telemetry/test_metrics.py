"""The state of a calibration in the metrics and in the log."""

from __future__ import annotations

import logging

import pytest

from streams.telemetry.metrics import REGISTRY, observe_calibration


def gauge(worker: str, calibration: str = "c1") -> float | None:
    return REGISTRY.get_sample_value("escalon_calibration_holds", {"worker": worker, "calibration": calibration})


def test_the_gauge_is_1_while_a_calibration_holds() -> None:
    assert gauge("steady") is None
    observe_calibration("steady", "c1", True)
    assert gauge("steady") == 1


def test_the_gauge_stays_0_once_a_calibration_no_longer_holds_in_one_partition() -> None:
    for holds in (True, False, True):
        observe_calibration("drifted", "c1", holds)
    assert gauge("drifted") == 0


def test_a_new_calibration_and_another_worker_have_figures_of_their_own() -> None:
    observe_calibration("renewed", "c1", False)
    observe_calibration("renewed", "c2", True)
    observe_calibration("beside", "c1", True)
    assert (gauge("renewed", "c1"), gauge("renewed", "c2"), gauge("beside", "c1")) == (0, 1, 1)


def test_the_log_says_once_that_a_calibration_no_longer_holds_and_what_to_do(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "escalon.calibration"):
        observe_calibration("noisy", "c1", True)
        assert caplog.messages == []
        for _ in range(3):
            observe_calibration("noisy", "c1", False)
    (message,) = caplog.messages
    assert "the calibration c1 of worker noisy no longer holds" in message
    assert "escalon calibrate --handler noisy" in message
