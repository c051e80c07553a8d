"""The processes of a pipeline by name, and functions that all of them use; no tier's libraries are imported."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Literal, get_args

from streams.app.settings import Settings

WorkerTier = Literal["listen", "work", "reason", "settle"]
"""A tier that is a Faust app."""
FAUST_TIERS: tuple[WorkerTier, ...] = get_args(WorkerTier)
TIERS = (*FAUST_TIERS, "record", "resume")
"""The tiers of every pipeline."""
BATCH = "batch"
"""The tier of a pipeline with a handler that has `batch`."""


def ready_file(settings: Settings, tier: str) -> Path:
    """Return the file that a tier's process touches each time it has its partitions and tables."""
    return settings.data_dir / "ready" / f"{tier}-{settings.instance}"


def stop_event() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
