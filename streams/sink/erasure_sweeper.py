"""Delete erased bodies that come back to the audit, within a minute.

A sink whose offsets were reset, a replay of an old topic, or an event that is published again can bring them back.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

from clickhouse_connect.driver.exceptions import ClickHouseError

from streams.adapters.blobs import BlobStore
from streams.adapters.clickhouse import ClickHouseConfig
from streams.adapters.clickhouse_erasure import sweep
from streams.core.errors import ServiceError

SWEEP_SECONDS = 60.0
log = logging.getLogger("escalon.erasure")


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureSweeper:
    """Sweeps every `seconds`, in a thread of its own, until `stop` is set."""

    clickhouse: ClickHouseConfig
    blobs: BlobStore
    stop: threading.Event
    seconds: float = SWEEP_SECONDS

    def start(self) -> None:
        threading.Thread(target=self.run, name="sweep", daemon=True).start()

    def run(self) -> None:
        while True:
            self.once()
            if self.stop.wait(self.seconds):
                return

    def once(self) -> None:
        """Sweep once. If ClickHouse or the blob store is unavailable, log it and leave the rest to the next sweep."""
        try:
            client = self.clickhouse.connect()
            try:
                swept = sweep(client, self.blobs.delete)
            finally:
                client.close()
        except (ServiceError, ClickHouseError, OSError) as error:
            log.warning("the sweep for erased bodies failed: %s", str(error)[:300])
            return
        for table, events in swept.items():
            log.info("bodies of %d erased events had come back to %s and were deleted again", events, table)
