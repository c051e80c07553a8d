"""Keeps erased bodies out of the audit: whatever brings them back, they are gone again within a minute.

What may bring them back: a sink whose offsets were set back, a replay of an old topic, an event published again.
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
    """Sweeps from its start on, again and again, in a thread of its own, until `stop` is set."""

    clickhouse: ClickHouseConfig
    blobs: BlobStore
    stop: threading.Event
    seconds: float = SWEEP_SECONDS

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self.run, name="sweep", daemon=True).start()

    def run(self) -> None:
        """Sweep until told to stop."""
        while True:
            self.once()
            if self.stop.wait(self.seconds):
                return

    def once(self) -> None:
        """Sweep; ClickHouse or the blob store being away is for the next time."""
        try:
            client = self.clickhouse.connect()
            try:
                swept = sweep(client, self.blobs.delete)
            finally:
                client.close()
        except (ServiceError, ClickHouseError, OSError) as error:
            log.warning("erased bodies could not be looked for: %s", str(error)[:300])
            return
        for table, events in swept.items():
            log.info("bodies of %d erased events had come back to %s and are gone again", events, table)
