"""Many tasks that wait for a slow model: the wall time of one worker, by the ideal, and its CPU time a task.

The fake Messages API answers after 300 ms. WORK alone runs and has handled tasks before; then the verdicts of all tasks
are published at once. The time begins with the first verdict and ends with the last result, as Kafka's times of
creation say. The ideal is that of full rounds of all slots.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

from confluent_kafka import Producer

from bench.deployment import Deployment, deployment, messages_api
from bench.desk import MAIL, desk
from bench.measure import Options, Ratio, Result, interleave
from streams.adapters.codec_factory import codec_for
from streams.adapters.topic_reader import TopicReader
from tests.builders import event, verdict

TASKS: Final = 2000
SLOTS: Final = 256
LATENCY: Final = 0.3
WALL: Final = "wall s"


@dataclass(frozen=True, slots=True)
class Backlog:
    """Tasks for WORK, published at once."""

    deployed: Deployment
    tasks: int
    numbers: Iterator[int] = field(default_factory=count)

    def __call__(self) -> Mapping[str, float]:
        codec, name = codec_for(None), f"task-{next(self.numbers)}"
        verdicts = [verdict(event(f"{name}-{one}", MAIL.format(f"{name}-{one}"))) for one in range(self.tasks)]
        values = [codec.encode(one) for one in verdicts]
        kafka, before = self.deployed.running.kafka, self.deployed.cpu()
        with TopicReader(kafka, ["results"]) as results:
            ends = results.ends()
        producer = Producer(kafka.confluent(**{"linger.ms": 5}))
        began = time.time()
        for number, value in enumerate(values):
            producer.produce("verdicts", value, key=str(number))
        producer.flush()
        self.deployed.wait_for("results", sum(ends.values()) + self.tasks)
        used = {process: spent - before[process] for process, spent in self.deployed.cpu().items()}
        with TopicReader(kafka, ["results"], ends) as results:
            last = max(record.timestamp.timestamp() for record in results.to_end())
        return {WALL: last - began, "WORK ms/task": 1000 * used["WORK"] / self.tasks}


def ideal(tasks: int) -> float:
    """Return the seconds of full rounds of all slots."""
    return math.ceil(tasks / SLOTS) * LATENCY


def run(options: Options) -> Result:
    """Run the backlog some times."""
    tasks, cases = options.size(TASKS, SLOTS), {}
    with ExitStack() as opened:
        url = opened.enter_context(messages_api(LATENCY))
        pipeline = desk(Path(opened.enter_context(tempfile.TemporaryDirectory())))
        pipeline.write_text(pipeline.read_text("utf-8").replace("concurrency = 32", f"concurrency = {SLOTS}"), "utf-8")
        for name, tree in options.checkouts().items():
            deployed = opened.enter_context(deployment(pipeline, options, tree, ANTHROPIC_BASE_URL=url))
            deployed.start("work")
            cases[name] = Backlog(deployed, tasks)
            cases[name]()  # warm up
        rounds = interleave(cases, options.rounds_or(5))
    taken = tuple(wall / ideal(tasks) for wall in rounds.taken["escalon", WALL])
    ratio = Ratio(f"{tasks} tasks of {LATENCY:g} s with {SLOTS} in flight / ideal", taken, at_most=1.15)
    return Result("in_flight", [ratio], rounds.figures(), [f"ideal {ideal(tasks):.2f} s"])
