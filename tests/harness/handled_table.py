"""A table on RocksDB whose changelog confirms when a test says so, and a message that uses it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from streams.core.errors import UnreadableError
from streams.core.tables import ANSWERS
from streams.runtime.deliveries import HANDLED, Deliveries, DeliveryClient, TableChange
from streams.runtime.partition import Partition
from streams.runtime.table import Table
from streams.runtime.table_store import TableStore

REFUSAL = UnreadableError("too_large", "A message is over the limit.", "Make it smaller.")


@dataclass
class SentChange:
    """A change of a table that is sent to the changelog."""

    key: bytes
    value: bytes | None
    partition: int
    deliveries: Deliveries
    change: TableChange

    def superseded(self) -> bool:
        return self.change.superseded()

    def confirm(self, offset: int = 0) -> None:
        """Kafka has it."""
        self.change.confirmed(offset)
        self.deliveries.settle()

    def refuse(self) -> None:
        """Kafka never takes it."""
        self.change.refused(REFUSAL)
        self.deliveries.settle()


@dataclass
class HeldChangelog:
    """Holds changes until they are confirmed; refuses one over `limit` at once."""

    limit: int = 1_000_000
    changes: list[SentChange] = field(default_factory=list)

    def send(
        self,
        _: str,
        key: bytes,
        value: bytes | None,
        deliveries: Deliveries,
        *,
        patient: bool,
        change: TableChange,
        partition: int,
    ) -> None:
        assert patient, "nobody waits for a table's changes"
        if len(value or b"") > self.limit:
            change.refused(REFUSAL)
            return
        deliveries.expect()
        self.changes.append(SentChange(key, value, partition, deliveries, change))


def open_table(directory: Path, changelog: HeldChangelog | None = None, *partitions: int) -> Table:
    """Open a table's partitions; partition 0 by default."""
    store = TableStore("answers", directory, 3600, _fail)
    for number in partitions or (0,):
        store.open(number)
    client = cast(DeliveryClient, changelog or HeldChangelog())
    return Table(ANSWERS["verdicts"], "changelog", "verdicts", store, client)


@contextmanager
def new_table() -> Iterator[Table]:
    """A table of its own directory, for tests that draw many examples."""
    with tempfile.TemporaryDirectory() as directory:
        made = open_table(Path(directory))
        yield made
        made.store.close([0])


@contextmanager
def handled(partition: Partition | int = 0) -> Iterator[Deliveries]:
    """A message is being handled."""
    of = partition if isinstance(partition, Partition) else Partition("verdicts", partition, 0)
    token = HANDLED.set(made := Deliveries(of))
    try:
        yield made
    finally:
        HANDLED.reset(token)


def _fail(error: Exception) -> None:
    raise error
