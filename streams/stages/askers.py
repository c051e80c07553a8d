"""The handlers that workers and reasoners, and some listeners, can be: a prompted language model, a function."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from streams.core.confidence import logprob_confidence
from streams.core.contract import MAX_REASON, REFUSAL_CLASSES, Reading
from streams.core.errors import ConfigError, HandlerError, ModelError
from streams.models.protocol import LanguageModel, ModelReply, ModelRequest
from streams.pipeline.load import Handler, Prompting
from streams.stages.ports import Said
from streams.stages.task import Answer, Refusal, Task


@dataclass(kw_only=True)
class PromptAsker:
    """Renders the prompt, asks the model within its limits, reads the reply by the contract."""

    handler: Handler
    prompting: Prompting
    language_model: LanguageModel
    provider: str
    model: str
    priced_as: str | None
    operation: str = "chat"
    free: bool = False
    _slots: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._slots = asyncio.Semaphore(self.handler.spec.concurrency)

    async def ask(self, task: Task) -> Said:
        """One call of the model."""
        system, prompt = self.prompting.template.render(self._variables(task))
        spec, contract = self.handler.spec, self.prompting.contract
        request = ModelRequest(
            model=self.model,
            system=system,
            prompt=prompt,
            max_tokens=spec.max_tokens,
            schema=contract.wire_schema,
            parameters=spec.parameters,
        )
        async with self._slots:
            reply = await self.language_model.ask(request, spec.timeout)
        reading = contract.read(reply.text, reply.stop_reason, reply.refusal)
        return Said(
            reading=reading,
            raw_confidence=self._confidence(reading, reply),
            system=system,
            prompt=prompt,
            response=reply.text,
            reply=reply,
        )

    def _variables(self, task: Task) -> dict[str, Any]:
        return {
            "text": task.text,
            "data": task.data,
            "image": task.image,
            "knowledge": self.prompting.knowledge,
            "labels": self.prompting.labels,
            "reason": task.reason,
            "attempt": task.attempt,
        }

    def _confidence(self, reading: Reading, reply: ModelReply) -> float | None:
        source = self.handler.spec.confidence
        if source == "verbalized":
            return reading.verbalized
        if source == "logprob":
            structured = self.prompting.contract.schema is not None
            tokens = [(token.text, token.logprob) for token in reply.tokens]
            return logprob_confidence(tokens, json_values_only=structured)
        return None


@dataclass(kw_only=True)
class FunctionAsker:
    """Calls a Python function: `handler(task) -> Answer | Refusal | JSON value`, plain or asynchronous."""

    handler: Handler
    function: Callable[[Task], Any]
    provider: str = "python"
    model: str = ""
    priced_as: str | None = None
    operation: str = "function"
    free: bool = True
    _slots: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self.model = self.handler.function or ""
        self._slots = asyncio.Semaphore(self.handler.spec.concurrency)

    async def ask(self, task: Task) -> Said:
        """One call of the function; a plain one runs in a thread."""
        async with self._slots:
            try:
                value = await asyncio.wait_for(self._call(task), self.handler.spec.timeout)
            except TimeoutError as error:
                raise ModelError("timeout", f"{self.model} took too long.", retryable=True) from error
            except (ModelError, HandlerError):
                raise
            except Exception as error:
                what = f"{self.model} raised {type(error).__name__}: {error}."
                raise HandlerError(what, "Mend the function; let it return a Refusal for what it cannot do.") from error
        prompt = json.dumps(task.input(), ensure_ascii=False)
        return self._said(value, prompt)

    async def _call(self, task: Task) -> Any:
        if inspect.iscoroutinefunction(self.function):
            return await self.function(task)
        return await asyncio.to_thread(self.function, task)

    def _said(self, value: Any, prompt: str) -> Said:
        if isinstance(value, Refusal):
            kind = value.kind if value.kind in REFUSAL_CLASSES else "other"
            reading = Reading(status="refused", refusal_class=kind, refusal_reason=value.reason[:MAX_REASON])
            return Said(reading=reading, prompt=prompt, response=value.reason)
        answer = value if isinstance(value, Answer) else Answer(value)
        try:
            text = json.dumps(answer.value, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError) as error:
            what = f"{self.model} returned {type(answer.value).__name__}, which is no JSON value ({error})."
            raise HandlerError(what, "Return an Answer, a Refusal, or a JSON value.") from error
        reading = Reading(status="answered", answer=text)
        return Said(reading=reading, raw_confidence=answer.confidence, prompt=prompt, response=text)


def load_function(path: str) -> Callable[[Task], Any]:
    """The function at `package.module:function`."""
    module, _, name = path.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{path} cannot be imported ({error}).", "Check the module's path and the name.") from error
    if not callable(function):
        raise ConfigError(f"{path} is no function.", "Name a function that takes a Task.")
    return function  # type: ignore[no-any-return]
