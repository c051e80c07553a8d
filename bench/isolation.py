"""The listeners' throughput beside a stalled reasoner.

    python -m bench.isolation [--pairs 10] [--seconds 60] [--rate 200] [--workers 1] [--kafka-home DIR] [--json]

Events come at a steady rate into a pipeline on Apache Kafka; three of a hundred go straight to the reasoner. In every
pair one window is as usual, and in the other the reasoner's model gives no answer before the window's end; which is
first changes from pair to pair. Between windows all events must have ended. Measured from the raw topic of the
verdicts: verdicts a second, from the first to the last, and the 99th percentile of the time from an event's publication
to its verdict. The result is the median over the pairs of stalled by usual.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.fault_servers import passing_fleet
from streams.adapters.codec import Codec
from streams.adapters.topic_reader import Offsets, TopicReader
from streams.app.publisher import Publisher
from streams.core.messages import Outcome, Verdict
from tests.harness.fakes.messages_outcomes import Outcome as Said
from tests.harness.fakes.messages_outcomes import Slow
from tests.harness.faults.fleet import Fleet
from tests.harness.faults.traffic import REASONER, answer
from tests.harness.progress import end_offsets

CODEC = Codec()
PATIENCE = 600.0


@dataclass
class Stall:
    """Until when the reasoner's model is silent, in seconds since 1970."""

    until: float = 0.0

    def answer(self, body: Mapping[str, Any]) -> Said:
        """The usual answer, at the earliest after the stall."""
        said, left = answer(body), self.until - time.time()
        if body["model"] != REASONER or left <= 0 or not isinstance(said, Slow):
            return said
        return Slow(left + said.seconds, said.then)


@dataclass(frozen=True)
class Window:
    """The measurements of one window."""

    per_second: float
    p50: float
    p99: float
    """Seconds."""


def publish(publisher: Publisher, name: str, count: int, rate: float) -> set[str]:
    """Publish events at a steady rate; their ids."""
    began, ids = time.monotonic(), set()
    for number in range(count):
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
        event_id = f"{name}-{number}"
        text = f"please think about {event_id}" if number % 33 == 0 else f"ok, thanks for {event_id}"
        publisher.publish(text, id=event_id, time=datetime.now(UTC))
        ids.add(event_id)
    return ids


def await_all(on: Fleet, kind: Any, topic: str, start: Offsets, ids: set[str]) -> list[tuple[float, float]]:
    """Wait until every event has a message on a topic; when each was published and when that was written."""
    tail, left, found = TopicReader(on.running.kafka, [topic], start), set(ids), []
    deadline = time.monotonic() + PATIENCE
    try:
        while left:
            for record in tail.batch():
                message = CODEC.decode(kind, record.value or b"")
                origin = message.origin if kind is Outcome else message.event.origin
                if origin.event_id in left:
                    left.discard(origin.event_id)
                    found.append((origin.event_time.timestamp(), record.timestamp.timestamp()))
            if time.monotonic() > deadline:
                raise RuntimeError(f"{len(left)} events never came on {topic}")
    finally:
        tail.close()
    return found


def window(
    on: Fleet, publisher: Publisher, stall: Stall, name: str, seconds: float, given: argparse.Namespace
) -> Window:
    """One window; `seconds` is how long the reasoner is silent in it."""
    verdicts, outcomes = (end_offsets(on.running.kafka, [topic]) for topic in ("verdicts", "outcomes"))
    stall.until = time.time() + seconds
    ids = publish(publisher, name, int(given.seconds * given.rate), given.rate)
    times = await_all(on, Verdict, "verdicts", verdicts, ids)
    await_all(on, Outcome, "outcomes", outcomes, ids)
    written = [written for _, written in times]
    waits = sorted(written - published for published, written in times)
    return Window(
        per_second=len(times) / (max(written) - min(written)),
        p50=waits[len(waits) // 2],
        p99=waits[int(len(waits) * 0.99)],
    )


def measure(on: Fleet, given: argparse.Namespace) -> dict[str, Any]:
    """All pairs."""
    stall, pairs = Stall(), []
    on.provider.server.answer = stall.answer
    # One publisher for all windows: a new one needs a second before its first event is on the way.
    with Publisher(on.running.kafka, blobs=on.running.settings.blobs) as publisher:
        window(on, publisher, stall, "warm", 0, argparse.Namespace(seconds=5, rate=given.rate))
        for number in range(given.pairs):
            found = {}
            for kind in ("usual", "stalled") if number % 2 else ("stalled", "usual"):
                silent = given.seconds if kind == "stalled" else 0
                found[kind] = window(on, publisher, stall, f"{kind}-{number}", silent, given)
            pairs.append((found["usual"], found["stalled"]))
            print(json.dumps({name: vars(one) for name, one in found.items()}), file=sys.stderr, flush=True)
    return {
        "pairs": len(pairs),
        "seconds": given.seconds,
        "rate": given.rate,
        "workers": given.workers,
        "throughput_ratio": statistics.median(stalled.per_second / usual.per_second for usual, stalled in pairs),
        "p99_ratio": statistics.median(stalled.p99 / usual.p99 for usual, stalled in pairs),
        "p99_usual": statistics.median(usual.p99 for usual, _ in pairs),
        "p99_stalled": statistics.median(stalled.p99 for _, stalled in pairs),
        "load": os.getloadavg(),
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=200.0, help="events a second")
    parser.add_argument("--workers", type=int, default=1, help="processes of every tier")
    parser.add_argument("--kafka-home", type=Path, help="Apache Kafka's directory; else it is installed")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with passing_fleet(given.kafka_home, "isolation", given.workers) as running:
        found = measure(running, given)
    print(json.dumps(found, indent=None if given.json else 2))


if __name__ == "__main__":
    main()
