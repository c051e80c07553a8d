"""Figures for Prometheus, served at /metrics on a worker's web port."""

from __future__ import annotations

import logging
from typing import Any

import faust
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

REGISTRY = CollectorRegistry()
CALIBRATION_HOLDS = Gauge(
    "escalon_calibration_holds",
    "1 while a worker's scores look like those it was calibrated on, 0 once they no longer do.",
    ["worker", "calibration"],
    registry=REGISTRY,
)
log = logging.getLogger("escalon.calibration")
_flagged: set[tuple[str, str]] = set()


def tell_of_calibration(worker: str, calibration: str, holds: bool) -> None:
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


def serve_metrics(app: faust.App) -> None:
    """Add the page to a worker's web server."""

    async def metrics(_: Any, __: Any) -> Any:
        return app.web.bytes(generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST.partition(";")[0])

    app.page("/metrics")(metrics)
