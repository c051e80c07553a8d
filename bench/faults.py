"""Events through a pipeline of two workers a tier on Apache Kafka while things are killed, stopped and taken away.

    python -m bench.faults --scenario kill --seeds 20 [--first 1] [--events 3000] [--rate 30]
        [--together 5] [--kafka-home DIR] [--results faults.jsonl]

Every seed is a run of its own; some of them are made one after the other on the same servers. A finished run is a line
of the results file, and is not made again. At the end: how many runs there are and what they came to. The model is a
fake that keeps books of every call. The data directory of a run that broke a promise is kept; the line names it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.fault_servers import kafka_home
from streams.embedded.broker import ApacheKafka, Broker
from streams.packaged_files import resource
from tests.harness.faults.cluster import KafkaCluster
from tests.harness.faults.fleet import fleet
from tests.harness.faults.run import Load, run
from tests.harness.faults.scenarios import SCENARIOS, Scenario

SHOWN = ("seed", "faults", "paid_again", "in_flight", "copies", "seconds", "whole_seconds")


def finished(results: Path) -> Iterator[dict[str, Any]]:
    """The runs made so far."""
    if results.exists():
        yield from map(json.loads, results.read_text("utf-8").splitlines())


def broker_of(scenario: Scenario, home: Path, data: Path) -> Broker:
    """Start the number of brokers that the scenario needs."""
    kind = KafkaCluster if scenario.brokers > 1 else ApacheKafka
    return kind(home.resolve(), resource("kafka"), data / "kafka")


def together(seeds: list[int], given: argparse.Namespace, home: Path) -> Iterator[dict[str, Any]]:
    """Make runs on the same servers, until one of them breaks a promise: what it left would trouble the next."""
    scenario = SCENARIOS[given.scenario]
    data = Path(tempfile.mkdtemp(prefix=f"faults-{given.scenario}-{seeds[0]}-"))
    with fleet(data, broker_of(scenario, home, data), scenario.brokers) as running:
        for seed in seeds:
            began = time.monotonic()
            proof = run(running, scenario, seed, Load(events=given.events, rate=given.rate))
            known = {"scenario": given.scenario, "seed": seed, "rate": given.rate, "faults": proof.faults}
            whole = {"whole_seconds": round(time.monotonic() - began, 1), "data": str(data), "load": os.getloadavg()}
            yield known | asdict(proof) | whole
            if proof.faults:
                return
    shutil.rmtree(data)


def summary(name: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """All runs of a scenario in one."""
    return {
        "scenario": name,
        "runs": len(runs),
        "clean": sum(not one["faults"] for one in runs),
        "events": sum(one["events"] for one in runs),
        "lost": sum(len(one["lost"]) for one in runs),
        "doubled": sum(len(one["doubled"]) for one in runs),
        "copies": sum(one["copies"] for one in runs),
        "calls": sum(one["calls"] for one in runs),
        "paid_again": sum(one["paid_again"] for one in runs),
        "stored_and_paid_again": sum(one["stored_again"] for one in runs),
        "in_flight": sum(one["in_flight"] for one in runs),
        "kills": sum(len(one["toll"]["kills"]) for one in runs),
        "longest_stop": max((seconds for one in runs for seconds in one["toll"]["stops"]), default=None),
    }


def left(given: argparse.Namespace) -> list[int]:
    """The seeds of which there is no run yet."""
    made = {
        each["seed"]
        for each in finished(given.results)
        if (each["scenario"], each["events"]) == (given.scenario, given.events)
    }
    return [seed for seed in range(given.first, given.first + given.seeds) if seed not in made]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", choices=sorted(SCENARIOS), required=True)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--events", type=int, default=3000)
    parser.add_argument("--rate", type=float, default=30.0, help="events a second")
    parser.add_argument("--together", type=int, default=5, help="runs on the same servers before new ones are started")
    parser.add_argument("--kafka-home", type=Path, help="Apache Kafka's directory; else it is installed")
    parser.add_argument("--results", type=Path, default=Path("faults.jsonl"))
    given = parser.parse_args()
    home = kafka_home(given.kafka_home)
    while seeds := left(given):
        for line in together(seeds[: given.together], given, home):
            with given.results.open("a", encoding="utf-8") as out:
                out.write(json.dumps(line) + "\n")
            print(json.dumps({name: line[name] for name in SHOWN})[:600], flush=True)
    print(json.dumps(summary(given.scenario, [e for e in finished(given.results) if e["scenario"] == given.scenario])))


if __name__ == "__main__":
    main()
