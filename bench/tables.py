"""Lookups in a table by its size, and the recovery of one from its changelog on Apache Kafka.

Lookups: of keys that a table of one partition holds, anywhere in it, and of keys that it does not hold, as most events
are new. CPU time of the thread that looks up.

Recovery: SETTLE starts without its table's directory and has read its changelog when it is ready. The time of a start
that finds the table up to date is subtracted.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from confluent_kafka import Producer

from bench.deployment import PARTITIONS, Deployment, deployment
from bench.desk import desk
from bench.measure import Case, Options, Ratio, Result, cpu_seconds, interleave
from streams.core.errors import ProcessError
from streams.core.tables import SETTLED
from streams.runtime.table_store import TableStore

FEW: Final = 1000
MANY: Final = 5_000_000
LOOKUPS: Final = 50_000
BATCH: Final = 10_000
ENTRIES: Final = 500_000
VALUE_BYTES: Final = 300
RETENTION_SECONDS: Final = 30 * 86_400
ENTRIES_PER_SECOND: Final = 50_000
RATE: Final = "recovered entries/s"


@dataclass(frozen=True, slots=True)
class Lookups:
    """Random lookups in a table of so many entries."""

    store: TableStore
    entries: int
    draw: random.Random

    def fill(self) -> None:
        self.store.open(0)
        for start in range(0, self.entries, BATCH):
            numbers = range(start, min(start + BATCH, self.entries))
            self.store.apply(0, [(_key(number), self.draw.randbytes(VALUE_BYTES)) for number in numbers])

    def __call__(self) -> Mapping[str, float]:
        known = [_key(self.draw.randrange(self.entries)) for _ in range(LOOKUPS)]
        return {
            "known-key µs/lookup": self._each(known),
            "new-key µs/lookup": self._each([key + b"x" for key in known]),
        }

    def _each(self, keys: list[bytes]) -> float:
        get, began = self.store.get, time.thread_time()
        for key in keys:
            get(0, key)
        return 1e6 * (time.thread_time() - began) / len(keys)


def _key(number: int) -> bytes:
    return f"live\0event-{number}".encode()


@dataclass(frozen=True, slots=True)
class Recovery:
    """SETTLE on a changelog of so many entries, one for each key."""

    deployed: Deployment
    entries: int

    def fill(self) -> None:
        """Let SETTLE create the changelog, then write entries into it."""
        self.deployed.start("settle")
        self.deployed.stop("settle")
        producer = Producer(self.deployed.running.kafka.confluent(**{"linger.ms": 20}))
        topic, draw = SETTLED.changelog(""), random.Random(1)
        for number in range(self.entries):
            producer.produce(topic, draw.randbytes(VALUE_BYTES), _key(number), number % PARTITIONS)
            if number % 10_000 == 0:
                producer.flush()
        producer.flush()

    def __call__(self) -> Mapping[str, float]:
        shutil.rmtree(self.deployed.running.settings.data_dir / "tables")
        empty, up_to_date = self._start(), self._start()
        seconds, spent = (one - other for one, other in zip(empty, up_to_date, strict=True))
        return {RATE: self.entries / seconds, "CPU µs/entry": 1e6 * spent / self.entries}

    def _start(self) -> tuple[float, float]:
        """Return the seconds until SETTLE is ready, and its CPU seconds."""
        began = time.monotonic()
        self.deployed.start("settle")
        seconds = time.monotonic() - began
        spent = cpu_seconds(self.deployed.running.supervisor.pids()["settle-0"])
        self.deployed.stop("settle")
        return seconds, spent


def _fail(error: ProcessError) -> None:
    raise error


def run(options: Options) -> Result:
    """Look up and recover in turns."""
    cases: dict[str, Case] = {}
    few, many = (f"table of {count:,} entries" for count in (FEW, options.size(MANY, MANY // 50)))
    with ExitStack() as opened:
        directory = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        for name, entries in ((few, FEW), (many, options.size(MANY, MANY // 50))):
            lookups = Lookups(TableStore(name, directory, RETENTION_SECONDS, _fail), entries, random.Random(1))
            lookups.fill()
            opened.callback(lookups.store.close, [0])
            cases[name] = lookups
        pipeline = desk(directory)
        for name, tree in options.checkouts().items():
            recovery = Recovery(
                opened.enter_context(deployment(pipeline, options, tree)), options.size(ENTRIES, ENTRIES // 20)
            )
            recovery.fill()
            cases[name] = recovery
        rounds = interleave(cases, options.rounds_or(3))
    ratios = [
        rounds.ratio(
            f"{what} of {many} / of {FEW:,}", (many, f"{what} µs/lookup"), (few, f"{what} µs/lookup"), at_most=2.0
        )
        for what in ("known-key", "new-key")
    ]
    taken = tuple(one / ENTRIES_PER_SECOND for one in rounds.taken["escalon", RATE])
    recovered = Ratio(f"recovered entries/s / {ENTRIES_PER_SECOND:,}", taken, at_least=1.0)
    return Result(
        "tables", [*ratios, recovered], rounds.figures(), [f"values of {VALUE_BYTES} bytes, {PARTITIONS} partitions"]
    )
