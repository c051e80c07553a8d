"""The interface of a language model provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image that a model is shown: the event's, upright and within the provider's limits."""

    sha256: str
    """Of the event's image in the blob store, in hex. Records hold this alone, never the bytes."""
    media_type: str
    """Of `data`: `image/jpeg` or `image/png`."""
    data: bytes = field(repr=False)
    """The encoded image; empty in a request that was read from a cassette."""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One question to a language model. Cassettes are keyed by its canonical JSON."""

    model: str
    system: str
    """Same for every event, so that providers may cache it."""
    prompt: str
    """Contains the event."""
    max_tokens: int
    schema: Mapping[str, object] | None = None
    """JSON Schema of the answer; None asks for plain text."""
    parameters: Mapping[str, object] = field(default_factory=dict)
    images: tuple[ImagePart, ...] = ()
    """Shown before the prompt, to a model that is declared able to see them."""


@dataclass(frozen=True, slots=True)
class Token:
    """One generated token: its text and natural-log probability."""

    text: str
    logprob: float


@dataclass(frozen=True, slots=True)
class ModelReply:
    """One answer. Counts are tokens; None means that the provider did not say, never zero."""

    text: str
    model: str | None
    """The model that answered, by the provider's name; None where the provider does not say."""
    stop_reason: str
    """`end_turn`, `max_tokens`, `refusal`, `stop_sequence`, or the provider's own word."""
    input_tokens: int | None = None
    """All input tokens, cached ones included."""
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    """Read from the provider's prompt cache, and billed at the cached rate."""
    cache_write_tokens: int | None = None
    thinking_tokens: int | None = None
    """Output tokens used for thinking before the answer."""
    first_token_seconds: float | None = None
    """From sending to the first token, where the provider streams."""
    unbilled: bool = False
    """True if the provider charges nothing, in spite of the counts."""
    request_id: str | None = None
    """Of the HTTP request."""
    response_id: str | None = None
    """The provider's id of the reply, for example `msg_…`."""
    refusal: str | None = None
    """The provider's own words when `stop_reason` is `refusal`."""
    tokens: tuple[Token, ...] = ()
    """Empty where the provider gives none."""


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
        """Load once. Raises ConfigError or ModelError."""
        ...
