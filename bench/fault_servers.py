"""Apache Kafka, and a pipeline on it, for the benches that break things or watch for long."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streams.embedded.broker import ApacheKafka
from streams.embedded.kafka_install import install
from streams.packaged_files import resource
from tests.harness.faults.fleet import Fleet, fleet


def kafka_home(given: Path | None) -> Path:
    """Apache Kafka's directory: the one given, else where it is installed, once."""
    return given or install(Path.home() / ".cache" / "escalon", print, resource("kafka"))


@contextmanager
def passing_fleet(given: Path | None, name: str, workers: int = 2) -> Iterator[Fleet]:
    """So many workers of every tier on one broker, in a directory that is gone afterwards."""
    home = kafka_home(given)
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as directory:
        data = Path(directory)
        broker = ApacheKafka(home.resolve(), resource("kafka"), data / "kafka")
        with fleet(data, broker, workers=workers) as running:
            yield running
