"""What a worker tells Prometheus and its log."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import faust
import pytest

from streams.adapters.kafka import KafkaConfig
from streams.runtime.app import Place, faust_app
from streams.runtime.metrics import REGISTRY, serve_metrics, tell_of_calibration

Page = Callable[[Any, Any], Awaitable[Any]]


class FakeApp:
    """Keeps its pages; its web server is a real one that was not started."""

    def __init__(self, directory: Path) -> None:
        self.web = faust_app("work", KafkaConfig(servers="a:1"), Place(directory=directory)).web
        self.pages: dict[str, Page] = {}

    def page(self, path: str) -> Callable[[Page], Page]:
        """Add a page."""
        return lambda handler: self.pages.setdefault(path, handler)


def gauge(worker: str, calibration: str = "c1") -> float | None:
    return REGISTRY.get_sample_value("escalon_calibration_holds", {"worker": worker, "calibration": calibration})


def test_the_gauge_is_1_while_a_calibration_holds() -> None:
    assert gauge("steady") is None
    tell_of_calibration("steady", "c1", True)
    assert gauge("steady") == 1


def test_the_gauge_is_0_once_a_calibration_no_longer_holds_whatever_other_partitions_say() -> None:
    for holds in (True, False, True):
        tell_of_calibration("drifted", "c1", holds)
    assert gauge("drifted") == 0


def test_a_new_calibration_and_another_worker_have_figures_of_their_own() -> None:
    tell_of_calibration("renewed", "c1", False)
    tell_of_calibration("renewed", "c2", True)
    tell_of_calibration("beside", "c1", True)
    assert (gauge("renewed", "c1"), gauge("renewed", "c2"), gauge("beside", "c1")) == (0, 1, 1)


def test_the_log_says_once_that_a_calibration_no_longer_holds_and_what_to_do(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "escalon.calibration"):
        tell_of_calibration("noisy", "c1", True)
        assert caplog.messages == []
        for _ in range(3):
            tell_of_calibration("noisy", "c1", False)
    (message,) = caplog.messages
    assert "the calibration c1 of worker noisy no longer holds" in message
    assert "escalon calibrate --handler noisy" in message


async def test_the_figures_are_a_page_of_the_workers_web_server(tmp_path: Path) -> None:
    app = FakeApp(tmp_path)
    serve_metrics(cast(faust.App, app))
    tell_of_calibration("paged", "c1", True)
    response = await app.pages["/metrics"](None, None)
    assert (response.status, response.content_type) == (200, "text/plain")
    assert 'escalon_calibration_holds{calibration="c1",worker="paged"} 1.0' in response.body.decode()
