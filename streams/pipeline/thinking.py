"""The shipped facts about models that think, applied to a handler of the pipeline file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

from streams.core.thinking import MOST_MAX_TOKENS, ROOM, ThinkingModel, ThinkingModels, default_max_tokens
from streams.pipeline.files import PipelineFiles
from streams.pipeline.model_specs import ModelSpec
from streams.pipeline.spec import AnyPrompt

SHIPPED_THINKING = "thinking-2026-11.toml"
_REASONING = re.compile(r"(?:^|[/:])(?:o[1-9]|gpt-(?:[5-9]|oss))(?![0-9a-z])", re.I)
"""Matches o3-mini, gpt-5.6 and openai/gpt-oss-20b. Room for reasoning that a model does not use costs nothing."""


def with_max_tokens(item: AnyPrompt, model: ModelSpec, source: PipelineFiles) -> AnyPrompt:
    """Return the handler with its max_tokens: the file's, or the tier's default with room for thinking."""
    if "max_tokens" in item.model_fields_set or model.provider not in ("claude", "openai"):
        return item
    if model.provider == "openai":
        room = ROOM if reasons(model.model, item.parameters) else 0
        return item.model_copy(update={"max_tokens": min(item.max_tokens + room, MOST_MAX_TOKENS)}) if room else item
    source.shipped(SHIPPED_THINKING)  # it decides, so it counts into the pipeline's hash
    most = default_max_tokens(item.max_tokens, known_thinking(model.model), item.parameters)
    return item.model_copy(update={"max_tokens": most}) if most != item.max_tokens else item


def reasons(model: str, parameters: Mapping[str, Any]) -> bool:
    """True if a model behind a Chat Completions API reasons before it answers, which counts towards max_tokens."""
    effort = parameters.get("reasoning_effort")
    return effort != "none" if effort is not None else _REASONING.search(model) is not None


def known_thinking(model: str) -> ThinkingModel | None:
    """Return the facts about a Claude model's thinking; None for a model that is not in the shipped table."""
    return _shipped().find(model)


@lru_cache(maxsize=1)
def _shipped() -> ThinkingModels:
    return ThinkingModels.parse(tomllib.loads((files("streams.pipeline") / SHIPPED_THINKING).read_text("utf-8")))
