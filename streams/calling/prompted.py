"""A prompted language model, as the backend of a listener, a worker or a reasoner."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from streams.calling.caller import Callee
from streams.calling.request import Reply
from streams.calling.task import Task
from streams.core.confidence import logprob_confidence
from streams.core.errors import ModelError
from streams.core.messages import Score
from streams.core.reply_contract import MAX_REPLY, Reading, encodable
from streams.models.providers.protocol import LanguageModel, ModelReply, ModelRequest
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

    def size(self, task: Task) -> int:
        """Return the prompt's length in tokens, about."""
        system, prompt = self.prompting.template.render(self._variables(task))
        return (len(system) + len(prompt)) // CHARACTERS_A_TOKEN

    async def ask(self, task: Task, sample: int = 0, within: float = math.inf) -> Reply:
        """Ask the model once."""
        system, prompt = self.prompting.template.render(self._variables(task))
        spec, contract = self.callee.handler.prompts, self.prompting.contract
        request = ModelRequest(
            model=self.callee.model,
            system=system,
            prompt=prompt,
            max_tokens=spec.max_tokens,
            schema=contract.wire_schema,
            parameters=self._parameters(sample),
        )
        try:
            reply = await self.language_model.ask(request, min(spec.timeout, within))
        except ModelError as error:
            return Reply.failed(error, system, prompt)
        reading = contract.read(reply.text, reply.stop_reason, reply.refusal, reply.thinking_tokens)
        return Reply(
            reading=reading,
            sources=tuple(self._sources(reading, reply)),
            system=system,
            prompt=prompt,
            response=encodable(reply.text[:MAX_REPLY]),
            model_reply=reply,
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
        """Return those of the file; each further sample has a seed of its own, where the model takes one."""
        given: Mapping[str, Any] = self.callee.handler.prompts.parameters
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
