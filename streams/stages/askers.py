"""The handlers that workers and reasoners, and some listeners, can be: a prompted language model, a function."""

from __future__ import annotations

import asyncio
import errno
import importlib
import inspect
import json
import math
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, cast

from streams.core.confidence import logprob_confidence, probability
from streams.core.contract import MAX_REPLY, Reading, encodable, refused, too_large
from streams.core.errors import ConfigError, HandlerError, ModelError, ServiceError
from streams.core.messages import Score
from streams.core.process_fault import causes
from streams.models.providers.protocol import LanguageModel, ModelReply, ModelRequest
from streams.pipeline.handlers import Handler, Prompting
from streams.stages.lane import Lane
from streams.stages.ports import OWN, Asker, Said, holding
from streams.stages.task import Answer, Refusal, Task
from streams.stages.threads import Threads

CHARACTERS_A_TOKEN = 4
"""Of English text, about; the true count is known after the call."""
NETWORK_FAULTS = frozenset({errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH})
"""Numbers of an OSError that has no class of its own."""


@dataclass(kw_only=True)
class PromptAsker:
    """Renders the prompt, asks the model within its limits, reads the reply by the contract."""

    handler: Handler
    prompting: Prompting
    language_model: LanguageModel
    provider: str
    model: str
    priced_as: str | None
    model_slots: asyncio.Semaphore
    """Calls the model takes at once, shared by all handlers that ask it."""
    operation: str = "chat"
    bills_cache: bool = True
    free: bool = False
    takes_seed: bool = False
    """Whether the model is seeded: without a seed of its own, each sample would be the same."""
    lane: Lane | None = None
    fallback: Asker | None = None
    _slots: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._slots = asyncio.Semaphore(self.handler.spec.concurrency)

    def slot(self) -> AbstractAsyncContextManager[None]:
        """A place among the handler's calls, then among the model's."""
        return holding(self._slots, self.model_slots)

    def size(self, task: Task) -> int:
        """By the length of the prompt."""
        system, prompt = self.prompting.template.render(self._variables(task))
        return (len(system) + len(prompt)) // CHARACTERS_A_TOKEN

    async def ask(self, task: Task, sample: int = 0, within: float = math.inf) -> Said:
        """One call of the model."""
        system, prompt = self.prompting.template.render(self._variables(task))
        spec, contract = self.handler.spec, self.prompting.contract
        request = ModelRequest(
            model=self.model,
            system=system,
            prompt=prompt,
            max_tokens=spec.max_tokens,
            schema=contract.wire_schema,
            parameters=self._parameters(sample),
        )
        try:
            reply = await self.language_model.ask(request, min(spec.timeout, within))
        except ModelError as error:
            return Said.failed(error, system, prompt)
        reading = contract.read(reply.text, reply.stop_reason, reply.refusal, reply.thinking_tokens)
        return Said(
            reading=reading,
            sources=tuple(self._sources(reading, reply)),
            system=system,
            prompt=prompt,
            response=encodable(reply.text[:MAX_REPLY]),
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

    def _parameters(self, sample: int) -> Mapping[str, Any]:
        """Those of the file; each further sample has a seed of its own, where the model takes one."""
        given: Mapping[str, Any] = self.handler.spec.parameters
        if sample == 0 or not self.takes_seed:
            return given
        return {**given, "seed": int(given.get("seed", 0)) + sample}

    def _sources(self, reading: Reading, reply: ModelReply) -> Iterator[Score]:
        """What the reply itself says of its confidence; a source that says nothing is left out."""
        wanted = self.handler.spec.confidence
        if "verbalized" in wanted and reading.verbalized is not None:
            yield Score(label="verbalized", probability=reading.verbalized)
        if "logprob" in wanted:
            structured = self.prompting.contract.schema is not None
            tokens = [(token.text, token.logprob) for token in reply.tokens]
            known = logprob_confidence(tokens, json_values_only=structured)
            if known is not None:
                yield Score(label="logprob", probability=known)


@dataclass(kw_only=True)
class FunctionAsker:
    """Calls a Python function: `handler(task) -> Answer | Refusal | JSON value`, plain or asynchronous."""

    handler: Handler
    function: Callable[[Task], Any]
    provider: str = "python"
    model: str = ""
    priced_as: str | None = None
    operation: str = "function"
    bills_cache: bool = False
    free: bool = True
    lane: Lane | None = None
    fallback: Asker | None = None
    _slots: asyncio.Semaphore = field(init=False)
    _threads: Threads = field(default_factory=Threads, init=False)

    def __post_init__(self) -> None:
        self.model = self.handler.function or ""
        self._slots = asyncio.Semaphore(self.handler.spec.concurrency)

    def slot(self) -> AbstractAsyncContextManager[None]:
        """A place among the handler's calls."""
        return holding(self._slots)

    def size(self, task: Task) -> int:  # noqa: ARG002
        """It takes no tokens."""
        return 0

    async def ask(
        self,
        task: Task,
        sample: int = 0,  # noqa: ARG002 - a function has its own randomness
        within: float = math.inf,
    ) -> Said:
        """One call of the function; a plain one runs in a thread, which goes on where it takes too long."""
        prompt = json.dumps(task.input(), ensure_ascii=False)
        try:
            return self._said(await self._call(task, within), prompt)
        except (ModelError, HandlerError) as error:
            return Said.failed(error, prompt=prompt)

    async def _call(self, task: Task, within: float) -> Any:
        asynchronous = inspect.iscoroutinefunction(self.function)
        call = self.function(task) if asynchronous else self._threads.call(self.model, self.function, task)
        try:
            return await asyncio.wait_for(call, min(self.handler.spec.timeout, within))
        except TimeoutError as error:
            raise ModelError("timeout", f"{self.model} took too long.", retryable=True) from error
        except (ModelError, HandlerError, ServiceError):
            raise
        except Exception as error:
            what = f"{self.model} raised {type(error).__name__}: {error}."
            # HTTP clients and database drivers raise errors of their own, from the operating system's.
            if any(_of_a_connection(cause) for cause in causes(error)):
                raise ModelError("unreachable", what, "Check what the function connects to.", retryable=True) from error
            raise HandlerError(what, "Correct the function; let it return a Refusal for what it cannot do.") from error

    def _said(self, value: Any, prompt: str) -> Said:
        if isinstance(value, Refusal):
            reading = refused(value.kind, value.reason)
            return Said(reading=reading, prompt=prompt, response=reading.refusal_reason)
        answer = value if isinstance(value, Answer) else Answer(value)
        own = probability(answer.confidence)
        if own is None and answer.confidence is not None:
            raise HandlerError(f"{self.model} gave the confidence {answer.confidence!r}.", "Give 0 to 1, or None.")
        if self.handler.tier == "listener" and not _is_finding(answer.value):
            what = f"{self.model} is a listener and returned {answer.value!r:.200}."
            raise HandlerError(what, 'Return a label, None, or {"label", "confidence", "scores"}.')
        try:
            text = json.dumps(answer.value, ensure_ascii=False, allow_nan=False)
            text.encode()
        except (TypeError, ValueError, RecursionError) as error:
            what = f"{self.model} returned {type(answer.value).__name__}, which is no JSON value ({error})."
            raise HandlerError(what, "Return an Answer, a Refusal, or a JSON value.") from error
        if (oversized := too_large(text)) is not None:
            return Said(reading=oversized, prompt=prompt, response=text[:MAX_REPLY])
        reading = Reading(status="answered", answer=text)
        sources = () if own is None else (Score(label=OWN, probability=own),)
        return Said(reading=reading, sources=sources, prompt=prompt, response=text)


def _of_a_connection(error: BaseException) -> bool:
    known = isinstance(error, (ConnectionError, TimeoutError, socket.gaierror, ssl.SSLError))
    return known or (isinstance(error, OSError) and error.errno in NETWORK_FAULTS)


def _is_finding(value: object) -> bool:
    """A label, or `{"label", "confidence", "scores"}`; None finds nothing."""
    fields = value if isinstance(value, Mapping) else {"label": value}
    label, confidence, scores = (fields.get(name) for name in ("label", "confidence", "scores"))
    return (
        (label is None or isinstance(label, str))
        and (confidence is None or probability(confidence) is not None)
        and (scores is None or (isinstance(scores, Mapping) and None not in map(probability, scores.values())))
    )


def load_function(path: str) -> Callable[..., Any]:
    """The function at `package.module:function`."""
    module, _, name = path.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except Exception as error:  # importing runs the module
        raise ConfigError(
            f"{path} cannot be imported ({type(error).__name__}: {error}).", "Check the module's path and the name."
        ) from error
    if not callable(function):
        raise ConfigError(f"{path} is no function.", "Name a function that takes a Task.")
    return cast(Callable[..., Any], function)
