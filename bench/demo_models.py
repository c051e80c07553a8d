"""Measures local models on the demo's orders and questions.

    python -m bench.demo_models WEIGHTS.gguf [--handler extract] [--show]

Every distinct event is asked once, with a handler's prompt and schema, and judged by the demo's truth file.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from streams.app.providers import comparison
from streams.app.settings import read_settings
from streams.cli.classifier_training import train_classifier
from streams.cli.context import find_pipeline
from streams.core.answer_comparison import value_of
from streams.demo.starter import write_pack
from streams.models.providers.local import LocalModel
from streams.models.providers.protocol import ModelRequest
from streams.pipeline.code import AllowedPython
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline

HANDLERS: Mapping[str, str] = {"extract": "order", "reread": "order", "answer": "question", "resolve": "question"}
"""The intent of the events that each handler is asked about."""
TIMEOUT = 900.0
Row = Mapping[str, Any]


def desk() -> Pipeline:
    """The demo's pipeline, in a temporary directory."""
    file = write_pack(Path(tempfile.mkdtemp()), "local")
    train_classifier(file.parent / "intents.jsonl", file.parent / "intents.npz", quiet=True)
    return find_pipeline(replace(read_settings(), python=AllowedPython(("desk",))), file)


def cases(directory: Path, intent: str) -> Iterator[tuple[Row, Row]]:
    """Event and truth of every event of an intent: no repeats, no duplicates."""
    files = [(directory / name).read_text("utf-8").splitlines() for name in ("events.jsonl", "truth.jsonl")]
    for event, truth in zip(*(map(json.loads, lines) for lines in files), strict=True):
        if truth["intent"] == intent and not truth.get("repeats") and not truth.get("duplicate_of"):
            yield event, truth


def request(handler: Handler, name: str, text: str) -> ModelRequest:
    """Return the request of a handler about a text."""
    prompting, spec = handler.prompting, handler.prompts
    assert prompting is not None
    seen: dict[str, Any] = {"text": text, "data": {}, "image": None, "labels": [], "reason": None, "attempt": None}
    system, prompt = prompting.template.render(seen | {"knowledge": prompting.knowledge})
    return ModelRequest(name, system, prompt, spec.max_tokens, prompting.contract.wire_schema, spec.parameters)


async def measure(model: LocalModel, name: str, handler: Handler, rows: list[tuple[Row, Row]], show: bool) -> None:
    """Ask about every event, and print how many ends are right, with the seconds of CPU."""
    agree, counts, started = comparison(handler.correct), {"label": [0, 0], "refuse": [0, 0]}, time.process_time()
    assert handler.prompting is not None
    for event, truth in rows:
        reply = await model.ask(request(handler, name, event["text"]), TIMEOUT)
        reading = handler.prompting.contract.read(reply.text, reply.stop_reason, reply.refusal)
        kind = "label" if "label" in truth else "refuse"
        answer = value_of(reading.answer) if reading.answer else None
        good = reading.status == "refused" if kind == "refuse" else answer is not None and agree(answer, truth[kind])
        counts[kind][0] += good
        counts[kind][1] += 1
        if show:
            print("ok " if good else "BAD", event["id"], reply.text, flush=True)
    seconds = time.process_time() - started
    (right, asked), (refused, must) = counts["label"], counts["refuse"]
    print(
        f"{name} {handler.name}: {right} of {asked} right, {refused} of {must} rightly refused, {seconds:.0f} s of CPU"
    )


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--handler", action="append", choices=sorted(HANDLERS), help="only this one; may be repeated")
    parser.add_argument("--show", action="store_true", help="print every call")
    asked = parser.parse_args()
    pipeline = desk()
    model = LocalModel(asked.weights, threads=1, context=2048, parallel=1)
    for name in asked.handler or HANDLERS:
        handler = {**pipeline.workers, **pipeline.reasoners}[name]
        rows = list(cases(pipeline.path.parent, HANDLERS[name]))
        await measure(model, asked.weights.stem, handler, rows, asked.show)
    await model.close()


if __name__ == "__main__":
    asyncio.run(main())
