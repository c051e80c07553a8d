"""The CPU time of an event by path and process, in a backlog and at 25 events a second, beside peers.

The models are a fake Messages API without latency, in a process of its own whose CPU time is not counted. A case
publishes its events and ends when RECORD has committed all that they caused, so that the time at rest between events is
included. The peers make calls with the prompt of the answering worker: the SDK alone; LiteLLM's Router with a callback;
and a script of aiokafka, the SDK and clickhouse-connect, from an event on a topic to a row and an outcome.
"""

from __future__ import annotations

import json
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from bench.deployment import PARTITIONS, TIERS, Deployment, deployment, messages_api
from bench.desk import MAIL, PATHS, desk
from bench.measure import BEFORE, OWN, Case, Options, Ratio, Result, Rounds, interleave
from bench.peers import install
from bench.peers.peer import BATCH
from streams.sink.batch import SINK_TABLES

RATE: Final = 25.0
BACKLOG: Final = {
    "ignored by a rule": 2000,
    "ignored by the classifier": 2000,
    "answered by a worker": 600,
    "escalated": 400,
}
PROCESSES: Final = tuple(tier.upper() for tier in TIERS)
SUM: Final = "escalon ms/event"
SERVERS: Final = ("broker ms/event", "ClickHouse ms/event")
LITELLM: Final = "LiteLLM Router with a callback"
SCRIPT: Final = "aiokafka + SDK + clickhouse-connect"
STEADY: Final = ("ignored by a rule", "answered by a worker")


@dataclass(frozen=True, slots=True)
class EscalonCase:
    """Events of one path through a running pipeline."""

    deployed: Deployment
    path: str
    events: int
    per_second: float | None
    numbers: Iterator[int] = field(default_factory=count)

    def __call__(self) -> Mapping[str, float]:
        name = f"{self.path}-{self.per_second}-{next(self.numbers)}".replace(" ", "-")
        ends, before, began = self.deployed.end("outcomes"), self.deployed.cpu(), time.monotonic()
        self.deployed.publish((PATHS[self.path](f"{name}-{one}") for one in range(self.events)), self.per_second)
        self.deployed.wait_for("outcomes", ends + self.events)
        seconds = time.monotonic() - began
        self.deployed.wait_for_commits("record", SINK_TABLES)
        used = {process: spent - before[process] for process, spent in self.deployed.cpu().items()}
        found = {f"{process} ms/event": 1000 * spent / self.events for process, spent in used.items()}
        found[SUM] = sum(found[f"{process} ms/event"] for process in PROCESSES)
        return found if self.per_second else found | {"backlog events/s": self.events / seconds}


def at_rest(deployed: Deployment, seconds: float) -> Case:
    """A case without events."""

    def measured() -> Mapping[str, float]:
        before = deployed.cpu()
        time.sleep(seconds)
        return {f"{name} ms/s": 1000 * (spent - before[name]) / seconds for name, spent in deployed.cpu().items()}

    return measured


def peer(name: str, argument: Mapping[str, Any]) -> Case:
    """A peer that only makes calls."""

    def measured() -> Mapping[str, float]:
        return {"CPU ms/call": 1000 * install.run(name, dict(argument))["cpu_seconds"] / argument["calls"]}

    return measured


def by_hand(deployed: Deployment, argument: Mapping[str, Any]) -> Case:
    """The script, with topics of its own on the servers of a deployment."""
    topics = ("script-events", "script-outcomes")
    admin = AdminClient(deployed.running.kafka.confluent())
    for made in admin.create_topics([NewTopic(one, PARTITIONS) for one in topics]).values():
        made.result(30)
    servers = {"kafka": deployed.running.kafka.servers, "clickhouse": deployed.running.clickhouse.url}
    whole = {**argument, **servers, "events": topics[0], "outcomes": topics[1]}

    def measured() -> Mapping[str, float]:
        producer = Producer(deployed.running.kafka.confluent())
        for number in range(argument["calls"] + BATCH):
            event = {"id": str(number), "text": MAIL.format(number)}
            producer.produce(topics[0], json.dumps(event).encode(), key=event["id"])
        producer.flush()
        found = install.run("script", whole)
        return {"CPU ms/call": 1000 * found["cpu_seconds"] / found["calls"]}

    return measured


@contextmanager
def cases(options: Options) -> Iterator[dict[str, Case]]:
    """All cases, on running pipelines that have handled events of each path before; in a quick run, of one path."""
    with ExitStack() as opened:
        url = opened.enter_context(messages_api())
        pipeline = desk(Path(opened.enter_context(tempfile.TemporaryDirectory())))
        found: dict[str, Case] = {}
        for name, tree in options.checkouts().items():
            deployed = opened.enter_context(deployment(pipeline, options, tree, ANTHROPIC_BASE_URL=url))
            deployed.start(*TIERS)
            found |= own_cases(name, deployed, options)
        for name in options.size(tuple(PATHS), ("answered by a worker",)):
            for case in [case for subject, case in found.items() if subject.endswith(f"{name}, backlog")]:
                case()
        with urllib.request.urlopen(f"{url}/_requests") as answer:  # noqa: S310 - our own server
            body = next(one for one in json.load(answer)["bodies"] if "Question" in one["messages"][0]["content"])
        argument = {"url": url, "body": body, "calls": options.size(600, 40)}
        yield found | {
            "SDK": peer("sdk", argument),
            LITELLM: peer("litellm_router", argument),
            SCRIPT: by_hand(deployed, argument),
        }


def own_cases(name: str, deployed: Deployment, options: Options) -> dict[str, Case]:
    """The cases of one checkout."""
    found: dict[str, Case] = {}
    for path, events in BACKLOG.items():
        found[f"{name}: {path}, backlog"] = EscalonCase(deployed, path, options.size(events, 40), None)
    for path in STEADY:
        found[f"{name}: {path}, 25/s"] = EscalonCase(deployed, path, options.size(200, 10), RATE)
    return found | {f"{name}: at rest": at_rest(deployed, options.size(5.0, 1.0))}


def ratios(rounds: Rounds, compared: bool) -> Iterator[Ratio]:
    """Yield the ratios with a target, then those of before and after."""
    answered, ignored = (f"{OWN}: {path}, {{}}" for path in ("answered by a worker", "ignored by a rule"))
    call, event = "CPU ms/call", SUM
    backlog = (answered.format("backlog"), event)
    yield rounds.ratio("answered by a worker / LiteLLM Router", backlog, (LITELLM, call), at_most=0.75)
    yield rounds.ratio("answered by a worker / script by hand", backlog, (SCRIPT, call), at_most=2.0)
    yield rounds.ratio(
        "ignored by a rule / LiteLLM Router", (ignored.format("backlog"), event), (LITELLM, call), at_most=0.2
    )
    for path in STEADY:
        steady, together = (f"{OWN}: {path}, {way}" for way in ("25/s", "backlog"))
        yield rounds.ratio(f"{path}, 25/s / backlog", (steady, event), (together, event), at_most=1.5)
    if not compared:
        return
    for subject in dict.fromkeys(subject for subject, _ in rounds.taken if subject.startswith(f"{OWN}: ")):
        if "rest" in subject:
            continue
        path = subject.removeprefix(f"{OWN}: ")
        for name, target in ((SUM, None), *((server, 0.5) for server in SERVERS)):
            other = (f"{BEFORE}: {path}", name)
            yield rounds.ratio(f"{name.split()[0]}, {path}, now / before", (subject, name), other, at_most=target)


def run(options: Options) -> Result:
    """Run all cases in turns."""
    with cases(options) as found:
        rounds = interleave(found, options.rounds_or(3))
    notes = [f"one process a tier, {PARTITIONS} partitions, 32 calls in flight; CPU times are user and system together"]
    return Result("event_cost", list(ratios(rounds, options.against is not None)), rounds.figures(), notes)
