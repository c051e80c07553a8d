"""Check before a tier starts that its topics and its tables fit, and that its disk has room.

A table's entry lies in the partition of the message that wrote it, so a topic and the changelogs of its tables need
the same number of partitions. Without this check it would fail after the model was paid.
"""

from __future__ import annotations

import errno
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from streams.core.errors import ConfigError, ProcessError
from streams.core.topics import TOPICS
from streams.runtime.table import Table
from streams.telemetry.health import HEALTH

ROOM_BYTES: Final = 1 << 20
"""Free space that a tier's disk needs before it starts."""
WAIT_SECONDS: Final = 5.0
log = logging.getLogger("escalon.worker")


def check_partitions(tables: Iterable[Table], prefix: str, partitions: Mapping[str, int]) -> None:
    """Raise ConfigError where a topic has another number of partitions than a table that its messages write."""
    fixed = {f"{prefix}{spec.name}": spec.partitions for spec in TOPICS}
    for table in tables:
        changelog, source = table.changelog, table.source
        needed = partitions[source]
        if fixed[source] not in (None, needed):
            what = f"the topic {source} has {needed} partitions and must have {fixed[source]}."
            raise ConfigError(what, "Delete it while no tier runs, and run `escalon topics --create`.", "partitions")
        there = partitions.get(changelog, needed)
        if there != needed:
            short, most = (changelog, needed) if there < needed else (source, there)
            what = f"the topic {source} has {needed} partitions, and {changelog}, which keeps its table, has {there}."
            remedy = (
                f"Give {short} {most} as well (kafka-topics.sh --alter --topic {short} --partitions {most}) and start "
                "the tier again. docs/reliability.md says what that costs."
            )
            raise ConfigError(what, remedy, "partitions")


def await_room(directory: Path, pause: Callable[[float], None] = time.sleep) -> None:
    """Make a tier's directory, and wait while its disk is full. Raises ProcessError where waiting does not help."""
    while True:
        try:
            _write_something(directory)
            HEALTH.mark_healthy()
            return
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            what = f"The directory {directory} cannot be written ({error})."
            fault = ProcessError(what, "Free space on its disk." if full else "Check ESCALON_DATA.")
            if not full:
                raise fault from error
            HEALTH.mark_unhealthy(str(fault))
            log.critical("%s The tier waits for that.", fault)
            pause(WAIT_SECONDS)


def _write_something(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    probe = directory / f"room-{secrets.token_hex(8)}"
    try:
        probe.write_bytes(bytes(ROOM_BYTES))
    finally:
        probe.unlink(missing_ok=True)
