"""A worker's confidence: what its reply says, what a verifier and functions think of it, combined and calibrated."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from streams.calling.concurrency import Threads
from streams.calling.python_function import OWN
from streams.calling.request import MAX_ERROR_TEXT
from streams.calling.task import Answer, Task
from streams.core.answer_comparison import value_of
from streams.core.confidence import probability
from streams.core.escalation import combined
from streams.core.messages import Attempt, Score
from streams.core.process_fault import raise_process_fault
from streams.core.reply_contract import encodable
from streams.models.verifier.example import Example
from streams.pipeline.confidence import ConfidenceConfig

VERIFIER = "verifier"
Verify = Callable[[Task, Attempt], float]
"""The probability that an attempt's answer is right, by what the event, the answer and the other sources look like."""
Function = Callable[[Task, Answer], float | Awaitable[float | None] | None]


def example_of(task: Task, attempt: Attempt) -> Example:
    """Return a task and its answer as a verifier reads them: of an answer's JSON the texts, one field a line."""
    sources = {one.label: one.probability for one in attempt.sources}
    answer = None if attempt.answer is None else "\n".join(_lines(value_of(attempt.answer)))
    return Example(text=task.text, data=task.data, answer=answer, sources=sources)


def _lines(value: Any, name: str = "") -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _lines(item, str(key))
    elif isinstance(value, list):
        for item in value:
            yield from _lines(item, name)
    else:
        text = value if isinstance(value, str) else json.dumps(value)
        yield f"{name}: {text}" if name else text


@dataclass(frozen=True, kw_only=True)
class ConfidenceScorer:
    """Makes one worker's confidence of all its sources, and calibrates it."""

    config: ConfidenceConfig
    verify: Verify | None = None
    functions: Mapping[str, Function]
    """By dotted path."""
    timeout: float
    """Seconds for one function."""
    _threads: Threads = field(default_factory=Threads, init=False)

    async def __call__(self, task: Task, attempt: Attempt) -> Attempt:
        """Return the attempt with its sources, its raw and its calibrated confidence."""
        if attempt.status != "answered":
            return attempt
        sources = {one.label: one.probability for one in attempt.sources}
        answer = Answer(value_of(attempt.answer or ""), attempt.raw_confidence)
        error = None
        for path, function in self.functions.items():
            try:
                said = await self._call(path, function, task, answer)
                if said is not None:
                    sources[path] = _probability(said)
            except Exception as failure:  # a source that breaks is a source that is unknown
                raise_process_fault(failure)
                error = encodable(f"{path} raised {type(failure).__name__}: {failure}"[:MAX_ERROR_TEXT])
        scores = tuple(Score(label=name, probability=value) for name, value in sources.items())
        scored = attempt if scores == attempt.sources else dataclasses.replace(attempt, sources=scores)
        if self.verify is None:
            raw = self._combined(scores)
        elif (raw := probability(self.verify(task, scored))) is not None:
            scores = (*scores, Score(label=VERIFIER, probability=raw))
        return dataclasses.replace(
            scored,
            sources=scores,
            raw_confidence=raw,
            confidence=self._calibrated(raw),
            error=error or attempt.error,
        )

    async def _call(self, path: str, function: Function, task: Task, answer: Answer) -> Any:
        asynchronous = inspect.iscoroutinefunction(function)
        call: Any = function(task, answer) if asynchronous else self._threads.call(path, function, task, answer)
        return await asyncio.wait_for(call, self.timeout)

    def _combined(self, scores: Sequence[Score]) -> float | None:
        """Combine the sources that the file names, and plain code's own confidence; None if one is missing."""
        wanted = {*self.config.sources, OWN}
        known = [one for one in scores if one.label in wanted]
        missing = set(self.config.sources) - {one.label for one in known}
        return None if missing else combined(known, self.config.combine)

    def _calibrated(self, raw: float | None) -> float | None:
        artifact = self.config.artifact
        return raw if raw is None or artifact is None else probability(artifact.calibrator(raw))


def _probability(value: Any) -> float:
    known = probability(value)
    if known is None:
        raise ValueError(f"it returned {value!r:.100}, which is not a number from 0 to 1")
    return known
