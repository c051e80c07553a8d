"""Measures local models on the demo's worker and reasoner tasks.

    python -m bench.demo_models WEIGHTS.gguf [--reasoner WEIGHTS.gguf] [--task extract] [--show]

Every distinct event with work in it is asked once. An event that its worker refused goes on to the reasoner,
as in the demo. Events, truth, prompts and schemas are those of the packaged demo.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from streams.core.confidence import logprob_confidence
from streams.core.reply_contract import Contract, Reading
from streams.models.providers.local import LocalModel
from streams.models.providers.protocol import LanguageModel, ModelReply, ModelRequest
from streams.pipeline.template import PromptTemplate

PACK = Path(__file__).parents[1] / "streams" / "demo" / "pack"
TIMEOUT = 120.0
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Task:
    """A prompt, its schema, and the most tokens its answer may take."""

    prompt: str
    schema: str
    max_tokens: int


TASKS = {
    "order": Task("extract", "order", 220),
    "question": Task("answer", "answer", 160),
    "conversation": Task("summarise", "summary", 200),
    "open-ended": Task("resolve", "resolution", 420),
}
REASONER = "open-ended"


@dataclass(frozen=True, slots=True)
class Result:
    """One call: how it ended, whether that is right, and what it took."""

    event: str
    prompt: str
    status: str
    right: bool
    should_refuse: bool
    refusal_class: str | None
    right_class: bool
    confidence: float | None
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    seconds: float
    text: str


def rows(name: str) -> list[Row]:
    """The objects of a JSONL file of the demo."""
    return [json.loads(line) for line in (PACK / name).read_text().splitlines()]


def cases() -> Iterator[tuple[Row, Row]]:
    """Event and truth of every event that needs a model's answer: no repeats, no duplicates."""
    for event, truth in zip(rows("events.jsonl"), rows("truth.jsonl"), strict=True):
        if truth["intent"] in TASKS and not truth.get("repeats") and not truth.get("duplicate_of"):
            yield event, truth


def _found(patterns: Iterable[str], text: str) -> bool:
    return all(re.search(pattern, text, re.I) for pattern in patterns)


def _order_is_right(answer: Row, truth: Row) -> bool:
    """Every expected item once, with its quantity and variant, nothing else, and the address."""
    left = list(answer["items"])
    for name, quantity, variant in truth["order"]["items"]:
        fits = [
            item
            for item in left
            if item["quantity"] == quantity and _found([name, variant], f"{item['item']} {item['variant']}")
        ]
        if not fits:
            return False
        left.remove(fits[0])
    return not left and _found(truth["order"]["delivery_address"], answer["delivery_address"])


def _words_are_right(answer: Row, truth: Row) -> bool:
    text = json.dumps(answer, ensure_ascii=False)
    return _found(truth.get("must", ()), text) and not any(_found([no], text) for no in truth.get("must_not", ()))


def _summary_is_right(answer: Row, truth: Row) -> bool:
    return _words_are_right(answer, truth) and answer["mood"] in truth["mood"]


RIGHT: Mapping[str, Callable[[Row, Row], bool]] = {
    "extract": _order_is_right,
    "answer": _words_are_right,
    "summarise": _summary_is_right,
    "resolve": _words_are_right,
}


def judge(task: Task, reading: Reading, truth: Row) -> bool:
    """True if the reply is what the truth asks for. A reasoner may refuse what it must not answer."""
    if task.prompt == "resolve" and truth["refuse"]:
        return reading.status in ("answered", "refused")
    if truth["refuse"] or reading.status != "answered":
        return bool(truth["refuse"]) and reading.status == "refused"
    return RIGHT[task.prompt](json.loads(reading.answer or "{}"), truth)


class Bench:
    """Asks a model for one task after the other, so that its seconds are its own."""

    def __init__(self, model: LanguageModel, name: str) -> None:
        self._model = model
        self._name = name
        knowledge = (PACK / "knowledge.md").read_text()
        self._common = {"knowledge": knowledge, "intents": [], "data": {}, "event": {}}

    async def run(self, task: Task, event: Row, truth: Row, **variables: object) -> tuple[Result, Reading]:
        """The call for one event, measured and judged."""
        source = (PACK / "prompts" / f"{task.prompt}.j2").read_text()
        schema = json.loads((PACK / "schemas" / f"{task.schema}.json").read_text())
        contract = Contract(schema, refusal="field")
        template = PromptTemplate(source, task.prompt, task.prompt)
        system, prompt = template.render({**self._common, "text": event["text"], **variables})
        request = ModelRequest(self._name, system, prompt, task.max_tokens, contract.wire_schema)
        started = time.perf_counter()
        reply = await self._model.ask(request, TIMEOUT)
        seconds = time.perf_counter() - started
        reading = contract.read(reply.text, reply.stop_reason, reply.refusal)
        return _result(task, event, truth, reading, reply, seconds), reading


def _result(task: Task, event: Row, truth: Row, reading: Reading, reply: ModelReply, seconds: float) -> Result:
    tokens = [(token.text, token.logprob) for token in reply.tokens]
    wanted = truth.get("refusal_classes", ())
    return Result(
        event=event["id"],
        prompt=task.prompt,
        status=reading.status,
        right=judge(task, reading, truth),
        should_refuse=bool(truth["refuse"]),
        refusal_class=reading.refusal_class,
        right_class=reading.refusal_class in wanted,
        confidence=logprob_confidence(tokens, json_values_only=True),
        input_tokens=reply.input_tokens or 0,
        cached_tokens=reply.cache_read_tokens or 0,
        output_tokens=reply.output_tokens or 0,
        seconds=seconds,
        text=reply.text,
    )


async def measure(worker: Bench, reasoner: Bench | None, prompts: set[str], show: bool) -> list[Result]:
    """All calls of the demo's distinct events in the order of the stream."""
    results: list[Result] = []
    for event, truth in cases():
        task, attempt, reason = TASKS[truth["intent"]], None, "routed: the message is open-ended"
        if truth["intent"] != REASONER:
            if task.prompt not in prompts:
                continue
            result, reading = await worker.run(task, event, truth)
            results.append(result)
            _show(result, show)
            if reading.status == "answered":
                continue
            task, attempt, reason = TASKS[REASONER], reading, f"{reading.status}: {reading.refusal_reason}"
        if reasoner is not None and task.prompt in prompts:
            results.append((await reasoner.run(task, event, truth, attempt=attempt, reason=reason))[0])
            _show(results[-1], show)
    return results


def _show(result: Result, show: bool) -> None:
    if show:
        mark = "ok " if result.right else "BAD"
        sure = f"{result.confidence or 0:.3f}"
        spent = f"{result.input_tokens}-{result.cached_tokens} {result.output_tokens} {result.seconds:.1f}s"
        print(f"{mark} {result.event} {result.prompt} {sure} [{spent}] {result.text}", flush=True)


def report(results: list[Result]) -> None:
    """The table, one line a task; seconds are means, right answers are out of those that must be answered."""
    print("task       calls  right  refused  false  missed  class  valid  in(new)  out   s/call  total s")
    for prompt in dict.fromkeys(result.prompt for result in results):
        calls = [result for result in results if result.prompt == prompt]
        asked = [call for call in calls if not call.should_refuse]
        bad = [call for call in calls if call.should_refuse]
        refused = sum(call.status == "refused" for call in bad)
        new = sum(call.input_tokens - call.cached_tokens for call in calls) / len(calls)
        out = sum(call.output_tokens for call in calls) / len(calls)
        total = sum(call.seconds for call in calls)
        print(
            f"{prompt:10} {len(calls):5}  {sum(c.right for c in asked):2}/{len(asked):2}  {refused:3}/{len(bad):2}"
            f"  {sum(c.status == 'refused' for c in asked):6} {len(bad) - refused:6}"
            f"  {sum(c.right_class for c in bad):5}  {sum(c.status != 'invalid' for c in calls) / len(calls):5.0%}"
            f"  {new:7.0f}  {out:4.0f}  {total / len(calls):6.2f}  {total:7.1f}"
        )


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--reasoner", type=Path, help="weights of the reasoner; without it tier 3 is left out")
    parser.add_argument("--task", action="append", choices=sorted(RIGHT), help="only this prompt; may be repeated")
    parser.add_argument("--show", action="store_true", help="print every call")
    parser.add_argument("--json", type=Path, help="write every call to this file")
    parser.add_argument("--threads", type=int, default=2, help="cores to use; 1 when others use the machine")
    asked = parser.parse_args()
    models = {
        path: LocalModel(path, threads=asked.threads, context=2048, parallel=1)
        for path in {asked.weights, asked.reasoner or asked.weights}
    }
    for model in models.values():
        await model.load()
    worker = Bench(models[asked.weights], asked.weights.stem)
    reasoner = Bench(models[asked.reasoner], asked.reasoner.stem) if asked.reasoner else None
    results = await measure(worker, reasoner, set(asked.task or RIGHT), asked.show)
    report(results)
    if asked.json:
        asked.json.write_text("\n".join(json.dumps(asdict(r), ensure_ascii=False) for r in results) + "\n")
    for model in models.values():
        await model.close()


if __name__ == "__main__":
    asyncio.run(main())
