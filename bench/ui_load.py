"""Throughput of the tiers with and without open pages: `python -m bench.ui_load [--pages 200] [--rate 500]`.

    python -m bench.ui_load [--pages 200] [--rate 500] [--seconds 60] [--pairs 5] [--json]

It runs a pipeline of rules and functions on the embedded servers, and one `escalon ui`. A round publishes events at a
steady rate and ends when the last one has its outcome. Rounds with open pages, each following the live overview, and
rounds without alternate; which is first changes from pair to pair. `ratio` is the median over the pairs of the
throughput with pages by that without, `tier_cpu_ratio` the same of the CPU time of the tiers for an event. A machine
that has time left shows a ratio of 1 even if pages cost something: raise --rate until `per_second` is below it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from streams.adapters.topic_reader import TopicReader
from streams.app.publisher import Publisher
from streams.app.settings import read_settings
from streams.embedded.broker import free_ports
from streams.embedded.local_pipeline import RunningPipeline, running_pipeline
from streams.pipeline.load import load_pipeline
from streams.ui.links import LinkSigner
from streams.ui.operator.guard import OPERATOR_COOKIE
from tests.harness.panel_process import UI_KEY, UiProcess
from tests.harness.progress import end_offsets

PATIENCE_SECONDS: Final = 300.0
TICKS: Final = os.sysconf("SC_CLK_TCK")
TIERS: Final = ("listen", "work", "reason", "settle", "record")
FUNCTIONS: Final = """\
def answer(task):
    return {"reply": "from nine to five"}
"""
PIPELINE: Final = """\
name = "load"

[listeners.words]
kind = "rules"
applies_to = ["text"]

[listeners.words.rules]
chat = ["thanks"]
question = ["when"]

[routes]
chat = "ignore"
question = "workers.answer"
unsure = "ignore"

[workers.answer]
handler = "load_functions:answer"
inputs = ["text"]

[reasoners.resolve]
handler = "load_functions:answer"
inputs = ["text"]
"""
EVERY: Final = 10
"""One of so many events is a worker's; the others are ignored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """The throughput of a round in events a second, and CPU times in seconds."""

    pages: int
    per_second: float
    tier_cpu: float
    pages_cpu: float
    renderings: int
    """Live parts that all pages got."""


class OpenPages:
    """Pages that follow the overview, on an event loop in a thread of its own."""

    def __init__(self, port: int, count: int) -> None:
        self.received = 0
        self._port, self._count = port, count
        self._connected = threading.Semaphore(0)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @contextmanager
    def open(self) -> Iterator[None]:
        """Keep all pages open; inside it, each has been shown once."""
        self._thread.start()
        try:
            for _ in range(self._count):
                assert self._connected.acquire(timeout=PATIENCE_SECONDS), "a page was not shown"
            yield
        finally:
            self._loop.call_soon_threadsafe(self._all.cancel)
            self._thread.join()

    def _run(self) -> None:
        self._loop.run_until_complete(self._follow_all())

    async def _follow_all(self) -> None:
        self._all = asyncio.gather(*(self._follow() for _ in range(self._count)))
        with suppress(asyncio.CancelledError):
            await self._all

    async def _follow(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=2**20)
        cookie = f"{OPERATOR_COOKIE}={LinkSigner(UI_KEY).operator_token()}"
        head = f"GET /live?fragments=overview HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nCookie: {cookie}\r\n\r\n"
        writer.write(head.encode())
        try:
            shown = 0
            while line := await reader.readline():
                if line.startswith(b"event: overview"):
                    self.received += 1
                    shown += 1
                    if shown == 1:
                        self._connected.release()
            raise ConnectionError("a live page was closed")
        finally:
            writer.close()


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def publish(publisher: Publisher, name: str, count: int, rate: float) -> None:
    """Publish events at a steady rate."""
    began = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
        text = "when are you open?" if number % EVERY == 0 else "thanks a lot"
        publisher.publish(f"{text} {name} {number}", id=f"{name}-{number}")
    publisher.flush()


def await_outcomes(reader: TopicReader, count: int) -> float:
    """Return the time at which the last of so many outcomes was written, in seconds since 1970."""
    deadline, last = time.monotonic() + PATIENCE_SECONDS, 0.0
    while count > 0:
        for record in reader.batch():
            count -= 1
            last = max(last, record.timestamp.timestamp())
        if time.monotonic() > deadline:
            raise RuntimeError(f"{count} events never ended")
    return last


def measure_round(on: RunningPipeline, ui: int, name: str, pages: OpenPages | None, given: argparse.Namespace) -> Round:
    """Publish for some seconds, wait for the last outcome, and return the figures."""
    count = int(given.seconds * given.rate)
    reader = TopicReader(on.kafka, ["outcomes"], end_offsets(on.kafka, ["outcomes"]))
    pids = [on.processes[tier].process.pid for tier in TIERS]
    tiers, shown = sum(map(cpu_seconds, pids)), cpu_seconds(ui)
    began = time.time()
    try:
        with Publisher(on.kafka, blobs=on.settings.blobs) as publisher:
            publish(publisher, name, count, given.rate)
        last = await_outcomes(reader, count)
    finally:
        reader.close()
    return Round(
        pages=given.pages if pages else 0,
        per_second=round(count / (last - began), 1),
        tier_cpu=round(sum(map(cpu_seconds, pids)) - tiers, 2),
        pages_cpu=round(cpu_seconds(ui) - shown, 2),
        renderings=pages.received if pages else 0,
    )


def measure(on: RunningPipeline, ui: UiProcess, given: argparse.Namespace) -> list[tuple[Round, Round]]:
    """Return all pairs: the round without pages, and that with pages."""
    pid = ui.start().process.pid
    measure_round(on, pid, "warm", None, argparse.Namespace(seconds=5, rate=given.rate, pages=0))
    pairs = []
    for number in range(given.pairs):
        found: dict[bool, Round] = {}
        for open_pages in (False, True) if number % 2 else (True, False):
            name = f"{number}-{'with' if open_pages else 'without'}"
            if open_pages:
                pages = OpenPages(ui.port, given.pages)
                with pages.open():
                    found[True] = measure_round(on, pid, name, pages, given)
            else:
                found[False] = measure_round(on, pid, name, None, given)
            print(json.dumps(asdict(found[open_pages])), file=sys.stderr, flush=True)
        pairs.append((found[False], found[True]))
    return pairs


def summary(pairs: Sequence[tuple[Round, Round]], given: argparse.Namespace) -> dict[str, Any]:
    """Return the figures over all pairs."""
    return {
        "pages": given.pages,
        "rate": given.rate,
        "seconds": given.seconds,
        "pairs": len(pairs),
        "ratio": round(statistics.median(shown.per_second / alone.per_second for alone, shown in pairs), 3),
        "tier_cpu_ratio": round(statistics.median(shown.tier_cpu / alone.tier_cpu for alone, shown in pairs), 3),
        "per_second_without": statistics.median(alone.per_second for alone, _ in pairs),
        "per_second_with": statistics.median(shown.per_second for _, shown in pairs),
        "pages_cpu_seconds": statistics.median(shown.pages_cpu for _, shown in pairs),
        "load": os.getloadavg(),
    }


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=200)
    parser.add_argument("--rate", type=float, default=500.0, help="events a second")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    os.environ["ESCALON_ALLOW_PYTHON"] = "1"
    with tempfile.TemporaryDirectory(prefix="ui-load-") as directory:
        root = Path(directory)
        (root / "load_functions.py").write_text(FUNCTIONS)
        (root / "pipeline.toml").write_text(PIPELINE)
        settings = replace(read_settings(), data_dir=root / "data")
        pipeline = load_pipeline(root / "pipeline.toml", settings.python)
        with running_pipeline(settings, pipeline) as on:
            ui = UiProcess(on.supervisor, on.settings, root / "pipeline.toml", free_ports(1)[0])
            found = summary(measure(on, ui, given), given)
    print(json.dumps(found, indent=None if given.json else 2))


if __name__ == "__main__":
    main()
