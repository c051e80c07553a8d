"""Records that a topic deleted before they were read: counted, and said."""

from __future__ import annotations

import logging

from streams.runtime.metrics import SKIPPED

log = logging.getLogger("escalon.runtime")


def tell_skipped(topic: str, partition: int, wanted: int, first: int) -> None:
    """A partition was to be read on at one offset, and holds only those from another one on."""
    SKIPPED.labels(topic).inc(first - wanted)
    log.error(
        "%s/%s: the offsets %d to %d were deleted before they were read. Their retention is shorter than the time this "
        "process was behind; publish again what is missing.",
        topic, partition, wanted, first - 1,
    )  # fmt: skip
