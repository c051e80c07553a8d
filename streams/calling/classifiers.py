"""The backends of classifier, router and rules listeners: plain code that takes a fraction of a millisecond."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streams.calling.caller import Callee
from streams.calling.concurrency import Batched
from streams.calling.python_function import OWN
from streams.calling.request import Reply
from streams.calling.task import Task
from streams.core.messages import Score
from streams.core.reply_contract import Reading
from streams.models.listeners.rules import RuleSet

if TYPE_CHECKING:  # they load NumPy, and rules need none
    from streams.models.listeners.classifier import Distribution
    from streams.models.listeners.router import Router

MAX_SCORES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _PlainCode:
    callee: Callee

    def size(self, task: Task) -> int:  # noqa: ARG002
        """Return 0: it takes no tokens."""
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierBackend(_PlainCode):
    """Finds the most probable label, for all events of a moment at once: that costs a third of one by one."""

    predict: Batched[str, Distribution]

    async def ask(self, task: Task, sample: int = 0, within: float = math.inf) -> Reply:  # noqa: ARG002 - at once
        """Return the label, its calibrated probability, and those of the others."""
        text = task.text or json.dumps(dict(task.data), ensure_ascii=False)
        distribution = await self.predict.ask(text)
        label, probability = distribution[0]
        scores = {name: round(value, 6) for name, value in distribution[:MAX_SCORES]}
        return _found(text, {"label": label, "confidence": probability, "scores": scores}, probability)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterBackend(_PlainCode):
    """Finds the route that earlier events of its kind did well on."""

    router: Router

    async def ask(self, task: Task, sample: int = 0, within: float = math.inf) -> Reply:  # noqa: ARG002 - at once
        """Return the route, the probability that it is good, and the other routes' probabilities."""
        found = self.router.route(task.text, task.data)
        text = task.text or json.dumps(dict(task.data), ensure_ascii=False)
        scores = {name: round(value, 6) for name, value in found.scores.items()}
        return _found(text, {"label": found.label, "confidence": found.confidence, "scores": scores}, found.confidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesBackend(_PlainCode):
    """Finds the first label, in the order of the file, one of whose patterns matches."""

    rules: RuleSet

    async def ask(self, task: Task, sample: int = 0, within: float = math.inf) -> Reply:  # noqa: ARG002 - at once
        """Return the label and the words that matched; no label if nothing did.

        The text and the strings of the data are matched apart, so that `^` and `$` mean what they say in the text.
        """
        parts = [part for part in (task.text, "\n".join(_strings(task.data))) if part]
        matches = [match for part in parts for match in self.rules.match(part)]
        if not matches:
            return _found("\n".join(parts), {"label": None}, None)
        first = min(matches, key=lambda match: self.rules.labels.index(match.label))
        return _found("\n".join(parts), {"label": first.label, "confidence": 1.0, "matched": first.text[:200]}, 1.0)


def _strings(value: Any) -> Iterator[str]:
    """Yield every string of a JSON value, the keys as well, in its order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield key
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


def _found(prompt: str, answer: dict[str, object], confidence: float | None) -> Reply:
    text = json.dumps(answer, ensure_ascii=False)
    reading = Reading(status="answered", answer=text)
    sources = () if confidence is None else (Score(label=OWN, probability=confidence),)
    return Reply(reading=reading, sources=sources, prompt=prompt, response=text)
