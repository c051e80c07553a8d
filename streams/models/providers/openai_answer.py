"""Builds one reply of a Chat Completions API from its chunks, or from one whole completion.

Fields are accepted as servers and gateways send them: a null or a missing field says nothing, a repeated one adds
nothing, and a total never falls. Reasoning comes in fields of its own (`reasoning_content`, or `reasoning` from vLLM
and Ollama) and is not a part of the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from streams.core.reply_contract import GOOD_ENDS, MAX_REPLY
from streams.models.providers.event_stream import as_name, as_object, as_text, as_tokens
from streams.models.providers.failures import failure, reply_too_large
from streams.models.providers.openai_errors import OPENAI
from streams.models.providers.openai_events import END
from streams.models.providers.protocol import ModelReply, Token

_STOP_REASONS: Final[Mapping[str, str]] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
_REASONING: Final = ("reasoning_content", "reasoning")
_FILTERED: Final = "the provider's content filter stopped it"
_WRITTEN: Final = ("cache_write_tokens", "cache_creation_tokens")
"""OpenAI's name of tokens written to the cache, and LiteLLM's."""


@dataclass
class ChatAnswer:
    """Takes the chunks of one reply in order; `reply` is the result. `clock` gives monotonic seconds."""

    clock: Callable[[], float]
    waits_for_usage: bool = True
    """True if the counts come after the end of the text."""
    request_id: str | None = None
    complete: bool = False
    """True after the end; later chunks are ignored."""
    began: bool = False
    """True after the first part of the reply."""
    _done: bool = False
    _id: str | None = None
    _model: str | None = None
    _texts: list[str] = field(default_factory=list)
    _refusals: list[str] = field(default_factory=list)
    _tokens: list[Token] | None = field(default_factory=list)
    """None if one of them had no text or no probability."""
    _size: int = 0
    _stop_reason: str | None = None
    _first_token_seconds: float | None = None
    _counts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._started = self.clock()

    def take(self, chunk: Mapping[str, Any]) -> None:
        """Add one chunk; what is unknown in it is ignored. Raises ValueError for a malformed one."""
        try:
            self._take(chunk)
        except (AttributeError, TypeError) as error:
            raise ValueError("malformed chunk") from error

    def _take(self, chunk: Mapping[str, Any]) -> None:
        if chunk == END:
            self._done = self.complete = True
            return
        choices = chunk.get("choices")
        if choices is None:
            return
        self.began = True
        self._id = as_name(chunk.get("id")) or self._id
        self._model = as_name(chunk.get("model")) or self._model
        for choice in choices:
            if as_object(choice).get("index") in (0, None):
                self._add(choice)
        counted = self._count(as_object(chunk.get("usage")))
        # Counts beside a choice may be those so far; the last ones come without a choice.
        last = (counted and not choices) or chunk.get("object") == "chat.completion" or not self.waits_for_usage
        self.complete |= last and self._stop_reason is not None

    def _add(self, choice: Mapping[str, Any]) -> None:
        delta = as_object(choice.get("delta")) or as_object(choice.get("message"))
        if any(as_text(delta.get(name)) for name in _REASONING):
            self._saw_token()
        self._write(self._texts, _text_of(delta.get("content")))
        self._write(self._refusals, as_text(delta.get("refusal")))
        for token in as_object(choice.get("logprobs")).get("content") or ():
            self._add_token(as_object(token))
        if reason := as_name(choice.get("finish_reason")):
            reason = _STOP_REASONS.get(reason, reason)
            if reason not in GOOD_ENDS or self._stop_reason in (None, *GOOD_ENDS):
                self._stop_reason = reason

    def _write(self, texts: list[str], text: str) -> None:
        if not text:
            return
        self._saw_token()
        texts.append(text)
        self._size += len(text)
        if self._size > MAX_REPLY:
            raise reply_too_large(OPENAI.name, f"{MAX_REPLY} characters", self.request_id)

    def _add_token(self, token: Mapping[str, Any]) -> None:
        text, logprob = token.get("token"), token.get("logprob")
        if not isinstance(text, str) or isinstance(logprob, bool) or not isinstance(logprob, int | float):
            self._tokens = None
        elif self._tokens is not None:
            if len(self._tokens) >= MAX_REPLY:
                raise reply_too_large(OPENAI.name, f"{MAX_REPLY} tokens", self.request_id)
            self._tokens.append(Token(as_text(text), float(logprob)))

    def _saw_token(self) -> None:
        if self._first_token_seconds is None:
            self._first_token_seconds = self.clock() - self._started

    def _count(self, usage: Mapping[str, Any]) -> bool:
        """Add counts, which are totals so far; return whether there were any."""
        read, out = as_object(usage.get("prompt_tokens_details")), as_object(usage.get("completion_tokens_details"))
        given = {
            "input": usage.get("prompt_tokens"),
            "output": usage.get("completion_tokens"),
            "total": usage.get("total_tokens"),
            "read": read.get("cached_tokens"),
            "written": next((read[name] for name in _WRITTEN if read.get(name) is not None), None),
            "reasoning": out.get("reasoning_tokens"),
        }
        for name, value in given.items():
            if value is not None:
                self._counts[name] = max(as_tokens(value), self._counts.get(name, 0))
        return given["output"] is not None

    def reply(self) -> ModelReply:
        """Return the whole reply. Raises ModelError if there was none or it broke off."""
        if not self.began:
            raise failure("bad_reply", f"{OPENAI.name} sent no chat completion.", self.request_id)
        if self._stop_reason is None and not (self._done and self.has_output()):
            raise failure("unreachable", "The model's stream broke off before its end.", self.request_id)
        refusal = "".join(self._refusals) or (_FILTERED if self._stop_reason == "refusal" else None)
        total, output = self._counts.get("input"), self._output()
        return ModelReply(
            text="".join(self._texts),
            model=self._model,
            stop_reason="refusal" if refusal else self._stop_reason or "end_turn",
            # Every request and every text has tokens: a 0 is a gateway's placeholder, and not free.
            input_tokens=total or None,
            output_tokens=None if output == 0 and self.has_output() else output,
            cache_read_tokens=self._counts.get("read"),
            cache_write_tokens=self._counts.get("written"),
            thinking_tokens=self._counts.get("reasoning"),
            first_token_seconds=self._first_token_seconds,
            request_id=self.request_id,
            response_id=self._id,
            refusal=refusal,
            tokens=tuple(self._tokens or ()),
        )

    def _output(self) -> int | None:
        """Return the output tokens, with the reasoning. Some gateways leave it out, and count it in the total alone."""
        output, counts = self._counts.get("output"), self._counts
        if output is None or "total" not in counts or "input" not in counts:
            return output
        return max(output, counts["total"] - counts["input"])

    def has_output(self) -> bool:
        """True if the model wrote anything, reasoning included."""
        return self._first_token_seconds is not None


def _text_of(content: Any) -> str:
    """Return the text of a message's content, which some gateways send as a list of parts."""
    if not isinstance(content, list):
        return as_text(content)
    parts = [as_object(part) for part in content]
    return "".join(as_text(part.get("text")) for part in parts if part.get("type") in ("text", None))
