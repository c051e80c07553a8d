"""The speed of a replay when nothing changed, and the cost of a changed prompt.

    python -m bench.replay [--events 2000] [--broker tansu|kafka] [--json]

Streams events through a pipeline whose models are a fake Messages API on this machine, over HTTP. Then it replays them
through the same pipeline, and through one whose worker has another prompt, and counts at the fake API what was asked.
Half of the tasks of the worker come twice; every worker's answer is escalated as well.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from bench.deployment import messages_api
from streams.adapters.codec_factory import codec_for
from streams.adapters.topic_reader import TopicReader
from streams.app.publisher import Publisher
from streams.app.settings import read_settings
from streams.audit.query import Audit
from streams.core.messages import Outcome
from streams.embedded.local_pipeline import RunningPipeline, running_pipeline
from streams.pipeline.load import load_pipeline

TIMEOUT = 900.0
PIPELINE = """
name = "replayed"
[models.worker]
provider = "claude"
model = "claude-haiku-5-5"
[models.reasoner]
provider = "claude"
model = "claude-opus-5-5"
[listeners.words]
kind = "rules"
applies_to = ["text"]
[listeners.words.rules]
question = ["\\\\?"]
[routes]
question = "workers.answer"
unsure = "ignore"
[workers.answer]
task = "answer"
model = "worker"
inputs = ["text"]
confidence = "verbalized"
threshold = 1.0
concurrency = 32
[reasoners.resolve]
task = "resolve"
model = "reasoner"
inputs = ["text"]
concurrency = 32
"""
PROMPT = "{% block system %}Be brief.{% endblock %}{% block user %}{{ text | fenced }}{% endblock %}"


def main() -> None:
    """Parse the arguments, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=2000)
    parser.add_argument("--broker", choices=("tansu", "kafka"), default="tansu")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    figures = measure(arguments.events, arguments.broker)
    print(json.dumps(figures) if arguments.json else "\n".join(f"{name:<44}{value}" for name, value in figures.items()))


def measure(events: int, broker: str) -> dict[str, Any]:
    """Run the stream, then both replays."""
    with tempfile.TemporaryDirectory() as scratch, messages_api() as url:
        directory = Path(scratch)
        (directory / "pipeline.toml").write_text(PIPELINE, "utf-8")
        (directory / "brief.j2").write_text(PROMPT, "utf-8")
        changed = PIPELINE.replace('task = "answer"', 'task = "answer"\nprompt = "brief.j2"')
        (directory / "brief.toml").write_text(changed, "utf-8")
        os.environ |= {"ANTHROPIC_API_KEY": "none", "ANTHROPIC_BASE_URL": url, "ESCALON_DATA": str(directory / "data")}
        if broker == "tansu":
            os.environ |= {"ESCALON_CACHE": str(directory / "cache"), "KAFKA_HOME": ""}
        with running_pipeline(read_settings(), load_pipeline(directory / "pipeline.toml")) as running:
            stream(running, events)
            asked = [requests(url)]
            same = replay(running, directory / "pipeline.toml", "same")
            asked.append(requests(url))
            brief = replay(running, directory / "brief.toml", "brief")
            asked.append(requests(url))
            return {
                "broker": broker,
                "events": events,
                "calls of the live run": asked[0],
                "unchanged: calls": asked[1] - asked[0],
                "unchanged: outcomes that differ": differing(running, "same"),
                "unchanged: events a second after start-up": same["rate"],
                "unchanged: seconds in all": same["seconds"],
                "another worker's prompt: calls": asked[2] - asked[1],
                "another worker's prompt: answers reused": brief["reused"],
                "another worker's prompt: seconds in all": brief["seconds"],
            }


def requests(url: str) -> int:
    """Return the number of calls that the models received."""
    with urllib.request.urlopen(f"{url}/_requests") as answer:  # noqa: S310 - our own server
        return int(json.load(answer)["count"])


def stream(running: RunningPipeline, events: int) -> None:
    """Publish the events and wait until the audit has all their outcomes."""
    with Publisher(running.kafka) as publisher:
        for number in range(events):
            publisher.publish(f"What does item {number * 3 // 4} cost?", id=f"event-{number}")
    tail, codec, ended = TopicReader(running.kafka, ["outcomes"]), codec_for(None), set[str]()
    deadline = time.monotonic() + TIMEOUT
    while len(ended) < events and time.monotonic() < deadline:
        running.supervisor.check()
        ended |= {codec.decode(Outcome, record.value or b"").origin.event_id for record in tail.batch()}
    tail.close()
    audit = Audit(running.clickhouse)
    while audit.query("SELECT count() FROM outcomes").rows[0][0] < events and time.monotonic() < deadline:
        time.sleep(0.5)
    audit.close()


def replay(running: RunningPipeline, pipeline: Path, run: str) -> dict[str, Any]:
    """Replay everything by the command; its figures."""
    command = [sys.executable, "-m", "streams", "replay", "--run", run, "--pipeline", str(pipeline), "--json"]
    started = time.monotonic()
    done = subprocess.run(command, env=dict(running.environment), capture_output=True, text=True, check=False)
    seconds = time.monotonic() - started
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    audit = Audit(running.clickhouse)
    sql = "SELECT dateDiff('millisecond', started_at, updated_at) / 1000 FROM runs WHERE run = {run:String}"
    (took,) = audit.query(sql, {"run": run}).rows[0]
    audit.close()
    return {"seconds": round(seconds, 1), "rate": round(said["events"] / took), "reused": said["reused_calls"]}


def differing(running: RunningPipeline, run: str) -> int:
    """Outcomes of a run that are not those of the live one, or are not there."""
    sql = """
        SELECT countIf(runs != 2 OR different != 1) FROM
        (
            SELECT event_id, uniqExact(run) AS runs,
                uniqExact((state, tier, handler, intent, answer, reasons)) AS different
            FROM outcomes WHERE run IN ('live', {run:String}) GROUP BY event_id
        )
    """
    audit = Audit(running.clickhouse)
    (found,) = audit.query(sql, {"run": run}).rows[0]
    audit.close()
    return int(found)


if __name__ == "__main__":
    main()
