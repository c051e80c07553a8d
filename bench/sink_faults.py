"""The sink under faults.

    python -m bench.sink_faults [--rows 50000] [--outage 60] [--kills 3] [--kafka-home DIR] [--json]

Events, verdicts, calls and outcomes are published, ClickHouse is killed for some seconds in the middle and the sink
some times; then `escalon verify` must find nothing. The broker is the one in memory, or Apache Kafka with --kafka-home.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.sink_data import PARTITIONS, publish, traffic
from streams.adapters.clickhouse import ClickHouseConfig
from streams.adapters.clickhouse_migrations import migrate
from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_admin import create_topics
from streams.embedded.broker import ApacheKafka, Broker, Tansu
from streams.embedded.stack import EmbeddedStack, start_clickhouse
from streams.embedded.supervisor import Child
from streams.packaged_files import resource

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Site:
    """The running servers."""

    stack: EmbeddedStack
    data: Path

    @property
    def url(self) -> str:
        return self.stack.addresses.clickhouse

    @property
    def kafka(self) -> str:
        return self.stack.addresses.kafka

    @property
    def clickhouse(self) -> ClickHouseConfig:
        return ClickHouseConfig(url=self.url)

    def environment(self) -> dict[str, str]:
        """The settings by which the commands find the servers."""
        own = {"ESCALON_KAFKA": self.kafka, "ESCALON_CLICKHOUSE": self.url, "ESCALON_DATA": str(self.data)}
        return dict(os.environ) | own | {"PYTHONPATH": str(ROOT)}

    def sink(self) -> Child:
        """Start the sink."""
        command = [sys.executable, "-m", "streams", "worker", "record"]
        return self.stack.supervisor.spawn("record", command, self.environment(), grace=20)

    def kill(self, name: str) -> None:
        """SIGKILL one process, as the kernel would."""
        self.stack.supervisor.kill(self.stack.supervisor.child(name))

    def restart_clickhouse(self) -> None:
        """Start ClickHouse again where it was."""
        start_clickhouse(self.stack.supervisor, self.data, int(self.url.rpartition(":")[2]))


@contextmanager
def running(kafka_home: Path | None) -> Iterator[Site]:
    """A broker with topics and a ClickHouse with tables, in a directory of their own."""
    with tempfile.TemporaryDirectory(prefix="sink-") as directory:
        data = Path(directory)
        broker: Broker = ApacheKafka(kafka_home, resource("kafka"), data / "kafka") if kafka_home else Tansu()
        with EmbeddedStack(data, broker) as stack:
            create_topics(KafkaConfig(servers=stack.addresses.kafka), "", PARTITIONS, 1)
            migrate(ClickHouseConfig(url=stack.addresses.clickhouse))
            yield Site(stack, data)


def faults(events: int, outage: float, kills: int, kafka_home: Path | None) -> dict[str, Any]:
    """Return the findings of `escalon verify` after an outage and some kills."""
    with running(kafka_home) as site:
        publishing = threading.Thread(target=publish, args=(site.kafka, traffic(0, events)))
        begun = time.perf_counter()
        publishing.start()
        site.sink()
        wait_for_rows(site, events // 10)
        for _ in range(kills - 1):
            site.kill("record")
            site.sink()
            time.sleep(4)
        site.kill("clickhouse")
        time.sleep(outage / 2)
        site.kill("record")
        site.sink()
        time.sleep(outage / 2)
        site.restart_clickhouse()
        publishing.join()
        wait_for_rows(site, events)
        wait_until_still(site)
        seconds = time.perf_counter() - begun
        command = [sys.executable, "-m", "streams", "verify", "--grace", "0s", "--json"]
        begun = time.perf_counter()
        said = subprocess.run(command, env=site.environment(), capture_output=True, text=True, check=False)
        if said.returncode not in (0, 1):
            raise RuntimeError(said.stderr)
        inserted = site.clickhouse.connect().query("SELECT count() FROM calls_rows").result_rows[0][0]
        verified = time.perf_counter() - begun
        return {
            "seconds": seconds,
            "verify_seconds": verified,
            "exit_code": said.returncode,
            "rows_before_merging": inserted,
            "verify": json.loads(said.stdout),
        }


def wait_for_rows(site: Site, rows: int) -> None:
    """Wait until so many calls are in the audit."""
    client = site.clickhouse.connect()
    while client.query("SELECT count() FROM calls").result_rows[0][0] < rows:
        time.sleep(0.2)


def wait_until_still(site: Site) -> None:
    """Wait until nothing comes any more."""
    client, last = site.clickhouse.connect(), -1
    counts = " UNION ALL ".join(f"SELECT count() AS c FROM {table}" for table in ("calls", "outcomes", "verdicts"))
    sql = f"SELECT sum(c) FROM ({counts})"
    while (now := client.query(sql).result_rows[0][0]) != last:
        last = now
        time.sleep(4)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--outage", type=float, default=60.0, help="seconds without ClickHouse")
    parser.add_argument("--kills", type=int, default=3, help="how often the sink is killed")
    parser.add_argument("--kafka-home", type=Path, help="Apache Kafka's directory; else the broker in memory")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = faults(given.rows, given.outage, given.kills, given.kafka_home)
    print(json.dumps(found, indent=None if given.json else 2))


if __name__ == "__main__":
    main()
