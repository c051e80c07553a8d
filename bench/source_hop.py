"""The CPU time that an event costs more if LISTEN makes it of a record of the user's own topic.

Run `python -m bench.source_hop`. A backlog of events goes through LISTEN, once published to `events`, once as records
of a topic of the user's with a mapping and a filter. Each case counts LISTEN's and the broker's CPU time by event.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from bench.deployment import PARTITIONS, Deployment, deployment
from bench.desk import MAIL
from bench.measure import Case, Options, Result, interleave
from bench.run import lines

TOPIC: Final = "crm.notes"
PIPELINE: Final = """\
name = "hop"

[source]
topics = ["crm.notes"]
id = ["/note/number", "header:version"]
text = ["/subject", "/body"]
unless = { "/draft" = true }

[listeners.words]
kind = "rules"

[listeners.words.rules]
question = ["^question"]

[routes]
question = "ignore"
unsure = "ignore"
"""


@dataclass(frozen=True, slots=True)
class Direct:
    """Events on the topic `events`."""

    deployed: Deployment
    events: int
    numbers: Iterator[int] = field(default_factory=count)

    def __call__(self) -> Mapping[str, float]:
        name = next(self.numbers)
        return self._measured(lambda: self.deployed.publish(self._event(name, one) for one in range(self.events)))

    def _event(self, name: int, number: int) -> Mapping[str, str]:
        return {"id": f"direct-{name}-{number}", "text": MAIL.format(number)}

    def _measured(self, publish: Callable[[], None]) -> Mapping[str, float]:
        ends, before = self.deployed.end("results"), self.deployed.cpu()
        publish()
        self.deployed.wait_for("results", ends + self.events)
        used = {name: spent - before[name] for name, spent in self.deployed.cpu().items()}
        return {f"{name} ms/event": 1000 * used[name] / self.events for name in ("LISTEN", "broker")}


class Mapped(Direct):
    """The same events as records of the user's topic."""

    def __call__(self) -> Mapping[str, float]:
        name = next(self.numbers)
        return self._measured(lambda: self._send(name))

    def _send(self, name: int) -> None:
        producer = Producer(self.deployed.running.kafka.confluent(**{"linger.ms": 1}))
        for number in range(self.events):
            value = {
                "note": {"number": f"mapped-{name}-{number}", "written": "2026-11-02T09:30:00Z"},
                "subject": "A question",
                "body": MAIL.format(number),
                "draft": False,
            }
            producer.produce(TOPIC, json.dumps(value).encode(), headers={"version": "1"})
            producer.poll(0)
        producer.flush()


def run(options: Options) -> Result:
    """Measure both in turns."""
    events = options.size(5000, 100)
    with tempfile.TemporaryDirectory() as place:
        pipeline = Path(place) / "pipeline.toml"
        pipeline.write_text(PIPELINE, "utf-8")
        with deployment(pipeline, options) as deployed:
            admin = AdminClient(deployed.running.kafka.confluent())
            for made in admin.create_topics([NewTopic(TOPIC, PARTITIONS)]).values():
                made.result(30)
            deployed.start("listen")
            cases: dict[str, Case] = {"direct": Direct(deployed, events), "of a record": Mapped(deployed, events)}
            found = interleave({"warm-up": Mapped(deployed, 200), **cases}, options.rounds_or(3))
    hop = found.ratio("LISTEN, of a record / direct", ("of a record", "LISTEN ms/event"), ("direct", "LISTEN ms/event"))
    return Result("source_hop", [hop], found.figures())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--kafka-home", type=Path)
    given = parser.parse_args()
    print(*lines(run(Options(quick=given.quick, rounds=given.rounds, kafka_home=given.kafka_home))), sep="\n")
