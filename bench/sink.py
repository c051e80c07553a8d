"""The sink beside a direct insert of the same rows: rows a second, and CPU time a row.

Calls of realistic size wait in their topic. RECORD puts them into ClickHouse, from the first rows seen to the last;
clickhouse-connect inserts the same rows by columns, decoded before its clock starts, in batches of the sink's size.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.deployment import PARTITIONS, Deployment, deployment
from bench.desk import desk
from bench.measure import Case, Options, Result, interleave
from bench.sink_data import call, publish
from streams.adapters.clickhouse import row_of
from streams.adapters.codec import Codec
from streams.core.messages import Call
from streams.sink.limits import SinkLimits

ROWS: Final = 100_000
RATE: Final = "speed rows/s"
DIRECT: Final = "direct insert"


@dataclass(frozen=True, slots=True)
class Sink:
    """RECORD on a topic that holds calls; each round begins with an empty table."""

    deployed: Deployment
    values: list[bytes]

    def __call__(self) -> Mapping[str, float]:
        client = self.deployed.running.clickhouse.connect()
        client.command("TRUNCATE TABLE calls_rows")
        publish(
            self.deployed.running.kafka.servers, (("calls", at % PARTITIONS, v) for at, v in enumerate(self.values))
        )
        self.deployed.start("record")
        seen, first, began, before = 0, 0, 0.0, self.deployed.cpu()
        while seen < len(self.values):
            self.deployed.running.supervisor.check()
            time.sleep(0.05)
            seen = client.query("SELECT count() FROM calls_rows").result_rows[0][0]
            if seen and not first:
                first, began, before = seen, time.perf_counter(), self.deployed.cpu()
        seconds, rows = time.perf_counter() - began, seen - first
        used = {process: spent - before[process] for process, spent in self.deployed.cpu().items()}
        self.deployed.stop("record")
        client.close()
        return {f"{name} µs/row": 1e6 * used[name] / rows for name in ("RECORD", "ClickHouse")} | {RATE: rows / seconds}


@dataclass(frozen=True, slots=True)
class Direct:
    """clickhouse-connect by columns."""

    deployed: Deployment
    values: list[bytes]

    def __call__(self) -> Mapping[str, float]:
        client, codec, batch = self.deployed.running.clickhouse.connect(), Codec(), SinkLimits().batch_rows
        client.command("CREATE OR REPLACE TABLE direct AS calls_rows")
        seconds = own = 0.0
        before = self.deployed.cpu()["ClickHouse"]
        for start in range(0, len(self.values), batch):
            rows = [row_of(codec.decode(Call, value)) for value in self.values[start : start + batch]]
            names = list(rows[0])
            columns = [[row[name] for row in rows] for name in names]
            began, spent = time.perf_counter(), time.process_time()
            client.insert("direct", columns, column_names=names, column_oriented=True)
            seconds, own = seconds + time.perf_counter() - began, own + time.process_time() - spent
        server = self.deployed.cpu()["ClickHouse"] - before
        client.close()
        figures = {"client": own, "ClickHouse": server}
        return {f"{name} µs/row": 1e6 * spent / len(self.values) for name, spent in figures.items()} | {
            RATE: len(self.values) / seconds
        }


def run(options: Options) -> Result:
    """Insert in turns."""
    codec = Codec()
    values = [codec.encode(call(number)) for number in range(options.size(ROWS, ROWS // 2))]
    cases: dict[str, Case] = {}
    with ExitStack() as opened:
        pipeline = desk(Path(opened.enter_context(tempfile.TemporaryDirectory())))
        for name, tree in options.checkouts().items():
            deployed = opened.enter_context(deployment(pipeline, options, tree))
            cases[name] = Sink(deployed, values)
            cases.setdefault(DIRECT, Direct(deployed, values))
        rounds = interleave(cases, options.rounds_or(3))
    ratio = rounds.ratio("escalon rows/s / direct insert", ("escalon", RATE), (DIRECT, RATE), at_least=0.5)
    return Result("sink", [ratio], rounds.figures(), [f"{sum(map(len, values)) / len(values):.0f} bytes a row"])
