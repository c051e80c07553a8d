"""The recovery of a table from its changelog on Apache Kafka.

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

from bench.deployment import PARTITIONS, ROOT, Deployment, deployment
from bench.desk import desk
from bench.measure import Case, Options, Ratio, Result, cpu_seconds, interleave
from streams.core.tables import SETTLED

ENTRIES: Final = 500_000
VALUE_BYTES: Final = 300
ENTRIES_PER_SECOND: Final = 50_000
RATE: Final = "recovered entries/s"


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
            producer.produce(topic, draw.randbytes(VALUE_BYTES), f"live\0event-{number}", number % PARTITIONS)
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


def run(options: Options) -> Result:
    """Recover in turns."""
    cases: dict[str, Case] = {}
    with ExitStack() as opened:
        pipeline = desk(Path(opened.enter_context(tempfile.TemporaryDirectory())))
        for name, tree in (("escalon", ROOT), ("before", options.against)):
            if tree is None:
                continue
            recovery = Recovery(
                opened.enter_context(deployment(pipeline, options, tree)), options.size(ENTRIES, ENTRIES // 20)
            )
            recovery.fill()
            cases[name] = recovery
        rounds = interleave(cases, options.rounds_or(3))
    taken = tuple(one / ENTRIES_PER_SECOND for one in rounds.taken["escalon", RATE])
    ratio = Ratio(f"recovered entries/s / {ENTRIES_PER_SECOND:,}", taken, at_least=1.0)
    return Result("tables", [ratio], rounds.figures(), [f"values of {VALUE_BYTES} bytes, {PARTITIONS} partitions"])
