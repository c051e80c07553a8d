"""Capabilities of servers with OpenAI's Chat Completions API, by dialect. docs/providers.md lists the sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

Dialect = Literal["openai", "vllm", "ollama", "llama-server", "litellm"]
DIALECTS: Final[tuple[Dialect, ...]] = get_args(Dialect)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """Capabilities of a model behind a server; what it cannot do is never asked of it."""

    json_schema: bool
    """It holds an answer to a JSON schema."""
    stream: bool = True
    stream_options: bool = True
    """It counts tokens at the end of a stream."""
    logprobs: bool = True
    seed: bool = True
    images: bool = False

    def overridden(self, given: Mapping[str, bool | None]) -> Capabilities:
        """Return these with the given ones in their place; None keeps the dialect's."""
        return replace(self, **{name: value for name, value in given.items() if value is not None})


CAPABILITIES: Final[Mapping[Dialect, Capabilities]] = {
    # https://platform.openai.com/docs/api-reference/chat/create
    "openai": Capabilities(json_schema=True),
    # https://docs.vllm.ai/en/stable/serving/openai_compatible_server/
    "vllm": Capabilities(json_schema=True),
    # https://docs.ollama.com/api/openai-compatibility
    "ollama": Capabilities(json_schema=True),
    # https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
    "llama-server": Capabilities(json_schema=True),
    # https://docs.litellm.ai/docs/completion/drop_params: what the model behind the proxy can do is not known, and a
    # proxy set to drop parameters does so without a word.
    "litellm": Capabilities(json_schema=False, logprobs=False, seed=False),
}
ALL_REQUIRED: Final = frozenset({"openai", "litellm"})
"""Dialects whose strict schemas have no optional properties and an object at the root; the others compile grammars.
https://platform.openai.com/docs/guides/structured-outputs#supported-schemas"""
COMPLETION_TOKENS: Final = frozenset({"openai"})
"""Dialects with max_completion_tokens, which counts reasoning; the others take max_tokens, and count it as well."""
