"""A prompted language model, as the backend of a listener, a worker or a reasoner."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from streams.calling.caller import Callee
from streams.calling.request import Reply
from streams.calling.task import Task
from streams.core.confidence import logprob_confidence
from streams.core.errors import ModelError, UnreadableError
from streams.core.messages import Score
from streams.core.reply_contract import MAX_REPLY, Reading, encodable
from streams.models.providers.protocol import ImagePart, LanguageModel, ModelReply, ModelRequest
from streams.pipeline.handlers import Prompting

CHARACTERS_A_TOKEN = 4
"""Of English text, about; the true count is known after the call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptedModel:
    """Renders the prompt, asks the model, reads the reply by the contract. Is a Backend."""

    callee: Callee
    prompting: Prompting
    language_model: LanguageModel
    takes_seed: bool = False
    """True if the model is seeded: without a seed of its own, each sample would be the same."""
    asks_logprobs: bool = False
    """True if log-probabilities are given only where a request asks for them."""
    readable: Callable[[str, Mapping[str, Any] | None], str] | None = None
    """Turns a reply into the contract's form, by the answer's schema; None where it has that form."""
    show: Callable[[str], Awaitable[ImagePart]] | None = None
    """Returns the image of a hash as the model is shown it; None for a model that is shown none."""

    def size(self, task: Task) -> int:
        """Return the prompt's length in tokens, about, with the most that an image may take."""
        system, prompt = self._words(task)
        image = self.callee.image_tokens if task.image else 0
        return (len(system) + len(prompt)) // CHARACTERS_A_TOKEN + image

    async def ask(self, task: Task, sample: int = 0, within: float = math.inf) -> Reply:
        """Ask the model once. Raises ServiceError where the blob store cannot be asked for the image."""
        system, prompt = self._words(task)
        asked, began = self._recorded(prompt, task), time.perf_counter()
        try:
            images = await self._images(task)
        except UnreadableError as error:
            fault = ModelError(error.reason, error.what, error.remedy, retryable=False, unbilled=True)
            return Reply.failed(fault, system, asked)
        if images:
            within -= time.perf_counter() - began
        request = self._request(system, prompt, sample, images)
        try:
            reply = await self.language_model.ask(request, min(self.callee.handler.prompts.timeout, within))
        except ModelError as error:
            return Reply.failed(error, system, asked)
        return self.read(reply, system, asked)

    async def request(self, task: Task, sample: int = 0) -> ModelRequest:
        """Return what the model is asked. Raises HandlerError for the prompt, UnreadableError for the image."""
        system, prompt = self._words(task)
        return self._request(system, prompt, sample, await self._images(task))

    def asked(self, task: Task) -> tuple[str, str]:
        """Return the system prompt, and the prompt as the audit has it."""
        system, prompt = self._words(task)
        return system, self._recorded(prompt, task)

    def read(self, reply: ModelReply, system: str, asked: str) -> Reply:
        """Return a model's reply as the handler's contract reads it."""
        contract = self.prompting.contract
        text = self.readable(reply.text, contract.schema) if self.readable is not None else reply.text
        reading = contract.read(text, reply.stop_reason, reply.refusal, reply.thinking_tokens)
        return Reply(
            reading=reading,
            sources=tuple(self._sources(reading, reply)),
            system=system,
            prompt=asked,
            response=encodable(reply.text[:MAX_REPLY]),
            model_reply=reply,
        )

    def _request(self, system: str, prompt: str, sample: int, images: tuple[ImagePart, ...]) -> ModelRequest:
        return ModelRequest(
            model=self.callee.model,
            system=system,
            prompt=prompt,
            max_tokens=self.callee.handler.prompts.max_tokens,
            schema=None if self.prompting.stated else self.prompting.contract.wire_schema,
            parameters=self._parameters(sample),
            images=images,
        )

    async def _images(self, task: Task) -> tuple[ImagePart, ...]:
        return (await self.show(task.image),) if self.show and task.image else ()

    def _recorded(self, prompt: str, task: Task) -> str:
        """Return the prompt as the audit has it: with the hash of the image that the model is shown before it."""
        return f"[image {task.image}]\n{prompt}" if self.show and task.image else prompt

    def _words(self, task: Task) -> tuple[str, str]:
        """Return the system prompt and the prompt."""
        system, prompt = self.prompting.template.render(self._variables(task))
        return "\n\n".join(filter(None, (system, self.prompting.stated))), prompt

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
        """Return those of the file; each further sample has a seed of its own, where the model takes one."""
        spec = self.callee.handler.prompts
        given: Mapping[str, Any] = spec.parameters
        if self.asks_logprobs and "logprob" in spec.confidence:
            given = {**given, "logprobs": True}
        if sample == 0 or not self.takes_seed:
            return given
        return {**given, "seed": int(given.get("seed", 0)) + sample}

    def _sources(self, reading: Reading, reply: ModelReply) -> Iterator[Score]:
        """Yield what the reply itself says of its confidence; a source that says nothing is left out."""
        wanted = self.callee.handler.prompts.confidence
        if "verbalized" in wanted and reading.verbalized is not None:
            yield Score(label="verbalized", probability=reading.verbalized)
        if "logprob" in wanted:
            structured = self.prompting.contract.schema is not None
            tokens = [(token.text, token.logprob) for token in reply.tokens]
            known = logprob_confidence(tokens, json_values_only=structured)
            if known is not None:
                yield Score(label="logprob", probability=known)
