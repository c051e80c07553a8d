"""One pipeline on embedded servers through one storm, and what is found on the topics after it."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from confluent_kafka import Producer

from streams.adapters.codec import Codec
from streams.adapters.topic_reader import TopicReader
from streams.app.process import TIERS
from streams.app.settings import read_settings
from streams.calling.request import ATTEMPTS_A_ROUND
from streams.core.errors import NOT_CALLED
from streams.core.messages import Call, Outcome, Verdict
from streams.core.retry_budget import RESERVE
from streams.embedded.local_pipeline import RunningPipeline, running_pipeline
from streams.pipeline.load import load_pipeline
from tests.harness.fakes.messages_thread import MessagesThread
from tests.harness.ports import neighbouring_ports
from tests.harness.progress import wait_for_sink
from tests.harness.storm.weather import Weather, reply

CODEC = Codec()
DEADLINE = timedelta(minutes=30)
SHARE = 0.3
"""The retry budget of both models."""
SERIES = re.compile(r"escalon_(breaker_changes|retries)_total\{(?P<labels>[^}]*)\} (?P<value>\S+)")
PIPELINE = f"""
name = "storm"
deadline = "30m"

[models.worker]
provider = "claude"
model = "claude-haiku-5-5"
retry_budget = {SHARE}

[models.reasoner]
provider = "claude"
model = "claude-opus-5-5"
retry_budget = {SHARE}

[listeners.words]
kind = "rules"

[listeners.words.rules]
question = ['\\?']

[routes]
question = "workers.answer"
unsure = "ignore"

[workers.answer]
task = "answer"
model = "worker"
inputs = ["text"]
confidence = "verbalized"
threshold = 0.7
timeout = "3s"
retries = 4
concurrency = CONCURRENCY

[reasoners.resolve]
task = "resolve"
model = "reasoner"
inputs = ["text"]
timeout = "3s"
retries = 4
concurrency = CONCURRENCY

[retry_later]
wait = "5s"
times = 5
"""


@dataclass(frozen=True, kw_only=True)
class Run:
    """The size of a run."""

    events: int
    concurrency: int
    data: Path
    wait_seconds: float
    kafka_home: Path | None = None
    """Apache Kafka's directory; None for the in-memory broker."""
    kill_every: float = math.inf
    """Seconds after which WORK or REASON is killed, by turns, and started again."""


@dataclass(kw_only=True)
class Report:
    """The findings of a run."""

    events: int
    seconds: float
    weather: Weather
    outcomes: Mapping[str, list[Outcome]]
    calls: Mapping[str, Call]
    """By id."""
    changes: Mapping[str, float]
    """Of breakers and retries, by name and labels, as the processes' figures have them."""
    verified: str
    """Empty where verify found no fault."""
    kills: int
    untimed: int
    """Verdicts whose event has not the deadline that follows from its record."""

    def faults(self) -> list[str]:
        """The broken promises."""
        found = []
        if missing := self.events - len(self.outcomes):
            found.append(f"{missing} events have no outcome")
        if doubled := sum(len({CODEC.encode(one) for one in each}) > 1 for each in self.outcomes.values()):
            found.append(f"{doubled} events have two outcomes")
        if self.invented():
            found.append(f"{len(self.invented())} answers were not given: {self.invented()[:3]}")
        for model, (made, allowed) in self.retries().items():
            if made > allowed:
                found.append(f"{made} retries of {model}, {allowed:.0f} are in its budget")
        if self.untimed:
            found.append(f"{self.untimed} events travelled without their deadline")
        if self.verified:
            found.append(f"verify: {self.verified}")
        return found

    def invented(self) -> list[str]:
        """Events whose outcome says what the model that is said to have answered never did."""
        found = []
        for name, (one, *_) in self.outcomes.items():
            if one.state != "answered":
                continue
            call, case = self.calls.get(one.call_id or ""), name.removeprefix("case-")
            model = call.request_model if call and call.status == "answered" else ""
            said = json.loads(one.answer or "{}").get("reply")
            if said != reply(model, case) or not self.weather.answered[model, case]:
                found.append(name)
        return found

    def retries(self) -> dict[str, tuple[int, float]]:
        """By model, the retries that were made and those its budget allows."""
        made: dict[str, Counter[tuple[str, int]]] = defaultdict(Counter)
        for call in self.calls.values():
            if call.tier != "listener" and call.error_type not in NOT_CALLED:
                made[call.request_model][call.origin.event_id, (call.attempt - 1) // ATTEMPTS_A_ROUND] += 1
        reserve = RESERVE * (1 + self.kills + self.seconds / 60)  # a new process has one of its own
        return {model: (tries.total() - len(tries), SHARE * tries.total() + reserve) for model, tries in made.items()}

    def given_again(self) -> int:
        """Answers to a model and case beyond the first one: those that came after the call's time-out."""
        return sum(times - 1 for times in self.weather.answered.values())

    def figures(self) -> dict[str, Any]:
        """All of it, to be shown."""
        ends = Counter(f"{each[0].state} by {each[0].tier}" for each in self.outcomes.values())
        errors = Counter(call.error_type for call in self.calls.values() if call.error_type)
        return {
            "outcomes": dict(ends),
            "without outcome": self.events - len(self.outcomes),
            "calls at the provider": self.weather.fates.total(),
            "of them failed": round(self.weather.failed_share, 3),
            "how": dict(self.weather.fates),
            "errors in the audit": dict(errors),
            "retries, and allowed": {model: (n, round(most)) for model, (n, most) in self.retries().items()},
            "put off": sum(call.decision == "deferred" for call in self.calls.values()),
            "invented answers": len(self.invented()),
            "answers after time-out": self.given_again(),
            "breakers and retries": dict(self.changes),
            "verify": self.verified or "no fault",
        }


def run_storm(run: Run, weather: Weather) -> Report:
    """Run all events through the storm. Where it takes too long the report says what is missing."""
    with MessagesThread(weather) as claude, _started(run, claude.url) as running:
        began = time.monotonic()
        _publish(running, run.events)
        outcomes, kills = _outcomes(running, run, began)
        seconds = time.monotonic() - began
        wait_for_sink(running.kafka)
        return Report(
            events=run.events,
            seconds=seconds,
            weather=weather,
            outcomes=outcomes,
            calls={call.call_id: call for call in _messages(running, "calls", Call)},
            changes=_changes(running),
            verified=_verified(running),
            kills=kills,
            untimed=sum(one.event.deadline != _due(one) for one in _messages(running, "verdicts", Verdict)),
        )


def _publish(running: RunningPipeline, events: int) -> None:
    """One message a batch, for the in-memory broker may number those of one batch alike."""
    producer = Producer(running.kafka.confluent(**{"batch.num.messages": 1}))
    for number in range(events):
        event = {"id": f"case-{number}", "text": f"What about case {number}?"}
        producer.produce("events", json.dumps(event), key=event["id"])
        producer.poll(0)
    assert producer.flush(60) == 0


@contextmanager
def _started(run: Run, url: str) -> Iterator[RunningPipeline]:
    path = run.data / "pipeline.toml"
    path.write_text(PIPELINE.replace("CONCURRENCY", str(run.concurrency)), "utf-8")
    named = {
        "ANTHROPIC_API_KEY": "no-key",
        "ANTHROPIC_BASE_URL": url,
        "ESCALON_DATA": str(run.data),
        "ESCALON_CACHE": str(run.data / "cache"),
        "ESCALON_WEB_PORT": str(neighbouring_ports(len(TIERS))),
        "KAFKA_HOME": str(run.kafka_home or ""),
    }
    before = dict(os.environ)
    os.environ.update(named)
    for name in ("ESCALON_KAFKA", "ESCALON_CLICKHOUSE", "ESCALON_SCHEMA_REGISTRY"):
        os.environ.pop(name, None)
    try:
        with running_pipeline(read_settings(), load_pipeline(path)) as running:
            yield running
    finally:
        os.environ.clear()
        os.environ.update(before)


def _outcomes(running: RunningPipeline, run: Run, began: float) -> tuple[dict[str, list[Outcome]], int]:
    """By event, until all are there or the time is over; and how often a worker was killed meanwhile."""
    found: dict[str, list[Outcome]] = defaultdict(list)
    tail, kills = TopicReader(running.kafka, ["outcomes"]), 0
    try:
        while len(found) < run.events and (elapsed := time.monotonic() - began) < run.wait_seconds:
            running.supervisor.check()
            if elapsed > run.kill_every * (kills + 1):
                tier = ("work", "reason")[kills % 2]
                running.supervisor.kill(running.processes[tier])
                running.start(tier)
                kills += 1
            for record in tail.batch():
                one = CODEC.decode(Outcome, record.value or b"")
                found[one.origin.event_id].append(one)
    finally:
        tail.close()
    return dict(found), kills


def _due(verdict: Verdict) -> datetime:
    """An event that names no time of its own has its record's."""
    return verdict.event.origin.event_time + DEADLINE


def _messages(running: RunningPipeline, topic: str, kind: Any) -> list[Any]:
    tail = TopicReader(running.kafka, [topic])
    try:
        return [CODEC.decode(kind, record.value or b"") for record in tail.to_end()]
    finally:
        tail.close()


def _changes(running: RunningPipeline) -> dict[str, float]:
    """The figures of WORK and REASON about breakers and retries."""
    found: dict[str, float] = {}
    for tier in ("work", "reason"):
        port = (running.settings.web_port or 0) + TIERS.index(tier)
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
            text = page.read().decode()
        found |= {f"{m[1]} {m['labels']}": float(m["value"]) for m in SERIES.finditer(text)}
    return found


def _verified(running: RunningPipeline) -> str:
    """Return the faults that `escalon verify` reports; empty if it found none."""
    command = [sys.executable, "-m", "streams", "verify", "--grace", "0s"]
    done = subprocess.run(command, env=dict(running.environment), capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"{done.returncode}: {done.stdout[-1500:]} {done.stderr[-600:]}"
