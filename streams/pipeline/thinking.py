"""The shipped facts about models that think, applied to a handler of the pipeline file."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from importlib.resources import files

from streams.core.thinking import ThinkingModel, ThinkingModels, default_max_tokens
from streams.pipeline.files import PipelineFiles
from streams.pipeline.model_specs import ModelSpec
from streams.pipeline.spec import AnyPrompt

SHIPPED_THINKING = "thinking-2026-11.toml"


def with_max_tokens(item: AnyPrompt, model: ModelSpec, source: PipelineFiles) -> AnyPrompt:
    """Return the handler with its max_tokens: the file's, or the tier's default with room for thinking."""
    if model.provider != "claude" or "max_tokens" in item.model_fields_set:
        return item
    source.shipped(SHIPPED_THINKING)  # it decides, so it counts into the pipeline's hash
    most = default_max_tokens(item.max_tokens, known_thinking(model.model), item.parameters)
    return item.model_copy(update={"max_tokens": most}) if most != item.max_tokens else item


def known_thinking(model: str) -> ThinkingModel | None:
    """Return the facts about a Claude model's thinking; None for a model that is not in the shipped table."""
    return _shipped().find(model)


@lru_cache(maxsize=1)
def _shipped() -> ThinkingModels:
    return ThinkingModels.parse(tomllib.loads((files("streams.pipeline") / SHIPPED_THINKING).read_text("utf-8")))
