"""A thousand text messages through a running two-intent pipeline, trained on another part of the file.

    python -m bench.sms_stream --data DIR [--events 1000] [--json]

Starts the embedded servers and one process a tier, publishes the messages, waits for every outcome, and prints the
listener's accuracy and the events a second from the first publication to the last outcome. The data is public and
held outside the project; where it is not there, the bench says "skipped".
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from streams.adapters.codec_factory import codec_for
from streams.adapters.topic_reader import TopicReader
from streams.app.publisher import Publisher
from streams.app.settings import read_settings
from streams.cli.classifier_training import train_classifier
from streams.core.messages import Outcome
from streams.embedded.local_pipeline import RunningPipeline, running_pipeline
from streams.pipeline.load import load_pipeline

PIPELINE = """
name = "sms"
[listeners.spam]
kind = "classifier"
artifact = "spam.npz"
[routes]
ham = "ignore"
spam = "workers.flag"
unsure = "ignore"
[workers.flag]
handler = "sms_handlers:flag"
"""
HANDLERS = """
from streams import Answer, Task


def flag(task: Task) -> Answer:
    return Answer({"flagged": True})
"""
TIMEOUT = 300.0


def main() -> None:
    """Parse the arguments, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the directory of sms_spam.jsonl")
    parser.add_argument("--events", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    file = arguments.data / "sms_spam.jsonl"
    if not file.is_file():
        print(f"skipped: {file} is not there")
        return
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    random.Random(arguments.seed).shuffle(rows)
    figures = measure(rows[: arguments.events], rows[arguments.events :])
    print(json.dumps(figures) if arguments.json else "\n".join(f"{name:<24}{value}" for name, value in figures.items()))


def measure(events: list[dict[str, Any]], training: list[dict[str, Any]]) -> dict[str, Any]:
    """Train, run the pipeline, publish, and compare the outcomes with the labels."""
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        (directory / "pipeline.toml").write_text(PIPELINE, "utf-8")
        (directory / "sms_handlers.py").write_text(HANDLERS, "utf-8")
        (directory / "rows.jsonl").write_text("\n".join(map(json.dumps, training)), "utf-8")
        train_classifier(directory / "rows.jsonl", directory / "spam.npz", quiet=True)
        places = {"ESCALON_DATA": str(directory / "data"), "ESCALON_CACHE": str(directory / "cache")}
        settings = read_settings({**places, "ESCALON_ALLOW_PYTHON": "sms_handlers"})
        with running_pipeline(settings, load_pipeline(directory / "pipeline.toml", settings.python)) as running:
            _outcomes(running, _publish(running, [{"text": "are the tiers awake?"}]))
            started = time.monotonic()
            ids = _publish(running, events)
            found = _outcomes(running, ids)
            seconds = time.monotonic() - started
    right = sum(found[event_id].intent == row["label"] for event_id, row in ids.items())
    return {
        "trained on": len(training),
        "events": len(events),
        "outcomes": len(found),
        "accuracy": round(right / len(events), 4),
        "events a second": round(len(events) / seconds, 1),
    }


def _publish(running: RunningPipeline, events: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Publish and return the rows by event id."""
    ids = {f"sms-{len(events)}-{number}": row for number, row in enumerate(events)}
    with Publisher(running.kafka) as publisher:
        for event_id, row in ids.items():
            publisher.publish(row["text"], id=event_id)
    return ids


def _outcomes(running: RunningPipeline, ids: dict[str, dict[str, Any]]) -> dict[str, Outcome]:
    tail, coding, found = (
        TopicReader(running.kafka, ["outcomes"]),
        codec_for(running.settings.schema_registry),
        dict[str, Outcome](),
    )
    deadline = time.monotonic() + TIMEOUT
    while not ids.keys() <= found.keys() and time.monotonic() < deadline:
        running.supervisor.check()
        for record in tail.batch():
            outcome = coding.decode(Outcome, record.value or b"")
            if outcome.origin.event_id in ids:
                assert outcome.origin.event_id not in found, "an event has two outcomes"
                found[outcome.origin.event_id] = outcome
    tail.close()
    return found


if __name__ == "__main__":
    main()
