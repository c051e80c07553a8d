"""The CPU time of an event in a replay whose answers are all stored, and its rate by the clock.

Events that a worker answers pass through a pipeline with a fake Messages API. Then `escalon replay` runs all of them
through the same pipeline, which asks no model, and then one of them: the difference is the time of the other events,
without the start and the reading of the stored answers. Events by CPU second is what one core could replay.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

from bench.deployment import TIERS, Deployment, deployment, messages_api
from bench.desk import PATHS, desk
from bench.measure import Case, Options, Ratio, Result, interleave
from streams.audit.query import Audit
from streams.sink.batch import SINK_TABLES

PATH: Final = "answered by a worker"
EVENTS: Final = 5000
PER_CPU_SECOND: Final = "one-core events/s"
LEAST: Final = 2000


@dataclass(frozen=True, slots=True)
class Replay:
    """The replay of a deployment's events through its own pipeline."""

    deployed: Deployment
    pipeline: Path
    events: int
    url: str
    numbers: Iterator[int] = field(default_factory=count)

    def fill(self) -> None:
        """Let the live tiers answer the events."""
        self.deployed.start(*TIERS)
        self.deployed.publish(PATHS[PATH](f"event-{number}") for number in range(self.events))
        self.deployed.wait_for("outcomes", self.events)
        self.deployed.wait_for_commits("record", SINK_TABLES)
        self.deployed.stop(*TIERS)

    def __call__(self) -> Mapping[str, float]:
        number, asked = next(self.numbers), requests(self.url)
        name = f"all-{number}"
        spent = self._replay(name) - self._replay(f"one-{number}", "--limit", "1")
        if faults := requests(self.url) - asked + self._differing(name):
            raise RuntimeError(f"{name} made calls, or its outcomes differ from the live ones: {faults}.")
        each = spent / (self.events - 1)
        return {"CPU ms/event": 1000 * each, PER_CPU_SECOND: 1 / each, "clock events/s": self.events / self._took(name)}

    def _replay(self, name: str, *more: str) -> float:
        """Replay, and return the CPU seconds of the command."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-P", "-m", "streams", "replay", "--run", name, "--pipeline", str(self.pipeline)]
        environment = {**self.deployed.running.environment, **self.deployed.environment}
        done = subprocess.run([*command, *more], env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def _took(self, run: str) -> float:
        sql = "SELECT dateDiff('millisecond', started_at, updated_at) / 1000 FROM runs WHERE run = {run:String}"
        return float(self._one(sql, run))

    def _differing(self, run: str) -> int:
        """Return how many outcomes are missing or not those of the live run."""
        sql = """
            SELECT countIf(runs != 2 OR different != 1) FROM
            (
                SELECT event_id, uniqExact(run) AS runs,
                    uniqExact((state, tier, handler, intent, answer, reasons)) AS different
                FROM outcomes WHERE run IN ('live', {run:String}) GROUP BY event_id
            )
        """
        return int(self._one(sql, run))

    def _one(self, sql: str, run: str) -> Any:
        audit = Audit(self.deployed.running.clickhouse)
        (found,) = audit.query(sql, {"run": run}).rows[0]
        audit.close()
        return found


def requests(url: str) -> int:
    """Return the number of calls that the models received."""
    with urllib.request.urlopen(f"{url}/_requests") as answer:  # noqa: S310 - our own server
        return int(json.load(answer)["count"])


def run(options: Options) -> Result:
    """Replay in turns."""
    cases: dict[str, Case] = {}
    with ExitStack() as opened:
        url = opened.enter_context(messages_api())
        pipeline = desk(Path(opened.enter_context(tempfile.TemporaryDirectory())))
        for name, tree in options.checkouts().items():
            deployed = opened.enter_context(deployment(pipeline, options, tree, ANTHROPIC_BASE_URL=url))
            replay = Replay(deployed, pipeline, options.size(EVENTS, 100), url)
            replay.fill()
            cases[name] = replay
        rounds = interleave(cases, options.rounds_or(3))
    taken = tuple(one / LEAST for one in rounds.taken["escalon", PER_CPU_SECOND])
    return Result("replay", [Ratio(f"replayed events/s on one core / {LEAST}", taken, at_least=1.0)], rounds.figures())
