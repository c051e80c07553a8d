"""A whole pipeline while its provider fails: what becomes of the events, and how much longer they take.

    python -m bench.storm [--events 2000] [--share 0.4] [--latency 1] [--outages 2]
        [--outage-seconds 5] [--seed 1] [--kafka-home DIR] [--json]

A fake Messages API takes the provider's place; broker, ClickHouse, SDK and processes are real. A share of all calls
fails, in seven ways alike: 429 with and without retry-after, 529, 500, silence, a dropped connection, a dropped stream.
In an outage every call fails; outages begin at the quarters of the ideal time. The ideal is the same pipeline and
latency without failures, measured first. Events are all published at once. It exits with 1 where an event has no
outcome or two, an answer is not what the fake said of that event, retries exceed the budget, or verify finds a fault.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.harness.storm.running import Report, Run, run_storm
from tests.harness.storm.weather import Weather

MOST = 2.5
"""The total time over the ideal, at most."""


def main() -> int:
    """Measure and print; 0 when all held."""
    wanted = arguments()
    ideal = stormed(wanted, Weather(seed=wanted.seed, share=0.0, latency=wanted.latency))
    starts = [ideal.seconds * (number + 1) / 4 for number in range(wanted.outages)]
    weather = Weather(
        seed=wanted.seed,
        share=wanted.share,
        latency=wanted.latency,
        outages=tuple((start, start + wanted.outage_seconds) for start in starts),
    )
    storm = stormed(wanted, weather)
    found = figures(ideal, storm)
    show(found, as_json=wanted.json)
    faults = [*ideal.faults(), *storm.faults()]
    if storm.seconds > MOST * ideal.seconds:
        faults.append(f"it took {storm.seconds / ideal.seconds:.2f} times the ideal, {MOST} are allowed")
    for fault in faults:
        print(f"FAULT: {fault}", file=sys.stderr)
    return 1 if faults else 0


def stormed(wanted: argparse.Namespace, weather: Weather) -> Report:
    """One run on servers of its own."""
    with tempfile.TemporaryDirectory(prefix="storm-") as data:
        run = Run(
            events=wanted.events,
            concurrency=wanted.concurrency,
            data=Path(data),
            wait_seconds=wanted.wait,
            kafka_home=wanted.kafka_home,
        )
        return run_storm(run, weather)


def figures(ideal: Report, storm: Report) -> dict[str, Any]:
    """Return the figures of both runs."""
    return {
        "ideal_seconds": round(ideal.seconds, 1),
        "storm_seconds": round(storm.seconds, 1),
        "ratio": round(storm.seconds / ideal.seconds, 2),
        "ideal": ideal.figures(),
        "storm": storm.figures(),
    }


def show(found: dict[str, Any], *, as_json: bool) -> None:
    """Print the figures."""
    if as_json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        if isinstance(value, dict):
            print(f"\n{name}")
            for key, figure in value.items():
                print(f"  {key:<22} {figure}")
        else:
            print(f"{name:<24} {value}")


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=2000)
    parser.add_argument("--share", type=float, default=0.4, help="of the calls that fail outside of outages")
    parser.add_argument("--latency", type=float, default=1.0, help="mean seconds of a call that is answered")
    parser.add_argument("--outages", type=int, default=2)
    parser.add_argument("--outage-seconds", type=float, default=5.0)
    parser.add_argument("--concurrency", type=int, default=32, help="calls of the worker at once")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--wait", type=float, default=480.0, help="seconds after which a run is given up")
    parser.add_argument("--kafka-home", type=Path, help="Apache Kafka's directory; else the broker is in memory")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
