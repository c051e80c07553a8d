"""CPU time, time and memory of each tier's process until it is ready, at rest and under load, and `escalon --help`.

Each round starts a pipeline on Apache Kafka and ClickHouse, one process a tier after the other, so that a tier's time
is its own. Memory is the resident set: when ready, after ten seconds at rest, and after a backlog of events that a
worker answers. RECORD has no ready file; it is ready at rest.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

from bench.deployment import TIERS, Deployment, deployment, messages_api
from bench.desk import PATHS, desk
from bench.measure import Case, Options, Ratio, Result, Rounds, cpu_seconds, interleave, resident_mib
from streams.sink.batch import SINK_TABLES

PATH: Final = "answered by a worker"
REST_SECONDS: Final = 10.0
WORKER_MIB: Final = 110.0
WORKER_CPU_SECONDS: Final = 3.0
HELP_CPU_SECONDS: Final = 0.4


@dataclass(frozen=True, slots=True)
class Start:
    """Starts all tiers of a deployment, and stops them."""

    deployed: Deployment
    rounds: Rounds
    name: str
    rest_seconds: float
    events: int
    numbers: Iterator[int] = field(default_factory=count)

    def __call__(self) -> Mapping[str, float]:
        for tier in TIERS:
            began = time.monotonic()
            self.deployed.start(tier)
            seconds = time.monotonic() - began
            if tier != "record":
                self._note(tier, {"until-ready s": seconds, "CPU-until-ready s": cpu_seconds(self._pid(tier))})
                self._note(tier, {"ready MiB": resident_mib(self._pid(tier))})
        time.sleep(self.rest_seconds)
        for tier in TIERS:
            self._note(tier, {"at-rest MiB": resident_mib(self._pid(tier))})
        number, ends = next(self.numbers), self.deployed.end("outcomes")
        self.deployed.publish(PATHS[PATH](f"{number}-{one}") for one in range(self.events))
        self.deployed.wait_for("outcomes", ends + self.events)
        self.deployed.wait_for_commits("record", SINK_TABLES)
        for tier in TIERS:
            self._note(tier, {"after-load MiB": resident_mib(self._pid(tier))})
        self.deployed.stop(*TIERS)
        return {}

    def _pid(self, tier: str) -> int:
        return self.deployed.running.supervisor.pids()[f"{tier}-0"]

    def _note(self, tier: str, found: Mapping[str, float]) -> None:
        self.rounds.add(f"{self.name}: {tier.upper()}", found)


def help_page(tree: Path) -> Case:
    """A case that prints the list of commands."""

    def measured() -> Mapping[str, float]:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-P", "-m", "streams", "--help"]
        environment = {**os.environ, "PYTHONPATH": str(tree)}
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {"CPU s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}

    return measured


def ratios(rounds: Rounds, name: str) -> Iterator[Ratio]:
    for tier in ("WORK", "LISTEN", "SETTLE"):
        for quantity, most in (("at-rest MiB", WORKER_MIB), ("CPU-until-ready s", WORKER_CPU_SECONDS)):
            taken = rounds.taken[f"{name}: {tier}", quantity]
            what = f"{tier} {quantity.replace('-', ' ')} / {most:g}"
            yield Ratio(what, tuple(one / most for one in taken), at_most=1.0)
    taken = rounds.taken[f"{name}: --help", "CPU s"]
    yield Ratio(f"--help CPU s / {HELP_CPU_SECONDS:g}", tuple(one / HELP_CPU_SECONDS for one in taken), at_most=1.0)


def run(options: Options) -> Result:
    """Start all tiers in each round, and ask for the help page."""
    rounds = Rounds()
    cases: dict[str, Case] = {}
    with ExitStack() as opened:
        url = opened.enter_context(messages_api())
        pipeline = desk(Path(opened.enter_context(tempfile.TemporaryDirectory())))
        for name, tree in options.checkouts().items():
            deployed = opened.enter_context(deployment(pipeline, options, tree, ANTHROPIC_BASE_URL=url))
            rest, events = options.size(REST_SECONDS, 1.0), options.size(1000, 40)
            cases[f"{name}: tiers"] = Start(deployed, rounds, name, rest, events)
            cases[f"{name}: --help"] = help_page(tree)
        found = interleave(cases, options.rounds_or(3))
    rounds.taken |= found.taken
    return Result(
        "startup", list(ratios(rounds, "escalon")), rounds.figures(), ["pipeline with rules and a classifier"]
    )
