"""What every language model provider takes and gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One question to a language model. Its canonical JSON is what cassettes are keyed by."""

    model: str
    """The provider's name of the model, for example `claude-haiku-4-5`."""
    system: str
    """The part of the prompt that is the same for every event; providers may cache it."""
    prompt: str
    """The part of the prompt that holds this event."""
    max_tokens: int
    schema: Mapping[str, Any] | None = None
    """JSON schema the answer must follow; None asks for plain text."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Further provider parameters, for example `temperature` of a local model."""


@dataclass(frozen=True, slots=True)
class Token:
    """One generated token: its text and natural-log probability."""

    text: str
    logprob: float


@dataclass(frozen=True, slots=True)
class ModelReply:
    """What came back. Counts are tokens; None means the provider did not say, never zero."""

    text: str
    model: str | None
    """The model that answered, as the provider names it; None where it does not."""
    stop_reason: str
    """`end_turn`, `max_tokens`, `refusal`, `stop_sequence`, or the provider's own word."""
    input_tokens: int | None = None
    """All input tokens, cached ones included."""
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    """Input tokens read from the provider's prompt cache (billed at the cached rate)."""
    cache_write_tokens: int | None = None
    """Input tokens written to the provider's prompt cache."""
    thinking_tokens: int | None = None
    """Output tokens that went to thinking before the answer."""
    first_token_seconds: float | None = None
    """Seconds from sending to the first token, where the provider streams."""
    unbilled: bool = False
    """Whether the provider charges nothing for it, whatever it counts."""
    request_id: str | None = None
    """Of the HTTP request, where there is one."""
    response_id: str | None = None
    """The provider's id of the reply itself, for example `msg_…`."""
    refusal: str | None = None
    """The provider's own words when `stop_reason` is `refusal`."""
    tokens: tuple[Token, ...] = ()
    """Generated tokens with their logprobs, where the provider gives them."""


class LanguageModel(Protocol):
    """A provider of one or more language models. Safe to call concurrently from one event loop."""

    async def ask(self, request: ModelRequest, timeout: float) -> ModelReply:
        """Answer within `timeout` seconds or raise `streams.core.errors.ModelError`."""
        ...

    async def close(self) -> None:
        """Free connections and memory; no call may follow."""
        ...


@runtime_checkable
class Loadable(Protocol):
    """A model that must be loaded into this process before it is asked."""

    async def load(self) -> None:
        """Load it, once; raises ConfigError or ModelError."""
        ...
