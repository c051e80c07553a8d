"""Memory, file handles and lag of every process over time, at a steady rate on Apache Kafka.

    python -m bench.soak [--fill 20000] [--minutes 30] [--rate 30] [--every 10] [--kafka-home DIR] [--samples FILE]

The traffic and the pipeline are the fault suite's, without faults, with two workers a tier. First so many events are
published at once that caches and buffers are full; how long they take is the greatest rate. Then the steady rate
begins, and every few seconds a line of the samples file says what each process holds. At the end, when all events have
ended: by how much each process's memory (its resident set, mean over a tenth of the time) and its file handles changed
over the last two thirds, and the lag.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.fault_servers import passing_fleet
from streams.app.publisher import Publisher
from streams.sink.batch import SINK_TABLES
from tests.harness.faults.fleet import Fleet
from tests.harness.faults.proof import Watch, prove
from tests.harness.faults.traffic import Planned, traffic
from tests.harness.progress import uncommitted

READ_BY: Mapping[str, Iterable[str]] = {
    "listen": ("events", "images"),
    "work": ("verdicts",),
    "reason": ("escalations",),
    "settle": ("results",),
    "resume": ("deferred-budget", "deferred-provider"),
    "record": SINK_TABLES,
}
"""The topics that each tier commits."""


def held(pid: int) -> dict[str, float]:
    """The resident set of a process in MiB, and how many file handles it has open."""
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return {"mib": int(resident.split()[1]) / 1024, "files": len(os.listdir(f"/proc/{pid}/fd"))}  # noqa: PTH208


def lag(on: Fleet) -> int:
    """Messages that the groups of all tiers have not committed yet."""
    return sum(uncommitted(on.running.kafka, tier, topics) for tier, topics in READ_BY.items())


def sample(on: Fleet, began: float) -> dict[str, Any]:
    """One line."""
    pids = on.running.supervisor.pids() | on.stack.supervisor.pids()
    return {"at": time.monotonic() - began, "lag": lag(on), "held": {name: held(pid) for name, pid in pids.items()}}


def changes(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """By process: memory and handles after a third of the time, at the end, and the change in per cent."""
    tenth = max(1, len(samples) // 10)
    third = len(samples) // 3
    found = {}
    for name in samples[-1]["held"]:
        figures = {}
        for what in ("mib", "files"):
            early = statistics.mean(one["held"][name][what] for one in samples[third : third + tenth])
            late = statistics.mean(one["held"][name][what] for one in samples[-tenth:])
            figures[what] = {
                "early": round(early, 1),
                "late": round(late, 1),
                "percent": round(100 * (late / early - 1), 1),
            }
        found[name] = figures
    return found


def soak(on: Fleet, given: argparse.Namespace) -> dict[str, Any]:
    """Fill, publish at a steady rate, sample, wait for the end."""
    on.begin()
    events = list(traffic(1, given.fill + int(given.minutes * 60 * given.rate)))
    watch, started = Watch(on, {one.id: one for one in events}), time.monotonic()
    publish(on, events[: given.fill], 0)
    first = {one.id for one in events[: given.fill]}
    while watch.missing(first):
        watch.look()
    began = time.monotonic()
    publishing = threading.Thread(target=publish, args=(on, events[given.fill :], given.rate), daemon=True)
    publishing.start()
    samples = []
    while publishing.is_alive():
        samples.append(sample(on, began))
        with given.samples.open("a", encoding="utf-8") as out:
            out.write(json.dumps(samples[-1]) + "\n")
        until = time.monotonic() + given.every
        while time.monotonic() < until:
            watch.look()
    while watch.missing():
        watch.look()
    proof = prove(on, watch, time.monotonic() - started)
    time.sleep(5)  # the last commits
    watch.close()
    return {
        "greatest_rate": round(given.fill / (began - started), 1) if given.fill else None,
        "minutes": given.minutes,
        "rate": given.rate,
        "events": proof.events,
        "faults": proof.faults,
        "greatest_lag": max(one["lag"] for one in samples),
        "lag_at_the_end": lag(on),
        "held": changes(samples),
        "load": os.getloadavg(),
    }


def publish(on: Fleet, events: Sequence[Planned], rate: float) -> None:
    """Publish at so many events a second, or all at once for 0."""
    began = time.monotonic()
    with Publisher(on.running.kafka, blobs=on.running.settings.blobs) as publisher:
        for number, event in enumerate(events):
            if rate:
                time.sleep(max(0.0, began + number / rate - time.monotonic()))
            publisher.publish(event.text or "", id=event.id, image=event.image)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fill", type=int, default=20_000, help="events published at once before the time begins")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=30.0, help="events a second")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between samples")
    parser.add_argument("--kafka-home", type=Path, help="Apache Kafka's directory; else it is installed")
    parser.add_argument("--samples", type=Path, default=Path("soak.jsonl"))
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with passing_fleet(given.kafka_home, "soak") as running:
        found = soak(running, given)
    print(json.dumps(found, indent=None if given.json else 2))


if __name__ == "__main__":
    main()
