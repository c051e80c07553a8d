"""The models of a pipeline file: a table for each provider. docs/pipeline.md explains the keys."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from streams.core.address import has_login
from streams.pipeline.values import StrictTable


class ModelPolicy(StrictTable):
    """Limits for calls to a model, over all handlers of a process. Nothing here changes an answer."""

    requests_per_minute: int | None = Field(None, ge=1)
    input_tokens_per_minute: int | None = Field(None, ge=1)
    output_tokens_per_minute: int | None = Field(None, ge=1)
    retry_budget: float = Field(0.3, ge=0, le=0.9)
    """Share of the calls that may be retries."""


class ClaudeModelSpec(ModelPolicy):
    """A Claude model at Anthropic's API or at a gateway that speaks it."""

    provider: Literal["claude"]
    model: str
    base_url: str | None = None
    images: bool = False
    """True if handlers may show it the image of an event."""
    priced_as: str | None = None

    @field_validator("base_url")
    @classmethod
    def _without_a_login(cls, address: str | None) -> str | None:
        if address is not None and has_login(address):
            raise ValueError("a pipeline file must not hold secrets; remove the login from the address")
        return address


class LocalModelSpec(ModelPolicy):
    """A GGUF model, run in the worker's own process."""

    provider: Literal["local"]
    model: str
    """A name from `escalon models list`, or a path to a GGUF file."""
    threads: int = Field(2, ge=1, le=256)
    context: int = Field(4096, ge=512, le=1_000_000)
    """Tokens of context for each parallel call."""
    parallel: int = Field(1, ge=1, le=64)
    priced_as: str | None = None


class RecordedModelSpec(ModelPolicy):
    """Answers from a cassette, without a network."""

    provider: Literal["recorded"]
    model: str
    cassette: str
    images: bool = False
    """True if the recorded model was shown the images of events."""
    priced_as: str | None = None


ModelSpec = Annotated[ClaudeModelSpec | LocalModelSpec | RecordedModelSpec, Field(discriminator="provider")]


def sees_images(model: ModelSpec) -> bool:
    """True if a model is declared able to see images; one whose table has no such key sees none."""
    return bool(getattr(model, "images", False))
