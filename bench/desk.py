"""The pipeline of the benchmarks, with an event for each path through it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from bench.deployment import Event
from bench.measure import ROOT
from streams.models.listeners.training import read_labelled, train

PIPELINE: Final = """\
name = "desk"

[models.small]
provider = "claude"
model = "claude-haiku-4-5"

[listeners.words]
kind = "rules"
applies_to = ["text"]

[listeners.words.rules]
thanks = ["^thanks"]
question = ["^question"]
doubt = ["^doubt"]

[listeners.intent]
kind = "classifier"
artifact = "intents.npz"
applies_to = ["json"]

[routes]
thanks = "ignore"
question = "workers.answer"
doubt = "workers.unsure"
unsure = "ignore"

[workers.answer]
task = "answer"
model = "small"
inputs = ["text"]
confidence = "verbalized"
threshold = 0.4
concurrency = 32

[workers.unsure]
task = "answer"
model = "small"
inputs = ["text"]
confidence = "verbalized"
threshold = 0.9
concurrency = 32

[reasoners.resolve]
task = "resolve"
model = "small"
inputs = ["text"]
concurrency = 32
"""
"""The fake Messages API is always sure by 0.5."""
MAIL: Final = (
    "My order {} has not arrived yet, although the shop promised it for last Tuesday. The tracking page says that it "
    "left the warehouse, and nothing since. Please find out where it is, or send another one to the same address."
)


def _text(start: str) -> Callable[[str], Event]:
    return lambda name: {"id": name, "text": f"{start}: {MAIL.format(name)}"}


PATHS: Final[Mapping[str, Callable[[str], Event]]] = {
    "ignored by a rule": _text("Thanks"),
    "ignored by the classifier": lambda name: {"id": name, "data": {"letter": MAIL.format(name)}},
    "answered by a worker": _text("Question"),
    "escalated": _text("Doubt"),
}
"""An event for each path, by the event's id. No two have the same text, so that no answer comes from the cache."""


def desk(directory: Path) -> Path:
    """Write the pipeline into a directory, with a classifier of the demo's intents whose labels all end the event."""
    rows = read_labelled(ROOT / "streams/demo/pack/intents.jsonl")
    classifier = train([(text, f"mail-{label}") for text, label in rows])
    classifier.save(directory / "intents.npz")
    routes = "".join(f'{label} = "ignore"\n' for label in classifier.labels)
    (directory / "pipeline.toml").write_text(PIPELINE.replace("[routes]\n", f"[routes]\n{routes}"), "utf-8")
    return directory / "pipeline.toml"
